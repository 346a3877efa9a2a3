/* deadline.h - many equal timeouts: a queue in order of expiry, with one timer for all of them.
 *
 * A deadline is embedded in what it belongs to; a zeroed one is not set. Setting and cancelling cost a few pointer
 * writes. After the process was stopped for a while it reads first what came meanwhile. Loop thread only. */
#ifndef ROOMCAST_HUB_DEADLINE_H
#define ROOMCAST_HUB_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include <roomcast/error.h>

struct deadline {
	struct deadline *previous, *next;
	uint64_t due_ms; /* of the loop's clock */
};

struct deadlines {
	struct deadline ring; /* next: due first */
	uv_timer_t timer;
	uint64_t delay_ms;
	bool has_waited; /* those that are overdue were given their grace */
	/* deadline is no longer set; setting any deadline again, its own too, is fine, as is freeing its owner. */
	void (*on_due)(struct deadline *deadline, void *data);
	void *data;
	void (*on_closed)(void *data);
	void *on_closed_data;
};

int deadlines_init(struct deadlines *deadlines, uv_loop_t *loop, uint64_t delay_ms,
                   void (*on_due)(struct deadline *deadline, void *data), void *data, struct error *err) MUST_CHECK;
/* Sets the deadline to now + delay; one that was set, here or in other deadlines, is moved. */
void deadlines_set(struct deadlines *deadlines, struct deadline *deadline);
/* The same, counted from a moment that passed a little ago: when the last deadline was due, say, rather than when its turn
 * came. Moments have to be given in their order. */
void deadlines_set_since(struct deadlines *deadlines, struct deadline *deadline, uint64_t since_ms);
void deadline_cancel(struct deadline *deadline);
/* Forgets all; nothing is due any more. The memory is the loop's until on_closed. */
void deadlines_close(struct deadlines *deadlines, void (*on_closed)(void *data), void *data);

static inline bool deadline_is_set(const struct deadline *deadline)
{
	return deadline->next != NULL;
}

#endif
