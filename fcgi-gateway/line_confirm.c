/* line_confirm.c - publishers that wait until hubs have what they published. */
#include "line_parts.h"

#include <errno.h>
#include <time.h>

/* Waits for a time that no change of the wall clock moves. */
void line_init_confirmations(struct line *line)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&line->reported, &attributes);
	pthread_condattr_destroy(&attributes);
}

static struct timespec deadline_after(uint64_t ms)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	uint64_t ns = (uint64_t)at.tv_nsec + ms % 1000 * 1000000;
	at.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
	at.tv_nsec = (long)(ns % 1000000000);
	return at;
}

/* Called with the lock held. */
static void name_hubs(const struct line *line, struct line_confirmation *out)
{
	*out = (struct line_confirmation){ .hubs = line->hubs.count };
	for (size_t i = 0; i < out->hubs; i++)
		memcpy(out->items[i].name, line->hubs.items[i].name, sizeof(out->items[i].name));
}

/* Called with the lock held. What was confirmed stays so, whatever becomes of the hub. */
static bool is_confirmed(const struct line *line, struct place place, struct line_confirmation *out)
{
	for (size_t i = 0; i < out->hubs; i++) {
		const struct hub *hub = hubs_find_name(&line->hubs, bytes_of(out->items[i].name));
		if (out->items[i].has_confirmed || !hub || hub->epoch > line->published.epoch || place_compare((struct place){ hub->epoch, hub->seq }, place) < 0)
			continue;
		out->items[i].has_confirmed = true;
		out->confirmed++;
	}
	return out->confirmed == out->hubs;
}

void line_confirm(struct line *line, struct place place, uint64_t timeout_ms, struct line_confirmation *out)
{
	struct timespec deadline = deadline_after(timeout_ms);
	pthread_mutex_lock(&line->lock);
	name_hubs(line, out);
	line->confirming++;
	line->wants_report = true;
	line_wake(line);
	int waited = 0;
	while (!is_confirmed(line, place, out) && line->is_active && !line->is_stopping && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&line->reported, &line->lock, &deadline);
	line->confirming--;
	pthread_mutex_unlock(&line->lock);
}
