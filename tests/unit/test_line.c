/* test_line.c - the line and its hubs, on real sockets: standby and active, greetings, repairs, confirmations, strangers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include <zmq.h>

#include <roomcast/clock.h>

#include "line_fixture.h"
#include "line_parts.h"

static struct fixture fixture;
static struct peer hub, other;

static void open_peers(void)
{
	peer_open(&hub, &fixture, "hub-1", 11);
	peer_open(&other, &fixture, "hub-2", 22);
}

static int open_all(void **state)
{
	(void)state;
	fixture_open(&fixture);
	open_peers();
	return 0;
}

static int open_impatient(void **state)
{
	(void)state;
	fixture_open_impatient(&fixture);
	open_peers();
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	peer_close(&other);
	peer_close(&hub);
	fixture_close(&fixture);
	return 0;
}

static void activate(uint64_t epoch, uint64_t last)
{
	fixture_store(&fixture, epoch, 1, last);
	line_activate(fixture.line, epoch);
	fixture_publish(&fixture, epoch, 1, last);
	struct line_figures figures;
	eventually((line_figures(fixture.line, &figures), figures.published_seq == last && figures.epoch == epoch));
}

static uint64_t counted(enum line_counter counter)
{
	struct line_figures figures;
	line_figures(fixture.line, &figures);
	return figures.counters[counter];
}

static void assert_text(struct bytes text, const char *expected)
{
	if (!bytes_equal_text(text, expected))
		fail_msg("\"%.*s\" is not \"%s\"", (int)text.len, text.data, expected);
}

static void expect_events(struct peer *peer, uint64_t epoch, uint64_t first, uint64_t last)
{
	for (uint64_t seq = first; seq <= last; seq++) {
		peer_expect(peer, MESSAGE_EVENT);
		assert_true(peer->message.epoch == epoch && peer->message.seq == seq);
	}
}

static void ask(struct peer *peer, uint64_t epoch, uint64_t first, uint64_t last)
{
	peer_say(peer, (struct message){ .kind = MESSAGE_ASK, .epoch = epoch, .seq = first, .last_seq = last });
}

static void test_standby_and_active(void **state)
{
	(void)state;
	peer_say(&hub, (struct message){ .kind = MESSAGE_HELLO });
	peer_expect(&hub, MESSAGE_REFUSAL);
	assert_text(hub.message.reason, "this gateway is a standby");
	assert_false(line_is_active(fixture.line));
	fixture_store(&fixture, 5, 1, 3);
	activate(7, 2);
	assert_true(line_is_active(fixture.line));
	peer_expect_published(&hub, MESSAGE_HEARTBEAT);
	peer_say(&hub, (struct message){ .kind = MESSAGE_HELLO });
	peer_expect(&hub, MESSAGE_WELCOME);
	assert_true(hub.message.epoch == 7 && hub.message.last_seq == 2);
	assert_text(hub.message.endpoint, fixture.events);
	assert_int_equal(hub.message.epochs.count, 2);
	assert_text(hub.message.epochs.items[0], "5.3");
	assert_text(hub.message.epochs.items[1], "7.2");
	assert_true(hub.message.key.len == MAC_KEY_LEN && hub.message.key.data[31] == 'k');
	assert_true(hub.message.start_epoch == 7 && hub.message.start_seq == 2); /* it wants no history */
	size_t grants = 0, blocks = 0;
	for (uint64_t index = 0;; index++) {
		peer_expect(&hub, MESSAGE_STANDING);
		assert_true(hub.message.index == index && hub.message.epoch == 7 && hub.message.seq == 2);
		grants += hub.message.grants.count;
		blocks += hub.message.blocks.count;
		if (hub.message.is_last)
			break;
	}
	assert_true(grants == 1501 && blocks == 1);
	assert_text(hub.message.grants.items[0], "late\nroom");
	assert_int_equal(line_hub_count(fixture.line), 1);

	line_deactivate(fixture.line);
	peer_expect(&hub, MESSAGE_REFUSAL);
	eventually(line_hub_count(fixture.line) == 0);
	peer_report(&hub, 7, 2);
	peer_expect(&hub, MESSAGE_REFUSAL);
	assert_text(hub.message.reason, "this gateway is a standby");
	/* Again, in a later epoch, and once more without a pause. */
	fixture_store(&fixture, 9, 1, 0);
	line_activate(fixture.line, 9);
	peer_greet(&hub, 7, 2);
	fixture_store(&fixture, 10, 1, 0);
	line_activate(fixture.line, 10);
	do
		peer_expect_published(&hub, MESSAGE_HEARTBEAT);
	while (hub.message.epoch != 10);
	assert_int_equal(hub.message.last_seq, 0);
}

