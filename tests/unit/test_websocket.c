/* test_websocket.c - WebSockets on socket pairs: messages whole and checked, shared frames, every way to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "http_peer.h"
#include "websocket.h"

enum { MAX_MESSAGE = 100000, MANY = 2000 };
static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==";

struct fixture {
	uv_loop_t loop;
	struct websockets *all;
	struct websocket *websocket; /* NULL when it is closed */
	struct peer peer;
	char story[2048]; /* `open `, `text(x) `, `binary(3) `, `close ` or `error ` */
	unsigned writables;
	uint64_t open_at_close; /* how many were when on_close came */
	const char *close_on;   /* this text closes it from inside its callback */
	bool closes_at_open;
	bool counts_binaries;   /* instead of telling of them */
	unsigned binaries;
};

/* --- its owner ------------------------------------------------------------- */

static void tell(struct fixture *fixture, const char *format, ...) PRINTF_LIKE(2, 3);
static void tell(struct fixture *fixture, const char *format, ...)
{
	size_t used = strlen(fixture->story);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(fixture->story + used, sizeof(fixture->story) - used, format, arguments);
	va_end(arguments);
}

static void close_it(struct fixture *fixture, enum websocket_code code)
{
	websocket_close(fixture->websocket, code);
	fixture->websocket = NULL;
}

static void on_open(void *data)
{
	struct fixture *fixture = data;
	tell(fixture, "open ");
	if (fixture->closes_at_open)
		close_it(fixture, WEBSOCKET_POLICY);
}

static void on_message(void *data, struct bytes message, bool is_binary)
{
	struct fixture *fixture = data;
	assert_non_null(fixture->websocket); /* nothing comes after the close */
	if (is_binary && fixture->counts_binaries) {
		fixture->binaries++;
		return;
	}
	if (is_binary || message.len > 60)
		tell(fixture, is_binary ? "binary(%zu) " : "long(%zu) ", message.len);
	else
		tell(fixture, "text(%.*s) ", (int)message.len, message.data);
	if (fixture->close_on && bytes_equal_text(message, fixture->close_on))
		close_it(fixture, WEBSOCKET_NORMAL);
}

static void on_writable(void *data)
{
	struct fixture *fixture = data;
	assert_non_null(fixture->websocket);
	fixture->writables++;
}

static void on_close(void *data, bool is_error)
{
	struct fixture *fixture = data;
	assert_non_null(fixture->websocket);
	fixture->websocket = NULL;
	fixture->open_at_close = websockets_counters(fixture->all)->open;
	tell(fixture, is_error ? "error " : "close ");
}

static const struct websocket_handler handler = { on_open, on_message, on_writable, on_close };

/* --- up and down ----------------------------------------------------------- */

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct error err = { 0 };
	assert_non_null(fixture);
	uv_loop_init(&fixture->loop);
	fixture->all = websockets_new(&fixture->loop, &err);
	assert_non_null(fixture->all);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	peer_close(&fixture->peer);
	if (fixture->websocket)
		close_it(fixture, WEBSOCKET_GOING_AWAY);
	websockets_close(fixture->all);
	while (uv_run(&fixture->loop, UV_RUN_ONCE))
		;
	websockets_free(fixture->all);
	assert_int_equal(uv_loop_close(&fixture->loop), 0);
	free(fixture);
	return 0;
}

static void start(struct fixture *fixture, struct bytes early)
{
	int fds[2];
	peer_close(&fixture->peer);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fixture->websocket = websocket_new(fixture->all, bytes_of(key), MAX_MESSAGE, &handler, fixture);
	assert_non_null(fixture->websocket);
	peer_open(&fixture->peer, &fixture->loop, fds[1]);
	websocket_start(fixture->websocket, fds[0], early);
}

