/* test_subscriber.c - the hub's line, against a gateway that a test plays: starts, gaps, restarts, moves, resets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <roomcast/clock.h>

#include "fake_gateway.h"
#include "subscriber.h"

#define PLACE(epoch, seq) ((struct place){ epoch, seq })
#define NOWHERE PLACE(0, 0)

enum { GOT_MAX = 4000 };

/* What came through, in its order. */
static struct got {
	struct place place;
	enum message_kind kind;
	bool is_history;
} got[GOT_MAX];
static size_t got_count, losses, standings;
static uv_loop_t loop;
static char directory[64];
static struct fake_gateway gateway;
static struct subscriber *subscriber;
static bool is_closed;

static void on_event(void *data, struct event *event, bool is_history)
{
	(void)data;
	assert_true(got_count < GOT_MAX);
	got[got_count++] = (struct got){ event->place, event->message.kind, is_history };
	event_unref(event);
}

static bool on_standing(void *data, const struct message *message)
{
	(void)data;
	standings++;
	return message->is_last;
}

static void on_loss(void *data)
{
	(void)data;
	losses++;
}

static void on_round(void *data)
{
	(void)data;
}

static uint64_t patience_ns(void *data)
{
	(void)data;
	return 0;
}

static bool is_full(void *data)
{
	(void)data;
	return false;
}

static uint64_t clients(void *data)
{
	(void)data;
	return 3;
}

static uint64_t rooms(void *data)
{
	(void)data;
	return 4;
}

static void start(const char *line, uint64_t window_events)
{
	struct error err;
	subscriber = subscriber_new(&loop, &(struct subscriber_settings){
		.hub_name = "hub-t", .line = line, .held_max = 1 << 20, .start_patience_ms = 5000, .window_ms = window_events ? 120000 : 0, .window_events = window_events,
		.window_bytes = window_events ? 1 << 20 : 0, .on_event = on_event, .on_standing = on_standing, .on_loss = on_loss, .on_round = on_round,
		.is_full = is_full, .patience_ns = patience_ns, .clients = clients, .rooms = rooms,
	}, &err);
	if (!subscriber)
		fail_msg("%s", err.text);
}