/* Nothing can be stored, and this process has the lock. */
static void test_reading_on(void **state)
{
	(void)state;
	fixture_store(&fixture, 5, 1, 3);
	fixture_store(&fixture, 7, 1, 6);
	line_read_on(fixture.line, (struct place){ 7, 6 });
	assert_true(line_is_active(fixture.line));
	/* Nobody numbers events now, so it is not another who began the epoch once more. */
	peer_expect_published(&hub, MESSAGE_HEARTBEAT);
	assert_true(hub.message.epoch == 7 && hub.message.last_seq == 6 && hub.message.instance == 0);
	peer_say(&hub, (struct message){ .kind = MESSAGE_HELLO, .epoch = 7, .seq = 4 });
	peer_expect(&hub, MESSAGE_WELCOME);
	assert_true(hub.message.epoch == 7 && hub.message.last_seq == 6 && hub.message.instance == 0);
	assert_int_equal(hub.message.epochs.count, 2);
	do
		peer_expect(&hub, MESSAGE_STANDING);
	while (!hub.message.is_last);
	ask(&hub, 7, 5, 6);
	expect_events(&hub, 7, 5, 6);
	/* A hub that knows a later epoch than this older copy would begin it anew. */
	peer_say(&other, (struct message){ .kind = MESSAGE_HELLO, .epoch = 8, .seq = 1 });
	peer_expect(&other, MESSAGE_REFUSAL);
	assert_int_equal(line_hub_count(fixture.line), 1);
	/* What cannot be read at all: a hub in the present epoch goes on, others wait. */
	fixture.journal.fails = true;
	peer_say(&other, (struct message){ .kind = MESSAGE_HELLO, .epoch = 5, .seq = 1 });
	peer_expect_silence(&other, 100);
	peer_say(&hub, (struct message){ .kind = MESSAGE_HELLO, .epoch = 7, .seq = 6 });
	peer_expect(&hub, MESSAGE_WELCOME);
	assert_true(hub.message.epochs.count == 0 && hub.message.key.len == 0);
	fixture.journal.fails = false;
	/* Again the same; then it can write. */
	line_read_on(fixture.line, (struct place){ 7, 6 });
	fixture_store(&fixture, 9, 1, 0);
	line_activate(fixture.line, 9);
	do
		peer_expect_published(&hub, MESSAGE_HEARTBEAT);
	while (hub.message.epoch != 9);
	assert_int_not_equal(hub.message.instance, 0);
}

static void test_the_window_begins_where_the_journal_says(void **state)
{
	(void)state;
	struct message hello = { .kind = MESSAGE_HELLO, .window_ms = 1000, .window_events = 5, .window_bytes = 500 };
	activate(7, 9);
	fixture.journal.window = (struct place){ 7, 4 };
	peer_say(&hub, hello);
	peer_expect(&hub, MESSAGE_WELCOME);
	assert_true(hub.message.start_epoch == 7 && hub.message.start_seq == 4);
	/* Everything: behind what lies before the first. */
	fixture.journal.window = (struct place){ 0 };
	peer_say(&other, hello);
	peer_expect(&other, MESSAGE_WELCOME);
	assert_true(other.message.start_epoch == 7 && other.message.start_seq == 0);
}

static void test_repairs_come_in_chunks(void **state)
{
	(void)state;
	activate(7, 10);
	peer_greet(&hub, 7, 0);
	ask(&hub, 7, 1, 10);
	expect_events(&hub, 7, 1, 4);
	peer_report(&hub, 7, 3); /* not the whole chunk yet */
	peer_expect_silence(&hub, 100);
	peer_report(&hub, 7, 4);
	expect_events(&hub, 7, 5, 8);
	ask(&hub, 7, 5, 10); /* impatient */
	peer_expect_silence(&hub, 100);
	peer_report(&hub, 7, 8);
	expect_events(&hub, 7, 9, 10);
	peer_report(&hub, 7, 10);
	peer_expect_silence(&hub, 100);
	assert_int_equal(counted(LINE_REPAIRED), 10);
	/* What does not exist yet gives nothing. */
	ask(&hub, 7, 11, 20);
	peer_expect_silence(&hub, 100);
}

