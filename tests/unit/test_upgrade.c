/* test_upgrade.c - a session goes from polling to a WebSocket, or stays where it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine_fixture.h"
#include "transport.h"

struct upgrading {
	struct fixture *fixture;
	char sid[64];
	struct peer polling, websocket;
};

static void open_websocket(struct upgrading *upgrading, struct peer *peer)
{
	char extra[100];
	snprintf(extra, sizeof(extra), "&sid=%s", upgrading->sid);
	fixture_websocket(upgrading->fixture, peer, extra);
}

/* A polling session, and a WebSocket of it that has said nothing yet. */
static void begin(struct upgrading *upgrading, void **state)
{
	upgrading->fixture = *state;
	snprintf(upgrading->sid, sizeof(upgrading->sid), "%s", fixture_open(upgrading->fixture));
	fixture_connect(upgrading->fixture, &upgrading->polling);
	open_websocket(upgrading, &upgrading->websocket);
}

static void probe(struct upgrading *upgrading)
{
	peer_send_text(&upgrading->websocket, "2probe");
	peer_assert_text(&upgrading->websocket, "3probe");
}

static void get(struct upgrading *upgrading, unsigned status, const char *body)
{
	fixture_get(&upgrading->polling, upgrading->sid);
	fixture_expect(&upgrading->polling, status, body);
}

static void finish(struct upgrading *upgrading)
{
	peer_close(&upgrading->polling);
	peer_close(&upgrading->websocket);
}

static bool is_upgraded(void *data)
{
	return engine_counters(((struct fixture *)data)->engine)->upgrades > 0;
}

static bool has_no_upgrade(void *data)
{
	return ((struct fixture *)data)->session->upgrade == NULL;
}

/* The session is with polling, as if nothing had been. */
static void assert_still_polling(struct upgrading *upgrading)
{
	struct fixture *fixture = upgrading->fixture;
	assert_non_null(fixture->session);
	run_until(&fixture->loop, has_no_upgrade, fixture);
	fixture_send(fixture, "4by polling");
	get(upgrading, 200, "4by polling");
	assert_string_equal(fixture->story, "open ");
	assert_int_equal(engine_counters(fixture->engine)->upgrades, 0);
}

static void test_whole_upgrade(void **state)
{
	struct upgrading upgrading;
	begin(&upgrading, state);
	struct fixture *fixture = upgrading.fixture;
	struct peer held;
	fixture_hold(fixture, &held, upgrading.sid);
	probe(&upgrading);
	fixture_expect(&held, 200, "6"); /* a held GET is released */
	get(&upgrading, 200, "6");       /* and none is held any more */
	fixture_send(fixture, "4queued"); /* nothing but the probe's answer goes to the WebSocket before `5` */
	run_idle(&fixture->loop);
	assert_int_equal(upgrading.websocket.received.len, 0);
	peer_send_text(&upgrading.websocket, "5");
	peer_assert_text(&upgrading.websocket, "4queued");
	run_until(&fixture->loop, is_upgraded, fixture);
	get(&upgrading, 400, "{\"code\":3,\"message\":\"Bad request\"}"); /* old polling is dead */
	fixture_send(fixture, "4direct");
	peer_assert_text(&upgrading.websocket, "4direct");
	peer_send_text(&upgrading.websocket, "4back");
	fixture_wait_story(fixture, "open message(back) ");
	assert_int_equal(engine_counters(fixture->engine)->websocket_sessions, 1);
	peer_close(&held);
	finish(&upgrading);
}

static void test_packets_go_out_by_gets_until_the_end(void **state)
{
	struct upgrading upgrading;
	begin(&upgrading, state);
	fixture_send(upgrading.fixture, "4one");
	probe(&upgrading);
	get(&upgrading, 200, "4one");
	fixture_send(upgrading.fixture, "4two");
	get(&upgrading, 200, "4two");
	fixture_post(&upgrading.polling, upgrading.sid, "4three");
	fixture_expect(&upgrading.polling, 200, "ok");
	assert_string_equal(upgrading.fixture->story, "open message(three) ");
	finish(&upgrading);
}

/* python's client holds no GET, and sends its `5` at once. */
static void test_without_a_held_get(void **state)
{
	struct upgrading upgrading;
	begin(&upgrading, state);
	struct buffer frames = { 0 };
	frame_add(&frames, FIN | OPCODE_TEXT, bytes_of("2probe"));
	frame_add(&frames, FIN | OPCODE_TEXT, bytes_of("5"));
	frame_add(&frames, FIN | OPCODE_TEXT, bytes_of("4hello"));
	peer_send(&upgrading.websocket, buffer_bytes(&frames));
	peer_assert_text(&upgrading.websocket, "3probe");
	run_until(&upgrading.fixture->loop, is_upgraded, upgrading.fixture);
	fixture_wait_story(upgrading.fixture, "open message(hello) ");
	buffer_deinit(&frames);
	finish(&upgrading);
}

