/* test_session.c - a session on a transport of the test's own: its queue and bounds, its packets, its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http_peer.h"
#include "transport.h"

enum { HOUR_MS = 3600 * 1000, ABOVE_SIZE = 24 };

static uv_loop_t loop;
static struct engine *engine;
static struct session *session;

/* --- the transport --------------------------------------------------------- */

static struct {
	size_t takes;      /* frames of the next send */
	bool is_busy;
	char sent[1024];   /* frames in brackets, sends end with ; */
	char ended[64];
	bool lingers;
} wire;

static bool is_writable(const struct session *of)
{
	assert_ptr_equal(of, session);
	return !wire.is_busy;
}

static size_t send_frames(struct session *of, struct frame *const *frames, size_t count)
{
	assert_ptr_equal(of, session);
	size_t taken = wire.is_busy ? 0 : count < wire.takes ? count : wire.takes;
	for (size_t i = 0; i < taken; i++) {
		size_t used = strlen(wire.sent);
		snprintf(wire.sent + used, sizeof(wire.sent) - used, "[%.*s]", (int)frames[i]->payload_len, frame_payload(frames[i]));
	}
	if (taken)
		strcat(wire.sent, ";");
	return taken;
}

static bool end(struct session *of, enum farewell farewell, enum close_reason reason)
{
	static const char *const names[] = {
		[FAREWELL_POLITE] = "polite", [FAREWELL_NOW] = "now", [FAREWELL_NOOP] = "noop", [FAREWELL_NONE] = "none",
	};
	assert_ptr_equal(of, session);
	snprintf(wire.ended, sizeof(wire.ended), "%s, %s", names[farewell], close_reason_name(reason));
	return wire.lingers;
}

static struct transport transport = { .name = "test", .is_writable = is_writable, .send = send_frames, .end = end };

/* --- the layer above ------------------------------------------------------- */

static char story[1024];

static void tell(const char *what)
{
	strcat(story, what);
}

static void on_open(struct session *of)
{
	static const char zero[ABOVE_SIZE];
	assert_memory_equal(session_above(of), zero, ABOVE_SIZE);
	memset(session_above(of), 0xff, ABOVE_SIZE);
	tell("open ");
}

static void on_message(struct session *of, struct bytes message, bool is_binary, const struct request_info *request)
{
	assert_ptr_equal(of, session);
	assert_true(bytes_equal_text(request->cookie, "c"));
	size_t used = strlen(story);
	snprintf(story + used, sizeof(story) - used, is_binary ? "<%.*s> " : "(%.*s) ", (int)message.len, message.data);
}

static void on_drained(struct session *of)
{
	assert_ptr_equal(of, session);
	assert_false(session_is_queued(of));
	tell("drained ");
}

static void on_echo(struct session *of)
{
	assert_ptr_equal(of, session);
	tell("echo ");
}

static void on_close(struct session *of, enum close_reason reason)
{
	assert_ptr_equal(of, session);
	assert_false(session_is_open(of));
	session_close(of, CLOSE_FORCED); /* again does nothing */
	tell("close ");
	tell(close_reason_name(reason));
}

/* --- up and down ----------------------------------------------------------- */

static int setup(void **state)
{
	struct error err;
	(void)state;
	memset(&wire, 0, sizeof(wire));
	wire.takes = 1000;
	story[0] = '\0';
	uv_loop_init(&loop);
	const struct engine_settings settings = {
		.hub_name = "h", .ping_interval_ms = HOUR_MS, .ping_timeout_ms = HOUR_MS, .upgrade_timeout_ms = HOUR_MS,
		.close_linger_ms = HOUR_MS, .max_payload = 1000, .max_unsent = 1000, .max_sessions = 10,
	};
	const struct session_handler handler = {
		.above_size = ABOVE_SIZE, .on_open = on_open, .on_message = on_message, .on_drained = on_drained, .on_echo = on_echo,
		.on_close = on_close, .data = &loop,
	};
	engine = engine_new(&loop, NULL, &settings, &handler, &err);
	assert_non_null(engine);
	session = engine_admit(engine, NULL, &transport);
	assert_non_null(session);
	session_begin(session);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	engine_close(engine, NULL, NULL);
	run_out(&loop);
	return 0;
}

