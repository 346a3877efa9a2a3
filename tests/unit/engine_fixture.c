/* engine_fixture.c - an Engine.IO server on the loop of the test. */
#include "engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "websocket.h"

enum { HOUR_MS = 3600 * 1000 };

const struct engine_settings fixture_settings = {
	.hub_name = "hub", .ping_interval_ms = HOUR_MS, .ping_timeout_ms = HOUR_MS, .upgrade_timeout_ms = HOUR_MS, .close_linger_ms = HOUR_MS,
	.max_payload = 1000, .max_unsent = 100000, .max_sessions = 20,
};

/* --- the application ------------------------------------------------------- */

static void tell(struct fixture *fixture, const char *format, ...) PRINTF_LIKE(2, 3);
static void tell(struct fixture *fixture, const char *format, ...)
{
	size_t used = strlen(fixture->story);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(fixture->story + used, sizeof(fixture->story) - used, format, arguments);
	va_end(arguments);
}

static bool on_handshake(void *data, const struct request_info *request, unsigned *retry_after_s)
{
	const struct fixture *fixture = data;
	(void)request;
	*retry_after_s = fixture->retry_after_s;
	return !fixture->refuses;
}

static void on_open(struct session *session)
{
	struct fixture *fixture = session_data(session);
	fixture->session = session;
	*(struct session **)session_above(session) = session;
	tell(fixture, "open ");
}

static void echo(struct session *session, struct bytes message)
{
	struct frame *frame = frame_new(1 + message.len, false);
	assert_non_null(frame);
	frame_payload(frame)[0] = '4';
	memcpy(frame_payload(frame) + 1, message.data, message.len);
	session_send(session, &frame, 1);
	frame_unref(frame);
}

static void on_message(struct session *session, struct bytes message, bool is_binary, const struct request_info *request)
{
	struct fixture *fixture = session_data(session);
	assert_ptr_equal(*(struct session **)session_above(session), session);
	snprintf(fixture->query, sizeof(fixture->query), "%.*s", (int)request->query.len, request->query.data ? request->query.data : "");
	if (is_binary)
		tell(fixture, "binary(%zu bytes) ", message.len);
	else if (message.len > 100)
		tell(fixture, "message(%zu bytes) ", message.len);
	else
		tell(fixture, "message(%.*s) ", (int)message.len, message.data);
	if (!is_binary && fixture->echoes)
		echo(session, message);
}

static void on_close(struct session *session, enum close_reason reason)
{
	struct fixture *fixture = session_data(session);
	if (fixture->session == session)
		fixture->session = NULL;
	tell(fixture, "close(%s) ", close_reason_name(reason));
}

static void on_request(struct http_exchange *exchange, void *data)
{
	engine_serve(((struct fixture *)data)->engine, exchange);
}

/* --- up and down ----------------------------------------------------------- */

static void expect_no_error(bool is_good, const struct error *err)
{
	if (!is_good)
		fail_msg("%s", err->text);
}

int fixture_setup_with(void **state, const struct engine_settings *settings)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct error err = { 0 };
	assert_non_null(fixture);
	uv_loop_init(&fixture->loop);
	fixture->websockets = websockets_new(&fixture->loop, &err);
	expect_no_error(fixture->websockets, &err);
	const struct session_handler handler = {
		.above_size = sizeof(struct session *), .on_handshake = on_handshake, .on_open = on_open, .on_message = on_message,
		.on_close = on_close, .data = fixture,
	};
	fixture->engine = engine_new(&fixture->loop, fixture->websockets, settings, &handler, &err);
	expect_no_error(fixture->engine, &err);
	fixture->route = (struct http_route){ "/engine.io", NULL, on_request, fixture };
	fixture->http = http_server_new(&fixture->loop, &http_settings_default, &fixture->route, 1, &err);
	expect_no_error(fixture->http, &err);
	expect_no_error(http_server_listen(fixture->http, "127.0.0.1:0", &err) == 0, &err);
	fixture->port = http_server_port(fixture->http);
	*state = fixture;
	return 0;
}

int fixture_setup(void **state)
{
	return fixture_setup_with(state, &fixture_settings);
}

