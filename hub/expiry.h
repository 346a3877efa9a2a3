/* expiry.h - many moments of the wall clock, one timer: a wheel with a slot for each second, for tokens that expire.
 *
 * An expiry is embedded in what it belongs to; a zeroed one is not set. Loop thread only. */
#ifndef ROOMCAST_HUB_EXPIRY_H
#define ROOMCAST_HUB_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

enum { EXPIRY_SLOTS = 512, EXPIRY_AT_ONCE_MAX = 500 /* then others of the loop have their turn */ };

struct expiry {
	struct expiry *previous, *next;
	uint64_t due_s; /* unix seconds */
};

struct expiries {
	struct expiry slots[EXPIRY_SLOTS]; /* heads of rings */
	struct expiry due;                 /* head of those whose turn it is */
	uint64_t done_s; /* every slot was looked at for this second */
	uv_timer_t timer;
	/* expiry is no longer set. */
	void (*on_due)(struct expiry *expiry, void *data);
	void *data;
};

void expiries_init(struct expiries *expiries, uv_loop_t *loop, uint64_t now_s, void (*on_due)(struct expiry *expiry, void *data), void *data);
/* One that is set is moved. What is due already comes with the next second. */
void expiries_set(struct expiries *expiries, struct expiry *expiry, uint64_t due_s);
void expiry_cancel(struct expiry *expiry);
/* What the timer does: everything up to now_s is due. Returns whether that is all; otherwise call it again soon. */
bool expiries_run(struct expiries *expiries, uint64_t now_s);
void expiries_close(struct expiries *expiries); /* forgets all */

#endif
