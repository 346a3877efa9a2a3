/* test_repair.c - chunks for one hub: one at a time, asked for or pushed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "repair.h"

static struct place at(uint64_t epoch, uint64_t seq)
{
	return (struct place){ epoch, seq };
}

static void assert_next(struct repair *repair, struct place position, struct place after, struct place last)
{
	struct place got_after, got_last;
	assert_true(repair_next(repair, position, &got_after, &got_last));
	assert_int_equal(place_compare(got_after, after), 0);
	assert_int_equal(place_compare(got_last, last), 0);
}

static void assert_nothing(struct repair *repair, struct place position)
{
	struct place after, last;
	assert_false(repair_next(repair, position, &after, &last));
}

static void test_one_chunk_at_a_time(void **state)
{
	(void)state;
	struct repair repair = { 0 };
	repair_begin(&repair, 0);
	assert_nothing(&repair, at(1, 0));
	repair_ask(&repair, at(1, 4), at(1, 20), 0);
	assert_next(&repair, at(1, 4), at(1, 4), at(1, 20));
	assert_nothing(&repair, at(1, 4)); /* it is being read */
	assert_true(repair_is_wanted(&repair, repair.question));
	repair_sent(&repair, at(1, 10), 10);
	assert_nothing(&repair, at(1, 9)); /* not acknowledged yet */
	repair_ask(&repair, at(1, 4), at(1, 30), 20); /* impatience changes nothing, but for the end */
	assert_nothing(&repair, at(1, 4));
	assert_next(&repair, at(1, 10), at(1, 10), at(1, 30));
	assert_true(repair_is_wanted(&repair, repair.question));
	repair_sent(&repair, at(1, 30), 30);
	assert_nothing(&repair, at(1, 30));
	/* What came on another way meanwhile is not sent. */
	repair_ask(&repair, at(1, 30), at(1, 60), 40);
	assert_next(&repair, at(1, 30), at(1, 30), at(1, 60));
	assert_true(repair_is_wanted(&repair, repair.question));
	repair_sent(&repair, at(1, 35), 50);
	assert_next(&repair, at(1, 50), at(1, 50), at(1, 60));
}

static void test_asked_again(void **state)
{
	(void)state;
	struct repair repair = { 0 };
	repair_begin(&repair, 0);
	repair_ask(&repair, at(1, 0), at(1, 9), 0);
	assert_next(&repair, at(1, 0), at(1, 0), at(1, 9));
	assert_true(repair_is_wanted(&repair, repair.question));
	repair_sent(&repair, at(1, 9), 0);
	repair_ask(&repair, at(1, 0), at(1, 9), REPAIR_AGAIN_MS);
	assert_next(&repair, at(1, 0), at(1, 0), at(1, 9));
	/* Nothing could be sent: the hub has to ask. */
	assert_true(repair_is_wanted(&repair, repair.question));
	assert_nothing(&repair, at(1, 0));
	repair_ask(&repair, at(1, 0), at(1, 9), REPAIR_AGAIN_MS + 1);
	assert_next(&repair, at(1, 0), at(1, 0), at(1, 9));
	/* Something else is asked for while the journal is read: that answer is void, and there is still one question at a time. */
	unsigned question = repair.question;
	repair_ask(&repair, at(2, 0), at(2, 5), REPAIR_AGAIN_MS + 2);
	assert_nothing(&repair, at(1, 0));
	assert_false(repair_is_wanted(&repair, question));
	assert_next(&repair, at(1, 0), at(2, 0), at(2, 5));
	/* So is one from before a hello. */
	question = repair.question;
	repair_begin(&repair, REPAIR_AGAIN_MS + 3);
	assert_false(repair_is_wanted(&repair, question));
	assert_nothing(&repair, at(1, 0));
	/* Backwards is nothing. */
	repair_ask(&repair, at(2, 5), at(2, 5), 0);
	assert_nothing(&repair, at(1, 0));
	repair_ask(&repair, at(2, 5), at(1, 9), 0);
	assert_nothing(&repair, at(1, 0));
}

static void test_push(void **state)
{
	(void)state;
	struct repair repair = { 0 };
	struct place published = at(2, 50), position = at(1, 7);
	uint64_t now = 1000;
	repair_begin(&repair, now);
	repair_push(&repair, position, published, now + REPAIR_PUSH_MS - 1);
	assert_nothing(&repair, position);
	repair_push(&repair, at(0, 0), published, now + REPAIR_PUSH_MS); /* has no position yet: it is told where to begin */
	repair_push(&repair, published, published, now + REPAIR_PUSH_MS);
	repair_push(&repair, at(3, 0), published, now + REPAIR_PUSH_MS);
	assert_nothing(&repair, position);
	now += REPAIR_PUSH_MS;
	repair_push(&repair, position, published, now);
	assert_next(&repair, position, position, published);
	assert_true(repair_is_wanted(&repair, repair.question));
	repair_sent(&repair, at(2, 3), now);
	/* It does not get on: ever less often. */
	repair_push(&repair, position, published, now + 2 * REPAIR_PUSH_MS - 1);
	assert_nothing(&repair, position);
	repair_push(&repair, position, published, now += 2 * REPAIR_PUSH_MS);
	assert_next(&repair, position, position, published);
	assert_true(repair_is_wanted(&repair, repair.question));
	repair_sent(&repair, at(2, 3), now);
	repair_push(&repair, position, published, now + 4 * REPAIR_PUSH_MS - 1);
	assert_nothing(&repair, position);
	/* It gets on: the rest follows at once, and patience begins anew. */
	repair_hear(&repair, position, at(2, 3), published, now += 10);
	position = at(2, 3);
	assert_next(&repair, position, position, published);
	assert_true(repair_is_wanted(&repair, repair.question));
	repair_push(&repair, position, published, now + REPAIR_PUSH_MS);
	assert_next(&repair, position, position, published);
	/* While it lacks nothing the time does not run. */
	repair_begin(&repair, 0);
	repair_hear(&repair, published, published, published, 100000);
	repair_push(&repair, published, at(2, 51), 100000 + REPAIR_PUSH_MS - 1);
	assert_nothing(&repair, published);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_chunk_at_a_time),
		cmocka_unit_test(test_asked_again),
		cmocka_unit_test(test_push),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
