/* line.c - the line thread. */
#include "line_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>

#include "line_reader.h"

/* At most one heartbeat a so many ms... */
enum {
	COUNTS_HEARTBEAT_MS = 100,  /* for changed counts, and again while publishers wait for reports */
	CONFIRM_HEARTBEAT_MS = 5,   /* for a publisher that begins to wait */
};

enum { LOOK_MS = 100, ANSWERS_TICK_MS = 10 };

static const char *const counter_names[LINE_COUNTER_COUNT] = {
	[LINE_PUBLISHED] = "published",
	[LINE_LARGE] = "large",
	[LINE_VOLATILE] = "volatile",
	[LINE_RELAYED] = "relayed",
	[LINE_RELAY_REPEATS] = "relayRepeats",
	[LINE_VOLATILE_DROPPED] = "volatileDropped",
	[LINE_REPAIRED] = "repaired",
	[LINE_GONE] = "gone",
	[LINE_MALFORMED] = "malformedMessages",
	[LINE_UNEXPECTED] = "unexpectedMessages",
	[LINE_BROKEN_HANDSHAKES] = "brokenHandshakes",
	[LINE_REFUSED_HELLOS] = "refusedHellos",
	[LINE_REFUSED_KEYS] = "refusedKeys",
	[LINE_FORWARDED] = "forwarded",
	[LINE_FORWARDS_LATE] = "forwardsLate",
	[LINE_FORWARDS_TURNED_AWAY] = "forwardsTurnedAway",
};

const char *line_counter_name(enum line_counter counter)
{
	return counter_names[counter];
}

void line_count(struct line *line, enum line_counter counter)
{
	pthread_mutex_lock(&line->lock);
	line->counters[counter]++;
	pthread_mutex_unlock(&line->lock);
}

size_t line_hub_count(const struct line *line)
{
	return atomic_load(&line->hub_count);
}

void line_figures(struct line *line, struct line_figures *out)
{
	pthread_mutex_lock(&line->lock);
	out->hubs = line->hubs;
	out->now_ms = clock_monotonic_ms();
	out->epoch = line->published.epoch;
	out->published_seq = line->published.seq;
	memcpy(out->counters, line->counters, sizeof(out->counters));
	out->counters[LINE_REFUSED_KEYS] = zap_refused(line->zap);
	pthread_mutex_unlock(&line->lock);
}

/* Called with the lock held. */
static void set_active(struct line *line, bool is_active, bool is_reading)
{
	line->is_active = is_active;
	line->is_reading = is_reading;
	line->activations++;
	pthread_cond_broadcast(&line->reported);
	pthread_cond_broadcast(&line->drained);
	line_wake(line);
}

void line_activate(struct line *line, uint64_t epoch)
{
	pthread_mutex_lock(&line->lock);
	line->published = place_larger(line->published, (struct place){ epoch, 0 });
	set_active(line, true, false);
	pthread_mutex_unlock(&line->lock);
}

void line_read_on(struct line *line, struct place last)
{
	pthread_mutex_lock(&line->lock);
	struct place published = place_larger(line->published, last);
	if (!line->is_reading || place_compare(published, line->published) != 0) {
		line->published = published;
		set_active(line, true, true);
	}
	pthread_mutex_unlock(&line->lock);
}

void line_deactivate(struct line *line)
{
	pthread_mutex_lock(&line->lock);
	if (line->is_active)
		set_active(line, false, false);
	pthread_mutex_unlock(&line->lock);
}

struct place line_published(struct line *line)
{
	pthread_mutex_lock(&line->lock);
	struct place published = line->published;
	pthread_mutex_unlock(&line->lock);
	return published;
}

uint64_t line_numbering(struct line *line)
{
	pthread_mutex_lock(&line->lock);
	uint64_t instance = line->is_reading ? 0 : line->instance;
	pthread_mutex_unlock(&line->lock);
	return instance;
}

bool line_is_active(struct line *line)
{
	pthread_mutex_lock(&line->lock);
	bool is_active = line->is_active;
	pthread_mutex_unlock(&line->lock);
	return is_active;
}

/* Tells hubs of a change soon, whichever way it goes. */
static void follow_activations(struct line *line, bool is_active, unsigned activations)
{
	if (activations == line->seen_activations)
		return;
	line->seen_activations = activations;
	line->heartbeat_at_ms = 0;
	if (!is_active)
		line_dismiss_hubs(line);
}

/* When the next heartbeat is due. */
static uint64_t next_heartbeat(struct line *line)
{
	pthread_mutex_lock(&line->lock);
	bool is_active = line->is_active, wants_report = line->wants_report, is_confirming = line->confirming;
	pthread_mutex_unlock(&line->lock);
	uint64_t at_ms = line->heartbeat_at_ms, last_ms = line->last_heartbeat_ms;
	if (!is_active)
		return UINT64_MAX;
	if ((line->is_changed || is_confirming) && at_ms > last_ms + COUNTS_HEARTBEAT_MS)
		at_ms = last_ms + COUNTS_HEARTBEAT_MS;
	if (wants_report && at_ms > last_ms + CONFIRM_HEARTBEAT_MS)
		at_ms = last_ms + CONFIRM_HEARTBEAT_MS;
	return at_ms;
}

