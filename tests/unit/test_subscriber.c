/* test_subscriber.c - the hub's line, against a gateway that a test plays: starts, gaps, acknowledgements, nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include <roomcast/clock.h>

#include "subscriber_kit.h"

/* --- starts ----------------------------------------------------------------- */

static void test_a_gateway_without_windows_is_joined_at_its_end(void **state)
{
	(void)state;
	kit_start(kit.gateway.line_endpoint, 1000);
	const struct message *hello = fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	assert_true(bytes_equal_text(hello->hub, "hub-t"));
	assert_int_equal(hello->instance, subscriber_instance(kit.subscriber));
	assert_int_equal(hello->epoch, 0);
	assert_int_equal(hello->clients, 3);
	assert_int_equal(hello->room_count, 4);
	assert_int_equal(hello->window_ms, 120000);
	assert_int_equal(hello->window_events, 1000);
	assert_int_equal(hello->window_bytes, 1 << 20);
	assert_false(subscriber_is_ready(kit.subscriber));
	assert_string_equal(subscriber_state(kit.subscriber), "seeking");
	fake_gateway_welcome(&kit.gateway, PLACE(6, 90), NOWHERE, NULL);
	const struct message *report = fake_gateway_hear(&kit.gateway, MESSAGE_REPORT);
	assert_int_equal(report->epoch, 6);
	assert_int_equal(report->seq, 90);
	WAIT_FOR(&kit.loop, subscriber_is_ready(kit.subscriber));
	assert_true(subscriber_has_history(kit.subscriber));
	assert_true(subscriber_is_following(kit.subscriber));
	assert_null(subscriber_mac_key(kit.subscriber));
	fake_gateway_wait_subscribed(&kit.gateway);
	kit_publish(6, 91);
	kit_wait(1);
	kit_assert_got(0, 6, 91, false);
	assert_int_equal(subscriber_position(kit.subscriber).seq, 91);
	assert_int_equal(subscriber_complete_since(kit.subscriber).seq, 90);
}

static void test_the_window_is_loaded_across_epochs(void **state)
{
	(void)state;
	static const char *const epochs[] = { "3.7", "5.0", "6.602", NULL };
	uint64_t last;
	kit_start(kit.gateway.line_endpoint, 1000);
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&kit.gateway, PLACE(6, 602), PLACE(3, 5), epochs);
	kit_assert_asked(3, 6, 7);
	kit_repair(3, 6, 7);
	kit_assert_asked(6, 1, 512);
	fake_gateway_wait_subscribed(&kit.gateway);
	kit_publish(6, 603); /* meanwhile */
	kit_repair(6, 1, 512);
	kit_assert_asked(6, 513, 602);
	assert_false(subscriber_has_history(kit.subscriber));
	assert_false(subscriber_is_ready(kit.subscriber));
	kit_repair(6, 513, 602);
	kit_wait(2 + 603);
	kit_assert_got(0, 3, 6, true);
	kit_assert_got(1, 3, 7, true);
	for (uint64_t seq = 1; seq <= 602; seq++)
		kit_assert_got((size_t)seq + 1, 6, seq, true);
	kit_assert_got(604, 6, 603, false);
	WAIT_FOR(&kit.loop, subscriber_is_ready(kit.subscriber));
	assert_true(subscriber_has_history(kit.subscriber));
	assert_int_equal(subscriber_complete_since(kit.subscriber).epoch, 3);
	assert_int_equal(subscriber_complete_since(kit.subscriber).seq, 5);
	assert_true(subscriber_epoch_end(kit.subscriber, 3, &last));
	assert_int_equal(last, 7);
	assert_false(subscriber_epoch_end(kit.subscriber, 4, &last));
	assert_int_equal(subscriber_counters(kit.subscriber)->history, 604);
}

static void test_an_empty_window(void **state)
{
	(void)state;
	static const char *const epochs[] = { "5.0", "6.0", NULL };
	kit_start(kit.gateway.line_endpoint, 1000);
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&kit.gateway, PLACE(6, 0), PLACE(5, 0), epochs);
	WAIT_FOR(&kit.loop, subscriber_is_ready(kit.subscriber));
	assert_true(subscriber_has_history(kit.subscriber));
	fake_gateway_wait_subscribed(&kit.gateway);
	kit_publish(6, 1);
	kit_wait(1);
	kit_assert_got(0, 6, 1, false);
}

