/* test_control.c - control events and standing grants and blocks, on a whole hub with real clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>

#include <roomcast/clock.h>

#include "control.h"
#include "whole_hub.h"

#define JOIN(...) ((struct message){ .operation = CONTROL_JOIN, __VA_ARGS__ })
#define LEAVE(...) ((struct message){ .operation = CONTROL_LEAVE, __VA_ARGS__ })
#define DISCONNECT(...) ((struct message){ .operation = CONTROL_DISCONNECT, __VA_ARGS__ })
#define USER(name) .user = bytes_of(name)

static void test_each_at_its_place(void **state)
{
	struct whole_hub *whole = *state;
	struct peer a, b;
	whole_hub_follow(whole, NULL, NULL);
	whole_hub_connect(whole, &a, "7");
	whole_hub_connect(whole, &b, "8");
	whole_hub_emit(whole, "room");
	whole_hub_control(whole, JOIN(USER("7")), "room");
	uint64_t first = whole_hub_emit(whole, "room");
	whole_hub_control(whole, LEAVE(USER("7")), "room");
	whole_hub_emit(whole, "room");
	whole_hub_control(whole, JOIN(USER("7")), "room");
	uint64_t second = whole_hub_emit(whole, "room");
	uint64_t last = whole_hub_emit(whole, "user-8");
	whole_hub_expect(&a, first);
	whole_hub_expect(&a, second);
	whole_hub_expect(&b, last);
	peer_close(&a);
	peer_close(&b);
}

static void test_whom_it_is_for(void **state)
{
	struct whole_hub *whole = *state;
	struct peer a, b, guest;
	char sid[CLIENT_SID_SIZE];
	whole_hub_follow(whole, NULL, NULL);
	snprintf(sid, sizeof(sid), "%s", whole_hub_connect(whole, &a, "7"));
	whole_hub_connect(whole, &b, "7");
	whole_hub_connect(whole, &guest, NULL);
	whole_hub_control(whole, JOIN(.sid = bytes_of(sid)), "one");
	uint64_t one = whole_hub_emit(whole, "one");
	whole_hub_control(whole, JOIN(.room = bytes_of("user-7")), "both");
	uint64_t both = whole_hub_emit(whole, "both");
	whole_hub_expect(&a, one);
	whole_hub_expect(&a, both);
	whole_hub_expect(&b, both);
	/* Of these nobody is here. */
	whole_hub_control(whole, JOIN(.sid = bytes_of("nobody")), "both");
	whole_hub_control(whole, JOIN(.room = bytes_of("nowhere")), "both");
	whole_hub_control(whole, JOIN(USER("9")), "both");
	whole_hub_control(whole, (struct message){ .operation = CONTROL_END + 5, USER("7") }, "both");
	both = whole_hub_emit(whole, "both");
	whole_hub_expect(&a, both);
	whole_hub_expect(&b, both);
	/* The walked room is left by everybody in it. */
	whole_hub_control(whole, LEAVE(.room = bytes_of("both")), "both");
	whole_hub_emit(whole, "both");
	uint64_t end = whole_hub_emit(whole, "user-7");
	whole_hub_expect(&a, end);
	whole_hub_expect(&b, end);
	peer_close(&a);
	peer_close(&b);
	peer_close(&guest);
}

static void test_ones_own_room_stays(void **state)
{
	struct whole_hub *whole = *state;
	struct peer a, b;
	char sid[CLIENT_SID_SIZE];
	whole_hub_follow(whole, NULL, NULL);
	whole_hub_connect(whole, &a, "7");
	snprintf(sid, sizeof(sid), "%s", whole_hub_connect(whole, &b, "8"));
	whole_hub_control(whole, JOIN(.sid = bytes_of(sid)), "user-7");
	uint64_t both = whole_hub_emit(whole, "user-7");
	whole_hub_expect(&a, both);
	whole_hub_expect(&b, both);
	whole_hub_control(whole, LEAVE(.room = bytes_of("user-7")), "user-7");
	whole_hub_expect(&a, whole_hub_emit(whole, "user-7"));
	whole_hub_expect(&b, whole_hub_emit(whole, "user-8")); /* it has left the other's */
	/* Who was in a user's room is not that user. */
	whole_hub_control(whole, JOIN(.sid = bytes_of(sid)), "user-7");
	whole_hub_control(whole, DISCONNECT(USER("7")), NULL);
	peer_assert_text(&a, "41");
	whole_hub_expect(&b, whole_hub_emit(whole, "user-7"));
	peer_close(&a);
	peer_close(&b);
}