static void test_what_is_gone_is_told(void **state)
{
	(void)state;
	fixture_store(&fixture, 5, 1, 3);
	fixture.journal.count = 0; /* trimmed, but its epoch is known */
	fixture_store(&fixture, 6, 4, 6);
	activate(7, 1);
	peer_greet(&hub, 5, 1);
	ask(&hub, 5, 2, 3); /* lost, and 6.1 to 6.3 too */
	peer_expect(&hub, MESSAGE_GONE);
	assert_true(hub.message.epoch == 6 && hub.message.first_seq == 4);
	eventually(counted(LINE_GONE) == 1);
	ask(&hub, 6, 1, 6);
	peer_expect(&hub, MESSAGE_GONE);
	assert_true(hub.message.epoch == 6 && hub.message.first_seq == 4);
	expect_events(&hub, 6, 4, 6);
	eventually(counted(LINE_GONE) == 2);
	/* Beyond the end of an epoch (a restored backup): on to the next, and nothing is lost. */
	peer_report(&hub, 6, 8);
	ask(&hub, 6, 9, 12);
	peer_expect(&hub, MESSAGE_GONE);
	assert_true(hub.message.epoch == 7 && hub.message.first_seq == 1);
	assert_int_equal(counted(LINE_GONE), 2);
}

static void test_an_empty_new_epoch_is_gone_on_to(void **state)
{
	(void)state;
	fixture_store(&fixture, 5, 1, 3);
	activate(7, 0);
	peer_greet(&hub, 5, 3);
	ask(&hub, 5, 4, 9);
	peer_expect(&hub, MESSAGE_GONE);
	assert_true(hub.message.epoch == 7 && hub.message.first_seq == 1);
	assert_int_equal(counted(LINE_GONE), 0);
}

static void test_a_hub_that_does_not_ask_is_sent_what_it_lacks(void **state)
{
	(void)state;
	fixture_store(&fixture, 5, 1, 3);
	activate(7, 3);
	peer_greet(&hub, 5, 2);
	for (int i = 0; i < 30; i++) { /* alive, but it gets nowhere */
		usleep(100000);
		peer_report(&hub, 5, 2);
	}
	expect_events(&hub, 5, 3, 3);
	expect_events(&hub, 7, 1, 3);
	peer_report(&hub, 7, 3);
	peer_expect_silence(&hub, 100);
}

static void test_a_journal_that_hangs_stops_no_heartbeat(void **state)
{
	(void)state;
	activate(7, 5);
	peer_greet(&hub, 7, 0);
	fixture_hold(&fixture, true);
	ask(&hub, 7, 1, 5);
	peer_say(&other, (struct message){ .kind = MESSAGE_HELLO, .epoch = 7, .seq = 5 });
	eventually(line_hub_count(fixture.line) == 2);
	for (int i = 0; i < 5; i++)
		peer_expect_published(&hub, MESSAGE_HEARTBEAT);
	fixture_publish(&fixture, 7, 6, 6);
	peer_expect_published(&other, MESSAGE_EVENT);
	peer_expect_silence(&hub, 50);
	fixture_hold(&fixture, false);
	expect_events(&hub, 7, 1, 4);
	peer_expect(&other, MESSAGE_WELCOME);
	/* One that fails answers nothing; who asks again when it works is served. */
	fixture.journal.fails = true;
	peer_report(&hub, 7, 4);
	peer_expect_silence(&hub, 100);
	fixture.journal.fails = false;
	ask(&hub, 7, 5, 5);
	expect_events(&hub, 7, 5, 5);
}

struct waiter {
	pthread_t thread;
	struct place place;
	uint64_t timeout_ms;
	struct line_confirmation confirmation;
};