/* The gateway sends in chunks of its own and goes on when one is acknowledged. */
static void test_a_part_of_the_answer_is_acknowledged_at_once(void **state)
{
	(void)state;
	kit_start(kit.gateway.line_endpoint, 1000);
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&kit.gateway, PLACE(6, 100), PLACE(6, 0), NULL);
	kit_assert_asked(6, 1, 100);
	uint64_t begun = clock_monotonic_ms();
	for (uint64_t seq = 1; seq <= 91; seq += 10) {
		kit_repair(6, seq, seq + 9);
		for (;;) { /* a round may have ended in the middle */
			const struct message *report = fake_gateway_hear(&kit.gateway, MESSAGE_REPORT);
			if (report->seq == seq + 9 || seq == 91)
				break;
		}
	}
	kit_wait(100);
	assert_int_equal(subscriber_counters(kit.subscriber)->asked, 1);
	assert_true(clock_monotonic_ms() - begun < 5000); /* by reports once a second it would be more */
}

static void test_ready_needs_grants_and_blocks_of_gateways_that_tell_them(void **state)
{
	(void)state;
	static const char key[MAC_KEY_LEN] = "0123456789abcdef0123456789abcde";
	kit_start(kit.gateway.line_endpoint, 1000);
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_say(&kit.gateway, &(struct message){
		.kind = MESSAGE_WELCOME, .epoch = 6, .last_seq = 0, .instance = kit.gateway.instance, .endpoint = bytes_of(kit.gateway.events_endpoint),
		.key = { key, MAC_KEY_LEN },
	});
	WAIT_FOR(&kit.loop, subscriber_has_history(kit.subscriber));
	fake_gateway_say(&kit.gateway, &(struct message){ .kind = MESSAGE_STANDING, .index = 0 });
	WAIT_FOR(&kit.loop, kit.standings == 1);
	assert_false(subscriber_is_ready(kit.subscriber));
	assert_memory_equal(subscriber_mac_key(kit.subscriber), key, MAC_KEY_LEN);
	fake_gateway_say(&kit.gateway, &(struct message){ .kind = MESSAGE_STANDING, .index = 1, .is_last = 1 });
	WAIT_FOR(&kit.loop, subscriber_is_ready(kit.subscriber));
	assert_int_equal(kit.losses, 0);
}

/* Clients that were let in meanwhile are owed what was published since, and nothing older. */
static void test_ready_without_an_answer(void **state)
{
	(void)state;
	uint64_t begun = clock_monotonic_ms();
	kit.start_patience_ms = 700;
	kit_start(kit.gateway.line_endpoint, 1000);
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	WAIT_FOR(&kit.loop, subscriber_is_ready(kit.subscriber));
	assert_in_range(clock_monotonic_ms() - begun, 700, 15000);
	assert_false(subscriber_has_history(kit.subscriber));
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&kit.gateway, PLACE(6, 2), PLACE(6, 0), NULL);
	kit_assert_asked(6, 1, 2);
	struct message message = { .kind = MESSAGE_EVENT, .epoch = 6, .seq = 1, .time_ms = clock_wall_ms() - 60000, .body = bytes_of("\"e\"") };
	fake_gateway_say(&kit.gateway, &message);
	message.seq = 2;
	message.time_ms = clock_wall_ms();
	fake_gateway_say(&kit.gateway, &message);
	kit_wait(2);
	kit_assert_got(0, 6, 1, true);
	kit_assert_got(1, 6, 2, false);
	assert_true(subscriber_has_history(kit.subscriber));
}

/* It would have clients and no events. */
static void test_a_hub_whose_name_is_taken_does_not_serve(void **state)
{
	(void)state;
	uint64_t begun = clock_monotonic_ms();
	kit.start_patience_ms = 500;
	kit_start(kit.gateway.line_endpoint, 0);
	while (clock_monotonic_ms() < begun + 1500) {
		fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
		fake_gateway_say(&kit.gateway, &(struct message){ .kind = MESSAGE_REFUSAL, .status = REFUSAL_NAME_TAKEN, .reason = bytes_of("taken") });
		assert_false(subscriber_is_ready(kit.subscriber));
	}
	assert_true(subscriber_counters(kit.subscriber)->refusals > 1);
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&kit.gateway, PLACE(6, 2), NOWHERE, NULL);
	WAIT_FOR(&kit.loop, subscriber_is_ready(kit.subscriber));
}

/* --- what is missing -------------------------------------------------------- */

static void test_a_gap_is_asked_for_and_filled(void **state)
{
	(void)state;
	kit_follow(10);
	kit_publish(6, 11);
	kit_publish(6, 14);
	kit_publish(6, 15);
	kit_assert_asked(6, 12, 13);
	kit_repair(6, 12, 13);
	kit_wait(5);
	for (size_t i = 0; i < 5; i++)
		kit_assert_got(i, 6, 11 + i, false);
	assert_int_equal(subscriber_sequence(kit.subscriber)->counters.gaps, 1);
}

