/* histogram.c - durations in log-linear buckets. */
#include "histogram.h"

#include <math.h>

enum { EXACT = 128, STEPS = 64, STEPS_BITS = 6, EXACT_BITS = 7 };

static uint32_t bucket_of(uint64_t ns)
{
	if (ns < EXACT)
		return (uint32_t)ns;
	uint32_t exponent = 63 - (uint32_t)__builtin_clzll(ns);
	uint32_t step = (uint32_t)(ns >> (exponent - STEPS_BITS)) & (STEPS - 1);
	uint32_t bucket = EXACT + (exponent - EXACT_BITS) * STEPS + step;
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static uint64_t upper_edge(uint32_t bucket)
{
	if (bucket < EXACT)
		return bucket;
	uint32_t exponent = (bucket - EXACT) / STEPS + EXACT_BITS, step = (bucket - EXACT) % STEPS;
	return (UINT64_C(1) << exponent) + ((uint64_t)(step + 1) << (exponent - STEPS_BITS)) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->buckets[bucket_of(ns)]++;
	histogram->count++;
	if (ns > histogram->max)
		histogram->max = ns;
}

void histogram_add_all(struct histogram *histogram, const struct histogram *other)
{
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		histogram->buckets[i] += other->buckets[i];
	histogram->count += other->count;
	if (other->max > histogram->max)
		histogram->max = other->max;
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
	uint64_t wanted = (uint64_t)ceil(share * (double)histogram->count), seen = 0;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS && wanted; i++) {
		seen += histogram->buckets[i];
		if (seen >= wanted)
			return upper_edge(i) < histogram->max ? upper_edge(i) : histogram->max;
	}
	return 0;
}