static void open_one(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, (struct bytes){ NULL, 0 });
	struct answer answer = peer_answer_without_body(&fixture->peer);
	assert_int_equal(answer.status, 101);
	assert_string_equal(answer_field(&answer, "Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_string_equal(answer_field(&answer, "Sec-WebSocket-Protocol"), "");
	assert_string_equal(answer_field(&answer, "Sec-WebSocket-Extensions"), "");
	fixture->story[0] = '\0';
}

struct expected_story {
	const struct fixture *fixture;
	const char *story;
};

static bool has_story(void *data)
{
	const struct expected_story *expected = data;
	return strlen(expected->fixture->story) >= strlen(expected->story);
}

static void wait_story(struct fixture *fixture, const char *story)
{
	struct expected_story expected = { fixture, story };
	run_until(&fixture->loop, has_story, &expected);
	assert_string_equal(fixture->story, story);
}

static void send_frame(struct fixture *fixture, int first_byte, struct bytes payload)
{
	struct buffer frame = { 0 };
	frame_add(&frame, first_byte, payload);
	peer_send(&fixture->peer, buffer_bytes(&frame));
	buffer_deinit(&frame);
}

static size_t write_text(struct fixture *fixture, const char *text)
{
	struct frame *frame = frame_from_bytes(bytes_of(text), false);
	size_t taken = websocket_write(fixture->websocket, &frame, 1);
	frame_unref(frame);
	return taken;
}

/* --- the handshake --------------------------------------------------------- */

static void test_keys(void **state)
{
	(void)state;
	static const struct { const char *key; bool is_valid; } rows[] = {
		{ key, true }, { "AAAAAAAAAAAAAAAAAAAAAA==", true }, { "", false }, { "dGhlIHNhbXBsZSBub25jZQ", false }, { "dGhlIHNhbXBsZSBub25jZQ=", false },
		{ "dGhlIHNhbXBsZSBub25jZTE=", false }, { "dGhlIHNhbXBsZSBub25jZQ==x", false }, { "dGhlIHNhbXBsZSBub25j!Q==", false },
		{ "dGhlIHNhbXBsZSBu\r\nbjZQ==", false }, { "aaaaaaaaaaaaaaaaaaaaaaaa", false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(websocket_key_is_valid(bytes_of(rows[i].key)), rows[i].is_valid);
}

static void test_early_frames(void **state)
{
	struct fixture *fixture = *state;
	struct buffer early = { 0 };
	frame_add(&early, FIN | OPCODE_TEXT, bytes_of("one"));
	frame_add(&early, FIN | OPCODE_TEXT, bytes_of("two"));
	buffer_add(&early, "\x81", 1); /* and the first byte of a third */
	start(fixture, buffer_bytes(&early));
	assert_string_equal(fixture->story, "open ");
	wait_story(fixture, "open text(one) text(two) ");
	peer_send(&fixture->peer, (struct bytes){ "\x83\0\0\0\0abc", 8 });
	wait_story(fixture, "open text(one) text(two) text(abc) ");
	assert_int_equal(websockets_counters(fixture->all)->opened, 1);
	assert_int_equal(websockets_counters(fixture->all)->open, 1);
	buffer_deinit(&early);
}

static bool has_many(void *data)
{
	return ((struct fixture *)data)->binaries >= MANY;
}

/* However many they are, in their order with what comes by the socket, and not all in one turn of the loop. */
static void test_many_early_frames(void **state)
{
	struct fixture *fixture = *state;
	struct buffer early = { 0 };
	for (unsigned i = 0; i < MANY; i++)
		frame_add(&early, FIN | OPCODE_BINARY, bytes_of("early"));
	fixture->counts_binaries = true;
	start(fixture, buffer_bytes(&early));
	send_frame(fixture, FIN | OPCODE_TEXT, bytes_of("late"));
	uv_run(&fixture->loop, UV_RUN_NOWAIT);
	assert_in_range(fixture->binaries, 1, 1000);
	assert_string_equal(fixture->story, "open ");
	run_until(&fixture->loop, has_many, fixture);
	wait_story(fixture, "open text(late) ");
	assert_int_equal(fixture->binaries, MANY);
	buffer_deinit(&early);
}

static void test_gone_behind_early_frames(void **state)
{
	struct fixture *fixture = *state;
	struct buffer early = { 0 };
	for (unsigned i = 0; i < MANY; i++)
		frame_add(&early, FIN | OPCODE_BINARY, bytes_of("early"));
	frame_add(&early, FIN | OPCODE_CLOSE, bytes_of("\x0b\xb8"));
	fixture->counts_binaries = true;
	start(fixture, buffer_bytes(&early));
	peer_finish(&fixture->peer);
	assert_int_equal(peer_answer_without_body(&fixture->peer).status, 101);
	peer_assert_close(&fixture->peer, 3000);
	assert_string_equal(fixture->story, "open close ");
	assert_int_equal(fixture->binaries, MANY);
	buffer_deinit(&early);
}

static void test_without_a_socket(void **state)
{
	struct fixture *fixture = *state;
	fixture->websocket = websocket_new(fixture->all, bytes_of(key), MAX_MESSAGE, &handler, fixture);
	websocket_start(fixture->websocket, -1, (struct bytes){ NULL, 0 });
	assert_string_equal(fixture->story, "error ");
}

static void test_closed_before_the_start(void **state)
{
	struct fixture *fixture = *state;
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	struct websocket *websocket = websocket_new(fixture->all, bytes_of(key), MAX_MESSAGE, &handler, fixture);
	websocket_close(websocket, WEBSOCKET_NORMAL);
	peer_open(&fixture->peer, &fixture->loop, fds[1]);
	websocket_start(websocket, fds[0], (struct bytes){ NULL, 0 });
	peer_wait_end(&fixture->peer); /* the socket was consumed */
	assert_string_equal(fixture->story, "");
}

static void test_closed_when_it_opens(void **state)
{
	struct fixture *fixture = *state;
	fixture->closes_at_open = true;
	start(fixture, (struct bytes){ NULL, 0 });
	assert_int_equal(peer_answer_without_body(&fixture->peer).status, 101);
	peer_assert_close(&fixture->peer, 1008);
	assert_string_equal(fixture->story, "open ");
}

static void test_peer_gone_before_the_start(void **state)
{
	struct fixture *fixture = *state;
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	close(fds[1]);
	fixture->websocket = websocket_new(fixture->all, bytes_of(key), MAX_MESSAGE, &handler, fixture);
	websocket_start(fixture->websocket, fds[0], (struct bytes){ NULL, 0 });
	while (fixture->websocket)
		uv_run(&fixture->loop, UV_RUN_ONCE);
	assert_null(strstr(fixture->story, "text"));
}

/* --- receiving ------------------------------------------------------------- */

static void test_messages_of_all_sizes(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	static char data[MAX_MESSAGE];
	static const size_t sizes[] = { 0, 1, 125, 126, 127, 128, 129, 1000, 65535, 65536, MAX_MESSAGE };
	char expected[2048] = "";
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		send_frame(fixture, FIN | OPCODE_BINARY, (struct bytes){ data, sizes[i] });
		snprintf(expected + strlen(expected), 32, "binary(%zu) ", sizes[i]);
		wait_story(fixture, expected);
	}
}

static void test_fragments(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	send_frame(fixture, OPCODE_TEXT, bytes_of("a\xe2"));
	send_frame(fixture, FIN | OPCODE_PING, bytes_of("are you there")); /* may stand in between */
	send_frame(fixture, OPCODE_CONTINUATION, bytes_of(""));
	send_frame(fixture, OPCODE_CONTINUATION, bytes_of("\x82\xac"));
	send_frame(fixture, FIN | OPCODE_CONTINUATION, bytes_of("z"));
	wait_story(fixture, "text(a\xe2\x82\xacz) ");
	struct received_frame pong = peer_frame(&fixture->peer);
	assert_int_equal(pong.opcode, OPCODE_PONG);
	assert_true(bytes_equal_text(pong.payload, "are you there"));
	send_frame(fixture, OPCODE_BINARY, bytes_of("12"));
	send_frame(fixture, FIN | OPCODE_CONTINUATION, bytes_of(""));
	send_frame(fixture, FIN | OPCODE_PONG, bytes_of("unasked"));
	send_frame(fixture, FIN | OPCODE_TEXT, bytes_of("x"));
	wait_story(fixture, "text(a\xe2\x82\xacz) binary(2) text(x) ");
}

static void test_byte_by_byte(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	struct buffer frame = { 0 };
	frame_add(&frame, FIN | OPCODE_TEXT, bytes_of("slowly"));
	for (size_t i = 0; i < frame.len; i++) {
		peer_send(&fixture->peer, (struct bytes){ frame.data + i, 1 });
		run_idle(&fixture->loop);
	}
	wait_story(fixture, "text(slowly) ");
	buffer_deinit(&frame);
}

/* Whatever breaks RFC 6455 or a bound ends the connection, the owner learns it once, and nothing else comes. */
static void test_broken_frames(void **state)
{
	static char large[MAX_MESSAGE + 1];
	static const struct { int first_byte; struct bytes payload; unsigned code; } rows[] = {
		{ FIN | OPCODE_BINARY, { large, sizeof(large) }, 1009 },
		{ FIN | OPCODE_TEXT, { "\xc3\x28", 2 }, 1007 },
		{ FIN | OPCODE_TEXT, { "\xe2\x82", 2 }, 1007 },
		{ FIN | OPCODE_CONTINUATION, { "x", 1 }, 1002 },
		{ FIN | 3, { "x", 1 }, 1002 },
		{ FIN | 0xb, { "x", 1 }, 1002 },
		{ FIN | 0x40 | OPCODE_TEXT, { "x", 1 }, 1002 },
		{ OPCODE_PING, { "x", 1 }, 1002 },
		{ FIN | OPCODE_PING, { large, 126 }, 1002 },
		{ FIN | UNMASKED | OPCODE_TEXT, { "x", 1 }, 1002 },
		{ FIN | OPCODE_CLOSE, { "\x03", 1 }, 1002 },
		{ FIN | OPCODE_CLOSE, { "\x03\xed", 2 }, 1002 },
		{ FIN | OPCODE_CLOSE, { "\x03\xe8\xff", 3 }, 1007 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		open_one(state);
		struct fixture *fixture = *state;
		send_frame(fixture, rows[i].first_byte, rows[i].payload);
		wait_story(fixture, "error ");
		send_frame(fixture, FIN | OPCODE_TEXT, bytes_of("nobody hears it"));
		peer_assert_close(&fixture->peer, rows[i].code);
		peer_wait_end(&fixture->peer);
	}
	struct fixture *fixture = *state;
	assert_int_equal(websockets_counters(fixture->all)->too_big, 1);
	assert_int_equal(websockets_counters(fixture->all)->invalid_text, 3);
	assert_int_equal(websockets_counters(fixture->all)->broken, 9);
	peer_close(&fixture->peer);
	run_idle(&fixture->loop);
	assert_int_equal(websockets_counters(fixture->all)->open, 0);
}

/* One that says much has its share of a turn, and no more. */
static void test_turns(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	struct buffer frames = { 0 };
	for (unsigned i = 0; i < MANY; i++)
		frame_add(&frames, FIN | OPCODE_BINARY, bytes_of(""));
	fixture->counts_binaries = true;
	peer_send(&fixture->peer, buffer_bytes(&frames));
	unsigned before;
	do {
		before = fixture->binaries;
		uv_run(&fixture->loop, UV_RUN_NOWAIT);
		assert_in_range(fixture->binaries - before, 0, 1000);
	} while (fixture->binaries < MANY && fixture->binaries > before);
	assert_int_equal(fixture->binaries, MANY);
	buffer_deinit(&frames);
}

/* The bound is one of the message, not of a frame. */
static void test_fragments_past_the_bound(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	static char piece[MAX_MESSAGE / 2];
	send_frame(fixture, OPCODE_BINARY, (struct bytes){ piece, sizeof(piece) });
	send_frame(fixture, OPCODE_CONTINUATION, (struct bytes){ piece, sizeof(piece) });
	run_idle(&fixture->loop);
	assert_non_null(fixture->websocket);
	send_frame(fixture, OPCODE_CONTINUATION, (struct bytes){ "x", 1 });
	wait_story(fixture, "error ");
	peer_assert_close(&fixture->peer, 1009);
}

/* --- writing --------------------------------------------------------------- */

static void test_frames_go_out_as_they_are(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	static char large[300000];
	struct frame *frames[] = {
		frame_from_bytes(bytes_of("a"), false), frame_from_bytes((struct bytes){ "\0\1", 2 }, true),
		frame_from_bytes((struct bytes){ large, sizeof(large) }, true), frame_from_bytes(bytes_of("z"), false),
	};
	assert_true(websocket_is_writable(fixture->websocket));
	size_t taken = websocket_write(fixture->websocket, frames, 4);
	peer_assert_text(&fixture->peer, "a");
	assert_int_equal(peer_frame(&fixture->peer).payload.len, 2);
	assert_int_equal(peer_frame(&fixture->peer).payload.len, sizeof(large));
	while ((taken += websocket_write(fixture->websocket, frames + taken, 4 - taken)) < 4) /* the socket had no room at first */
		uv_run(&fixture->loop, UV_RUN_ONCE);
	peer_assert_text(&fixture->peer, "z");
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(frames[i]->refs, 1); /* references stay the caller's */
		frame_unref(frames[i]);
	}
}

static bool was_writable(void *data)
{
	return ((struct fixture *)data)->writables > 0;
}

/* Pings that came together get one answer, the newest's. */
static void test_pings(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	struct buffer frames = { 0 };
	frame_add(&frames, FIN | OPCODE_PING, bytes_of("first"));
	frame_add(&frames, FIN | OPCODE_TEXT, bytes_of("x"));
	frame_add(&frames, FIN | OPCODE_PING, bytes_of("second"));
	peer_send(&fixture->peer, buffer_bytes(&frames));
	wait_story(fixture, "text(x) ");
	struct received_frame pong = peer_frame(&fixture->peer);
	assert_int_equal(pong.opcode, OPCODE_PONG);
	assert_true(bytes_equal_text(pong.payload, "second"));
	assert_int_equal(write_text(fixture, "z"), 1);
	peer_assert_text(&fixture->peer, "z");
	buffer_deinit(&frames);
}

/* Fills the socket so that a frame is torn, or does not fit at all. Returns how many were taken. */
static size_t fill(struct fixture *fixture)
{
	static char text[50001];
	memset(text, 'x', sizeof(text) - 1);
	uv_poll_stop(fixture->peer.poll);
	size_t sent = 0;
	while (write_text(fixture, text) == 1)
		sent++;
	return sent;
}

static void read_on(struct fixture *fixture, struct peer *reader, size_t frames)
{
	peer_open(reader, &fixture->loop, dup(fixture->peer.fd));
	peer_close(&fixture->peer);
	fixture->peer = (struct peer){ 0 };
	for (size_t i = 0; i < frames; i++)
		assert_int_equal(peer_frame(reader).payload.len, 50000);
}

static void test_full_socket(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	struct peer reader;
	size_t sent = fill(fixture);
	assert_in_range(sent, 1, 10000);
	assert_false(websocket_is_writable(fixture->websocket));
	run_idle(&fixture->loop);
	assert_int_equal(fixture->writables, 0);
	read_on(fixture, &reader, sent); /* none torn */
	run_until(&fixture->loop, was_writable, fixture);
	assert_int_equal(write_text(fixture, "on"), 1);
	peer_assert_text(&reader, "on");
	peer_close(&reader);
	wait_story(fixture, "close ");
}

static void test_pongs_and_close_behind_a_full_socket(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	struct peer reader;
	size_t frames = fill(fixture);
	for (unsigned i = 0; i < 3; i++) {
		char text[] = { (char)('1' + i), 0 };
		send_frame(fixture, FIN | OPCODE_PING, bytes_of(text));
		run_idle(&fixture->loop);
	}
	close_it(fixture, (enum websocket_code)1013);
	read_on(fixture, &reader, frames);
	struct received_frame pong = peer_frame(&reader);
	if (pong.payload.len == 1 && pong.payload.data[0] == '1') /* a part of it had left when the next ping came */
		pong = peer_frame(&reader);
	assert_int_equal(pong.opcode, OPCODE_PONG);
	assert_true(bytes_equal_text(pong.payload, "3"));
	peer_assert_close(&reader, 1013);
	assert_string_equal(fixture->story, "");
	peer_close(&reader);
}

static void test_owner_goes_while_the_socket_is_full(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	assert_true(fill(fixture) > 0);
	peer_reset(&fixture->peer);
	fixture->peer = (struct peer){ 0 };
	(void)write_text(fixture, "in vain");
	wait_story(fixture, "close ");
	run_idle(&fixture->loop);
	assert_int_equal(websockets_counters(fixture->all)->open, 0);
}

/* --- ends ------------------------------------------------------------------ */

static void test_close_codes(void **state)
{
	static const enum websocket_code codes[] = {
		WEBSOCKET_NORMAL, WEBSOCKET_GOING_AWAY, WEBSOCKET_PROTOCOL_ERROR, WEBSOCKET_INVALID_DATA, WEBSOCKET_POLICY, WEBSOCKET_TOO_BIG,
		(enum websocket_code)1012, (enum websocket_code)1013, (enum websocket_code)1014, (enum websocket_code)4999,
	};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		open_one(state);
		struct fixture *fixture = *state;
		assert_int_equal(write_text(fixture, "last"), 1);
		close_it(fixture, codes[i]);
		peer_assert_text(&fixture->peer, "last");
		peer_assert_close(&fixture->peer, codes[i]);
		assert_string_equal(fixture->story, "");
	}
}

static void test_close_inside_a_message(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	fixture->close_on = "two";
	struct buffer frames = { 0 };
	frame_add(&frames, FIN | OPCODE_TEXT, bytes_of("one"));
	frame_add(&frames, FIN | OPCODE_TEXT, bytes_of("two"));
	frame_add(&frames, FIN | OPCODE_TEXT, bytes_of("three"));
	peer_send(&fixture->peer, buffer_bytes(&frames));
	peer_assert_close(&fixture->peer, 1000);
	assert_string_equal(fixture->story, "text(one) text(two) ");
	buffer_deinit(&frames);
}

static void test_peer_closes(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	send_frame(fixture, FIN | OPCODE_CLOSE, (struct bytes){ "\x03\xe8", 2 });
	wait_story(fixture, "close ");
	assert_int_equal(fixture->open_at_close, 1); /* told before ours answers: nothing may be written behind that one */
	peer_assert_close(&fixture->peer, 1000);
	peer_wait_end(&fixture->peer);
}

static void test_peer_closes_without_a_code(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	send_frame(fixture, FIN | OPCODE_CLOSE, bytes_of(""));
	struct received_frame answer = peer_frame(&fixture->peer);
	assert_int_equal(answer.opcode, OPCODE_CLOSE);
	assert_int_equal(answer.payload.len, 0);
	peer_wait_end(&fixture->peer);
	assert_string_equal(fixture->story, "close ");
}

static bool is_none_open(void *data)
{
	return websockets_counters(((struct fixture *)data)->all)->open == 0;
}

/* What the peer still says is of no interest, its close frame is. */
static void test_close_is_answered(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	send_frame(fixture, OPCODE_TEXT, bytes_of("half a"));
	run_idle(&fixture->loop);
	close_it(fixture, WEBSOCKET_NORMAL);
	peer_assert_close(&fixture->peer, 1000);
	send_frame(fixture, FIN | OPCODE_CONTINUATION, bytes_of("\xff"));
	send_frame(fixture, FIN | OPCODE_PING, bytes_of("?"));
	run_idle(&fixture->loop);
	assert_int_equal(websockets_counters(fixture->all)->open, 1);
	assert_false(fixture->peer.is_ended);
	send_frame(fixture, FIN | OPCODE_CLOSE, bytes_of("\x03\xe8"));
	peer_wait_end(&fixture->peer);
	assert_int_equal(fixture->peer.received.len, 0);
	assert_int_equal(websockets_counters(fixture->all)->open, 0);
}

static void test_close_is_not_answered(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	close_it(fixture, WEBSOCKET_NORMAL);
	peer_assert_close(&fixture->peer, 1000);
	uint64_t before = uv_hrtime();
	run_until(&fixture->loop, is_none_open, fixture);
	assert_in_range((uv_hrtime() - before) / 1000000, 4000, 60000);
	peer_wait_end(&fixture->peer);
}

static void test_nonsense_instead_of_an_answer(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	close_it(fixture, WEBSOCKET_NORMAL);
	send_frame(fixture, 0x70, bytes_of("x"));
	peer_assert_close(&fixture->peer, 1000);
	peer_wait_end(&fixture->peer);
	peer_close(&fixture->peer);
	fixture->peer = (struct peer){ 0 };
	run_until(&fixture->loop, is_none_open, fixture);
}

static void test_peer_finishes(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	send_frame(fixture, FIN | OPCODE_TEXT, bytes_of("last words"));
	peer_finish(&fixture->peer);
	wait_story(fixture, "text(last words) close ");
	peer_wait_end(&fixture->peer);
}

static void test_peer_vanishes(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	send_frame(fixture, OPCODE_TEXT, bytes_of("half a mess")); /* its memory goes too */
	run_idle(&fixture->loop);
	peer_close(&fixture->peer);
	fixture->peer = (struct peer){ 0 };
	wait_story(fixture, "close ");
	run_idle(&fixture->loop);
	assert_int_equal(websockets_counters(fixture->all)->open, 0);
}

static void test_another_owner(void **state)
{
	open_one(state);
	struct fixture *fixture = *state;
	struct fixture other = { .websocket = fixture->websocket, .all = fixture->all };
	websocket_set_handler(fixture->websocket, &handler, &other);
	send_frame(fixture, FIN | OPCODE_TEXT, bytes_of("x"));
	struct expected_story expected = { &other, "text(x) " };
	run_until(&fixture->loop, has_story, &expected);
	assert_string_equal(fixture->story, "");
	websocket_set_handler(fixture->websocket, &handler, fixture);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys), TEST(test_early_frames), TEST(test_many_early_frames), TEST(test_gone_behind_early_frames),
		TEST(test_without_a_socket), TEST(test_closed_before_the_start), TEST(test_closed_when_it_opens), TEST(test_peer_gone_before_the_start),
		TEST(test_messages_of_all_sizes), TEST(test_fragments), TEST(test_byte_by_byte), TEST(test_broken_frames), TEST(test_turns),
		TEST(test_fragments_past_the_bound), TEST(test_frames_go_out_as_they_are), TEST(test_full_socket), TEST(test_pings),
		TEST(test_pongs_and_close_behind_a_full_socket), TEST(test_owner_goes_while_the_socket_is_full), TEST(test_close_codes),
		TEST(test_close_inside_a_message), TEST(test_peer_closes), TEST(test_peer_closes_without_a_code), TEST(test_close_is_answered),
		TEST(test_close_is_not_answered), TEST(test_nonsense_instead_of_an_answer), TEST(test_peer_finishes), TEST(test_peer_vanishes),
		TEST(test_another_owner),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
