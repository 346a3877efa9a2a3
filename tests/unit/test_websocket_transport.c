/* test_websocket_transport.c - Engine.IO sessions that begin and end on a WebSocket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <unistd.h>

#include <cmocka.h>

#include "engine_fixture.h"

static bool is_over(void *data)
{
	return ((struct fixture *)data)->session == NULL;
}

static void wait_over(struct fixture *fixture, const char *story)
{
	run_until(&fixture->loop, is_over, fixture);
	assert_string_equal(fixture->story, story);
	assert_int_equal(engine_counters(fixture->engine)->websocket_sessions, 0);
}

static void test_handshake_packet(void **state)
{
	struct fixture *fixture = *state;
	struct peer peer;
	fixture_connect(fixture, &peer);
	peer_upgrade(&peer, "/engine.io/?EIO=4&transport=websocket");
	struct received_frame frame = peer_frame(&peer);
	assert_int_equal(frame.opcode, OPCODE_TEXT);
	assert_non_null(strstr(frame.payload.data, "\"upgrades\":[],"));
	assert_memory_equal(frame.payload.data, "0{\"sid\":\"hub~", 13);
	assert_string_equal(fixture->story, "open ");
	assert_int_equal(engine_counters(fixture->engine)->websocket_sessions, 1);
	char sid[64];
	assert_int_equal(sscanf(frame.payload.data, "0{\"sid\":\"%63[^\"]", sid), 1);
	assert_string_equal(sid, session_sid(fixture->session));
	struct peer other;
	fixture_connect(fixture, &other);
	fixture_get(&other, sid); /* it is not a polling session */
	fixture_expect(&other, 400, "{\"code\":3,\"message\":\"Bad request\"}");
	peer_close(&other);
	assert_non_null(fixture->session);
	peer_close(&peer);
	wait_over(fixture, "open close(transport close) ");
}

static void test_messages(void **state)
{
	struct fixture *fixture = *state;
	struct peer peer;
	struct buffer frames = { 0 };
	fixture_websocket(fixture, &peer, "&token=t");
	peer_send_text(&peer, "4hello");
	frame_add(&frames, FIN | OPCODE_BINARY, (struct bytes){ "\0\1\2", 3 });
	frame_add(&frames, FIN | OPCODE_TEXT, bytes_of("bAQI="));
	frame_add(&frames, FIN | OPCODE_TEXT, bytes_of("6"));
	peer_send(&peer, buffer_bytes(&frames));
	fixture_wait_story(fixture, "open message(hello) binary(3 bytes) binary(2 bytes) ");
	assert_string_equal(fixture->query, "EIO=4&transport=websocket&token=t"); /* the handshake carried them */
	fixture_send(fixture, "4there");
	fixture_send_binary(fixture, (struct bytes){ "\7\0", 2 });
	peer_assert_text(&peer, "4there");
	struct received_frame frame = peer_frame(&peer);
	assert_int_equal(frame.opcode, OPCODE_BINARY);
	assert_int_equal(frame.payload.len, 2);
	buffer_deinit(&frames);
	peer_close(&peer);
	wait_over(fixture, "open message(hello) binary(3 bytes) binary(2 bytes) close(transport close) ");
}

static void test_forgotten_request(void **state)
{
	struct fixture *fixture = *state;
	struct peer peer;
	fixture_websocket(fixture, &peer, "&token=t");
	session_forget_request(fixture->session);
	peer_send_text(&peer, "4hello");
	fixture_wait_story(fixture, "open message(hello) ");
	assert_string_equal(fixture->query, "");
	peer_close(&peer);
}

static void test_base64_clients(void **state)
{
	struct fixture *fixture = *state;
	struct peer peer;
	fixture_websocket(fixture, &peer, "&b64=1");
	fixture_send(fixture, "4a");
	fixture_send_binary(fixture, (struct bytes){ "\1\2\3\4", 4 });
	fixture_send(fixture, "4b");
	peer_assert_text(&peer, "4a");
	peer_assert_text(&peer, "bAQIDBA==");
	peer_assert_text(&peer, "4b");
	peer_close(&peer);
}

/* What closes a session, the code that the client sees, the reason above. */
static void test_ends_by_packets(void **state)
{
	static const struct { const char *packet; unsigned code; const char *story; } rows[] = {
		{ "1", 1000, "open close(transport close) " }, { "2", 1002, "open close(transport error) " },
		{ "2probe", 1002, "open close(transport error) " }, { "", 1002, "open close(parse error) " }, { "x", 1002, "open close(parse error) " },
		{ "b*", 1002, "open close(parse error) " }, { "4\xff", 1007, "open close(transport error) " },
	};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer peer;
		fixture->story[0] = '\0';
		fixture_websocket(fixture, &peer, "");
		peer_send_text(&peer, rows[i].packet);
		peer_send_text(&peer, "4late");
		peer_assert_close(&peer, rows[i].code);
		wait_over(fixture, rows[i].story);
		peer_close(&peer);
	}
}