static int setup(void **state)
{
	(void)state;
	got_count = losses = standings = 0;
	is_closed = false;
	subscriber = NULL;
	snprintf(directory, sizeof(directory), "/tmp/test_subscriber.XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	uv_loop_init(&loop);
	fake_gateway_open(&gateway, &loop, directory, "a");
	return 0;
}

static void on_closed(void *data)
{
	(void)data;
	is_closed = true;
}

static int teardown(void **state)
{
	(void)state;
	char command[100];
	subscriber_close(subscriber, on_closed, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	fake_gateway_close(&gateway);
	snprintf(command, sizeof(command), "rm -r '%s'", directory);
	return !is_closed || uv_loop_close(&loop) || system(command);
}

static void assert_got(size_t index, uint64_t epoch, uint64_t seq, bool is_history)
{
	assert_true(index < got_count);
	assert_int_equal(got[index].place.epoch, epoch);
	assert_int_equal(got[index].place.seq, seq);
	assert_int_equal(got[index].is_history, is_history);
}

static void wait_for(size_t count)
{
	WAIT_FOR(&loop, got_count >= count);
	assert_int_equal(got_count, count);
}

/* Follows a gateway that knows epoch 6 up to seq, from there on. */
static void follow(uint64_t seq)
{
	start(gateway.line_endpoint, 0);
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&gateway, PLACE(6, seq), NOWHERE, NULL);
	fake_gateway_hear(&gateway, MESSAGE_REPORT);
	fake_gateway_wait_subscribed(&gateway);
}

static void assert_asked(uint64_t epoch, uint64_t from, uint64_t to)
{
	const struct message *ask = fake_gateway_hear(&gateway, MESSAGE_ASK);
	assert_int_equal(ask->epoch, epoch);
	assert_int_equal(ask->seq, from);
	assert_int_equal(ask->last_seq, to);
}

static void repair(uint64_t epoch, uint64_t from, uint64_t to)
{
	for (uint64_t seq = from; seq <= to; seq++)
		fake_gateway_send_event(&gateway, true, epoch, seq);
}

static void publish(uint64_t epoch, uint64_t seq)
{
	fake_gateway_send_event(&gateway, false, epoch, seq);
}

/* --- starts ----------------------------------------------------------------- */

static void test_a_gateway_without_windows_is_joined_at_its_end(void **state)
{
	(void)state;
	start(gateway.line_endpoint, 1000);
	const struct message *hello = fake_gateway_hear(&gateway, MESSAGE_HELLO);
	assert_true(bytes_equal_text(hello->hub, "hub-t"));
	assert_int_equal(hello->instance, subscriber_instance(subscriber));
	assert_int_equal(hello->epoch, 0);
	assert_int_equal(hello->clients, 3);
	assert_int_equal(hello->room_count, 4);
	assert_int_equal(hello->window_ms, 120000);
	assert_int_equal(hello->window_events, 1000);
	assert_int_equal(hello->window_bytes, 1 << 20);
	assert_false(subscriber_is_ready(subscriber));
	assert_string_equal(subscriber_state(subscriber), "seeking");
	fake_gateway_welcome(&gateway, PLACE(6, 90), NOWHERE, NULL);
	const struct message *report = fake_gateway_hear(&gateway, MESSAGE_REPORT);
	assert_int_equal(report->epoch, 6);
	assert_int_equal(report->seq, 90);
	WAIT_FOR(&loop, subscriber_is_ready(subscriber));
	assert_true(subscriber_has_history(subscriber));
	assert_true(subscriber_is_following(subscriber));
	assert_null(subscriber_mac_key(subscriber));
	fake_gateway_wait_subscribed(&gateway);
	publish(6, 91);
	wait_for(1);
	assert_got(0, 6, 91, false);
	assert_int_equal(subscriber_position(subscriber).seq, 91);
	assert_int_equal(subscriber_complete_since(subscriber).seq, 90);
}

static void test_the_window_is_loaded_across_epochs(void **state)
{
	(void)state;
	static const char *const epochs[] = { "3.7", "5.0", "6.602", NULL };
	uint64_t last;
	start(gateway.line_endpoint, 1000);
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&gateway, PLACE(6, 602), PLACE(3, 5), epochs);
	assert_asked(3, 6, 7);
	repair(3, 6, 7);
	assert_asked(6, 1, 512);
	fake_gateway_wait_subscribed(&gateway);
	publish(6, 603); /* meanwhile */
	repair(6, 1, 512);
	assert_asked(6, 513, 602);
	assert_false(subscriber_has_history(subscriber));
	assert_false(subscriber_is_ready(subscriber));
	repair(6, 513, 602);
	wait_for(2 + 603);
	assert_got(0, 3, 6, true);
	assert_got(1, 3, 7, true);
	for (uint64_t seq = 1; seq <= 602; seq++)
		assert_got((size_t)seq + 1, 6, seq, true);
	assert_got(604, 6, 603, false);
	WAIT_FOR(&loop, subscriber_is_ready(subscriber));
	assert_true(subscriber_has_history(subscriber));
	assert_int_equal(subscriber_complete_since(subscriber).epoch, 3);
	assert_int_equal(subscriber_complete_since(subscriber).seq, 5);
	assert_true(subscriber_epoch_end(subscriber, 3, &last));
	assert_int_equal(last, 7);
	assert_false(subscriber_epoch_end(subscriber, 4, &last));
	assert_int_equal(subscriber_counters(subscriber)->history, 604);
}

static void test_an_empty_window(void **state)
{
	(void)state;
	static const char *const epochs[] = { "5.0", "6.0", NULL };
	start(gateway.line_endpoint, 1000);
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&gateway, PLACE(6, 0), PLACE(5, 0), epochs);
	WAIT_FOR(&loop, subscriber_is_ready(subscriber));
	assert_true(subscriber_has_history(subscriber));
	fake_gateway_wait_subscribed(&gateway);
	publish(6, 1);
	wait_for(1);
	assert_got(0, 6, 1, false);
}

