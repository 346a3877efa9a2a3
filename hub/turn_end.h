/* turn_end.h - something to be done once when the loop's current turn ends: the place where objects are freed whose
 * own callbacks may still be running. Loop thread only. */
#ifndef ROOMCAST_HUB_TURN_END_H
#define ROOMCAST_HUB_TURN_END_H

#include <uv.h>

#include <roomcast/error.h>

struct turn_end {
	uv_check_t check; /* runs when the turn's input and output is done */
	uv_idle_t idle;   /* keeps the loop from waiting for input in front of it */
	void (*run)(void *data);
	void *data;
	unsigned open_handles;
	void (*on_closed)(void *data);
	void *on_closed_data;
};

int turn_end_init(struct turn_end *turn_end, uv_loop_t *loop, void (*run)(void *data), void *data, struct error *err) MUST_CHECK;
/* Asked for several times in a turn, it runs once. */
void turn_end_ask(struct turn_end *turn_end);
/* What was asked for no longer comes. The memory is the loop's until on_closed. */
void turn_end_close(struct turn_end *turn_end, void (*on_closed)(void *data), void *data);

#endif
