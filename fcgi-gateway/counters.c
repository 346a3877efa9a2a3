/* counters.c - counters and rates. */
#include "counters.h"

#include <string.h>

enum { WINDOW = 10 };

void rate_init(struct rate *rate)
{
	memset(rate, 0, sizeof(*rate));
	pthread_mutex_init(&rate->lock, NULL);
}

void rate_deinit(struct rate *rate)
{
	pthread_mutex_destroy(&rate->lock);
}

void rate_add(struct rate *rate, uint64_t now_ms)
{
	uint64_t second = now_ms / 1000;
	size_t slot = second % RATE_SECONDS;
	pthread_mutex_lock(&rate->lock);
	if (rate->seconds[slot] != second) {
		rate->seconds[slot] = second;
		rate->counts[slot] = 0;
	}
	rate->counts[slot]++;
	pthread_mutex_unlock(&rate->lock);
}

double rate_per_second(struct rate *rate, uint64_t now_ms)
{
	uint64_t second = now_ms / 1000, sum = 0;
	pthread_mutex_lock(&rate->lock);
	for (size_t i = 0; i < RATE_SECONDS; i++)
		if (rate->seconds[i] < second && rate->seconds[i] + WINDOW >= second)
			sum += rate->counts[i];
	pthread_mutex_unlock(&rate->lock);
	return (double)sum / WINDOW;
}

void counters_init(struct counters *counters)
{
	memset(counters, 0, sizeof(*counters));
	rate_init(&counters->request_rate);
	rate_init(&counters->publish_rate);
}

void counters_deinit(struct counters *counters)
{
	rate_deinit(&counters->request_rate);
	rate_deinit(&counters->publish_rate);
}