static void *wait_for_confirmation(void *data)
{
	struct waiter *waiter = data;
	line_confirm(fixture.line, waiter->place, waiter->timeout_ms, &waiter->confirmation);
	return NULL;
}

static void test_confirmations(void **state)
{
	(void)state;
	struct waiter all = { .place = { 7, 5 }, .timeout_ms = PATIENCE_MS }, some = { .place = { 7, 6 }, .timeout_ms = 2000 };
	struct line_confirmation none;
	activate(7, 5);
	line_confirm(fixture.line, (struct place){ 7, 5 }, PATIENCE_MS, &none);
	assert_true(none.hubs == 0 && none.confirmed == 0);
	peer_greet(&hub, 7, 0);
	peer_greet(&other, 7, 0);
	peer_expect_published(&hub, MESSAGE_HEARTBEAT);
	assert_int_equal(hub.message.wants_report, 0);
	pthread_create(&all.thread, NULL, wait_for_confirmation, &all);
	do
		peer_expect_published(&hub, MESSAGE_HEARTBEAT);
	while (!hub.message.wants_report);
	assert_int_equal(hub.message.last_seq, 5);
	peer_report(&hub, 7, 5);
	peer_report(&other, 7, 4);
	peer_report(&other, 7, 5);
	pthread_join(all.thread, NULL);
	assert_true(all.confirmation.hubs == 2 && all.confirmation.confirmed == 2);

	pthread_create(&some.thread, NULL, wait_for_confirmation, &some);
	peer_report(&hub, 8, 1); /* of an epoch that is none yet */
	peer_report(&other, 7, 6);
	pthread_join(some.thread, NULL);
	assert_true(some.confirmation.hubs == 2 && some.confirmation.confirmed == 1);
	for (size_t i = 0; i < 2; i++)
		assert_true(some.confirmation.items[i].has_confirmed == (strcmp(some.confirmation.items[i].name, "hub-2") == 0));
}

static void test_names(void **state)
{
	(void)state;
	struct peer rival;
	activate(7, 3);
	peer_open(&rival, &fixture, "hub-1", 12);
	peer_greet(&hub, 7, 3);
	peer_say(&rival, (struct message){ .kind = MESSAGE_HELLO });
	peer_expect(&rival, MESSAGE_REFUSAL);
	assert_text(rival.message.reason, "a hub of that name is alive");
	peer_expect(&hub, MESSAGE_GONE); /* which asked whether it is there, and means nothing */
	assert_true(hub.message.epoch == 7 && hub.message.first_seq == 3);
	/* Killed and started again: nobody waits for silence. */
	uint64_t refused = counted(LINE_REFUSED_HELLOS);
	peer_close(&hub);
	usleep(50000);
	peer_greet(&rival, 7, 3);
	assert_true(counted(LINE_REFUSED_HELLOS) == refused);
	peer_close(&rival);
	peer_open(&hub, &fixture, "hub-1", 13);
}

static void test_silence(void **state)
{
	(void)state;
	activate(7, 0);
	peer_greet(&hub, 7, 0);
	eventually(line_hub_count(fixture.line) == 0);
	peer_report(&hub, 7, 0);
	peer_expect(&hub, MESSAGE_REFUSAL);
	assert_text(hub.message.reason, "say hello first");
}

/* Whoever is killed is not counted until it would be silent: its clients are elsewhere by then. */
static void test_departure(void **state)
{
	(void)state;
	struct peer third;
	activate(7, 3);
	peer_open(&third, &fixture, "hub-3", 33);
	peer_greet(&third, 7, 3);
	peer_greet(&hub, 7, 3);
	uint64_t begun = clock_monotonic_ms();
	assert_int_equal(line_hub_count(fixture.line), 2);
	peer_close(&third);
	while (line_hub_count(fixture.line) == 2 && clock_monotonic_ms() < begun + LONG_SILENCE_MS) {
		peer_report(&hub, 7, 3);
		usleep(10000);
	}
	assert_true(clock_monotonic_ms() < begun + LONG_SILENCE_MS);
	assert_int_equal(line_hub_count(fixture.line), 1);
	peer_report(&hub, 7, 3); /* and it is still known */
	peer_expect_published(&hub, MESSAGE_HEARTBEAT);
	peer_expect_published(&hub, MESSAGE_HEARTBEAT);
	assert_int_equal(line_hub_count(fixture.line), 1);
}

