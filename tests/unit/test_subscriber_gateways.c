/* test_subscriber_gateways.c - the hub's line while gateways restart, move, are restored, reset or replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include <roomcast/clock.h>

#include "subscriber_kit.h"

static void test_a_new_epoch_first_repairs_the_old_one(void **state)
{
	(void)state;
	static const char *const epochs[] = { "6.12", "8.1", NULL };
	kit_follow(10);
	kit_publish(8, 1); /* the gateway was restarted; 11 and 12 of the old epoch never came */
	const struct message *hello = fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	assert_int_equal(hello->epoch, 6);
	assert_int_equal(hello->seq, 10);
	fake_gateway_welcome(&kit.gateway, PLACE(8, 1), NOWHERE, epochs);
	kit_assert_asked(6, 11, 12);
	assert_int_equal(kit.got_count, 0);
	kit_repair(6, 11, 12);
	kit_wait(3);
	kit_assert_got(0, 6, 11, false);
	kit_assert_got(1, 6, 12, false);
	kit_assert_got(2, 8, 1, false);
	assert_int_equal(kit.losses, 0);
}

static void test_a_heartbeat_tells_of_a_new_epoch(void **state)
{
	(void)state;
	static const char *const epochs[] = { "6.10", "8.0", NULL };
	kit_follow(10);
	fake_gateway_heartbeat(&kit.gateway, PLACE(8, 0), false);
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&kit.gateway, PLACE(8, 0), NOWHERE, epochs);
	const struct message *report = fake_gateway_hear(&kit.gateway, MESSAGE_REPORT);
	assert_int_equal(report->epoch, 8);
	assert_int_equal(report->seq, 0);
	kit_publish(8, 1);
	kit_wait(1);
	kit_assert_got(0, 8, 1, false);
}

static void test_a_restored_backup_swallows_nothing(void **state)
{
	(void)state;
	static const char *const epochs[] = { "6.5", "8.1", NULL };
	kit_follow(10);
	fake_gateway_heartbeat(&kit.gateway, PLACE(8, 1), false);
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&kit.gateway, PLACE(8, 1), NOWHERE, epochs);
	kit_assert_asked(8, 1, 1);
	kit_repair(8, 1, 1);
	kit_wait(1);
	kit_assert_got(0, 8, 1, false);
	assert_int_equal(kit.losses, 1);
	assert_int_equal(subscriber_sequence(kit.subscriber)->counters.breaks, 1);
}

static void test_an_epoch_that_went_back_is_followed(void **state)
{
	(void)state;
	kit_follow(10);
	fake_gateway_heartbeat(&kit.gateway, PLACE(2, 1), false);
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&kit.gateway, PLACE(2, 1), NOWHERE, NULL);
	kit_assert_asked(2, 1, 1);
	kit_repair(2, 1, 1);
	kit_publish(2, 2);
	kit_wait(2);
	kit_assert_got(1, 2, 2, false);
	assert_int_equal(kit.losses, 1);
}

static void test_an_epoch_that_another_process_begins_once_more(void **state)
{
	(void)state;
	kit_follow(10);
	kit.gateway.instance += 2;
	fake_gateway_heartbeat(&kit.gateway, PLACE(6, 3), false);
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&kit.gateway, PLACE(6, 3), NOWHERE, NULL);
	kit_assert_asked(6, 1, 3);
	kit_repair(6, 1, 3);
	kit_wait(3);
	kit_assert_got(0, 6, 1, false);
	assert_int_equal(kit.losses, 1);
}

static void test_events_move(void **state)
{
	(void)state;
	struct fake_gateway other;
	kit_follow(10);
	fake_gateway_open(&other, &kit.loop, kit.directory, "b");
	fake_gateway_say(&kit.gateway, &(struct message){
		.kind = MESSAGE_WELCOME, .epoch = 6, .last_seq = 10, .instance = kit.gateway.instance, .endpoint = bytes_of(other.events_endpoint),
	});
	fake_gateway_wait_subscribed(&other);
	fake_gateway_send_event(&other, false, 6, 11);
	kit_wait(1);
	fake_gateway_close(&other);
}

static void test_the_gateway_is_started_again(void **state)
{
	(void)state;
	static const char *const epochs[] = { "6.10", "7.0", NULL };
	kit.silence_ms = 700;
	kit_follow(10);
	fake_gateway_close(&kit.gateway);
	fake_gateway_open(&kit.gateway, &kit.loop, kit.directory, "a");
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&kit.gateway, PLACE(7, 0), NOWHERE, epochs);
	fake_gateway_wait_subscribed(&kit.gateway);
	kit_publish(7, 1);
	kit_wait(1);
	kit_assert_got(0, 7, 1, false);
}

