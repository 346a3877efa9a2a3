/* test_members.c - clients that come and go and come back, on a whole hub: what they show, what they are answered, packet by packet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <roomcast/clock.h>

#include "pid.h"
#include "whole_hub.h"

static const unsigned char key[MAC_KEY_LEN + 1] = "0123456789abcdef0123456789abcdef"; /* whole_hub_follow's */

struct shown {
	char sid[CLIENT_SID_SIZE];
	char pid[PID_TEXT_MAX + 1];
};

/* The next packet is CONNECT's answer. */
static void expect_connected(struct peer *peer, struct shown *shown)
{
	char text[600];
	struct bytes answer = peer_frame(peer).payload;
	snprintf(text, sizeof(text), "%.*s", (int)answer.len, answer.data);
	if (sscanf(text, "40{\"sid\":\"%20[^\"]\",\"pid\":\"%252[^\"]\"}", shown->sid, shown->pid) != 2)
		fail_msg("not connected with a pid: %s", text);
}

static void expect_event(struct peer *peer, uint64_t n)
{
	char text[96];
	snprintf(text, sizeof(text), "42[\"n\",%" PRIu64 ",\"%d.%" PRIu64 "\"]", n, WHOLE_HUB_EPOCH, n);
	peer_assert_text(peer, text);
}

static void join(struct peer *peer, bool is_recovered)
{
	char text[160];
	peer_send_text(peer, "421[\"join-data-sync\",[\"Open\"]]");
	snprintf(text, sizeof(text), "431[{\"success\":true,\"rooms\":[\"sync-Open\"],\"denied\":[],\"recovered\":%s}]", is_recovered ? "true" : "false");
	peer_assert_text(peer, text);
}

/* What a client that is behind has to do before it is given anything. */
static void answer_ping(struct peer *peer)
{
	peer_assert_text(peer, "2");
	peer_send_text(peer, "3");
}

static const char *show(const char *pid, uint64_t epoch, uint64_t seq)
{
	static char text[600];
	snprintf(text, sizeof(text), "\"pid\":\"%s\",\"offset\":\"%" PRIu64 ".%" PRIu64 "\"", pid, epoch, seq);
	return text;
}

/* Closes it, and waits until the hub noticed. */
static void leave(struct whole_hub *whole, struct peer *peer)
{
	uint64_t before = hub_clients(&whole->hub);
	peer_close(peer);
	WAIT_FOR(&whole->loop, hub_clients(&whole->hub) < before);
}

/* What another hub of the same gateway would have given. */
static void sign(struct shown *shown, const char *user, uint64_t floor_seq)
{
	struct pid pid = { .issued_ms = clock_wall_ms(), .floor = { WHOLE_HUB_EPOCH, floor_seq }, .sid = "aaaaaaaaaabbbbbbbbbb" };
	snprintf(pid.user_id, sizeof(pid.user_id), "%s", user);
	assert_int_equal(pid_write(&pid, key, shown->pid), 0);
	snprintf(shown->sid, sizeof(shown->sid), "%s", pid.sid);
}

static void wait_for_position(struct whole_hub *whole)
{
	WAIT_FOR(&whole->loop, subscriber_position(whole->hub.subscriber).seq == whole->seq);
}

static void test_its_session_goes_on(void **state)
{
	struct whole_hub *whole = *state;
	struct peer peer;
	struct shown first, second;
	whole_hub_follow(whole, NULL, NULL);
	whole_hub_return(whole, &peer, "7", "");
	expect_connected(&peer, &first);
	join(&peer, false);
	uint64_t n = whole_hub_emit(whole, "sync-Open");
	expect_event(&peer, n);
	leave(whole, &peer);
	assert_int_equal(stored_figures(whole->hub.recovery.stored).count, 1);
	whole_hub_emit(whole, "sync-Open");
	whole_hub_emit(whole, "nobody's");
	whole_hub_emit(whole, "user-7");
	wait_for_position(whole);
	whole_hub_return(whole, &peer, "7", show(first.pid, WHOLE_HUB_EPOCH, n));
	expect_connected(&peer, &second); /* in front of everything */
	assert_string_equal(first.sid, second.sid);
	assert_string_equal(first.pid, second.pid);
	expect_event(&peer, n + 1);
	expect_event(&peer, n + 3);
	join(&peer, true); /* again */
	expect_event(&peer, whole_hub_emit(whole, "sync-Open"));
	assert_int_equal(stored_figures(whole->hub.recovery.stored).count, 0);
	assert_int_equal(whole->hub.recovery.counters.resumed, 1);
	peer_close(&peer);
}

static void test_a_connection_that_still_stands_is_taken_over(void **state)
{
	struct whole_hub *whole = *state;
	struct peer old, peer;
	struct shown first, second;
	whole_hub_follow(whole, NULL, NULL);
	whole_hub_return(whole, &old, NULL, "");
	expect_connected(&old, &first);
	join(&old, false);
	uint64_t n = whole_hub_emit(whole, "sync-Open");
	expect_event(&old, n);
	whole_hub_return(whole, &peer, NULL, show(first.pid, WHOLE_HUB_EPOCH, n - 1)); /* it did not see the last one */
	expect_connected(&peer, &second);
	assert_string_equal(first.sid, second.sid);
	expect_event(&peer, n);
	peer_assert_close(&old, 0);
	assert_int_equal(hub_clients(&whole->hub), 1);
	assert_int_equal(whole->hub.recovery.counters.taken_over, 1);
	peer_close(&peer);
	peer_close(&old);
}