static void test_a_question_without_answer_is_asked_again(void **state)
{
	(void)state;
	kit_follow(10);
	fake_gateway_heartbeat(&kit.gateway, PLACE(6, 11), false);
	kit_assert_asked(6, 11, 11);
	kit_assert_asked(6, 11, 11);
	kit_assert_asked(6, 11, 11);
	kit_repair(6, 11, 11);
	kit_wait(1);
}

static void test_control_events_keep_their_place(void **state)
{
	(void)state;
	kit_follow(10);
	kit_publish(6, 12);
	fake_gateway_publish(&kit.gateway, &(struct message){
		.kind = MESSAGE_CONTROL, .epoch = 6, .seq = 11, .operation = CONTROL_DISCONNECT, .user = bytes_of("7"),
	});
	kit_wait(2);
	kit_assert_got(0, 6, 11, false);
	assert_int_equal(kit.got[0].kind, MESSAGE_CONTROL);
	assert_int_equal(kit.got[1].kind, MESSAGE_EVENT);
}

static void test_gone_is_counted_and_told(void **state)
{
	(void)state;
	kit_follow(10);
	kit_publish(6, 14);
	kit_assert_asked(6, 11, 13);
	fake_gateway_say(&kit.gateway, &(struct message){ .kind = MESSAGE_GONE, .epoch = 6, .first_seq = 13 });
	kit_assert_asked(6, 13, 13);
	assert_int_equal(kit.losses, 1);
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO); /* for a fresh STANDING */
	kit_repair(6, 13, 13);
	kit_wait(2);
	assert_int_equal(subscriber_sequence(kit.subscriber)->counters.lost, 2);
	assert_int_equal(subscriber_complete_since(kit.subscriber).seq, 12);
	assert_true(subscriber_is_following(kit.subscriber));
}

static void test_gone_past_what_is_held(void **state)
{
	(void)state;
	kit_follow(10);
	kit_publish(6, 13);
	kit_assert_asked(6, 11, 12);
	kit_publish(6, 20);
	fake_gateway_say(&kit.gateway, &(struct message){ .kind = MESSAGE_GONE, .epoch = 6, .first_seq = 18 });
	kit_assert_asked(6, 18, 19);
	kit_wait(1);
	kit_assert_got(0, 6, 13, false);
	kit_repair(6, 18, 19);
	kit_wait(4);
	assert_int_equal(subscriber_sequence(kit.subscriber)->counters.lost, 2 + 4);
}

/* --- acknowledgements ------------------------------------------------------- */

static void test_reports_at_once_when_asked(void **state)
{
	(void)state;
	kit_follow(10);
	while (fake_gateway_hears(&kit.gateway, MESSAGE_REPORT, 50))
		continue;
	uint64_t begun = clock_monotonic_ms();
	kit_publish(6, 11);
	fake_gateway_heartbeat(&kit.gateway, PLACE(6, 11), true);
	while (fake_gateway_hear(&kit.gateway, MESSAGE_REPORT)->seq != 11)
		continue;
	for (int i = 0; i < 10; i++) {
		fake_gateway_heartbeat(&kit.gateway, PLACE(6, 11), true);
		fake_gateway_hear(&kit.gateway, MESSAGE_REPORT);
	}
	assert_true(clock_monotonic_ms() - begun < 6000); /* once a second it would be more */
}

static void test_reports_when_the_gap_is_filled_that_held_it_up(void **state)
{
	(void)state;
	kit_follow(10);
	kit_publish(6, 12);
	fake_gateway_heartbeat(&kit.gateway, PLACE(6, 12), true);
	kit_assert_asked(6, 11, 11);
	kit_repair(6, 11, 11);
	while (fake_gateway_hear(&kit.gateway, MESSAGE_REPORT)->seq != 12)
		continue;
	kit_wait(2);
}

/* --- what strangers say, and the rest --------------------------------------- */

