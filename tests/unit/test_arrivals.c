/* test_arrivals.c - CONNECTs that wait for their answer: tried again, answered in the end, forgotten when their client leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "arrivals.h"

struct client {
	struct arrivals *arrivals;
	bool is_ready;              /* the next try answers it */
	struct client *ends;        /* leaves when this one is tried */
	int tries, answers, finals;
};

static uv_loop_t loop;
static struct arrivals arrivals;
static char clients_auth[16];

static bool answer(struct client *client, struct bytes auth, bool is_final)
{
	snprintf(clients_auth, sizeof(clients_auth), "%.*s", (int)auth.len, auth.data);
	client->tries++;
	if (client->ends)
		arrivals_drop(client->arrivals, client->ends);
	if (!client->is_ready && !is_final)
		return false;
	client->answers++;
	client->finals += is_final;
	return true;
}

static int setup(void **state)
{
	struct error err;
	(void)state;
	uv_loop_init(&loop);
	return arrivals_init(&arrivals, &loop, 5, answer, &err);
}

static int teardown(void **state)
{
	(void)state;
	arrivals_close(&arrivals, NULL, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

static void hold(struct client *client, const char *auth)
{
	struct error err;
	client->arrivals = &arrivals;
	assert_int_equal(arrivals_hold(&arrivals, client, bytes_of(auth), &err), 0);
}

static void test_answered_when_it_can_be(void **state)
{
	(void)state;
	struct client a = { 0 }, b = { .is_ready = true };
	arrivals_try(&arrivals); /* nobody */
	hold(&a, "{1}");
	hold(&b, "{2}");
	arrivals_try(&arrivals);
	assert_int_equal(a.tries, 1);
	assert_int_equal(b.answers, 1);
	arrivals_try(&arrivals);
	assert_int_equal(a.tries, 2);
	assert_int_equal(b.tries, 1);
	a.is_ready = true;
	arrivals_try(&arrivals);
	assert_int_equal(a.answers, 1);
	assert_string_equal(clients_auth, "{1}");
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(a.answers + b.answers, 2);
	assert_int_equal(a.finals, 0);
}

static void test_answered_in_the_end(void **state)
{
	(void)state;
	struct client a = { 0 };
	hold(&a, "{}");
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(a.finals, 1);
	assert_false(arrivals_drop(&arrivals, &a));
}

static void test_clients_that_leave(void **state)
{
	(void)state;
	struct client a = { 0 }, b = { 0 }, c = { .is_ready = true };
	hold(&a, "{}");
	assert_true(arrivals_drop(&arrivals, &a));
	assert_false(arrivals_drop(&arrivals, &a));
	hold(&b, "{}");
	hold(&c, "{}");
	b.ends = &b; /* by itself, while it is tried */
	arrivals_try(&arrivals);
	assert_int_equal(b.tries, 1);
	assert_int_equal(c.answers, 1);
	hold(&a, "{}");
	hold(&b, "{}");
	a.ends = &b;
	a.is_ready = true;
	arrivals_try(&arrivals);
	assert_int_equal(a.answers, 1);
	assert_int_equal(b.tries, 1);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(a.finals + b.finals + c.finals, 0);
}

static void test_so_many_at_a_time(void **state)
{
	(void)state;
	struct client many[ARRIVALS_TRIED_TOGETHER + 10] = { 0 };
	const size_t count = sizeof(many) / sizeof(many[0]);
	for (size_t i = 0; i < count; i++)
		hold(&many[i], "{}");
	arrivals_try(&arrivals);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(many[i].tries, i < ARRIVALS_TRIED_TOGETHER);
	arrivals_try(&arrivals);
	for (size_t i = 0; i < count; i++)
		assert_true(many[i].tries >= 1 && many[i].tries <= 2);
	for (size_t i = 0; i < count; i++)
		assert_true(arrivals_drop(&arrivals, &many[i]));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_answered_when_it_can_be),
		TEST(test_answered_in_the_end),
		TEST(test_clients_that_leave),
		TEST(test_so_many_at_a_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