/* The gateway sends in chunks of its own and goes on when one is acknowledged. */
static void test_a_part_of_the_answer_is_acknowledged_at_once(void **state)
{
	(void)state;
	start(gateway.line_endpoint, 1000);
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&gateway, PLACE(6, 100), PLACE(6, 0), NULL);
	assert_asked(6, 1, 100);
	uint64_t begun = clock_monotonic_ms();
	for (uint64_t seq = 1; seq <= 91; seq += 10) {
		repair(6, seq, seq + 9);
		for (;;) { /* a round may have ended in the middle */
			const struct message *report = fake_gateway_hear(&gateway, MESSAGE_REPORT);
			if (report->seq == seq + 9 || seq == 91)
				break;
		}
	}
	wait_for(100);
	assert_int_equal(subscriber_counters(subscriber)->asked, 1);
	assert_true(clock_monotonic_ms() - begun < 5000); /* by reports once a second it would be more */
}

static void test_ready_needs_grants_and_blocks_of_gateways_that_tell_them(void **state)
{
	(void)state;
	static const char key[MAC_KEY_LEN] = "0123456789abcdef0123456789abcde";
	start(gateway.line_endpoint, 1000);
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_say(&gateway, &(struct message){
		.kind = MESSAGE_WELCOME, .epoch = 6, .last_seq = 0, .instance = gateway.instance, .endpoint = bytes_of(gateway.events_endpoint),
		.key = { key, MAC_KEY_LEN },
	});
	WAIT_FOR(&loop, subscriber_has_history(subscriber));
	fake_gateway_say(&gateway, &(struct message){ .kind = MESSAGE_STANDING, .index = 0 });
	WAIT_FOR(&loop, standings == 1);
	assert_false(subscriber_is_ready(subscriber));
	assert_memory_equal(subscriber_mac_key(subscriber), key, MAC_KEY_LEN);
	fake_gateway_say(&gateway, &(struct message){ .kind = MESSAGE_STANDING, .index = 1, .is_last = 1 });
	WAIT_FOR(&loop, subscriber_is_ready(subscriber));
	assert_int_equal(losses, 0);
}

/* Clients that were let in meanwhile are owed what was published since, and nothing older. */
static void test_ready_without_an_answer(void **state)
{
	(void)state;
	uint64_t begun = clock_monotonic_ms();
	start(gateway.line_endpoint, 1000);
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	WAIT_FOR(&loop, subscriber_is_ready(subscriber));
	assert_in_range(clock_monotonic_ms() - begun, 5000, 15000);
	assert_false(subscriber_has_history(subscriber));
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&gateway, PLACE(6, 2), PLACE(6, 0), NULL);
	assert_asked(6, 1, 2);
	struct message message = { .kind = MESSAGE_EVENT, .epoch = 6, .seq = 1, .time_ms = clock_wall_ms() - 60000, .body = bytes_of("\"e\"") };
	fake_gateway_say(&gateway, &message);
	message.seq = 2;
	message.time_ms = clock_wall_ms();
	fake_gateway_say(&gateway, &message);
	wait_for(2);
	assert_got(0, 6, 1, true);
	assert_got(1, 6, 2, false);
	assert_true(subscriber_has_history(subscriber));
}

/* It would have clients and no events. */
static void test_a_hub_whose_name_is_taken_does_not_serve(void **state)
{
	(void)state;
	uint64_t begun = clock_monotonic_ms();
	start(gateway.line_endpoint, 0);
	while (clock_monotonic_ms() < begun + 6000) {
		fake_gateway_hear(&gateway, MESSAGE_HELLO);
		fake_gateway_say(&gateway, &(struct message){ .kind = MESSAGE_REFUSAL, .status = REFUSAL_NAME_TAKEN, .reason = bytes_of("taken") });
		assert_false(subscriber_is_ready(subscriber));
	}
	assert_true(subscriber_counters(subscriber)->refusals > 3);
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&gateway, PLACE(6, 2), NOWHERE, NULL);
	WAIT_FOR(&loop, subscriber_is_ready(subscriber));
}