static void test_disconnect(void **state)
{
	struct whole_hub *whole = *state;
	struct peer a, b;
	char sid[CLIENT_SID_SIZE];
	whole_hub_follow(whole, NULL, NULL);
	whole_hub_connect(whole, &a, "7");
	snprintf(sid, sizeof(sid), "%s", whole_hub_connect(whole, &b, "8"));
	uint64_t first = whole_hub_emit(whole, "user-7");
	whole_hub_control(whole, DISCONNECT(USER("7")), NULL);
	whole_hub_emit(whole, "user-7");
	whole_hub_expect(&a, first);
	peer_assert_text(&a, "41");
	assert_int_equal(hub_clients(&whole->hub), 1);
	peer_send_text(&a, "40"); /* the session stays */
	assert_int_equal(peer_frame(&a).payload.data[1], '0');
	whole_hub_control(whole, DISCONNECT(.sid = bytes_of(sid), .close = 1), NULL);
	peer_assert_text(&b, "41");
	peer_assert_close(&b, 0);
	WAIT_FOR(&whole->loop, hub_clients(&whole->hub) == 1);
	assert_int_equal(whole->hub.counters.control_disconnects, 2);
	peer_close(&a);
	peer_close(&b);
}

static void assert_blocked(struct whole_hub *whole, const char *user, uint64_t until_ms)
{
	struct peer peer;
	char text[100];
	struct bytes answer = whole_hub_try(whole, &peer, user);
	snprintf(text, sizeof(text), "44{\"message\":\"blocked\",\"data\":{\"until\":%" PRIu64 "}}", until_ms);
	assert_int_equal(answer.len, strlen(text));
	assert_memory_equal(answer.data, text, answer.len);
	peer_close(&peer);
}

static void test_blocks(void **state)
{
	struct whole_hub *whole = *state;
	struct peer a, b;
	uint64_t until = clock_wall_ms() + 600000;
	whole_hub_follow(whole, NULL, NULL);
	whole_hub_connect(whole, &a, "7");
	whole_hub_control(whole, DISCONNECT(USER("7"), .until_ms = until), NULL);
	peer_assert_text(&a, "41");
	assert_blocked(whole, "7", until);
	assert_int_equal(whole->hub.counters.blocked, 1);
	whole_hub_connect(whole, &b, "8");
	whole_hub_control(whole, DISCONNECT(USER("7"), .until_ms = 1), NULL);
	whole_hub_control(whole, DISCONNECT(USER("8"), .until_ms = 1), NULL); /* ends nothing, and disconnects nobody */
	whole_hub_expect(&b, whole_hub_emit(whole, "user-8"));
	peer_close(&a);
	whole_hub_connect(whole, &a, "7");
	peer_close(&a);
	peer_close(&b);
}

static void test_what_stood_before(void **state)
{
	struct whole_hub *whole = *state;
	struct peer a;
	char blocked[64];
	uint64_t until = clock_wall_ms() + 600000;
	snprintf(blocked, sizeof(blocked), "9\n%" PRIu64, until);
	whole_hub_follow(whole, "7\nclub", blocked);
	assert_blocked(whole, "9", until);
	whole_hub_connect(whole, &a, "7");
	whole_hub_expect(&a, whole_hub_emit(whole, "club"));
	peer_close(&a);
}

