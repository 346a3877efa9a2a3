/* test_deadline.c - equal timeouts in a queue: order, moving, cancelling, closing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deadline.h"

struct item {
	struct deadline deadline;
	int number;
};

static uv_loop_t loop;
static struct deadlines deadlines;
static int fired[16], fired_count;
static struct item *set_again;

static void on_due(struct deadline *deadline, void *data)
{
	struct item *item = (struct item *)(void *)deadline;
	(void)data;
	assert_false(deadline_is_set(deadline));
	fired[fired_count++] = item->number;
	if (set_again == item) {
		set_again = NULL;
		deadlines_set(&deadlines, deadline);
	}
}

static int setup(void **state)
{
	struct error err;
	(void)state;
	fired_count = 0;
	set_again = NULL;
	uv_loop_init(&loop);
	return deadlines_init(&deadlines, &loop, 5, on_due, NULL, &err);
}

static int teardown(void **state)
{
	(void)state;
	deadlines_close(&deadlines, NULL, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

static void test_order(void **state)
{
	(void)state;
	struct item items[3] = { { .number = 1 }, { .number = 2 }, { .number = 3 } };
	for (int i = 0; i < 3; i++)
		deadlines_set(&deadlines, &items[i].deadline);
	deadlines_set(&deadlines, &items[0].deadline); /* moves to the end */
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(fired_count, 3);
	assert_int_equal(fired[0], 2);
	assert_int_equal(fired[1], 3);
	assert_int_equal(fired[2], 1);
}

static void test_cancelled_never_comes(void **state)
{
	(void)state;
	struct item items[2] = { { .number = 1 }, { .number = 2 } };
	deadlines_set(&deadlines, &items[0].deadline);
	deadlines_set(&deadlines, &items[1].deadline);
	deadline_cancel(&items[0].deadline);
	deadline_cancel(&items[0].deadline); /* again does nothing */
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(fired_count, 1);
	assert_int_equal(fired[0], 2);
}

static void test_set_again_when_due(void **state)
{
	(void)state;
	struct item item = { .number = 7 };
	set_again = &item;
	deadlines_set(&deadlines, &item.deadline);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(fired_count, 2);
}

static void test_since(void **state)
{
	(void)state;
	struct item item = { 0 };
	uv_update_time(&loop);
	uint64_t now = uv_now(&loop);
	deadlines_set_since(&deadlines, &item.deadline, now - 3);
	assert_int_equal(item.deadline.due_ms, now + 2);
	deadlines_set_since(&deadlines, &item.deadline, 0); /* stopped for long: nobody is punished for it */
	assert_int_equal(item.deadline.due_ms, now + 5 - 20);
	deadline_cancel(&item.deadline);
}

static void on_message(uv_async_t *async)
{
	deadline_cancel(async->data);
	uv_close((uv_handle_t *)async, NULL);
}

/* While the process did not run both happened: a message came, and the time for it ran out. It came in time. */
static void test_stopped_process_reads_first(void **state)
{
	(void)state;
	struct item items[2] = { { .number = 1 }, { .number = 2 } };
	uv_async_t message;
	uv_async_init(&loop, &message, on_message);
	message.data = &items[0].deadline;
	deadlines_set(&deadlines, &items[0].deadline);
	deadlines_set(&deadlines, &items[1].deadline);
	uv_async_send(&message);
	uv_sleep(150);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(fired_count, 1);
	assert_int_equal(fired[0], 2);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_order), TEST(test_cancelled_never_comes), TEST(test_set_again_when_due), TEST(test_since), TEST(test_stopped_process_reads_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
