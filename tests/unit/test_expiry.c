/* test_expiry.c - the wheel of seconds: nothing too early, nothing forgotten, however the clock goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "expiry.h"

enum { COUNT = 3000, START = 1000000 };

static struct item {
	struct expiry expiry; /* first */
	unsigned calls;
	uint64_t called_at;
} items[COUNT];

static struct expiries expiries;
static uv_loop_t loop;
static uint64_t now;
static struct item *cancels;

static void on_due(struct expiry *expiry, void *data)
{
	assert_ptr_equal(data, &expiries);
	struct item *item = (struct item *)(void *)expiry;
	assert_null(item->expiry.next);
	assert_true(now >= item->expiry.due_s);
	item->calls++;
	item->called_at = now;
	if (cancels)
		expiry_cancel(&cancels->expiry);
	cancels = NULL;
}

static int setup(void **state)
{
	(void)state;
	memset(items, 0, sizeof(items));
	now = START;
	cancels = NULL;
	uv_loop_init(&loop);
	expiries_init(&expiries, &loop, now, on_due, &expiries);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	expiries_close(&expiries);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

static void run_at(uint64_t at)
{
	now = at;
	while (!expiries_run(&expiries, now))
		;
}

static void test_each_in_its_second(void **state)
{
	(void)state;
	for (int i = 0; i < COUNT; i++)
		expiries_set(&expiries, &items[i].expiry, START + (uint64_t)i * 7 % 2000 + 1);
	for (uint64_t at = START + 1; at <= START + 2000; at++)
		run_at(at);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(items[i].calls, 1);
		assert_int_equal(items[i].called_at, items[i].expiry.due_s);
	}
}

static void test_many_at_once_are_spread(void **state)
{
	(void)state;
	for (int i = 0; i < COUNT; i++)
		expiries_set(&expiries, &items[i].expiry, START + 5);
	now = START + 5;
	assert_false(expiries_run(&expiries, now));
	unsigned called = 0;
	for (int i = 0; i < COUNT; i++)
		called += items[i].calls;
	assert_int_equal(called, EXPIRY_AT_ONCE_MAX);
	run_at(now);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(items[i].calls, 1);
}

static void test_the_clock_is_set(void **state)
{
	(void)state;
	expiries_set(&expiries, &items[0].expiry, START + 10);
	expiries_set(&expiries, &items[1].expiry, START + 100000);
	expiries_set(&expiries, &items[2].expiry, START + 200000);
	run_at(START - 500); /* back: nothing happens */
	assert_int_equal(items[0].calls, 0);
	run_at(START + 150000);
	assert_int_equal(items[0].calls, 1);
	assert_int_equal(items[1].calls, 1);
	assert_int_equal(items[2].calls, 0);
	expiries_set(&expiries, &items[3].expiry, 5); /* long past */
	run_at(START + 150001);
	assert_int_equal(items[3].calls, 1);
}

static void test_moved_and_cancelled(void **state)
{
	(void)state;
	expiries_set(&expiries, &items[0].expiry, START + 1);
	expiries_set(&expiries, &items[0].expiry, START + 3);
	expiries_set(&expiries, &items[1].expiry, START + 1);
	expiry_cancel(&items[1].expiry);
	expiry_cancel(&items[1].expiry);
	expiries_set(&expiries, &items[2].expiry, START + 2);
	expiries_set(&expiries, &items[4].expiry, START + 2);
	cancels = &items[4];
	run_at(START + 2);
	assert_int_equal(items[0].calls + items[1].calls + items[4].calls, 0);
	assert_int_equal(items[2].calls, 1);
	run_at(START + 3);
	assert_int_equal(items[0].calls, 1);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_each_in_its_second),
		TEST(test_many_at_once_are_spread),
		TEST(test_the_clock_is_set),
		TEST(test_moved_and_cancelled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
