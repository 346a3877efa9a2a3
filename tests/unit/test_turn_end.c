/* test_turn_end.c - once, at the end of the turn that asked, and not after the close. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "turn_end.h"

static uv_loop_t loop;
static struct turn_end turn_end;
static uv_timer_t timer;
static unsigned runs, closed;
static bool is_in_callback, asks_again;

static void run(void *data)
{
	assert_ptr_equal(data, &runs);
	assert_false(is_in_callback);
	runs++;
	if (asks_again) {
		asks_again = false;
		turn_end_ask(&turn_end);
	}
}

static void on_closed(void *data)
{
	assert_ptr_equal(data, &closed);
	closed++;
}

static int setup(void **state)
{
	struct error err;
	(void)state;
	runs = closed = 0;
	asks_again = false;
	uv_loop_init(&loop);
	uv_timer_init(&loop, &timer);
	return turn_end_init(&turn_end, &loop, run, &runs, &err);
}

static int teardown(void **state)
{
	(void)state;
	uv_close((uv_handle_t *)&timer, NULL);
	if (!uv_is_closing((uv_handle_t *)&turn_end.check))
		turn_end_close(&turn_end, NULL, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

static void on_timer(uv_timer_t *unused)
{
	(void)unused;
	is_in_callback = true;
	turn_end_ask(&turn_end);
	turn_end_ask(&turn_end);
	is_in_callback = false;
}

static void test_once_in_the_turn_that_asked(void **state)
{
	(void)state;
	uv_timer_start(&timer, on_timer, 0, 0);
	uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(runs, 1);
	uv_run(&loop, UV_RUN_DEFAULT); /* returns: nothing is left that keeps the loop awake */
	assert_int_equal(runs, 1);
}

static void test_asked_while_it_runs(void **state)
{
	(void)state;
	asks_again = true;
	turn_end_ask(&turn_end);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(runs, 2);
}

static void test_does_not_wait_for_input(void **state)
{
	(void)state;
	uv_timer_start(&timer, on_timer, 3600 * 1000, 0); /* what a turn would wait for */
	turn_end_ask(&turn_end);
	uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(runs, 1);
}

static void test_close(void **state)
{
	(void)state;
	turn_end_ask(&turn_end);
	turn_end_close(&turn_end, on_closed, &closed);
	turn_end_ask(&turn_end);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(runs, 0);
	assert_int_equal(closed, 1);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_once_in_the_turn_that_asked), TEST(test_asked_while_it_runs), TEST(test_does_not_wait_for_input), TEST(test_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