/* --- what is missing -------------------------------------------------------- */

static void test_a_gap_is_asked_for_and_filled(void **state)
{
	(void)state;
	follow(10);
	publish(6, 11);
	publish(6, 14);
	publish(6, 15);
	assert_asked(6, 12, 13);
	repair(6, 12, 13);
	wait_for(5);
	for (size_t i = 0; i < 5; i++)
		assert_got(i, 6, 11 + i, false);
	assert_int_equal(subscriber_sequence(subscriber)->counters.gaps, 1);
}

static void test_a_question_without_answer_is_asked_again(void **state)
{
	(void)state;
	follow(10);
	fake_gateway_heartbeat(&gateway, PLACE(6, 11), false);
	assert_asked(6, 11, 11);
	assert_asked(6, 11, 11);
	assert_asked(6, 11, 11);
	repair(6, 11, 11);
	wait_for(1);
}

static void test_control_events_keep_their_place(void **state)
{
	(void)state;
	follow(10);
	publish(6, 12);
	fake_gateway_publish(&gateway, &(struct message){
		.kind = MESSAGE_CONTROL, .epoch = 6, .seq = 11, .operation = CONTROL_DISCONNECT, .user = bytes_of("7"),
	});
	wait_for(2);
	assert_got(0, 6, 11, false);
	assert_int_equal(got[0].kind, MESSAGE_CONTROL);
	assert_int_equal(got[1].kind, MESSAGE_EVENT);
}

static void test_gone_is_counted_and_told(void **state)
{
	(void)state;
	follow(10);
	publish(6, 14);
	assert_asked(6, 11, 13);
	fake_gateway_say(&gateway, &(struct message){ .kind = MESSAGE_GONE, .epoch = 6, .first_seq = 13 });
	assert_asked(6, 13, 13);
	assert_int_equal(losses, 1);
	fake_gateway_hear(&gateway, MESSAGE_HELLO); /* for a fresh STANDING */
	repair(6, 13, 13);
	wait_for(2);
	assert_int_equal(subscriber_sequence(subscriber)->counters.lost, 2);
	assert_int_equal(subscriber_complete_since(subscriber).seq, 12);
	assert_true(subscriber_is_following(subscriber));
}

static void test_gone_past_what_is_held(void **state)
{
	(void)state;
	follow(10);
	publish(6, 13);
	assert_asked(6, 11, 12);
	publish(6, 20);
	fake_gateway_say(&gateway, &(struct message){ .kind = MESSAGE_GONE, .epoch = 6, .first_seq = 18 });
	assert_asked(6, 18, 19);
	wait_for(1);
	assert_got(0, 6, 13, false);
	repair(6, 18, 19);
	wait_for(4);
	assert_int_equal(subscriber_sequence(subscriber)->counters.lost, 2 + 4);
}

/* --- acknowledgements ------------------------------------------------------- */

static void test_reports_at_once_when_asked(void **state)
{
	(void)state;
	follow(10);
	while (fake_gateway_hears(&gateway, MESSAGE_REPORT, 50))
		continue;
	uint64_t begun = clock_monotonic_ms();
	publish(6, 11);
	fake_gateway_heartbeat(&gateway, PLACE(6, 11), true);
	while (fake_gateway_hear(&gateway, MESSAGE_REPORT)->seq != 11)
		continue;
	for (int i = 0; i < 10; i++) {
		fake_gateway_heartbeat(&gateway, PLACE(6, 11), true);
		fake_gateway_hear(&gateway, MESSAGE_REPORT);
	}
	assert_true(clock_monotonic_ms() - begun < 6000); /* once a second it would be more */
}

static void test_reports_when_the_gap_is_filled_that_held_it_up(void **state)
{
	(void)state;
	follow(10);
	publish(6, 12);
	fake_gateway_heartbeat(&gateway, PLACE(6, 12), true);
	assert_asked(6, 11, 11);
	repair(6, 11, 11);
	while (fake_gateway_hear(&gateway, MESSAGE_REPORT)->seq != 12)
		continue;
	wait_for(2);
}

