/* test_engine.c - who is let in, error answers in the order of the checks, the heartbeat, closing some and all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine_fixture.h"
#include "transport.h"

#define REQUEST(method, query) method " /engine.io/?" query " HTTP/1.1\r\nHost: h\r\n"
#define WEBSOCKET "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void expect(struct answer answer, unsigned status, const char *body)
{
	if (answer.status != status || !bytes_equal_text(answer.body, body))
		fail_msg("%u %.*s instead of %u %s", answer.status, (int)answer.body.len, answer.body.data, status, body);
}

/* PROTOCOL.md: transport, then Origin, then with sid: session, transport; without: method, Upgrade, hook, EIO. */
static void test_order_of_the_checks(void **state)
{
	static const struct { const char *request; unsigned status; const char *body; } rows[] = {
		{ REQUEST("POST", "EIO=3&sid=x") "\r\n", 400, "{\"code\":0,\"message\":\"Transport unknown\"}" },
		{ REQUEST("GET", "EIO=4&transport=polling,websocket") "\r\n", 400, "{\"code\":0,\"message\":\"Transport unknown\"}" },
		{ REQUEST("GET", "EIO=4&transport=") "\r\n", 400, "{\"code\":0,\"message\":\"Transport unknown\"}" },
		{ REQUEST("GET", "EIO=4&transport=polling&sid=x") "Origin: a\tb\r\n\r\n", 400, "{\"code\":3,\"message\":\"Bad request\"}" },
		{ REQUEST("PUT", "EIO=3&transport=polling&sid=x") "\r\n", 400, "{\"code\":1,\"message\":\"Session ID unknown\"}" },
		{ REQUEST("GET", "EIO=4&transport=polling&sid=a%00") "\r\n", 200, "" },
		{ REQUEST("POST", "EIO=3&transport=websocket") "\r\n", 400, "{\"code\":2,\"message\":\"Bad handshake method\"}" },
		{ REQUEST("OPTIONS", "EIO=4&transport=polling") "\r\n", 400, "{\"code\":2,\"message\":\"Bad handshake method\"}" },
		{ REQUEST("GET", "EIO=3&transport=websocket") "\r\n", 400, "{\"code\":3,\"message\":\"Bad request\"}" },
		{ REQUEST("GET", "EIO=3&transport=polling") "\r\n", 400, "{\"code\":5,\"message\":\"Unsupported protocol version\"}" },
		{ REQUEST("GET", "EIO=44&transport=polling") "\r\n", 400, "{\"code\":5,\"message\":\"Unsupported protocol version\"}" },
		{ REQUEST("GET", "transport=polling") "\r\n", 400, "{\"code\":5,\"message\":\"Unsupported protocol version\"}" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct answer answer = fixture_ask(*state, rows[i].request);
		if (*rows[i].body)
			expect(answer, rows[i].status, rows[i].body);
		else
			assert_int_equal(answer.status, rows[i].status);
	}
}

/* On requests that would upgrade: plain text and the end, never a 101. */
static void test_refused_upgrades(void **state)
{
	static const struct { const char *request; unsigned status; } rows[] = {
		{ REQUEST("GET", "EIO=3&transport=websocket") WEBSOCKET "\r\n", 400 },
		{ REQUEST("GET", "EIO=4&transport=polling") WEBSOCKET "\r\n", 400 },
		{ REQUEST("GET", "EIO=4&transport=none") WEBSOCKET "\r\n", 400 },
		{ REQUEST("GET", "EIO=4&transport=websocket&sid=x") WEBSOCKET "\r\n", 400 },
		{ REQUEST("GET", "EIO=4&transport=websocket") "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n", 400 },
		{ REQUEST("GET", "EIO=4&transport=websocket") "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		  "Sec-WebSocket-Key: short\r\n\r\n", 400 },
		{ REQUEST("GET", "EIO=4&transport=websocket") "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n"
		  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 426 },
		{ REQUEST("GET", "EIO=4&transport=websocket") "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 426 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct answer answer = fixture_ask(*state, rows[i].request);
		if (answer.status != rows[i].status)
			fail_msg("%u instead of %u for %s", answer.status, rows[i].status, rows[i].request);
		assert_non_null(strstr(answer.head, "\r\nConnection: close\r\n"));
		assert_string_equal(answer_field(&answer, "Connection"), rows[i].status == 426 ? "Upgrade" : "close");
		assert_string_equal(answer_field(&answer, "Upgrade"), rows[i].status == 426 ? "websocket" : ""); /* RFC 9110, 15.5.22 */
		assert_string_equal(answer_field(&answer, "Content-Type"), "text/plain");
		assert_string_equal(answer_field(&answer, "Sec-WebSocket-Version"), rows[i].status == 426 ? "13" : "");
	}
}

static void test_the_layer_above_decides(void **state)
{
	struct fixture *fixture = *state;
	fixture->refuses = true;
	expect(fixture_ask(fixture, REQUEST("GET", "EIO=4&transport=polling") "\r\n"), 403, "{\"code\":4,\"message\":\"Forbidden\"}");
	assert_int_equal(fixture_ask(fixture, REQUEST("GET", "EIO=4&transport=websocket") WEBSOCKET "\r\n").status, 403);
	fixture->retry_after_s = 7;
	struct answer answer = fixture_ask(fixture, REQUEST("GET", "EIO=4&transport=polling") "\r\n");
	assert_int_equal(answer.status, 503);
	assert_string_equal(answer_field(&answer, "Retry-After"), "7");
	assert_int_equal(engine_counters(fixture->engine)->handshakes_refused, 3);
	fixture->refuses = false;
	(void)fixture_open(fixture);
	assert_string_equal(fixture->story, "open ");
}

static void test_as_many_sessions_as_allowed(void **state)
{
	struct fixture *fixture = *state;
	char sids[20][64];
	for (int i = 0; i < 20; i++) {
		snprintf(sids[i], sizeof(sids[i]), "%s", fixture_open(fixture));
		for (int k = 0; k < i; k++)
			assert_string_not_equal(sids[i], sids[k]);
	}
	struct answer answer = fixture_ask(fixture, REQUEST("GET", "EIO=4&transport=polling") "\r\n");
	assert_int_equal(answer.status, 503);
	assert_string_equal(answer_field(&answer, "Retry-After"), "1");
	session_close(fixture->session, CLOSE_FORCED);
	struct peer peer;
	fixture_connect(fixture, &peer);
	fixture_get(&peer, sids[19]);
	fixture_expect(&peer, 200, "1"); /* now the last one is gone */
	peer_close(&peer);
	(void)fixture_open(fixture);
}

/* More than the table begins with, and each is found. */
static void test_many_sessions_are_found(void **state)
{
	struct engine_settings settings = fixture_settings;
	enum { MANY = 300 };
	static char sids[MANY][64];
	settings.max_sessions = MANY;
	fixture_setup_with(state, &settings);
	struct fixture *fixture = *state;
	for (int i = 0; i < MANY; i++) {
		snprintf(sids[i], sizeof(sids[i]), "%s", fixture_open(fixture));
		fixture_send(fixture, sids[i]);
	}
	struct peer peer;
	fixture_connect(fixture, &peer);
	for (int i = 0; i < MANY; i++) {
		fixture_get(&peer, sids[i]);
		fixture_expect(&peer, 200, sids[i]);
	}
	peer_close(&peer);
	fixture_teardown(state);
}

static void test_refusing_handshakes(void **state)
{
	struct fixture *fixture = *state;
	char sid[64];
	snprintf(sid, sizeof(sid), "%s", fixture_open(fixture));
	engine_refuse_handshakes(fixture->engine);
	assert_int_equal(fixture_ask(fixture, REQUEST("GET", "EIO=4&transport=polling") "\r\n").status, 503);
	assert_int_equal(fixture_ask(fixture, REQUEST("GET", "EIO=4&transport=websocket") WEBSOCKET "\r\n").status, 503);
	fixture_send(fixture, "4still served");
	struct peer peer;
	fixture_connect(fixture, &peer);
	fixture_get(&peer, sid);
	fixture_expect(&peer, 200, "4still served");
	peer_close(&peer);
}

static void test_closing_some(void **state)
{
	struct fixture *fixture = *state;
	for (int i = 0; i < 10; i++)
		(void)fixture_open(fixture);
	assert_int_equal(engine_close_some(fixture->engine, 3, CLOSE_SHUTTING_DOWN), 7);
	assert_int_equal(engine_close_some(fixture->engine, 0, CLOSE_SHUTTING_DOWN), 7);
	assert_int_equal(engine_close_some(fixture->engine, 6, CLOSE_SHUTTING_DOWN), 1);
	assert_int_equal(engine_close_some(fixture->engine, 6, CLOSE_SHUTTING_DOWN), 0);
	assert_int_equal(engine_close_some(fixture->engine, 6, CLOSE_SHUTTING_DOWN), 0);
	assert_int_equal(engine_counters(fixture->engine)->closed[CLOSE_SHUTTING_DOWN], 10);
}

/* In every state that a session can be in when all ends. */
static void test_closing_all(void **state)
{
	struct fixture *fixture = *state;
	struct peer held, post, websocket, probed;
	char sid[64];
	snprintf(sid, sizeof(sid), "%s", fixture_open(fixture));
	fixture_hold(fixture, &held, sid);
	snprintf(sid, sizeof(sid), "%s", fixture_open(fixture));
	fixture_connect(fixture, &post);
	peer_say(&post, REQUEST("POST", "EIO=4&transport=polling&sid=%s") "Content-Length: 5\r\n\r\n4", sid);
	(void)fixture_open(fixture);
	fixture_send(fixture, "4unread");
	session_close(fixture->session, CLOSE_FORCED); /* lingers */
	fixture_websocket(fixture, &websocket, "");
	char extra[80];
	snprintf(extra, sizeof(extra), "&sid=%s", fixture_open(fixture));
	fixture_websocket(fixture, &probed, extra);
	peer_send_text(&probed, "2probe");
	peer_assert_text(&probed, "3probe");
	engine_close(fixture->engine, NULL, NULL);
	fixture_expect(&held, 200, "1");
	peer_wait_end(&post);
	peer_assert_close(&websocket, 1001);
	peer_assert_close(&probed, 1000);
	peer_close(&held);
	peer_close(&post);
	peer_close(&websocket);
	peer_close(&probed);
	assert_int_equal(strncmp(fixture->story, "open open open close(forced close) open open ", 45), 0);
	/* the rest is what the fixture's teardown does behind its engine */
	http_server_close(fixture->http, NULL, NULL);
	websockets_close(fixture->websockets);
	run_out(&fixture->loop);
	websockets_free(fixture->websockets);
	free(fixture);
}

static void test_heartbeat(void **state)
{
	struct engine_settings settings = fixture_settings;
	settings.ping_interval_ms = 20;
	fixture_setup_with(state, &settings);
	struct fixture *fixture = *state;
	struct peer peer;
	char sid[64];
	snprintf(sid, sizeof(sid), "%s", fixture_open(fixture));
	fixture_connect(fixture, &peer);
	for (int i = 0; i < 3; i++) {
		fixture_get(&peer, sid);
		fixture_expect(&peer, 200, "2");
		fixture_post(&peer, sid, "3");
		fixture_expect(&peer, 200, "ok");
	}
	assert_non_null(fixture->session);
	peer_close(&peer);
	fixture_teardown(state);
}

static bool is_closed(void *data)
{
	return ((struct fixture *)data)->session == NULL;
}

static void test_no_pong(void **state)
{
	struct engine_settings settings = fixture_settings;
	settings.ping_interval_ms = 20;
	settings.ping_timeout_ms = 1500; /* for the second GET to come in time, on a busy machine too */
	fixture_setup_with(state, &settings);
	struct fixture *fixture = *state;
	struct peer peer;
	char sid[64];
	snprintf(sid, sizeof(sid), "%s", fixture_open(fixture));
	fixture_connect(fixture, &peer);
	fixture_get(&peer, sid);
	fixture_expect(&peer, 200, "2");
	fixture_get(&peer, sid);
	fixture_expect(&peer, 200, "1");
	run_until(&fixture->loop, is_closed, fixture);
	assert_string_equal(fixture->story, "open close(ping timeout) ");
	fixture_assert_gone(fixture, sid);
	peer_close(&peer);
	fixture_teardown(state);
}

static void test_what_is_meant_for_the_engine(void **state)
{
	(void)state;
	static const struct { const char *query; bool is_upgrade, is_meant; } rows[] = {
		{ "", false, false }, { "EIO=4", false, true }, { "x=1&transport=", false, true }, { "sid=a", false, true }, { "%45IO=4", false, true },
		{ "eio=4", false, false }, { "a=EIO", false, false }, { "", true, true },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(engine_is_meant(&(struct http_request){ .info.query = bytes_of(rows[i].query), .is_websocket_upgrade = rows[i].is_upgrade }),
		                 rows[i].is_meant);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_order_of_the_checks), TEST(test_refused_upgrades), TEST(test_the_layer_above_decides), TEST(test_as_many_sessions_as_allowed),
		cmocka_unit_test(test_many_sessions_are_found), TEST(test_refusing_handshakes), TEST(test_closing_some),
		cmocka_unit_test_setup(test_closing_all, fixture_setup), cmocka_unit_test(test_heartbeat), cmocka_unit_test(test_no_pong),
		cmocka_unit_test(test_what_is_meant_for_the_engine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