/* PUB keeps messages for hubs that are slow, so what is large goes another way. */
static void test_large_events_are_asked_for(void **state)
{
	(void)state;
	static char body[40000];
	memset(body, '1', sizeof(body));
	struct message message = { .kind = MESSAGE_EVENT, .epoch = 7, .seq = 1, .time_ms = 1, .body = { body, sizeof(body) } };
	struct buffer packed = { 0 };
	activate(7, 0);
	peer_greet(&hub, 7, 0);
	peer_expect_published(&hub, MESSAGE_HEARTBEAT);
	assert_int_equal(message_pack(&message, &packed, NULL), 0);
	fixture_store(&fixture, 7, 1, 2);
	line_publish(fixture.line, 7, 1, buffer_bytes(&packed));
	fixture_publish(&fixture, 7, 2, 2);
	peer_expect_published(&hub, MESSAGE_EVENT);
	assert_true(hub.message.seq == 2);
	peer_expect_published(&hub, MESSAGE_HEARTBEAT);
	assert_true(hub.message.last_seq == 2);
	assert_int_equal(counted(LINE_LARGE), 1);
	ask(&hub, 7, 1, 1);
	expect_events(&hub, 7, 1, 1);
	/* Volatile ones have no other way: so many in a second. */
	uint64_t said = 0;
	for (int round = 0; round < 20 && counted(LINE_VOLATILE_DROPPED) == 0; round++) {
		for (uint64_t last = said + 600; said < last;)
			peer_say(&hub, (struct message){ .kind = MESSAGE_RELAY, .counter = ++said, .body = message.body });
		eventually(counted(LINE_RELAYED) + counted(LINE_VOLATILE_DROPPED) == said);
	}
	assert_true(counted(LINE_RELAYED) >= LINE_VOLATILE_LARGE_MAX / sizeof(body) / 2 && counted(LINE_VOLATILE_DROPPED) > 0);
	buffer_deinit(&packed);
}

static void test_strangers(void **state)
{
	(void)state;
	static const char garbage[] = "RC\1\4nonsense";
	activate(7, 0);
	zmq_send(hub.line, garbage, sizeof(garbage), 0);
	zmq_send(hub.line, "", 0, 0);
	zmq_send(hub.line, "a", 1, ZMQ_SNDMORE);
	zmq_send(hub.line, "b", 1, 0);
	eventually(counted(LINE_MALFORMED) == 3);
	peer_report(&hub, 7, 0); /* no hello yet */
	peer_expect(&hub, MESSAGE_REFUSAL);
	peer_say(&hub, (struct message){ .kind = MESSAGE_WELCOME, .epoch = 1, .endpoint = bytes_of("x") });
	peer_expect(&hub, MESSAGE_REFUSAL);
	peer_greet(&hub, 7, 0);
	hub.instance = 99; /* speaks for another */
	peer_report(&hub, 7, 0);
	peer_expect(&hub, MESSAGE_REFUSAL);
	hub.instance = 11;
	ask(&hub, UINT64_MAX, UINT64_MAX, UINT64_MAX);
	ask(&hub, 1, 5, 1);
	peer_expect_published(&hub, MESSAGE_HEARTBEAT); /* it is subscribed */
	peer_say(&hub, (struct message){ .kind = MESSAGE_RELAY, .counter = 1, .body = bytes_of("\"a\"") });
	peer_expect_published(&hub, MESSAGE_VOLATILE);
	assert_true(hub.message.instance == 11);
	assert_int_equal(counted(LINE_UNEXPECTED), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_standby_and_active, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_reading_on, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_the_window_begins_where_the_journal_says, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_repairs_come_in_chunks, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_what_is_gone_is_told, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_an_empty_new_epoch_is_gone_on_to, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_a_hub_that_does_not_ask_is_sent_what_it_lacks, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_a_journal_that_hangs_stops_no_heartbeat, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_confirmations, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_names, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_silence, open_impatient, close_all),
		cmocka_unit_test_setup_teardown(test_departure, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_large_events_are_asked_for, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_strangers, open_all, close_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