/* What there is to be read from ZeroMQ, which costs something to ask. */
struct readable {
	bool has_messages, has_departures;
};

/* Until something happens or the next heartbeat is due. */
static struct readable wait_for_work(struct line *line)
{
	zmq_pollitem_t items[] = {
		{ .socket = line->router, .events = ZMQ_POLLIN },
		{ .fd = line->wake_fd, .events = ZMQ_POLLIN },
		{ .socket = line->router_monitor, .events = ZMQ_POLLIN },
		{ .socket = line->publisher_monitor, .events = ZMQ_POLLIN },
	};
	uint64_t now_ms = clock_monotonic_ms(), until_ms = next_heartbeat(line), times;
	uint64_t patience_ms = until_ms > now_ms ? until_ms - now_ms : 0;
	if (patience_ms > line->settings.heartbeat_ms)
		patience_ms = line->settings.heartbeat_ms;
	if (line->has_answers && patience_ms > ANSWERS_TICK_MS)
		patience_ms = ANSWERS_TICK_MS;
	if (now_ms <= line->departure_ms + LINE_DEPARTURE_MS && patience_ms > LINE_DEPARTURE_LOOK_MS)
		patience_ms = LINE_DEPARTURE_LOOK_MS;
	zmq_poll(items, sizeof(items) / sizeof(items[0]), (long)patience_ms);
	if (items[1].revents && read(line->wake_fd, &times, sizeof(times)) < 0 && errno != EAGAIN)
		log_error("msg=\"line cannot be woken\" error=\"%s\"", strerror(errno));
	return (struct readable){ .has_messages = items[0].revents, .has_departures = items[2].revents };
}

/* Who is silent, and who lacks something. */
static void look_at_hubs(struct line *line, bool has_departures)
{
	uint64_t now_ms = clock_monotonic_ms();
	if (!has_departures && now_ms < line->looked_ms + LOOK_MS)
		return;
	line->looked_ms = now_ms;
	line_notice_departures(line, now_ms);
	line_expire_hubs(line, now_ms);
	line_push_repairs(line, now_ms);
}

static void *run(void *data)
{
	struct line *line = data;
	pthread_setname_np(pthread_self(), "line");
	for (bool is_stopping = false; !is_stopping;) {
		uint64_t now_ms = clock_monotonic_ms();
		if (now_ms >= next_heartbeat(line))
			line_send_heartbeat(line, now_ms);
		struct readable readable = wait_for_work(line);
		pthread_mutex_lock(&line->lock);
		is_stopping = line->is_stopping;
		bool is_active = line->is_active;
		unsigned activations = line->activations;
		pthread_mutex_unlock(&line->lock);
		line_send_queue(line);
		follow_activations(line, is_active, activations);
		if (readable.has_messages)
			line_receive_all(line);
		line_take_answers(line);
		line->has_answers = !line_send_answers(line);
		look_at_hubs(line, readable.has_departures);
	}
	line_send_queue(line);
	(void)line_send_answers(line);
	return NULL;
}

static void line_release(struct line *line)
{
	line_reader_free(line->reader);
	line_close_sockets(line);
	line_forwards_free(line->forwards);
	if (line->wake_fd >= 0)
		close(line->wake_fd);
	pthread_cond_destroy(&line->drained);
	pthread_cond_destroy(&line->reported);
	pthread_mutex_destroy(&line->lock);
	free(line);
}

struct line *line_new(struct journal *journal, const struct line_settings *settings, struct error *err)
{
	struct line *line = calloc(1, sizeof(*line));
	if (!line) {
		error_set(err, ERROR_SYSTEM, "no memory for the line");
		return NULL;
	}
	line->settings = *settings;
	pthread_mutex_init(&line->lock, NULL);
	pthread_cond_init(&line->drained, NULL);
	line_init_confirmations(line);
	line->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	line->forwards = line_forwards_new();
	if (!line->forwards || line->wake_fd < 0 || getrandom(&line->instance, sizeof(line->instance), 0) != (ssize_t)sizeof(line->instance)) {
		error_set(err, ERROR_SYSTEM, "line: %s", strerror(errno));
		goto fail;
	}
	line->instance |= 1; /* 0 is no instance */
	line->reader = line_reader_new(line, journal, err);
	if (!line->reader || line_open_sockets(line, err))
		goto fail;
	int failure = pthread_create(&line->thread, NULL, run, line);
	if (failure == 0)
		return line;
	error_set(err, ERROR_SYSTEM, "line thread: %s", strerror(failure));
fail:
	line_release(line);
	return NULL;
}

void line_free(struct line *line)
{
	if (!line)
		return;
	pthread_mutex_lock(&line->lock);
	line->is_stopping = true;
	pthread_cond_broadcast(&line->drained);
	pthread_cond_broadcast(&line->reported);
	pthread_mutex_unlock(&line->lock);
	line_wake(line);
	pthread_join(line->thread, NULL);
	line_release(line);
}