/* --- gateways that come and go ---------------------------------------------- */

static void test_a_new_epoch_first_repairs_the_old_one(void **state)
{
	(void)state;
	static const char *const epochs[] = { "6.12", "8.1", NULL };
	follow(10);
	publish(8, 1); /* the gateway was restarted; 11 and 12 of the old epoch never came */
	const struct message *hello = fake_gateway_hear(&gateway, MESSAGE_HELLO);
	assert_int_equal(hello->epoch, 6);
	assert_int_equal(hello->seq, 10);
	fake_gateway_welcome(&gateway, PLACE(8, 1), NOWHERE, epochs);
	assert_asked(6, 11, 12);
	assert_int_equal(got_count, 0);
	repair(6, 11, 12);
	wait_for(3);
	assert_got(0, 6, 11, false);
	assert_got(1, 6, 12, false);
	assert_got(2, 8, 1, false);
	assert_int_equal(losses, 0);
}

static void test_a_heartbeat_tells_of_a_new_epoch(void **state)
{
	(void)state;
	static const char *const epochs[] = { "6.10", "8.0", NULL };
	follow(10);
	fake_gateway_heartbeat(&gateway, PLACE(8, 0), false);
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&gateway, PLACE(8, 0), NOWHERE, epochs);
	const struct message *report = fake_gateway_hear(&gateway, MESSAGE_REPORT);
	assert_int_equal(report->epoch, 8);
	assert_int_equal(report->seq, 0);
	publish(8, 1);
	wait_for(1);
	assert_got(0, 8, 1, false);
}

static void test_a_restored_backup_swallows_nothing(void **state)
{
	(void)state;
	static const char *const epochs[] = { "6.5", "8.1", NULL };
	follow(10);
	fake_gateway_heartbeat(&gateway, PLACE(8, 1), false);
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&gateway, PLACE(8, 1), NOWHERE, epochs);
	assert_asked(8, 1, 1);
	repair(8, 1, 1);
	wait_for(1);
	assert_got(0, 8, 1, false);
	assert_int_equal(losses, 1);
	assert_int_equal(subscriber_sequence(subscriber)->counters.breaks, 1);
}

static void test_an_epoch_that_went_back_is_followed(void **state)
{
	(void)state;
	follow(10);
	fake_gateway_heartbeat(&gateway, PLACE(2, 1), false);
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&gateway, PLACE(2, 1), NOWHERE, NULL);
	assert_asked(2, 1, 1);
	repair(2, 1, 1);
	publish(2, 2);
	wait_for(2);
	assert_got(1, 2, 2, false);
	assert_int_equal(losses, 1);
}

static void test_an_epoch_that_another_process_begins_once_more(void **state)
{
	(void)state;
	follow(10);
	gateway.instance += 2;
	fake_gateway_heartbeat(&gateway, PLACE(6, 3), false);
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&gateway, PLACE(6, 3), NOWHERE, NULL);
	assert_asked(6, 1, 3);
	repair(6, 1, 3);
	wait_for(3);
	assert_got(0, 6, 1, false);
	assert_int_equal(losses, 1);
}

static void test_events_move(void **state)
{
	(void)state;
	struct fake_gateway other;
	follow(10);
	fake_gateway_open(&other, &loop, directory, "b");
	fake_gateway_say(&gateway, &(struct message){
		.kind = MESSAGE_WELCOME, .epoch = 6, .last_seq = 10, .instance = gateway.instance, .endpoint = bytes_of(other.events_endpoint),
	});
	fake_gateway_wait_subscribed(&other);
	fake_gateway_send_event(&other, false, 6, 11);
	wait_for(1);
	fake_gateway_close(&other);
}

