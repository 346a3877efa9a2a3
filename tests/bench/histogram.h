/* histogram.h - durations counted in buckets whose width is at most 1/64 of their value.
 *
 * Lies in memory that processes may share; adding is not atomic, so each process has its own and they are added up at the end. */
#ifndef ROOMCAST_BENCH_HISTOGRAM_H
#define ROOMCAST_BENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 128 + 64 * 40 };

/* All zero: empty. */
struct histogram {
	uint64_t count, max; /* ns */
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);
void histogram_add_all(struct histogram *histogram, const struct histogram *other);
/* The value that the share of all (0 to 1) does not exceed; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

#endif
