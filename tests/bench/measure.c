/* measure.c - closed loop, fixed rate, idling, storm. */
#include "measure.h"

#include <sched.h>
#include <stdlib.h>

#include "process.h"

enum { STALL_S = 15, ARRIVALS = 4096, SETTLE_MS = 300 };
static const uint64_t second = 1000000000;

struct arrival {
	uint64_t number;
	uint32_t left; /* clients that do not have it yet */
};

int run_turn(struct run *run, int timeout_ms, struct error *err)
{
	crowd_turn(run->crowd, timeout_ms);
	atomic_store(&run->board->ready, run->crowd->ready);
	atomic_store(&run->board->opening, run->crowd->opening);
	atomic_store(&run->board->lost, run->crowd->lost);
	atomic_store(&run->board->heartbeats, run->crowd->heartbeats);
	return run->source ? source_turn(run->source, err) : 0;
}

/* --- publishing ------------------------------------------------------------ */

/* Rooms take turns. */
static int publish(struct run *run, uint64_t sent_ns, struct error *err)
{
	const struct crowd_settings *crowd = &run->settings->crowd;
	uint32_t room = (uint32_t)(run->published % crowd->rooms);
	if (source_publish(run->source, crowd->first_room + room, run->published, sent_ns, err))
		return -1;
	if (run->arrivals)
		run->arrivals[run->published % ARRIVALS] = (struct arrival){ run->published, run->members[room] };
	run->published++;
	run->expected += run->members[room];
	return 0;
}

static int publish_burst(struct run *run, struct error *err)
{
	uint64_t now = now_ns();
	for (uint32_t i = 0; i < run->settings->burst; i++)
		if (publish(run, now, err))
			return -1;
	return source_flush(run->source, err);
}

static int wait_for_all(struct run *run, struct error *err)
{
	uint64_t before = run->crowd->events, seen = before, stalled_at = now_ns() + STALL_S * second;
	while (run->crowd->events < run->expected) {
		if (run->settings->spins && run->crowd->events == before)
			sched_yield(); /* ZeroMQ's thread sends what was published, on this core */
		if (run_turn(run, run->settings->spins ? 0 : 100, err))
			return -1;
		if (run->crowd->events != seen) {
			seen = run->crowd->events;
			stalled_at = now_ns() + STALL_S * second;
		} else if (now_ns() > stalled_at) {
			return error_set(err, ERROR_UNAVAILABLE, "%llu of %llu deliveries are missing",
			                 (unsigned long long)(run->expected - seen), (unsigned long long)run->expected);
		}
	}
	return 0;
}

/* --- what a measurement needs before and after ----------------------------- */

static int count_members(struct run *run, struct error *err)
{
	const struct crowd_settings *crowd = &run->settings->crowd;
	if (!run->source || !crowd->rooms)
		return error_set(err, ERROR_INVALID, "this measurement needs a source and rooms");
	run->members = calloc(crowd->rooms, sizeof(*run->members));
	if (!run->members)
		return error_set(err, ERROR_SYSTEM, "no memory for %u rooms", crowd->rooms);
	for (uint32_t i = 0; i < crowd->clients; i++)
		for (uint32_t j = 0; j < crowd->rooms_per_client; j++)
			run->members[crowd_room(&run->crowd->clients[i], j)]++;
	return 0;
}

/* The server takes events, and whatever it does after a client joined is over. */
static int settle(struct run *run, struct error *err)
{
	uint64_t stalled_at = now_ns() + STALL_S * second, until = now_ns() + SETTLE_MS * (second / 1000);
	while (!source_is_ready(run->source) || now_ns() < until) {
		if (run_turn(run, 20, err))
			return -1;
		if (now_ns() > stalled_at)
			return error_set(err, ERROR_UNAVAILABLE, "the server does not take part");
		if (!source_is_ready(run->source))
			until = now_ns() + SETTLE_MS * (second / 1000);
	}
	return 0;
}

static uint64_t cpu_ns(const struct run *run)
{
	return process_cpu_ns(run->settings->pids, run->settings->pid_count);
}

/* Every client has what its rooms were sent, no more and no less. */
static void check_clients(struct run *run)
{
	const struct crowd_settings *crowd = &run->settings->crowd;
	uint64_t all_rooms = run->published / crowd->rooms, rest = run->published % crowd->rooms;
	for (uint32_t i = 0; i < crowd->clients; i++) {
		const struct client *client = &run->crowd->clients[i];
		uint64_t due = all_rooms * crowd->rooms_per_client;
		for (uint32_t j = 0; j < crowd->rooms_per_client; j++)
			due += crowd_room(client, j) < rest;
		run->figures->missing += client->events < due ? due - client->events : 0;
		run->figures->surplus += client->events > due ? client->events - due : 0;
	}
}