static void test_the_gateway_is_started_again(void **state)
{
	(void)state;
	static const char *const epochs[] = { "6.10", "7.0", NULL };
	follow(10);
	fake_gateway_close(&gateway);
	fake_gateway_open(&gateway, &loop, directory, "a");
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&gateway, PLACE(7, 0), NOWHERE, epochs);
	fake_gateway_wait_subscribed(&gateway);
	publish(7, 1);
	wait_for(1);
	assert_got(0, 7, 1, false);
}

/* Known to be there only by what it says; the hub's clients stay. */
static void test_a_silent_gateway_is_sought(void **state)
{
	(void)state;
	follow(10);
	const struct bytes hubs[] = { bytes_of("hub-t=3"), bytes_of("hub-u=40") };
	fake_gateway_publish(&gateway, &(struct message){
		.kind = MESSAGE_HEARTBEAT, .epoch = 6, .last_seq = 10, .instance = gateway.instance, .hubs = { hubs, 2 },
	});
	WAIT_FOR(&loop, subscriber_other_clients(subscriber) == 40);
	WAIT_FOR(&loop, !subscriber_is_following(subscriber));
	assert_int_equal(subscriber_other_clients(subscriber), 0);
	assert_true(subscriber_is_ready(subscriber));
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&gateway, PLACE(6, 10), NOWHERE, NULL);
	WAIT_FOR(&loop, subscriber_is_following(subscriber));
	assert_int_equal(losses, 0);
}

static void test_the_next_gateway_is_tried(void **state)
{
	(void)state;
	struct fake_gateway standby;
	char line[600];
	fake_gateway_open(&standby, &loop, directory, "standby");
	snprintf(line, sizeof(line), "ipc://%s/nobody.sock, %s ,%s", directory, standby.line_endpoint, gateway.line_endpoint);
	start(line, 0);
	fake_gateway_hear(&standby, MESSAGE_HELLO);
	fake_gateway_say(&standby, &(struct message){ .kind = MESSAGE_REFUSAL, .reason = bytes_of("this gateway is a standby") });
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&gateway, PLACE(6, 10), NOWHERE, NULL);
	WAIT_FOR(&loop, subscriber_is_following(subscriber));
	/* It becomes the standby. */
	fake_gateway_say(&gateway, &(struct message){ .kind = MESSAGE_REFUSAL, .reason = bytes_of("this gateway is a standby") });
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_say(&gateway, &(struct message){ .kind = MESSAGE_REFUSAL, .reason = bytes_of("this gateway is a standby") });
	static const char *const epochs[] = { "6.10", "7.0", NULL };
	fake_gateway_hear(&standby, MESSAGE_HELLO);
	fake_gateway_welcome(&standby, PLACE(7, 0), NOWHERE, epochs);
	fake_gateway_wait_subscribed(&standby);
	fake_gateway_send_event(&standby, false, 7, 1);
	wait_for(1);
	fake_gateway_close(&standby);
}

/* --- what strangers say, and the rest --------------------------------------- */

static void test_nonsense_is_dropped_and_counted(void **state)
{
	(void)state;
	static const char *const epochs[] = { "6.5", "5.1", NULL }, *const beyond[] = { "9.1", NULL }, *const words[] = { "six", NULL };
	follow(10);
	fake_gateway_say_raw(&gateway, bytes_of("nonsense"), false);
	fake_gateway_say_raw(&gateway, bytes_of("RC\1\1"), true);
	fake_gateway_say_raw(&gateway, (struct bytes){ NULL, 0 }, false);
	fake_gateway_say(&gateway, &(struct message){ .kind = MESSAGE_HELLO, .hub = bytes_of("x"), .instance = 1 });
	fake_gateway_say(&gateway, &(struct message){ .kind = MESSAGE_HEARTBEAT, .epoch = 9 }); /* not on this socket */
	fake_gateway_welcome(&gateway, PLACE(6, 10), NOWHERE, epochs);
	fake_gateway_welcome(&gateway, PLACE(6, 10), NOWHERE, beyond);
	fake_gateway_welcome(&gateway, PLACE(6, 10), NOWHERE, words);
	fake_gateway_welcome(&gateway, PLACE(UINT64_MAX, 10), NOWHERE, NULL);
	fake_gateway_welcome(&gateway, PLACE(6, UINT64_MAX), NOWHERE, NULL);
	fake_gateway_say(&gateway, &(struct message){
		.kind = MESSAGE_WELCOME, .epoch = 9, .instance = 5, .endpoint = bytes_of("tcp://10.0.0.1:5000"),
	});
	WAIT_FOR(&loop, subscriber_counters(subscriber)->malformed == 11);
	assert_int_equal(subscriber_position(subscriber).epoch, 6);
	publish(6, 11);
	wait_for(1);
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
	start(gateway.line_endpoint, 0);
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&gateway, PLACE(299, 5), NOWHERE, epochs);
	WAIT_FOR(&loop, subscriber_is_following(subscriber));
	assert_int_equal(subscriber_sequence(subscriber)->epoch_count, MESSAGE_EPOCHS_MAX);
	assert_true(subscriber_epoch_end(subscriber, 299 - MESSAGE_EPOCHS_MAX + 1, &last));
	assert_false(subscriber_epoch_end(subscriber, 299 - MESSAGE_EPOCHS_MAX, &last));
}

