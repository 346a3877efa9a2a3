/* line_repair.c - sends hubs again what they missed, a chunk at a time. */
#include "line_parts.h"

#include <inttypes.h>

#include <roomcast/log.h>

struct repair {
	struct line *line;
	struct hub *hub;
	enum delivery delivery;
	uint64_t sent;
};

static void send_repair(void *data, uint64_t seq, struct bytes packed)
{
	struct repair *repair = data;
	if (repair->delivery != DELIVERED)
		return;
	repair->delivery = line_send_packed(repair->line, &repair->hub->routing, packed);
	if (repair->delivery != DELIVERED)
		return;
	repair->hub->ask_next = seq + 1;
	repair->hub->chunk_end = seq;
	repair->sent++;
}

/* Says what is no longer there and moves the hub's question past it. */
static void tell_gone(struct line *line, struct hub *hub, uint64_t first)
{
	struct message gone = { .kind = MESSAGE_GONE, .epoch = hub->ask_epoch, .first_seq = first };
	if (line_send(line, &hub->routing, &gone) != DELIVERED)
		return; /* it will ask again */
	hub->ask_next = first;
	line_count(line, LINE_GONE);
	log_warning("msg=\"hub asked for events that are gone\" hub=%s epoch=%" PRIu64 " first=%" PRIu64, hub->name, hub->ask_epoch, first);
}

void line_repair_hub(struct line *line, struct hub *hub)
{
	if (hub->ask_next > hub->ask_last)
		return;
	const struct journal_operations *operations = line->journal->operations;
	struct journal_extent extent;
	struct error err = { 0 };
	if (operations->extent(line->journal, hub->ask_epoch, &extent, &err))
		extent = (struct journal_extent){ hub->ask_last + 1, hub->ask_last };
	if (hub->ask_next < extent.first)
		tell_gone(line, hub, extent.first);
	struct repair repair = { .line = line, .hub = hub, .delivery = DELIVERED };
	if (hub->ask_next <= hub->ask_last && hub->ask_next <= extent.last
	    && operations->read(line->journal, hub->ask_epoch, hub->ask_next, hub->ask_last, line->settings.chunk, send_repair, &repair, &err) < 0)
		log_warning("msg=\"repair failed\" hub=%s error=\"%s\"", hub->name, err.text);
	pthread_mutex_lock(&line->lock);
	line->counters[LINE_REPAIRED] += repair.sent;
	pthread_mutex_unlock(&line->lock);
}