/* A GET that is still held when `5` comes (it came in between) gets its answer. */
static void test_post_under_way_is_cut_by_the_end(void **state)
{
	struct upgrading upgrading;
	begin(&upgrading, state);
	peer_say(&upgrading.polling, "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n4half", upgrading.sid);
	probe(&upgrading);
	peer_send_text(&upgrading.websocket, "5");
	peer_wait_end(&upgrading.polling);
	run_until(&upgrading.fixture->loop, is_upgraded, upgrading.fixture);
	assert_string_equal(upgrading.fixture->story, "open "); /* the session lives on */
	finish(&upgrading);
}

static void test_wrong_words(void **state)
{
	static const char *const first[] = { "5", "2", "2other", "4hello", "" };
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		struct upgrading upgrading;
		begin(&upgrading, state);
		upgrading.fixture->story[5] = '\0';
		peer_send_text(&upgrading.websocket, first[i]);
		peer_assert_close(&upgrading.websocket, 1000);
		assert_still_polling(&upgrading);
		finish(&upgrading);
	}
	struct upgrading upgrading;
	begin(&upgrading, state);
	upgrading.fixture->story[5] = '\0';
	probe(&upgrading);
	peer_send_text(&upgrading.websocket, "2probe"); /* a second time */
	peer_assert_close(&upgrading.websocket, 1000);
	assert_still_polling(&upgrading);
	finish(&upgrading);
}

static void test_websocket_dies(void **state)
{
	for (int is_probed = 0; is_probed < 2; is_probed++) {
		struct upgrading upgrading;
		begin(&upgrading, state);
		upgrading.fixture->story[5] = '\0';
		if (is_probed)
			probe(&upgrading);
		peer_reset(&upgrading.websocket);
		assert_still_polling(&upgrading);
		struct peer held; /* GETs are held again */
		fixture_hold(upgrading.fixture, &held, upgrading.sid);
		peer_close(&held);
		run_idle(&upgrading.fixture->loop);
		finish(&upgrading);
	}
}

static void test_another_attempt_after_a_failure(void **state)
{
	struct upgrading upgrading;
	begin(&upgrading, state);
	probe(&upgrading);
	peer_reset(&upgrading.websocket);
	run_until(&upgrading.fixture->loop, has_no_upgrade, upgrading.fixture);
	open_websocket(&upgrading, &upgrading.websocket);
	probe(&upgrading);
	peer_send_text(&upgrading.websocket, "5");
	run_until(&upgrading.fixture->loop, is_upgraded, upgrading.fixture);
	finish(&upgrading);
}

static void test_too_slow(void **state)
{
	struct engine_settings settings = fixture_settings;
	settings.upgrade_timeout_ms = 20;
	fixture_setup_with(state, &settings);
	struct upgrading silent;
	begin(&silent, state);
	peer_assert_close(&silent.websocket, 1000);
	assert_still_polling(&silent);
	finish(&silent);
	fixture_teardown(state);
}

/* A second WebSocket is closed; the first, and the session, go on. */
static void test_second_websocket(void **state)
{
	struct upgrading upgrading;
	begin(&upgrading, state);
	struct peer second;
	open_websocket(&upgrading, &second);
	peer_assert_close(&second, 1000);
	peer_close(&second);
	probe(&upgrading);
	peer_send_text(&upgrading.websocket, "5");
	run_until(&upgrading.fixture->loop, is_upgraded, upgrading.fixture);
	open_websocket(&upgrading, &second);
	peer_assert_close(&second, 1000);
	peer_close(&second);
	fixture_send(upgrading.fixture, "4x");
	peer_assert_text(&upgrading.websocket, "4x");
	assert_string_equal(upgrading.fixture->story, "open ");
	finish(&upgrading);
}

static void test_session_closes_meanwhile(void **state)
{
	for (int is_probed = 0; is_probed < 2; is_probed++) {
		struct upgrading upgrading;
		begin(&upgrading, state);
		if (is_probed)
			probe(&upgrading);
		session_close(upgrading.fixture->session, CLOSE_FORCED);
		peer_assert_close(&upgrading.websocket, 1000);
		get(&upgrading, 200, "1");
		fixture_assert_gone(upgrading.fixture, upgrading.sid);
		finish(&upgrading);
	}
}

static void test_base64(void **state)
{
	struct fixture *fixture = *state;
	struct upgrading upgrading = { .fixture = fixture };
	char extra[100];
	snprintf(extra, sizeof(extra), "&b64=1&sid=%s", fixture_open(fixture));
	fixture_connect(fixture, &upgrading.polling);
	fixture_websocket(fixture, &upgrading.websocket, extra);
	probe(&upgrading);
	peer_send_text(&upgrading.websocket, "5");
	run_until(&fixture->loop, is_upgraded, fixture);
	fixture_send_binary(fixture, (struct bytes){ "\1\2\3\4", 4 });
	peer_assert_text(&upgrading.websocket, "bAQIDBA==");
	finish(&upgrading);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_whole_upgrade), TEST(test_packets_go_out_by_gets_until_the_end), TEST(test_without_a_held_get),
		TEST(test_post_under_way_is_cut_by_the_end), TEST(test_wrong_words), TEST(test_websocket_dies),
		TEST(test_another_attempt_after_a_failure), cmocka_unit_test(test_too_slow), TEST(test_second_websocket),
		TEST(test_session_closes_meanwhile), TEST(test_base64),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