static void test_relays(void **state)
{
	(void)state;
	start(gateway.line_endpoint, 0);
	struct message message = { .audience = AUDIENCE_AUTHENTICATED, .body = bytes_of("\"user:activity\",{}") };
	subscriber_relay(subscriber, &message);
	assert_int_equal(subscriber_counters(subscriber)->relays_lost, 1);
	fake_gateway_hear(&gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&gateway, PLACE(6, 10), NOWHERE, NULL);
	WAIT_FOR(&loop, subscriber_is_following(subscriber));
	subscriber_relay(subscriber, &message);
	const struct message *relay = fake_gateway_hear(&gateway, MESSAGE_RELAY);
	assert_int_equal(relay->counter, 2);
	assert_true(bytes_equal_text(relay->body, "\"user:activity\",{}"));
	/* It comes back to everybody; ours is not for us. */
	fake_gateway_wait_subscribed(&gateway);
	fake_gateway_publish(&gateway, &(struct message){
		.kind = MESSAGE_VOLATILE, .hub = bytes_of("hub-t"), .instance = subscriber_instance(subscriber), .counter = 2, .body = bytes_of("\"e\""),
	});
	fake_gateway_publish(&gateway, &(struct message){
		.kind = MESSAGE_VOLATILE, .hub = bytes_of("hub-u"), .instance = 1, .counter = 1, .body = bytes_of("\"e\""),
	});
	wait_for(1);
	assert_int_equal(got[0].kind, MESSAGE_VOLATILE);
	assert_false(got[0].is_history);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_gateway_without_windows_is_joined_at_its_end), CASE(test_the_window_is_loaded_across_epochs), CASE(test_an_empty_window),
		CASE(test_a_part_of_the_answer_is_acknowledged_at_once), CASE(test_ready_needs_grants_and_blocks_of_gateways_that_tell_them),
		CASE(test_ready_without_an_answer), CASE(test_a_hub_whose_name_is_taken_does_not_serve), CASE(test_a_gap_is_asked_for_and_filled), CASE(test_a_question_without_answer_is_asked_again),
		CASE(test_control_events_keep_their_place), CASE(test_gone_is_counted_and_told), CASE(test_gone_past_what_is_held),
		CASE(test_reports_at_once_when_asked), CASE(test_reports_when_the_gap_is_filled_that_held_it_up),
		CASE(test_a_new_epoch_first_repairs_the_old_one), CASE(test_a_heartbeat_tells_of_a_new_epoch),
		CASE(test_a_restored_backup_swallows_nothing), CASE(test_an_epoch_that_went_back_is_followed),
		CASE(test_an_epoch_that_another_process_begins_once_more), CASE(test_events_move), CASE(test_the_gateway_is_started_again),
		CASE(test_a_silent_gateway_is_sought), CASE(test_the_next_gateway_is_tried), CASE(test_nonsense_is_dropped_and_counted),
		CASE(test_more_epochs_than_are_kept), CASE(test_relays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