static void send_all(const char *first, ...)
{
	struct frame *frames[16];
	size_t count = 0;
	va_list rest;
	va_start(rest, first);
	for (const char *text = first; text; text = va_arg(rest, const char *))
		frames[count++] = frame_from_bytes(bytes_of(text), false);
	va_end(rest);
	session_send(session, frames, count);
	for (size_t i = 0; i < count; i++)
		frame_unref(frames[i]); /* the session has references of its own */
}

static void receive(enum engineio_type type, const char *data, bool is_binary)
{
	static const struct request_info request = { .cookie = { "c", 1 } };
	session_receive(session, &(struct engineio_packet){ type, is_binary, bytes_of(data) }, &request);
}

/* --- tests ----------------------------------------------------------------- */

static void test_admission(void **state)
{
	(void)state;
	assert_string_equal(story, "open ");
	assert_true(session_is_open(session));
	assert_ptr_equal(session_data(session), &loop);
	assert_memory_equal(session_sid(session), "h~", 2);
	assert_int_equal(strlen(session_sid(session)), 2 + ENGINE_SID_RANDOM); /* the layer above wrote to all of its memory */
	struct buffer out = { 0 };
	session_write_open(session, true, &out);
	assert_non_null(strstr(out.data, session_sid(session)));
	assert_non_null(strstr(out.data, "\"upgrades\":[\"websocket\"],\"pingInterval\":3600000,\"pingTimeout\":3600000,\"maxPayload\":1000}"));
	buffer_deinit(&out);
	assert_int_equal(engine_counters(engine)->sessions, 1);
}

static void test_sends_at_once_or_queues_in_order(void **state)
{
	(void)state;
	send_all("a", "b", NULL);
	assert_string_equal(wire.sent, "[a][b];");
	assert_true(session_is_writable(session));
	wire.takes = 1;
	send_all("c", "d", "e", NULL);
	assert_string_equal(wire.sent, "[a][b];[c];");
	assert_false(session_is_writable(session));
	wire.takes = 1000;
	send_all("f", NULL); /* behind what is queued, although the transport would take it */
	assert_string_equal(wire.sent, "[a][b];[c];");
	session_flush(session);
	assert_string_equal(wire.sent, "[a][b];[c];[d][e][f];");
	assert_true(session_is_writable(session));
	session_flush(session); /* nothing to do */
	assert_string_equal(wire.sent, "[a][b];[c];[d][e][f];");
	wire.is_busy = true;
	assert_false(session_is_writable(session));
	assert_int_equal(engine_counters(engine)->packets_out, 6);
	assert_int_equal(engine_counters(engine)->bytes_out, 6);
}

/* The queue grows, is used as a ring of its own memory, and keeps the order. */
static void test_queue_in_pieces(void **state)
{
	(void)state;
	char text[2] = { 0 }, expected[1024] = { 0 };
	wire.takes = 3;
	for (int i = 0; i < 60; i++) {
		text[0] = (char)('A' + i);
		snprintf(expected + strlen(expected), 8, "[%s]", text);
		if (session->queue_len == 0)
			wire.is_busy = true;
		send_all(text, NULL);
		wire.is_busy = false;
		if (i % 4 == 3)
			session_flush(session);
	}
	while (session->queue_len)
		session_flush(session);
	assert_int_equal(session->unsent, 0);
	struct buffer sent = { 0 };
	for (const char *c = wire.sent; *c; c++)
		if (*c != ';')
			buffer_add_char(&sent, *c);
	assert_string_equal(sent.data, expected);
	buffer_deinit(&sent);
}

static void test_slow_client_is_closed(void **state)
{
	(void)state;
	char large[401];
	memset(large, 'x', 400);
	large[400] = '\0';
	wire.is_busy = true;
	send_all(large, large, NULL);
	assert_true(session_is_open(session));
	send_all(large, NULL);
	assert_false(session_is_open(session));
	assert_string_equal(wire.ended, "polite, too slow");
	assert_string_equal(story, "open close too slow");
	assert_int_equal(engine_counters(engine)->closed[CLOSE_SLOW], 1);
	wire.is_busy = false;
	send_all("late", NULL);
	session_flush(session);
	assert_string_equal(wire.sent, ""); /* nothing of it, and nothing after it */
}