/* Granted rooms are beside the bound of 5 that this hub has for its clients. */
static void test_bounds(void **state)
{
	struct whole_hub *whole = *state;
	struct peer a;
	char name[32];
	whole_hub_follow(whole, NULL, NULL);
	whole_hub_connect(whole, &a, "7");
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "granted%d", i);
		whole_hub_control(whole, JOIN(USER("7")), name);
	}
	whole_hub_expect(&a, whole_hub_emit(whole, "granted19"));
	peer_send_text(&a, "420[\"join-data-sync\",[\"1\",\"2\",\"3\",\"4\",\"5\"]]");
	peer_assert_text(&a, "430[{\"success\":true,\"rooms\":[\"sync-1\",\"sync-2\",\"sync-3\",\"sync-4\",\"sync-5\"],\"denied\":[],\"recovered\":false}]");
	peer_send_text(&a, "421[\"join-data-sync\",[\"6\"]]");
	peer_assert_text(&a, "431[{\"success\":false,\"rooms\":[],\"denied\":[\"6\"],\"reasons\":{\"6\":\"too_many_rooms\"},\"recovered\":false}]");
	peer_close(&a);
}

static void lose_events(struct whole_hub *whole)
{
	uint64_t first = whole->seq + 5;
	fake_gateway_heartbeat(&whole->gateway, (struct place){ WHOLE_HUB_EPOCH, first - 1 }, false);
	fake_gateway_hear(&whole->gateway, MESSAGE_ASK);
	fake_gateway_say(&whole->gateway, &(struct message){ .kind = MESSAGE_GONE, .epoch = WHOLE_HUB_EPOCH, .first_seq = first });
	fake_gateway_hear(&whole->gateway, MESSAGE_HELLO); /* it wants to know what stands */
	whole->seq = first - 1;
}

static void test_lost_control_events_are_made_up_for(void **state)
{
	struct whole_hub *whole = *state;
	struct peer a, b, c;
	char blocked[64];
	snprintf(blocked, sizeof(blocked), "8\n%" PRIu64, clock_wall_ms() + 600000);
	whole_hub_follow(whole, "7\nold", NULL);
	whole_hub_connect(whole, &a, "7");
	whole_hub_connect(whole, &b, "8");
	whole_hub_connect(whole, &c, "9");
	whole_hub_expect(&a, whole_hub_emit(whole, "old"));
	lose_events(whole);
	whole_hub_standing(whole, "9\nnew", blocked);
	peer_assert_text(&b, "41");
	whole_hub_expect(&c, whole_hub_emit(whole, "new"));
	whole_hub_emit(whole, "old");
	whole_hub_expect(&a, whole_hub_emit(whole, "user-7"));
	assert_int_equal(subscriber_sequence(whole->hub.subscriber)->counters.lost, 4);
	peer_close(&a);
	peer_close(&b);
	peer_close(&c);
}

/* A picture that is ahead of the log takes nothing from clients: the log will. */
static void test_a_picture_alone_changes_no_client(void **state)
{
	struct whole_hub *whole = *state;
	struct peer a;
	whole_hub_follow(whole, "7\nold", NULL);
	whole_hub_connect(whole, &a, "7");
	whole_hub_standing(whole, "7\nnew", NULL);
	whole_hub_emit(whole, "new");
	whole_hub_expect(&a, whole_hub_emit(whole, "old"));
	WAIT_FOR(&whole->loop, !standing_has_withdrawn(whole->hub.standing));
	peer_close(&a);
}

static void test_a_broken_picture_is_asked_for_again(void **state)
{
	struct whole_hub *whole = *state;
	whole_hub_follow(whole, "7\na", NULL);
	fake_gateway_say(&whole->gateway, &(struct message){ .kind = MESSAGE_STANDING, .index = 3, .is_last = 1 });
	fake_gateway_hear(&whole->gateway, MESSAGE_HELLO);
	assert_true(standing_is_granted(whole->hub.standing, bytes_of("7"), bytes_of("a")));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, whole_hub_setup, whole_hub_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_each_at_its_place), CASE(test_whom_it_is_for), CASE(test_ones_own_room_stays), CASE(test_disconnect), CASE(test_blocks),
		CASE(test_what_stood_before), CASE(test_bounds), CASE(test_lost_control_events_are_made_up_for),
		CASE(test_a_picture_alone_changes_no_client), CASE(test_a_broken_picture_is_asked_for_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
