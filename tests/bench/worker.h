/* worker.h - one process of the generator: its share of the clients, and the measurement that it takes part in.
 *
 * The parent and its workers share a struct board for each worker: the parent sets `wanted`, the worker does that and then sets `done`. */
#ifndef ROOMCAST_BENCH_WORKER_H
#define ROOMCAST_BENCH_WORKER_H

#include <stdatomic.h>

#include "crowd.h"
#include "histogram.h"

enum phase { PHASE_NONE, PHASE_GREET /* the source's server takes part */, PHASE_CONNECT, PHASE_MEASURE, PHASE_END };

enum { SERVERS_MAX = 64, PIDS_MAX = 64 };

struct load_settings {
	struct crowd_settings crowd;
	const char *measure;   /* name of a measurement, see measure.h */
	const char *source;    /* address of the source of events; NULL: none */
	double seconds, rate;  /* how long; events a second */
	uint32_t burst;        /* events published together */
	uint32_t packet_len;
	bool spins;            /* never sleeps, so that no server pays for waking it */
	uint32_t processes;
	pid_t pids[PIDS_MAX];  /* the server's processes */
	size_t pid_count;
	struct sockaddr_in servers[SERVERS_MAX];
};

/* What a measurement found. Durations in nanoseconds. */
struct figures {
	uint64_t elapsed_ns, cpu_ns;
	uint64_t events, deliveries;
	uint64_t missing, surplus; /* deliveries, of what each client should have got */
	struct histogram each;     /* from publishing to each client */
	struct histogram last;     /* to the last one */
};

struct board {
	atomic_int wanted, done;      /* enum phase */
	atomic_uint ready, opening;   /* clients */
	atomic_ullong lost, heartbeats;
	struct figures figures;       /* valid when done reached PHASE_MEASURE */
	char failure[256];            /* "" when all went well */
};

/* The whole life of a worker; returns its exit status. */
int worker_run(const struct load_settings *settings, struct board *board);

#endif