static void test_a_new_session_starts_behind(void **state)
{
	struct whole_hub *whole = *state;
	struct peer peer;
	struct shown elsewhere, here;
	whole_hub_follow(whole, NULL, NULL);
	uint64_t first = whole_hub_emit(whole, "sync-Open");
	whole_hub_emit(whole, "sync-Open");
	whole_hub_emit(whole, "user-7");
	wait_for_position(whole);
	sign(&elsewhere, "7", first);
	whole_hub_return(whole, &peer, "7", show(elsewhere.pid, WHOLE_HUB_EPOCH, first - 1)); /* the floor is larger */
	expect_connected(&peer, &here);
	assert_string_not_equal(here.sid, elsewhere.sid);
	struct pid pid;
	assert_int_equal(pid_read(bytes_of(here.pid), key, &pid), PID_GOOD);
	assert_int_equal(pid.floor.seq, first);
	assert_string_equal(pid.user_id, "7");
	whole_hub_emit(whole, "user-7"); /* not in front of what it missed */
	wait_for_position(whole);
	peer_send_text(&peer, "42[\"ping\"]"); /* answered at once, with an offset that covers nothing new */
	struct bytes pong = peer_frame(&peer).payload;
	char expected[32];
	snprintf(expected, sizeof(expected), ",\"%d.%" PRIu64 "\"]", WHOLE_HUB_EPOCH, first);
	assert_memory_equal(pong.data, "42[\"pong\"", 9);
	assert_memory_equal(pong.data + pong.len - strlen(expected), expected, strlen(expected));
	join(&peer, true);
	answer_ping(&peer);
	for (uint64_t n = first + 1; n <= whole->seq; n++)
		expect_event(&peer, n);
	expect_event(&peer, whole_hub_emit(whole, "sync-Open"));
	assert_int_equal(whole->hub.recovery.counters.behind, 1);
	/* It goes, and comes back to what is its session here. */
	leave(whole, &peer);
	whole_hub_return(whole, &peer, "7", show(here.pid, WHOLE_HUB_EPOCH, whole->seq));
	expect_connected(&peer, &elsewhere);
	assert_string_equal(elsewhere.sid, here.sid);
	peer_close(&peer);
}

static void test_a_client_that_saw_more_than_this_hub(void **state)
{
	struct whole_hub *whole = *state;
	struct peer peer;
	struct shown elsewhere, here;
	whole_hub_follow(whole, NULL, NULL);
	sign(&elsewhere, "", whole->seq);
	whole_hub_return(whole, &peer, NULL, show(elsewhere.pid, WHOLE_HUB_EPOCH, whole->seq + 3));
	WAIT_FOR(&whole->loop, whole->hub.arrivals.list != NULL);
	assert_int_equal(hub_clients(&whole->hub), 0);
	for (int i = 0; i < 3; i++)
		whole_hub_emit(whole, "sync-Open");
	expect_connected(&peer, &here); /* now that the hub knows */
	join(&peer, true);
	answer_ping(&peer);
	expect_event(&peer, whole_hub_emit(whole, "sync-Open"));
	peer_close(&peer);
}

/* Nothing is swallowed, and nobody waits for ever. */
static void test_offsets_that_lead_nowhere(void **state)
{
	struct whole_hub *whole = *state;
	const struct { uint64_t epoch, seq; bool is_held; } rows[] = {
		{ WHOLE_HUB_EPOCH, 1000000, true }, { WHOLE_HUB_EPOCH + 1, 5, true }, { WHOLE_HUB_EPOCH - 1, 5, false }, { UINT64_MAX, UINT64_MAX, true },
	};
	whole_hub_follow(whole, NULL, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer peer;
		struct shown elsewhere, here;
		struct pid pid = { .floor = { rows[i].epoch, 1 }, .sid = "aaaaaaaaaabbbbbbbbbb" };
		assert_int_equal(pid_write(&pid, key, elsewhere.pid), 0);
		whole_hub_return(whole, &peer, NULL, show(elsewhere.pid, rows[i].epoch, rows[i].seq));
		if (rows[i].is_held)
			WAIT_FOR(&whole->loop, whole->hub.arrivals.list != NULL);
		expect_connected(&peer, &here);
		join(&peer, false);
		expect_event(&peer, whole_hub_emit(whole, "sync-Open"));
		leave(whole, &peer);
		assert_int_equal(whole->hub.recovery.counters.offsets_unknown, i + 1);
	}
}

