/* expiry.c - a wheel of seconds. */
#include "expiry.h"

#include <stddef.h>

#include <roomcast/clock.h>

enum { TICK_MS = 1000, SOON_MS = 20 };

static void on_timer(uv_timer_t *timer)
{
	struct expiries *expiries = timer->data;
	bool is_done = expiries_run(expiries, clock_wall_ms() / 1000);
	if (!uv_is_closing((uv_handle_t *)timer))
		uv_timer_start(timer, on_timer, is_done ? TICK_MS : SOON_MS, 0);
}

void expiries_init(struct expiries *expiries, uv_loop_t *loop, uint64_t now_s, void (*on_due)(struct expiry *expiry, void *data), void *data)
{
	for (size_t i = 0; i < EXPIRY_SLOTS; i++)
		expiries->slots[i].previous = expiries->slots[i].next = &expiries->slots[i];
	expiries->due.previous = expiries->due.next = &expiries->due;
	expiries->done_s = now_s;
	expiries->on_due = on_due;
	expiries->data = data;
	uv_timer_init(loop, &expiries->timer);
	expiries->timer.data = expiries;
	uv_timer_start(&expiries->timer, on_timer, TICK_MS, 0);
}

static void append(struct expiry *head, struct expiry *expiry)
{
	expiry->previous = head->previous;
	expiry->next = head;
	expiry->previous->next = expiry;
	head->previous = expiry;
}

void expiries_set(struct expiries *expiries, struct expiry *expiry, uint64_t due_s)
{
	expiry_cancel(expiry);
	uint64_t slot_s = due_s > expiries->done_s ? due_s : expiries->done_s + 1;
	expiry->due_s = due_s;
	append(&expiries->slots[slot_s % EXPIRY_SLOTS], expiry);
}

void expiry_cancel(struct expiry *expiry)
{
	if (!expiry->next)
		return;
	expiry->previous->next = expiry->next;
	expiry->next->previous = expiry->previous;
	expiry->previous = expiry->next = NULL;
}

/* The others in the slot have turns of the wheel to wait. */
static void collect(struct expiries *expiries, struct expiry *head, uint64_t now_s)
{
	struct expiry *next;
	for (struct expiry *expiry = head->next; expiry != head; expiry = next) {
		next = expiry->next;
		if (expiry->due_s > now_s)
			continue;
		expiry_cancel(expiry);
		append(&expiries->due, expiry);
	}
}

bool expiries_run(struct expiries *expiries, uint64_t now_s)
{
	if (now_s > expiries->done_s + EXPIRY_SLOTS)
		expiries->done_s = now_s - EXPIRY_SLOTS; /* the clock was set: one turn sees every slot */
	while (expiries->done_s < now_s)
		collect(expiries, &expiries->slots[++expiries->done_s % EXPIRY_SLOTS], now_s);
	for (unsigned n = 0; n < EXPIRY_AT_ONCE_MAX && expiries->due.next != &expiries->due; n++) {
		struct expiry *first = expiries->due.next;
		expiry_cancel(first);
		expiries->on_due(first, expiries->data);
	}
	return expiries->due.next == &expiries->due;
}

static void forget(struct expiry *head)
{
	while (head->next != head)
		expiry_cancel(head->next);
}

void expiries_close(struct expiries *expiries)
{
	for (size_t i = 0; i < EXPIRY_SLOTS; i++)
		forget(&expiries->slots[i]);
	forget(&expiries->due);
	uv_close((uv_handle_t *)&expiries->timer, NULL);
}
