/* counters.h - what the gateway did since it started. Any thread. */
#ifndef ROOMCAST_GATEWAY_COUNTERS_H
#define ROOMCAST_GATEWAY_COUNTERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "response.h"

enum { RATE_SECONDS = 16 };

/* Happenings per second over the last seconds. */
struct rate {
	pthread_mutex_t lock;
	uint64_t seconds[RATE_SECONDS]; /* which second the slot is of */
	uint64_t counts[RATE_SECONDS];
};

void rate_init(struct rate *rate);
void rate_deinit(struct rate *rate);
void rate_add(struct rate *rate, uint64_t now_ms);
/* Over the ten full seconds before this one. */
double rate_per_second(struct rate *rate, uint64_t now_ms);

struct counters {
	atomic_ullong requests;
	atomic_ullong accepted;               /* publishes answered with success */
	atomic_ullong refused[REFUSAL_COUNT];
	struct rate request_rate, publish_rate;
};

void counters_init(struct counters *counters);
void counters_deinit(struct counters *counters);

#endif