static void test_what_is_not_believed(void **state)
{
	struct whole_hub *whole = *state;
	struct peer peer;
	struct shown mine, here;
	whole_hub_follow(whole, NULL, NULL);
	whole_hub_emit(whole, "user-7");
	wait_for_position(whole);
	sign(&mine, "7", WHOLE_HUB_SEQ);
	whole_hub_return(whole, &peer, "8", show(mine.pid, WHOLE_HUB_EPOCH, WHOLE_HUB_SEQ));
	expect_connected(&peer, &here);
	expect_event(&peer, whole_hub_emit(whole, "user-8")); /* and nothing of the other's */
	assert_int_equal(whole->hub.recovery.counters.pids_of_others, 1);
	peer_close(&peer);
	whole_hub_return(whole, &peer, NULL, show(mine.pid, WHOLE_HUB_EPOCH, WHOLE_HUB_SEQ)); /* nor for nobody */
	expect_connected(&peer, &here);
	assert_int_equal(whole->hub.recovery.counters.pids_of_others, 2);
	peer_close(&peer);
	mine.pid[20] = mine.pid[20] == 'A' ? 'B' : 'A';
	whole_hub_return(whole, &peer, "7", show(mine.pid, WHOLE_HUB_EPOCH, WHOLE_HUB_SEQ));
	expect_connected(&peer, &here);
	assert_int_equal(whole->hub.recovery.counters.pids_forged, 1);
	peer_close(&peer);
	sign(&mine, "7", WHOLE_HUB_SEQ - 5); /* from before the history */
	whole_hub_return(whole, &peer, "7", show(mine.pid, WHOLE_HUB_EPOCH, WHOLE_HUB_SEQ - 5));
	expect_connected(&peer, &here);
	join(&peer, false);
	assert_int_equal(whole->hub.recovery.counters.offsets_stale, 1);
	peer_close(&peer);
}

/* A session's first request is forgotten by the time of its second CONNECT; what it wished is not. */
static void test_a_second_connect_on_the_same_session(void **state)
{
	struct whole_hub *whole = *state;
	struct peer peer;
	struct shown first, second;
	char again[700];
	whole_hub_follow(whole, NULL, NULL);
	whole_hub_return(whole, &peer, NULL, "");
	expect_connected(&peer, &first);
	join(&peer, false);
	uint64_t n = whole_hub_emit(whole, "sync-Open");
	expect_event(&peer, n);
	peer_send_text(&peer, "41");
	WAIT_FOR(&whole->loop, hub_clients(&whole->hub) == 0);
	assert_int_equal(stored_figures(whole->hub.recovery.stored).count, 0); /* it said good-bye */
	whole_hub_emit(whole, "sync-Open");
	wait_for_position(whole);
	snprintf(again, sizeof(again), "40{%s}", show(first.pid, WHOLE_HUB_EPOCH, n));
	peer_send_text(&peer, again);
	expect_connected(&peer, &second);
	assert_string_not_equal(first.sid, second.sid);
	join(&peer, true);
	answer_ping(&peer);
	expect_event(&peer, n + 1);
	peer_close(&peer);
}

static void test_what_publishers_did_meanwhile(void **state)
{
	struct whole_hub *whole = *state;
	struct peer peer;
	struct shown first, second;
	whole_hub_follow(whole, NULL, NULL);
	whole_hub_return(whole, &peer, "7", "");
	expect_connected(&peer, &first);
	join(&peer, false);
	leave(whole, &peer);
	whole_hub_emit(whole, "granted"); /* before it was */
	whole_hub_control(whole, (struct message){ .operation = CONTROL_JOIN, .user = bytes_of("7") }, "granted");
	uint64_t granted = whole_hub_emit(whole, "granted");
	whole_hub_control(whole, (struct message){ .operation = CONTROL_LEAVE, .sid = bytes_of(first.sid) }, "sync-Open");
	whole_hub_emit(whole, "sync-Open"); /* no longer */
	wait_for_position(whole);
	whole_hub_return(whole, &peer, "7", show(first.pid, WHOLE_HUB_EPOCH, WHOLE_HUB_SEQ));
	expect_connected(&peer, &second);
	assert_string_equal(first.sid, second.sid);
	expect_event(&peer, granted);
	expect_event(&peer, whole_hub_emit(whole, "granted"));
	leave(whole, &peer);
	whole_hub_control(whole, (struct message){ .operation = CONTROL_DISCONNECT, .user = bytes_of("7"), .until_ms = UINT64_MAX }, NULL);
	wait_for_position(whole);
	assert_int_equal(stored_figures(whole->hub.recovery.stored).count, 0);
	whole_hub_return(whole, &peer, "7", show(first.pid, WHOLE_HUB_EPOCH, whole->seq));
	struct bytes refusal = peer_frame(&peer).payload;
	assert_memory_equal(refusal.data, "44{\"message\":\"blocked\"", 22);
	peer_close(&peer);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, whole_hub_setup, whole_hub_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_its_session_goes_on),
		TEST(test_a_connection_that_still_stands_is_taken_over),
		TEST(test_a_new_session_starts_behind),
		TEST(test_a_client_that_saw_more_than_this_hub),
		TEST(test_offsets_that_lead_nowhere),
		TEST(test_what_is_not_believed),
		TEST(test_a_second_connect_on_the_same_session),
		TEST(test_what_publishers_did_meanwhile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