/* What is larger than the bound cannot be sent in pieces: it is taken when nothing else waits. */
static void test_one_frame_past_the_bound(void **state)
{
	(void)state;
	char large[2001];
	memset(large, 'x', 2000);
	large[2000] = '\0';
	wire.is_busy = true;
	send_all(large, NULL);
	assert_true(session_is_open(session));
	assert_true(session_is_queued(session));
	send_all("more", NULL);
	assert_false(session_is_open(session));
}

static void test_tells_once_when_the_queue_has_drained(void **state)
{
	(void)state;
	wire.is_busy = true;
	send_all("a", "b", NULL);
	assert_true(session_is_queued(session));
	session_await_drained(session);
	wire.is_busy = false;
	wire.takes = 1;
	session_flush(session);
	assert_string_equal(story, "open ");
	session_flush(session);
	assert_string_equal(story, "open drained ");
	wire.is_busy = true;
	send_all("c", NULL);
	wire.is_busy = false;
	session_flush(session);
	assert_string_equal(story, "open drained "); /* nobody asked */
}

/* Only to a transport that sends bytes as they are, nothing being queued; otherwise nothing happens. */
static void test_frames_sent_together(void **state)
{
	(void)state;
	struct frames_together together = { frame_of_wire(bytes_of("ab")), 2, 1 };
	assert_false(session_send_together(session, &together));
	transport.takes_wire = true;
	assert_true(session_send_together(session, &together));
	assert_string_equal(wire.sent, "[ab];");
	assert_int_equal(engine_counters(engine)->packets_out, 2);
	assert_int_equal(engine_counters(engine)->bytes_out, 1);
	wire.is_busy = true;
	assert_false(session_send_together(session, &together));
	send_all("c", NULL);
	wire.is_busy = false;
	assert_false(session_send_together(session, &together)); /* that would be in front of what waits */
	session_flush(session);
	assert_string_equal(wire.sent, "[ab];[c];");
	assert_true(session_send_together(session, &together));
	assert_string_equal(wire.sent, "[ab];[c];[ab];");
	session_close(session, CLOSE_FORCED);
	assert_false(session_send_together(session, &together));
	transport.takes_wire = false;
	frame_unref(together.wire);
}

static void test_withdrawn_frames_are_not_sent(void **state)
{
	(void)state;
	struct frame *frames[4], *other = frame_from_bytes(bytes_of("b"), false);
	for (int i = 0; i < 4; i++)
		frames[i] = frame_from_bytes(bytes_of((const char *[]){ "a", "b", "c", "d" }[i]), false);
	wire.is_busy = true;
	session_send(session, frames, 4);
	size_t unsent = session->unsent;
	session_withdraw(session, other); /* the same text is not the same frame */
	assert_int_equal(session->unsent, unsent);
	session_withdraw(session, frames[1]);
	session_withdraw(session, frames[1]);
	session_withdraw(session, frames[3]);
	assert_int_equal(session->unsent, unsent / 2);
	wire.is_busy = false;
	session_flush(session);
	assert_string_equal(wire.sent, "[a][c];");
	assert_int_equal(session->unsent, 0);
	wire.is_busy = true;
	session_send(session, frames, 1);
	session_withdraw(session, frames[0]); /* the only one */
	assert_false(session_is_queued(session));
	wire.is_busy = false;
	session_send(session, frames + 2, 1);
	assert_string_equal(wire.sent, "[a][c];[c];");
	session_withdraw(session, frames[2]);
	for (int i = 0; i < 4; i++)
		frame_unref(frames[i]);
	frame_unref(other);
}

/* Many small frames are not free: each costs more than its bytes. */
static void test_many_small_frames_are_bounded(void **state)
{
	(void)state;
	wire.is_busy = true;
	int sent = 0;
	while (session_is_open(session) && sent < 1000) {
		send_all("", NULL);
		sent++;
	}
	assert_in_range(sent, 10, 100);
}

static void test_packets(void **state)
{
	(void)state;
	receive(ENGINEIO_MESSAGE, "hello", false);
	receive(ENGINEIO_MESSAGE, "bytes", true);
	receive(ENGINEIO_OPEN, "x", false);
	receive(ENGINEIO_UPGRADE, "", false);
	receive(ENGINEIO_NOOP, "", false);
	receive(ENGINEIO_PONG, "", false);
	assert_string_equal(story, "open (hello) <bytes> ");
	assert_true(session_is_open(session));
	assert_int_equal(engine_counters(engine)->packets_in, 6);
	assert_int_equal(engine_counters(engine)->bytes_in, 11);
}