/* --- the measurements ------------------------------------------------------ */

static int loop_for(struct run *run, double seconds, struct error *err)
{
	uint64_t end = now_ns() + (uint64_t)(seconds * (double)second);
	do {
		if (publish_burst(run, err) || wait_for_all(run, err))
			return -1;
	} while (now_ns() < end);
	return 0;
}

static int measure_closed(struct run *run, struct error *err)
{
	if (count_members(run, err) || settle(run, err) || loop_for(run, run->settings->seconds / 5, err))
		return -1;
	uint64_t cpu = cpu_ns(run), start = now_ns(), events = run->published, deliveries = run->crowd->events;
	if (loop_for(run, run->settings->seconds, err))
		return -1;
	run->figures->elapsed_ns = now_ns() - start;
	run->figures->cpu_ns = cpu_ns(run) - cpu;
	run->figures->events = run->published - events;
	run->figures->deliveries = run->crowd->events - deliveries;
	check_clients(run);
	return 0;
}

void measure_on_event(void *data, struct client *client, struct bytes payload)
{
	struct run *run = data;
	uint64_t number, sent_ns, now = now_ns();
	(void)client;
	if (!source_read_stamp(payload, &number, &sent_ns) || now < sent_ns)
		return;
	histogram_add(&run->figures->each, now - sent_ns);
	struct arrival *arrival = run->arrivals ? &run->arrivals[number % ARRIVALS] : NULL;
	if (arrival && arrival->number == number && arrival->left && !--arrival->left)
		histogram_add(&run->figures->last, now - sent_ns);
}

/* A late event counts from when it was due: what holds the publisher up is part of the latency. */
static int publish_at_rate(struct run *run, double seconds, struct error *err)
{
	uint64_t start = now_ns(), events = (uint64_t)(seconds * run->settings->rate);
	for (uint64_t i = 0; i < events; i++) {
		uint64_t due = start + (uint64_t)((double)i / run->settings->rate * (double)second), now;
		while ((now = now_ns()) < due)
			if (run_turn(run, (int)((due - now) / 1000000), err))
				return -1;
		if (publish(run, due, err) || source_flush(run->source, err) || run_turn(run, 0, err))
			return -1;
	}
	return wait_for_all(run, err);
}

static int measure_rate(struct run *run, struct error *err)
{
	run->arrivals = calloc(ARRIVALS, sizeof(*run->arrivals));
	if (!run->arrivals)
		return error_set(err, ERROR_SYSTEM, "no memory");
	if (count_members(run, err) || settle(run, err) || publish_at_rate(run, run->settings->seconds / 5, err))
		return -1;
	run->figures->each = run->figures->last = (struct histogram){ 0 };
	uint64_t cpu = cpu_ns(run), start = now_ns(), events = run->published, deliveries = run->crowd->events;
	if (publish_at_rate(run, run->settings->seconds, err))
		return -1;
	run->figures->elapsed_ns = now_ns() - start;
	run->figures->cpu_ns = cpu_ns(run) - cpu;
	run->figures->events = run->published - events;
	run->figures->deliveries = run->crowd->events - deliveries;
	check_clients(run);
	return 0;
}

static int measure_idle(struct run *run, struct error *err)
{
	uint64_t cpu = cpu_ns(run), start = now_ns(), end = start + (uint64_t)(run->settings->seconds * (double)second);
	while (now_ns() < end)
		if (run_turn(run, 50, err))
			return -1;
	run->figures->elapsed_ns = now_ns() - start;
	run->figures->cpu_ns = cpu_ns(run) - cpu;
	return 0;
}

static int measure_storm(struct run *run, struct error *err)
{
	uint64_t cpu = cpu_ns(run), start = now_ns();
	crowd_cut(run->crowd);
	run->crowd->settings.opening_max = run->settings->crowd.clients;
	do {
		if (run_turn(run, 50, err))
			return -1;
	} while (!crowd_is_settled(run->crowd));
	run->figures->elapsed_ns = now_ns() - start;
	run->figures->cpu_ns = cpu_ns(run) - cpu;
	run->figures->missing = run->settings->crowd.clients - run->crowd->ready;
	return 0;
}

measurement *measurement_find(const char *name)
{
	static const struct { const char *name; measurement *measure; } measurements[] = {
		{ "closed", measure_closed }, { "rate", measure_rate }, { "idle", measure_idle }, { "storm", measure_storm },
	};
	for (size_t i = 0; i < sizeof(measurements) / sizeof(measurements[0]); i++)
		if (strcmp(measurements[i].name, name) == 0)
			return measurements[i].measure;
	return NULL;
}
