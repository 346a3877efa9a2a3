/* test_room.c - membership, slots, tombstones under pins, rooms that go when deserted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "member.h"
#include "room.h"

static void join(struct rooms *rooms, struct member *member, const char *name)
{
	struct error err;
	assert_int_equal(room_join(rooms, member, bytes_of(name), 0, &err), 0);
}

/* Every slot and every membership point at each other. */
static void assert_consistent(const struct room *room)
{
	uint32_t members = 0;
	for (uint32_t i = 0; i < room->slot_count; i++) {
		const struct room_slot *slot = &room->slots[i];
		if (!slot->member)
			continue;
		members++;
		assert_true(slot->membership < slot->member->memberships.count);
		assert_ptr_equal(slot->member->memberships.items[slot->membership].room, room);
		assert_int_equal(slot->member->memberships.items[slot->membership].slot, i);
	}
	assert_int_equal(members, room->member_count);
}

static void test_join_and_leave(void **state)
{
	(void)state;
	struct rooms rooms;
	struct error err;
	struct member a = { 0 }, b = { 0 }, c = { 0 };
	assert_int_equal(rooms_init(&rooms, &err), 0);
	join(&rooms, &a, "x");
	join(&rooms, &b, "x");
	join(&rooms, &c, "x");
	join(&rooms, &a, "x"); /* again */
	join(&rooms, &a, "y");
	struct room *x = rooms_find(&rooms, bytes_of("x"));
	assert_int_equal(x->member_count, 3);
	assert_int_equal(rooms_count(&rooms), 2);
	assert_consistent(x);
	room_leave(&rooms, &a, bytes_of("x"));
	assert_int_equal(room_slot_of(x, &a), -1);
	assert_consistent(x);
	assert_consistent(rooms_find(&rooms, bytes_of("y")));
	room_leave(&rooms, &a, bytes_of("nowhere"));
	room_leave_all(&rooms, &a);
	room_leave_all(&rooms, &b);
	room_leave_all(&rooms, &c);
	assert_int_equal(rooms_count(&rooms), 0);
	assert_null(rooms_find(&rooms, bytes_of("x")));
	rooms_deinit(&rooms);
}

static void test_names_are_data(void **state)
{
	(void)state;
	struct rooms rooms;
	struct error err;
	struct member a = { 0 };
	assert_int_equal(rooms_init(&rooms, &err), 0);
	join(&rooms, &a, "everyone");
	join(&rooms, &a, "authenticated");
	assert_int_equal(rooms.everyone->member_count, 0);
	assert_int_equal(rooms.authenticated->member_count, 0);
	assert_int_equal(room_join(&rooms, &a, (struct bytes){ "a\0b", 3 }, 0, &err), 0);
	assert_null(rooms_find(&rooms, bytes_of("a")));
	assert_non_null(rooms_find(&rooms, (struct bytes){ "a\0b", 3 }));
	room_leave_all(&rooms, &a);
	rooms_deinit(&rooms);
}

static void test_bound(void **state)
{
	(void)state;
	struct rooms rooms;
	struct error err;
	struct member a = { 0 };
	assert_int_equal(rooms_init(&rooms, &err), 0);
	assert_int_equal(room_join(&rooms, &a, bytes_of("1"), 2, &err), 0);
	assert_int_equal(room_join(&rooms, &a, bytes_of("2"), 2, &err), 0);
	assert_int_equal(room_join(&rooms, &a, bytes_of("3"), 2, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_int_equal(rooms_count(&rooms), 2);
	assert_int_equal(room_join(&rooms, &a, bytes_of("1"), 2, &err), 0); /* is in it already */
	room_leave_all(&rooms, &a);
	rooms_deinit(&rooms);
}

static void test_pinned_slots_keep_their_numbers(void **state)
{
	(void)state;
	struct rooms rooms;
	struct error err;
	struct member members[8] = { 0 };
	assert_int_equal(rooms_init(&rooms, &err), 0);
	for (int i = 0; i < 6; i++)
		join(&rooms, &members[i], "x");
	struct room *x = rooms_find(&rooms, bytes_of("x"));
	room_pin(x);
	room_leave(&rooms, &members[1], bytes_of("x"));
	room_leave(&rooms, &members[5], bytes_of("x"));
	join(&rooms, &members[6], "x");
	assert_int_equal(room_slot_of(x, &members[2]), 2);
	assert_int_equal(room_slot_of(x, &members[6]), 6);
	assert_null(x->slots[1].member);
	assert_consistent(x);
	room_unpin(&rooms, x);
	assert_int_equal(x->slot_count, x->member_count);
	assert_consistent(x);
	for (int i = 0; i < 8; i++)
		room_leave_all(&rooms, &members[i]);
	rooms_deinit(&rooms);
}

static void test_pinned_room_outlives_its_members(void **state)
{
	(void)state;
	struct rooms rooms;
	struct error err;
	struct member a = { 0 };
	assert_int_equal(rooms_init(&rooms, &err), 0);
	join(&rooms, &a, "x");
	struct room *x = rooms_find(&rooms, bytes_of("x"));
	room_pin(x);
	room_leave_all(&rooms, &a);
	assert_ptr_equal(rooms_find(&rooms, bytes_of("x")), x);
	room_unpin(&rooms, x);
	assert_null(rooms_find(&rooms, bytes_of("x")));
	rooms_deinit(&rooms);
}

static void test_many_in_random_order(void **state)
{
	(void)state;
	enum { MEMBERS = 50, ROOMS = 20, STEPS = 20000 };
	static struct member members[MEMBERS];
	bool is_in[MEMBERS][ROOMS] = { 0 };
	struct rooms rooms;
	struct error err;
	uint32_t random = 12345;
	assert_int_equal(rooms_init(&rooms, &err), 0);
	for (int step = 0; step < STEPS; step++) {
		random = random * 1664525 + 1013904223;
		uint32_t who = (random >> 8) % MEMBERS, where = (random >> 16) % ROOMS;
		char name[2] = { (char)('a' + where), 0 };
		is_in[who][where] = !is_in[who][where];
		if (is_in[who][where])
			join(&rooms, &members[who], name);
		else
			room_leave(&rooms, &members[who], bytes_of(name));
	}
	for (uint32_t where = 0; where < ROOMS; where++) {
		char name[2] = { (char)('a' + where), 0 };
		struct room *room = rooms_find(&rooms, bytes_of(name));
		uint32_t expected = 0;
		for (uint32_t who = 0; who < MEMBERS; who++)
			expected += is_in[who][where];
		assert_int_equal(room ? room->member_count : 0, expected);
		if (room)
			assert_consistent(room);
	}
	for (int i = 0; i < MEMBERS; i++)
		room_leave_all(&rooms, &members[i]);
	assert_int_equal(rooms_count(&rooms), 0);
	rooms_deinit(&rooms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join_and_leave),
		cmocka_unit_test(test_names_are_data),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_pinned_slots_keep_their_numbers),
		cmocka_unit_test(test_pinned_room_outlives_its_members),
		cmocka_unit_test(test_many_in_random_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