static void test_nonsense_is_dropped_and_counted(void **state)
{
	(void)state;
	static const char *const epochs[] = { "6.5", "5.1", NULL }, *const beyond[] = { "9.1", NULL }, *const words[] = { "six", NULL };
	kit_follow(10);
	fake_gateway_say_raw(&kit.gateway, bytes_of("nonsense"), false);
	fake_gateway_say_raw(&kit.gateway, bytes_of("RC\1\1"), true);
	fake_gateway_say_raw(&kit.gateway, (struct bytes){ NULL, 0 }, false);
	fake_gateway_say(&kit.gateway, &(struct message){ .kind = MESSAGE_HELLO, .hub = bytes_of("x"), .instance = 1 });
	fake_gateway_say(&kit.gateway, &(struct message){ .kind = MESSAGE_HEARTBEAT, .epoch = 9 }); /* not on this socket */
	fake_gateway_welcome(&kit.gateway, PLACE(6, 10), NOWHERE, epochs);
	fake_gateway_welcome(&kit.gateway, PLACE(6, 10), NOWHERE, beyond);
	fake_gateway_welcome(&kit.gateway, PLACE(6, 10), NOWHERE, words);
	fake_gateway_welcome(&kit.gateway, PLACE(UINT64_MAX, 10), NOWHERE, NULL);
	fake_gateway_welcome(&kit.gateway, PLACE(6, UINT64_MAX), NOWHERE, NULL);
	fake_gateway_say(&kit.gateway, &(struct message){
		.kind = MESSAGE_WELCOME, .epoch = 9, .instance = 5, .endpoint = bytes_of("tcp://10.0.0.1:5000"),
	});
	WAIT_FOR(&kit.loop, subscriber_counters(kit.subscriber)->malformed == 11);
	assert_int_equal(subscriber_position(kit.subscriber).epoch, 6);
	kit_publish(6, 11);
	kit_wait(1);
}

static void test_more_epochs_than_are_kept(void **state)
{
	(void)state;
	static char texts[299][16];
	static const char *epochs[300];
	uint64_t last;
	for (size_t i = 0; i < 299; i++) {
		snprintf(texts[i], sizeof(texts[i]), "%zu.5", i + 1);
		epochs[i] = texts[i];
	}
	kit_start(kit.gateway.line_endpoint, 0);
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&kit.gateway, PLACE(299, 5), NOWHERE, epochs);
	WAIT_FOR(&kit.loop, subscriber_is_following(kit.subscriber));
	assert_int_equal(subscriber_sequence(kit.subscriber)->epoch_count, MESSAGE_EPOCHS_MAX);
	assert_true(subscriber_epoch_end(kit.subscriber, 299 - MESSAGE_EPOCHS_MAX + 1, &last));
	assert_false(subscriber_epoch_end(kit.subscriber, 299 - MESSAGE_EPOCHS_MAX, &last));
}

static void test_relays(void **state)
{
	(void)state;
	kit_start(kit.gateway.line_endpoint, 0);
	struct message message = { .audience = AUDIENCE_AUTHENTICATED, .body = bytes_of("\"user:activity\",{}") };
	subscriber_relay(kit.subscriber, &message);
	assert_int_equal(subscriber_counters(kit.subscriber)->relays_lost, 1);
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&kit.gateway, PLACE(6, 10), NOWHERE, NULL);
	WAIT_FOR(&kit.loop, subscriber_is_following(kit.subscriber));
	subscriber_relay(kit.subscriber, &message);
	const struct message *relay = fake_gateway_hear(&kit.gateway, MESSAGE_RELAY);
	assert_int_equal(relay->counter, 2);
	assert_true(bytes_equal_text(relay->body, "\"user:activity\",{}"));
	/* It comes back to everybody; ours is not for us. */
	fake_gateway_wait_subscribed(&kit.gateway);
	fake_gateway_publish(&kit.gateway, &(struct message){
		.kind = MESSAGE_VOLATILE, .hub = bytes_of("hub-t"), .instance = subscriber_instance(kit.subscriber), .counter = 2, .body = bytes_of("\"e\""),
	});
	fake_gateway_publish(&kit.gateway, &(struct message){
		.kind = MESSAGE_VOLATILE, .hub = bytes_of("hub-u"), .instance = 1, .counter = 1, .body = bytes_of("\"e\""),
	});
	kit_wait(1);
	assert_int_equal(kit.got[0].kind, MESSAGE_VOLATILE);
	assert_false(kit.got[0].is_history);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_gateway_without_windows_is_joined_at_its_end), CASE(test_the_window_is_loaded_across_epochs), CASE(test_an_empty_window),
		CASE(test_a_part_of_the_answer_is_acknowledged_at_once), CASE(test_ready_needs_grants_and_blocks_of_gateways_that_tell_them),
		CASE(test_ready_without_an_answer), CASE(test_a_hub_whose_name_is_taken_does_not_serve), CASE(test_a_gap_is_asked_for_and_filled),
		CASE(test_a_question_without_answer_is_asked_again), CASE(test_control_events_keep_their_place), CASE(test_gone_is_counted_and_told),
		CASE(test_gone_past_what_is_held), CASE(test_reports_at_once_when_asked), CASE(test_reports_when_the_gap_is_filled_that_held_it_up),
		CASE(test_nonsense_is_dropped_and_counted), CASE(test_more_epochs_than_are_kept), CASE(test_relays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
