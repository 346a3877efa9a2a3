/* bucket.h - a token bucket: so many a second, and so many at once after a rest. No clock: time comes in. */
#ifndef ROOMCAST_GATEWAY_BUCKET_H
#define ROOMCAST_GATEWAY_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* All zero has no limit. Not thread-safe. */
struct bucket {
	uint64_t rate;       /* tokens a second; 0: no limit */
	uint64_t burst;      /* the most that it holds */
	uint64_t millitokens;
	uint64_t filled_ms;
};

/* Full. */
void bucket_init(struct bucket *bucket, uint64_t rate, uint64_t burst, uint64_t now_ms);

/* Takes count tokens, or burst when count is more. False, and nothing taken: *wait_s says after how many seconds (at least 1) it would be
 * true. */
bool bucket_take(struct bucket *bucket, uint64_t count, uint64_t now_ms, unsigned *wait_s);

#endif
