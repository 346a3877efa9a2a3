/* deadline.c - equal timeouts in a queue. */
#include "deadline.h"

#include <stddef.h>

enum { DUE_AT_ONCE_MAX = 256 }; /* then others of the loop have their turn */
enum { LATENESS_MAX = 20 };     /* ms that are made up for: a process that was stopped for long gives everybody their time */
enum { STOPPED = 100, GRACE = 50 }; /* ms: so late only a process that did not run; what waits in its sockets is read first then */

static void on_timer(uv_timer_t *timer);

static uint64_t now_ms(const struct deadlines *deadlines)
{
	return uv_now(deadlines->timer.loop);
}

static void arm(struct deadlines *deadlines)
{
	uint64_t due = deadlines->ring.next->due_ms, now = now_ms(deadlines);
	uv_timer_start(&deadlines->timer, on_timer, due > now ? due - now : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct deadlines *deadlines = timer->data;
	uint64_t now = now_ms(deadlines);
	struct deadline *first = deadlines->ring.next;
	bool was_stopped = first != &deadlines->ring && now > first->due_ms + STOPPED;
	if (was_stopped && !deadlines->has_waited) {
		deadlines->has_waited = true;
		uv_timer_start(timer, on_timer, GRACE, 0);
		return;
	}
	deadlines->has_waited = was_stopped;
	for (unsigned n = 0; n < DUE_AT_ONCE_MAX; n++) {
		first = deadlines->ring.next;
		if (first == &deadlines->ring || first->due_ms > now)
			break;
		deadline_cancel(first);
		deadlines->on_due(first, deadlines->data);
		if (uv_is_closing((uv_handle_t *)timer))
			return;
	}
	if (deadlines->ring.next != &deadlines->ring)
		arm(deadlines);
}

int deadlines_init(struct deadlines *deadlines, uv_loop_t *loop, uint64_t delay_ms,
                   void (*on_due)(struct deadline *deadline, void *data), void *data, struct error *err)
{
	int status = uv_timer_init(loop, &deadlines->timer);
	if (status < 0)
		return error_set(err, ERROR_SYSTEM, "timer: %s", uv_strerror(status));
	deadlines->timer.data = deadlines;
	deadlines->ring.previous = deadlines->ring.next = &deadlines->ring;
	deadlines->delay_ms = delay_ms;
	deadlines->on_due = on_due;
	deadlines->data = data;
	return 0;
}

void deadlines_set(struct deadlines *deadlines, struct deadline *deadline)
{
	deadlines_set_since(deadlines, deadline, now_ms(deadlines));
}

void deadlines_set_since(struct deadlines *deadlines, struct deadline *deadline, uint64_t since_ms)
{
	if (uv_is_closing((uv_handle_t *)&deadlines->timer))
		return;
	uint64_t earliest = now_ms(deadlines) - LATENESS_MAX;
	deadline_cancel(deadline);
	deadline->due_ms = (since_ms > earliest ? since_ms : earliest) + deadlines->delay_ms;
	deadline->previous = deadlines->ring.previous;
	deadline->next = &deadlines->ring;
	deadline->previous->next = deadline;
	deadlines->ring.previous = deadline;
	if (!uv_is_active((uv_handle_t *)&deadlines->timer))
		arm(deadlines);
}

void deadline_cancel(struct deadline *deadline)
{
	if (!deadline_is_set(deadline))
		return;
	deadline->previous->next = deadline->next;
	deadline->next->previous = deadline->previous;
	deadline->previous = deadline->next = NULL;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct deadlines *deadlines = handle->data;
	if (deadlines->on_closed)
		deadlines->on_closed(deadlines->on_closed_data);
}

void deadlines_close(struct deadlines *deadlines, void (*on_closed)(void *data), void *data)
{
	while (deadlines->ring.next != &deadlines->ring)
		deadline_cancel(deadlines->ring.next);
	deadlines->on_closed = on_closed;
	deadlines->on_closed_data = data;
	uv_close((uv_handle_t *)&deadlines->timer, on_timer_closed);
}