/* Known to be there only by what it says; the hub's clients stay. */
static void test_a_silent_gateway_is_sought(void **state)
{
	(void)state;
	kit.silence_ms = 700;
	kit_follow(10);
	const struct bytes hubs[] = { bytes_of("hub-t=3"), bytes_of("hub-u=40") };
	fake_gateway_publish(&kit.gateway, &(struct message){
		.kind = MESSAGE_HEARTBEAT, .epoch = 6, .last_seq = 10, .instance = kit.gateway.instance, .hubs = { hubs, 2 },
	});
	WAIT_FOR(&kit.loop, subscriber_other_clients(kit.subscriber) == 40);
	WAIT_FOR(&kit.loop, !subscriber_is_following(kit.subscriber));
	assert_int_equal(subscriber_other_clients(kit.subscriber), 0);
	assert_true(subscriber_is_ready(kit.subscriber));
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&kit.gateway, PLACE(6, 10), NOWHERE, NULL);
	WAIT_FOR(&kit.loop, subscriber_is_following(kit.subscriber));
	assert_int_equal(kit.losses, 0);
}

static void test_the_next_gateway_is_tried(void **state)
{
	(void)state;
	struct fake_gateway standby;
	char line[600];
	fake_gateway_open(&standby, &kit.loop, kit.directory, "standby");
	snprintf(line, sizeof(line), "ipc://%s/nobody.sock, %s ,%s", kit.directory, standby.line_endpoint, kit.gateway.line_endpoint);
	kit_start(line, 0);
	fake_gateway_hear(&standby, MESSAGE_HELLO);
	fake_gateway_say(&standby, &(struct message){ .kind = MESSAGE_REFUSAL, .reason = bytes_of("this gateway is a standby") });
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&kit.gateway, PLACE(6, 10), NOWHERE, NULL);
	WAIT_FOR(&kit.loop, subscriber_is_following(kit.subscriber));
	/* It becomes the standby. */
	fake_gateway_say(&kit.gateway, &(struct message){ .kind = MESSAGE_REFUSAL, .reason = bytes_of("this gateway is a standby") });
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_say(&kit.gateway, &(struct message){ .kind = MESSAGE_REFUSAL, .reason = bytes_of("this gateway is a standby") });
	static const char *const epochs[] = { "6.10", "7.0", NULL };
	fake_gateway_hear(&standby, MESSAGE_HELLO);
	fake_gateway_welcome(&standby, PLACE(7, 0), NOWHERE, epochs);
	fake_gateway_wait_subscribed(&standby);
	fake_gateway_send_event(&standby, false, 7, 1);
	kit_wait(1);
	fake_gateway_close(&standby);
}

/* However long a silent one would be waited for. */
static void test_a_broken_line_is_left_at_once(void **state)
{
	(void)state;
	struct fake_gateway other;
	char line[600];
	static const char *const epochs[] = { "6.10", "7.0", NULL };
	kit.silence_ms = 3600000;
	fake_gateway_open(&other, &kit.loop, kit.directory, "other");
	snprintf(line, sizeof(line), "%s,%s", kit.gateway.line_endpoint, other.line_endpoint);
	kit_start(line, 0);
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&kit.gateway, PLACE(6, 10), NOWHERE, NULL);
	WAIT_FOR(&kit.loop, subscriber_is_following(kit.subscriber));
	fake_gateway_close(&kit.gateway);
	/* Not active yet: the hub comes again and again, also when the first stays away. */
	for (int i = 0; i < 3; i++) {
		fake_gateway_hear(&other, MESSAGE_HELLO);
		fake_gateway_say(&other, &(struct message){ .kind = MESSAGE_REFUSAL, .reason = bytes_of("this gateway is a standby") });
	}
	fake_gateway_hear(&other, MESSAGE_HELLO);
	fake_gateway_welcome(&other, PLACE(7, 0), NOWHERE, epochs);
	WAIT_FOR(&kit.loop, subscriber_is_following(kit.subscriber));
	assert_int_equal(kit.losses, 0);
	fake_gateway_close(&other);
	fake_gateway_open(&kit.gateway, &kit.loop, kit.directory, "a");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_new_epoch_first_repairs_the_old_one), CASE(test_a_heartbeat_tells_of_a_new_epoch),
		CASE(test_a_restored_backup_swallows_nothing), CASE(test_an_epoch_that_went_back_is_followed),
		CASE(test_an_epoch_that_another_process_begins_once_more), CASE(test_events_move), CASE(test_the_gateway_is_started_again),
		CASE(test_a_silent_gateway_is_sought), CASE(test_the_next_gateway_is_tried),
		CASE(test_a_broken_line_is_left_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
