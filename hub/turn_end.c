/* turn_end.c - work at the end of the loop's turn. */
#include "turn_end.h"

#include <stddef.h>

int turn_end_init(struct turn_end *turn_end, uv_loop_t *loop, void (*run)(void *data), void *data, struct error *err)
{
	if (uv_check_init(loop, &turn_end->check) < 0 || uv_idle_init(loop, &turn_end->idle) < 0)
		return error_set(err, ERROR_SYSTEM, "cannot watch the loop's turns");
	turn_end->check.data = turn_end->idle.data = turn_end;
	turn_end->run = run;
	turn_end->data = data;
	turn_end->open_handles = 2;
	return 0;
}

static void on_check(uv_check_t *check)
{
	struct turn_end *turn_end = check->data;
	uv_check_stop(&turn_end->check);
	uv_idle_stop(&turn_end->idle);
	turn_end->run(turn_end->data);
}

static void on_idle(uv_idle_t *idle)
{
	(void)idle;
}

void turn_end_ask(struct turn_end *turn_end)
{
	if (uv_is_closing((uv_handle_t *)&turn_end->check))
		return;
	uv_check_start(&turn_end->check, on_check);
	uv_idle_start(&turn_end->idle, on_idle);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct turn_end *turn_end = handle->data;
	if (--turn_end->open_handles == 0 && turn_end->on_closed)
		turn_end->on_closed(turn_end->on_closed_data);
}

void turn_end_close(struct turn_end *turn_end, void (*on_closed)(void *data), void *data)
{
	turn_end->on_closed = on_closed;
	turn_end->on_closed_data = data;
	uv_close((uv_handle_t *)&turn_end->check, on_handle_closed);
	uv_close((uv_handle_t *)&turn_end->idle, on_handle_closed);
}
