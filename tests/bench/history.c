/* history.c - what the hub's history costs as it grows: to append an event, to keep it, and to give a client what it missed.
 *
 *   history EVENTS ROOMS
 * Events of 300 bytes for the rooms in turn; the client was away for all of them and is in three rooms. CPU time, in nanoseconds. One JSON
 * object on standard output. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "history.h"

enum { BODY_LEN = 300, CLIENT_ROOMS = 3, READS = 20 };

static uint64_t cpu_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static size_t bytes_in_use(void)
{
	struct mallinfo2 info = mallinfo2();
	return info.uordblks + info.hblkhd;
}

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "history: %s\n", what);
	exit(1);
}

static struct event *new_event(uint64_t seq, uint64_t rooms)
{
	char body[BODY_LEN + 1], name[32];
	struct error err;
	int start = snprintf(body, sizeof(body), "\"data-change\",{\"seq\":%010" PRIu64 ",\"text\":\"", seq);
	memset(body + start, 'x', sizeof(body) - (size_t)start);
	memcpy(body + BODY_LEN - 2, "\"}", 3);
	int len = snprintf(name, sizeof(name), "sync-bench-%" PRIu64, seq % rooms);
	struct bytes room = { name, (size_t)len };
	struct event *event = event_from_message(&(struct message){
		.kind = MESSAGE_EVENT, .epoch = 1, .seq = seq, .time_ms = 1, .rooms = { &room, 1 }, .body = { body, BODY_LEN },
	}, &err);
	if (!event)
		fail(err.text);
	return event;
}

/* Events come as they would from the gateway; only the appending is timed. */
static uint64_t append_all(struct history *history, uint64_t events, uint64_t rooms)
{
	enum { TOGETHER = 256 };
	struct event *batch[TOGETHER];
	uint64_t spent = 0;
	for (uint64_t seq = 1; seq <= events; seq += TOGETHER) {
		uint64_t count = events - seq + 1 < TOGETHER ? events - seq + 1 : TOGETHER;
		for (uint64_t i = 0; i < count; i++)
			batch[i] = new_event(seq + i, rooms);
		uint64_t start = cpu_ns();
		for (uint64_t i = 0; i < count; i++)
			history_append(history, batch[i], 1);
		spent += cpu_ns() - start;
		for (uint64_t i = 0; i < count; i++)
			event_unref(batch[i]);
	}
	return spent;
}

/* Returns how many events the client is given. */
static uint64_t replay(struct history *history)
{
	uint64_t given = 0;
	struct history_item item;
	history_read(history, (struct place){ 1, 0 });
	for (int room = 0; room < CLIENT_ROOMS; room++) {
		char name[32];
		int len = snprintf(name, sizeof(name), "sync-bench-%d", room);
		history_read_room(history, (struct bytes){ name, (size_t)len }, (struct place){ 0 });
	}
	while (history_next(history, &item))
		given += frame_wire_len(item.frame) > 0;
	return given;
}

int main(int argc, char **argv)
{
	uint64_t events = argc == 3 ? strtoull(argv[1], NULL, 10) : 0, rooms = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
	struct error err;
	if (!events || rooms < CLIENT_ROOMS) {
		fputs("history EVENTS ROOMS\n", stderr);
		return 2;
	}
	const struct history_bounds roomy = { .age_ms = UINT32_MAX, .events = events, .bytes = INT64_MAX };
	struct history *history = history_new(&roomy, &err);
	if (!history)
		fail(err.text);
	size_t before = bytes_in_use();
	uint64_t append_ns = append_all(history, events, rooms);
	double bytes = (double)(bytes_in_use() - before) / (double)events;
	uint64_t given = 0, start = cpu_ns();
	for (int i = 0; i < READS; i++)
		given += replay(history);
	uint64_t replay_ns = cpu_ns() - start;
	printf("{\"events\":%" PRIu64 ",\"rooms\":%" PRIu64 ",\"appendNs\":%.1f,\"bytesPerEvent\":%.1f,\"given\":%" PRIu64 ",\"replayNs\":%.1f}\n", events,
	       rooms, (double)append_ns / (double)events, bytes, given / READS, given ? (double)replay_ns / (double)given : 0);
	history_free(history);
	return 0;
}
