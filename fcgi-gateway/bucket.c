/* bucket.c - a token bucket in thousandths. */
#include "bucket.h"

void bucket_init(struct bucket *bucket, uint64_t rate, uint64_t burst, uint64_t now_ms)
{
	*bucket = (struct bucket){ .rate = rate, .burst = burst, .millitokens = burst * 1000, .filled_ms = now_ms };
}

/* A thousandth of a token a millisecond for each token a second. */
static void fill(struct bucket *bucket, uint64_t now_ms)
{
	uint64_t missing = bucket->burst * 1000 - bucket->millitokens;
	uint64_t passed_ms = now_ms > bucket->filled_ms ? now_ms - bucket->filled_ms : 0;
	bucket->millitokens += passed_ms > missing / bucket->rate ? missing : passed_ms * bucket->rate;
	bucket->filled_ms = now_ms;
}

bool bucket_take(struct bucket *bucket, uint64_t count, uint64_t now_ms, unsigned *wait_s)
{
	if (!bucket->rate)
		return true;
	uint64_t cost = (count < bucket->burst ? count : bucket->burst) * 1000;
	fill(bucket, now_ms);
	if (bucket->millitokens >= cost) {
		bucket->millitokens -= cost;
		return true;
	}
	uint64_t wait_ms = (cost - bucket->millitokens + bucket->rate - 1) / bucket->rate;
	*wait_s = (unsigned)((wait_ms + 999) / 1000);
	return false;
}