static void test_too_large(void **state)
{
	struct fixture *fixture = *state;
	char packet[1002];
	struct peer peer;
	memset(packet, 'x', sizeof(packet));
	packet[0] = '4';
	packet[1000] = '\0';
	fixture_websocket(fixture, &peer, "");
	peer_send_text(&peer, packet);
	fixture_wait_story(fixture, "open message(999 bytes) ");
	packet[1000] = 'x';
	packet[1001] = '\0';
	peer_send_text(&peer, packet);
	peer_assert_close(&peer, 1009);
	wait_over(fixture, "open message(999 bytes) close(transport error) ");
	peer_close(&peer);
}

static void test_server_closes(void **state)
{
	static const struct { enum close_reason reason; unsigned code; } rows[] = {
		{ CLOSE_FORCED, 1000 }, { CLOSE_SHUTTING_DOWN, 1001 }, { CLOSE_SLOW, 1008 }, { CLOSE_PARSE_ERROR, 1002 },
	};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer peer;
		fixture_websocket(fixture, &peer, "");
		fixture_send(fixture, "4last");
		session_close(fixture->session, rows[i].reason);
		assert_null(fixture->session);
		peer_assert_text(&peer, "4last"); /* in front of the close frame */
		peer_assert_close(&peer, rows[i].code);
		peer_close(&peer);
		run_idle(&fixture->loop);
	}
}

static void test_heartbeat(void **state)
{
	struct engine_settings settings = fixture_settings;
	settings.ping_interval_ms = 20;
	settings.ping_timeout_ms = 20000;
	fixture_setup_with(state, &settings);
	struct fixture *fixture = *state;
	struct peer peer;
	fixture_websocket(fixture, &peer, "");
	for (int i = 0; i < 3; i++) {
		peer_assert_text(&peer, "2");
		peer_send_text(&peer, "3");
	}
	assert_string_equal(fixture->story, "open ");
	peer_close(&peer);
	fixture_teardown(state);
}

static void test_no_pong(void **state)
{
	struct engine_settings settings = fixture_settings;
	settings.ping_interval_ms = settings.ping_timeout_ms = 20;
	fixture_setup_with(state, &settings);
	struct fixture *fixture = *state;
	struct peer peer;
	fixture_websocket(fixture, &peer, "");
	peer_assert_text(&peer, "2");
	peer_send_text(&peer, "6"); /* only 3 counts */
	peer_assert_close(&peer, 1000);
	wait_over(fixture, "open close(ping timeout) ");
	peer_close(&peer);
	fixture_teardown(state);
}

/* A client that reads nothing: what it has not got is queued up to the bound, in order when it reads on. */
static void test_slow_reader(void **state)
{
	struct fixture *fixture = *state;
	struct peer peer;
	static char packet[30001];
	memset(packet, 'x', sizeof(packet) - 1);
	packet[0] = '4';
	fixture_websocket(fixture, &peer, "");
	uv_poll_stop(peer.poll);
	unsigned sent = 0, seen = 0;
	while (session_is_writable(fixture->session) && sent < 10000) {
		snprintf(packet + 1, 11, "%010u", sent++);
		packet[11] = 'x';
		fixture_send(fixture, packet);
	}
	for (int i = 0; i < 3; i++) {
		snprintf(packet + 1, 11, "%010u", sent++);
		packet[11] = 'x';
		fixture_send(fixture, packet);
	}
	assert_non_null(fixture->session);
	/* it reads again */
	struct peer reader;
	peer_open(&reader, &fixture->loop, dup(peer.fd));
	peer_close(&peer);
	while (seen < sent) {
		struct received_frame frame = peer_frame(&reader);
		assert_int_equal(frame.payload.len, 30000);
		assert_int_equal(strtoul(frame.payload.data + 1, NULL, 10), seen++);
	}
	assert_true(session_is_writable(fixture->session));
	peer_close(&reader);
	wait_over(fixture, "open close(transport close) ");
}

static void test_slowest_reader(void **state)
{
	struct fixture *fixture = *state;
	struct peer peer;
	static char packet[30001];
	memset(packet, '4', sizeof(packet) - 1);
	fixture_websocket(fixture, &peer, "");
	uv_poll_stop(peer.poll);
	for (int i = 0; fixture->session && i < 10000; i++)
		fixture_send(fixture, packet);
	assert_string_equal(fixture->story, "open close(too slow) ");
	peer_close(&peer);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_handshake_packet), TEST(test_messages), TEST(test_forgotten_request), TEST(test_base64_clients), TEST(test_ends_by_packets),
		TEST(test_too_large), TEST(test_server_closes), cmocka_unit_test(test_heartbeat), cmocka_unit_test(test_no_pong),
		TEST(test_slow_reader), TEST(test_slowest_reader),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