static void test_echo(void **state)
{
	(void)state;
	session_ask_echo(session);
	session_ask_echo(session); /* one question is enough */
	assert_string_equal(wire.sent, "[2];");
	receive(ENGINEIO_MESSAGE, "before", false);
	receive(ENGINEIO_PONG, "", false);
	receive(ENGINEIO_PONG, "", false); /* nobody asked for it */
	assert_string_equal(story, "open (before) echo ");
}

/* The pong of a ping that was under way may be older than the question. */
static void test_echo_behind_a_ping(void **state)
{
	(void)state;
	session_ping(session, 0);
	session_ask_echo(session);
	assert_string_equal(wire.sent, "[2];");
	receive(ENGINEIO_PONG, "", false);
	assert_string_equal(wire.sent, "[2];[2];");
	assert_string_equal(story, "open ");
	receive(ENGINEIO_PONG, "", false);
	assert_string_equal(story, "open echo ");
}

static void test_close_packet(void **state)
{
	(void)state;
	receive(ENGINEIO_CLOSE, "", false);
	assert_string_equal(wire.ended, "noop, transport close");
	assert_string_equal(story, "open close transport close");
	receive(ENGINEIO_MESSAGE, "late", false);
	assert_string_equal(story, "open close transport close");
}

static void test_ping_from_the_client(void **state)
{
	(void)state;
	receive(ENGINEIO_PING, "", false);
	assert_string_equal(wire.ended, "now, transport error");
}

/* Its memory stays until the turn ends; then it is nowhere. */
static void test_end(void **state)
{
	(void)state;
	wire.is_busy = true;
	send_all("queued", NULL);
	session_end(session, CLOSE_PING_TIMEOUT, FAREWELL_NOW);
	assert_string_equal(wire.ended, "now, ping timeout");
	assert_string_equal(story, "open close ping timeout");
	assert_false(session_is_writable(session));
	assert_int_equal(engine_counters(engine)->sessions, 0);
	assert_int_equal(engine->session_count, 0);
	assert_ptr_equal(engine->dead, session);
	run_idle(&loop);
	assert_null(engine->dead);
}

static void test_lingering(void **state)
{
	(void)state;
	wire.is_busy = wire.lingers = true;
	send_all("last", NULL);
	session_close(session, CLOSE_SHUTTING_DOWN);
	assert_string_equal(story, "open close server shutting down");
	assert_int_equal(session->state, SESSION_CLOSING);
	run_idle(&loop);
	assert_int_equal(engine->session_count, 1); /* still there for its client */
	assert_int_equal(engine_counters(engine)->sessions, 0);
	wire.is_busy = false;
	session_flush(session);
	assert_string_equal(wire.sent, "[last];");
	session_finish_lingering(session);
	assert_int_equal(engine->session_count, 0);
}

static void test_reasons_have_names(void **state)
{
	(void)state;
	for (int reason = 0; reason < CLOSE_REASON_COUNT; reason++) {
		assert_non_null(close_reason_name((enum close_reason)reason));
		for (int other = 0; other < reason; other++)
			assert_string_not_equal(close_reason_name((enum close_reason)reason), close_reason_name((enum close_reason)other));
	}
}

static void test_forgets_the_request(void **state)
{
	(void)state;
	session->request = request_info_dup(&(struct request_info){ .cookie = bytes_of("secret") });
	session_forget_request(session);
	assert_null(session->request);
	session_forget_request(session);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_admission), TEST(test_sends_at_once_or_queues_in_order), TEST(test_queue_in_pieces), TEST(test_slow_client_is_closed),
		TEST(test_one_frame_past_the_bound), TEST(test_tells_once_when_the_queue_has_drained), TEST(test_withdrawn_frames_are_not_sent), TEST(test_frames_sent_together),
		TEST(test_many_small_frames_are_bounded), TEST(test_packets), TEST(test_echo), TEST(test_echo_behind_a_ping), TEST(test_close_packet), TEST(test_ping_from_the_client),
		TEST(test_end), TEST(test_lingering), TEST(test_reasons_have_names), TEST(test_forgets_the_request),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
