/* measure.h - the measurements that a worker can make with clients that are ready.
 *
 *   closed  publishes a burst, waits until every client has it, publishes the next
 *   rate    publishes at a fixed rate, whatever becomes of it, and looks at latencies
 *   idle    answers heartbeats
 *   storm   cuts all connections and counts the time until all are ready again */
#ifndef ROOMCAST_BENCH_MEASURE_H
#define ROOMCAST_BENCH_MEASURE_H

#include "source.h"
#include "worker.h"

struct run {
	const struct load_settings *settings;
	struct crowd *crowd;
	struct source *source; /* NULL: none */
	struct board *board;
	struct figures *figures;
	uint32_t *members;     /* clients of each room */
	uint64_t published;    /* events */
	uint64_t expected;     /* deliveries of all that was published */
	struct arrival *arrivals; /* rate: of the last events, by number */
};

/* What is a measurement's name; NULL when there is none. */
typedef int measurement(struct run *run, struct error *err);
measurement *measurement_find(const char *name);

/* Lets clients and source do what they have to; afterwards the board is up to date. */
int run_turn(struct run *run, int timeout_ms, struct error *err) MUST_CHECK;
/* For crowd_settings.on_event during `rate`; data is the run. */
void measure_on_event(void *data, struct client *client, struct bytes payload);

#endif
