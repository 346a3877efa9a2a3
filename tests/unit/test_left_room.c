/* test_left_room.c - rooms that a client was taken out of: from where to where they were its own, and how many are remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "left_room.h"

static void add(struct left_room **list, const char *name, uint64_t since, uint64_t until)
{
	left_rooms_add(list, &(struct left_room){ .since = { since ? 1 : 0, since }, .until = { 1, until } }, bytes_of(name));
}

static bool have(const struct left_room *list, const char *name, uint64_t seq)
{
	return left_rooms_have(list, bytes_of(name), (struct place){ 1, seq });
}

static void test_from_where_to_where(void **state)
{
	(void)state;
	struct left_room *list = NULL;
	add(&list, "a", 0, 5);
	add(&list, "a", 8, 10);
	add(&list, "b", 2, 3);
	assert_true(have(list, "a", 1) && have(list, "a", 5) && have(list, "a", 9) && have(list, "a", 10) && have(list, "b", 3));
	assert_false(have(list, "a", 6) || have(list, "a", 8) || have(list, "a", 11) || have(list, "b", 2) || have(list, "c", 3));
	left_rooms_free(&list);
	assert_null(list);
}

static void test_the_oldest_are_forgotten(void **state)
{
	(void)state;
	struct left_room *list = NULL;
	char name[16];
	for (int i = 0; i <= LEFT_ROOMS_MAX; i++) {
		snprintf(name, sizeof(name), "room-%d", i);
		add(&list, name, 0, 5);
	}
	int count = 0;
	for (const struct left_room *left = list; left; left = left->next)
		count++;
	assert_int_equal(count, LEFT_ROOMS_MAX);
	assert_false(have(list, "room-0", 1));
	assert_true(have(list, "room-1", 1) && have(list, name, 1));
	left_rooms_free(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_where_to_where),
		cmocka_unit_test(test_the_oldest_are_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
