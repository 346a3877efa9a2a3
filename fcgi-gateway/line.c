/* line.c - the line thread. */
#include "line_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>

enum { COUNTS_HEARTBEAT_MS = 100 }; /* at most one a so many ms for changed counts */

static const char *const counter_names[LINE_COUNTER_COUNT] = {
	[LINE_PUBLISHED] = "published",
	[LINE_VOLATILE] = "volatile",
	[LINE_RELAYED] = "relayed",
	[LINE_RELAY_REPEATS] = "relayRepeats",
	[LINE_REPAIRED] = "repaired",
	[LINE_GONE] = "gone",
	[LINE_MALFORMED] = "malformedMessages",
	[LINE_UNEXPECTED] = "unexpectedMessages",
	[LINE_REFUSED_HELLOS] = "refusedHellos",
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
	out->epoch = line->published_epoch;
	out->published_seq = line->published_seq;
	memcpy(out->counters, line->counters, sizeof(out->counters));
	pthread_mutex_unlock(&line->lock);
}

static void *run(void *data)
{
	struct line *line = data;
	zmq_pollitem_t items[] = {
		{ .socket = line->router, .events = ZMQ_POLLIN },
		{ .fd = line->wake_fd, .events = ZMQ_POLLIN },
	};
	for (bool is_stopping = false; !is_stopping;) {
		uint64_t now_ms = clock_monotonic_ms();
		if (now_ms >= line->heartbeat_at_ms || (line->is_changed && now_ms >= line->last_heartbeat_ms + COUNTS_HEARTBEAT_MS))
			line_send_heartbeat(line, now_ms);
		uint64_t until_ms = line->is_changed ? line->last_heartbeat_ms + COUNTS_HEARTBEAT_MS : line->heartbeat_at_ms;
		zmq_poll(items, 2, until_ms > now_ms ? (long)(until_ms - now_ms) : 0);
		if (items[1].revents) {
			uint64_t times;
			if (read(line->wake_fd, &times, sizeof(times)) < 0 && errno != EAGAIN)
				log_error("msg=\"line cannot be woken\" error=\"%s\"", strerror(errno));
		}
		pthread_mutex_lock(&line->lock);
		is_stopping = line->is_stopping;
		pthread_mutex_unlock(&line->lock);
		line_send_queue(line);
		line_receive_all(line);
		line_expire_hubs(line, clock_monotonic_ms());
	}
	line_send_queue(line);
	return NULL;
}

static void line_release(struct line *line)
{
	line_close_sockets(line);
	if (line->wake_fd >= 0)
		close(line->wake_fd);
	pthread_cond_destroy(&line->drained);
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
	line->journal = journal;
	line->settings = *settings;
	line->published_epoch = journal->epoch;
	line->published_seq = journal->last_seq;
	pthread_mutex_init(&line->lock, NULL);
	pthread_cond_init(&line->drained, NULL);
	line->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (line->wake_fd < 0 || getrandom(&line->instance, sizeof(line->instance), 0) != (ssize_t)sizeof(line->instance)) {
		error_set(err, ERROR_SYSTEM, "line: %s", strerror(errno));
		goto fail;
	}
	line->instance |= 1; /* 0 is no instance */
	if (line_open_sockets(line, err))
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
	pthread_mutex_unlock(&line->lock);
	line_wake(line);
	pthread_join(line->thread, NULL);
	line_release(line);
}