static void on_engine_closed(void *data)
{
	struct fixture *fixture = data;
	websockets_close(fixture->websockets);
	fixture->is_engine_closed = true;
}

static void on_http_closed(void *data)
{
	struct fixture *fixture = data;
	engine_close(fixture->engine, on_engine_closed, fixture);
}

int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;
	http_server_close(fixture->http, on_http_closed, fixture);
	while (uv_run(&fixture->loop, UV_RUN_ONCE))
		;
	assert_true(fixture->is_engine_closed);
	websockets_free(fixture->websockets);
	assert_int_equal(uv_loop_close(&fixture->loop), 0);
	free(fixture);
	return 0;
}

/* --- clients --------------------------------------------------------------- */

void fixture_connect(struct fixture *fixture, struct peer *peer)
{
	peer_connect(peer, &fixture->loop, fixture->port);
}

struct answer fixture_ask(struct fixture *fixture, const char *request)
{
	struct peer peer;
	fixture_connect(fixture, &peer);
	peer_say(&peer, "%s", request);
	struct answer answer = peer_answer(&peer);
	peer_close(&peer);
	return answer;
}

const char *fixture_open(struct fixture *fixture)
{
	static char sid[128];
	struct answer answer = fixture_ask(fixture, "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_int_equal(answer.status, 200);
	assert_int_equal(sscanf(answer.body.data, "0{\"sid\":\"%127[^\"]", sid), 1);
	return sid;
}

void fixture_get(struct peer *peer, const char *sid)
{
	peer_say(peer, "GET /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\n\r\n", sid);
}

void fixture_post(struct peer *peer, const char *sid, const char *body)
{
	peer_say(peer, "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n%s", sid, strlen(body), body);
}

void fixture_hold(struct fixture *fixture, struct peer *peer, const char *sid)
{
	fixture_connect(fixture, peer);
	fixture_get(peer, sid);
	(void)fixture_ask(fixture, "GET /engine.io/?transport=none HTTP/1.1\r\nHost: h\r\n\r\n");
	run_idle(&fixture->loop);
	assert_int_equal(peer->received.len, 0);
	assert_false(peer->is_ended);
}

void fixture_expect(struct peer *peer, unsigned status, const char *body)
{
	struct answer answer = peer_answer(peer);
	if (answer.status != status || !bytes_equal_text(answer.body, body))
		fail_msg("%u %.*s instead of %u %s", answer.status, (int)answer.body.len, answer.body.data, status, body);
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

void fixture_wait_story(struct fixture *fixture, const char *story)
{
	struct expected_story expected = { fixture, story };
	run_until(&fixture->loop, has_story, &expected);
	assert_string_equal(fixture->story, story);
}

void fixture_assert_gone(struct fixture *fixture, const char *sid)
{
	struct peer peer;
	fixture_connect(fixture, &peer);
	fixture_get(&peer, sid);
	fixture_expect(&peer, 400, "{\"code\":1,\"message\":\"Session ID unknown\"}");
	peer_close(&peer);
}

void fixture_websocket(struct fixture *fixture, struct peer *peer, const char *extra)
{
	char target[256];
	snprintf(target, sizeof(target), "/engine.io/?EIO=4&transport=websocket%s", extra);
	fixture_connect(fixture, peer);
	peer_upgrade(peer, target);
	if (strstr(extra, "sid="))
		return;
	struct received_frame frame = peer_frame(peer);
	assert_int_equal(frame.opcode, OPCODE_TEXT);
	assert_memory_equal(frame.payload.data, "0{\"sid\":\"hub~", 13);
}

static void send_frame(struct fixture *fixture, struct bytes payload, bool is_binary)
{
	struct frame *frame = frame_from_bytes(payload, is_binary);
	assert_non_null(frame);
	assert_non_null(fixture->session);
	session_send(fixture->session, &frame, 1);
	frame_unref(frame);
}

void fixture_send(struct fixture *fixture, const char *packet)
{
	send_frame(fixture, bytes_of(packet), false);
}

void fixture_send_binary(struct fixture *fixture, struct bytes message)
{
	send_frame(fixture, message, true);
}
