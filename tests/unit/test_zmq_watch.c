/* test_zmq_watch.c - ZeroMQ sockets on a loop: nothing that waits is forgotten, rounds are bounded, several parts are dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include <zmq.h>

#include <roomcast/clock.h>

#include "fake_gateway.h"
#include "zmq_watch.h"

static struct fixture {
	uv_loop_t loop;
	void *context, *other;
	struct zmq_watch watch;
	int messages, malformed, rounds, largest_round, this_round;
	long sum;
	bool is_full, is_closed, closes_at_once, answers;
} fixture;

static void on_closed(void *data)
{
	(void)data;
	fixture.is_closed = true;
}

static void on_message(void *data, struct bytes message)
{
	(void)data;
	char text[16] = "";
	memcpy(text, message.data, message.len < 15 ? message.len : 15);
	fixture.messages++;
	fixture.this_round++;
	fixture.sum += strtol(text, NULL, 10);
	if (fixture.answers)
		assert_int_equal(zmq_watch_send(&fixture.watch, message), 0);
	if (fixture.closes_at_once)
		zmq_watch_close(&fixture.watch, on_closed);
}

static void on_malformed(void *data)
{
	(void)data;
	fixture.malformed++;
}

static void on_round(void *data)
{
	(void)data;
	fixture.rounds++;
	if (fixture.this_round > fixture.largest_round)
		fixture.largest_round = fixture.this_round;
	fixture.this_round = 0;
}

static bool is_full(void *data)
{
	(void)data;
	return fixture.is_full;
}

static int setup(void **state)
{
	(void)state;
	int none = 0, many = 100000;
	struct error err;
	fixture = (struct fixture){ .context = zmq_ctx_new() };
	uv_loop_init(&fixture.loop);
	fixture.other = zmq_socket(fixture.context, ZMQ_PAIR);
	void *socket = zmq_socket(fixture.context, ZMQ_PAIR);
	for (int i = 0; i < 2; i++) {
		zmq_setsockopt(i ? socket : fixture.other, ZMQ_LINGER, &none, sizeof(none));
		zmq_setsockopt(i ? socket : fixture.other, ZMQ_SNDHWM, &many, sizeof(many));
		zmq_setsockopt(i ? socket : fixture.other, ZMQ_RCVHWM, &many, sizeof(many));
	}
	assert_int_equal(zmq_bind(fixture.other, "inproc://watch"), 0);
	assert_int_equal(zmq_connect(socket, "inproc://watch"), 0);
	fixture.watch = (struct zmq_watch){
		.on_message = on_message, .on_malformed = on_malformed, .on_round = on_round, .is_full = is_full, .data = &fixture,
	};
	return zmq_watch_start(&fixture.watch, &fixture.loop, socket, &err);
}

static int teardown(void **state)
{
	(void)state;
	if (!fixture.watch.closing && !fixture.is_closed)
		zmq_watch_close(&fixture.watch, on_closed);
	uv_run(&fixture.loop, UV_RUN_DEFAULT);
	zmq_close(fixture.other);
	zmq_ctx_term(fixture.context);
	return !fixture.is_closed || uv_loop_close(&fixture.loop);
}

static void send_text(const char *text)
{
	assert_true(zmq_send(fixture.other, text, strlen(text), 0) >= 0);
}

static void test_a_flood_is_read_to_its_end_in_bounded_rounds(void **state)
{
	(void)state;
	for (int i = 0; i < 5000; i++)
		send_text("1");
	WAIT_FOR(&fixture.loop, fixture.messages == 5000);
	assert_int_equal(fixture.sum, 5000);
	assert_in_range(fixture.largest_round, 1, 512);
	assert_true(fixture.rounds >= 5000 / 512);
	/* And then it rests: the loop waits for what comes. */
	WAIT_FOR(&fixture.loop, !uv_is_active((uv_handle_t *)&fixture.watch.rest));
	send_text("7");
	WAIT_FOR(&fixture.loop, fixture.messages == 5001);
}

/* ZMQ_FD tells of an edge once: one that a send has eaten must not be missed. */
static void test_answers_while_more_comes(void **state)
{
	(void)state;
	char text[8];
	fixture.answers = true;
	for (int i = 1; i <= 500; i++) {
		send_text("1");
		WAIT_FOR(&fixture.loop, fixture.messages == i);
		assert_int_equal(zmq_recv(fixture.other, text, sizeof(text), 0), 1);
		send_text("1");
		assert_int_equal(zmq_watch_send(&fixture.watch, bytes_of("x")), 0);
		i++;
		WAIT_FOR(&fixture.loop, fixture.messages == i);
		assert_int_equal(zmq_recv(fixture.other, text, sizeof(text), 0), 1);
		assert_int_equal(zmq_recv(fixture.other, text, sizeof(text), 0), 1);
	}
}

static void test_several_parts_are_dropped_whole(void **state)
{
	(void)state;
	for (int parts = 2; parts < 5; parts++) {
		for (int i = 1; i < parts; i++)
			assert_true(zmq_send(fixture.other, "5", 1, ZMQ_SNDMORE) >= 0);
		send_text("5");
	}
	send_text("1");
	WAIT_FOR(&fixture.loop, fixture.messages == 1);
	assert_int_equal(fixture.malformed, 3);
	assert_int_equal(fixture.sum, 1);
}

static void test_full_leaves_them_waiting(void **state)
{
	(void)state;
	fixture.is_full = true;
	for (int i = 0; i < 10; i++)
		send_text("1");
	for (int i = 0; i < 20; i++)
		fake_gateway_turn(&fixture.loop);
	assert_int_equal(fixture.messages, 0);
	fixture.is_full = false; /* and nothing else happens */
	WAIT_FOR(&fixture.loop, fixture.messages == 10);
}

static void test_closing_inside_a_message(void **state)
{
	(void)state;
	fixture.closes_at_once = true;
	send_text("1");
	send_text("1");
	WAIT_FOR(&fixture.loop, fixture.is_closed);
	assert_int_equal(fixture.messages, 1);
	assert_int_equal(fixture.rounds, 0);
}

static void test_nobody_takes_it(void **state)
{
	(void)state;
	int one = 1;
	struct zmq_watch alone = { .on_message = on_message, .on_malformed = on_malformed, .data = &fixture };
	struct error err;
	void *socket = zmq_socket(fixture.context, ZMQ_DEALER);
	zmq_setsockopt(socket, ZMQ_IMMEDIATE, &one, sizeof(one));
	assert_int_equal(zmq_watch_start(&alone, &fixture.loop, socket, &err), 0);
	assert_int_equal(zmq_watch_send(&alone, bytes_of("x")), -1);
	zmq_watch_close(&alone, on_closed);
	WAIT_FOR(&fixture.loop, fixture.is_closed);
	fixture.is_closed = false;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_flood_is_read_to_its_end_in_bounded_rounds), CASE(test_answers_while_more_comes), CASE(test_several_parts_are_dropped_whole),
		CASE(test_full_leaves_them_waiting), CASE(test_closing_inside_a_message), CASE(test_nobody_takes_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
