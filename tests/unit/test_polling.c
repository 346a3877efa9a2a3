/* test_polling.c - the held GET, POSTs, what ends a session and how its client learns of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine_fixture.h"

#define BAD_REQUEST "{\"code\":3,\"message\":\"Bad request\"}"
#define TARGET "/engine.io/?EIO=4&transport=polling&sid="

/* What most tests begin with: a session, and a connection for its POSTs. */
struct polled {
	struct fixture *fixture;
	char sid[64];
	struct peer peer;
};

static void begin(struct polled *polled, void **state)
{
	polled->fixture = *state;
	snprintf(polled->sid, sizeof(polled->sid), "%s", fixture_open(polled->fixture));
	fixture_connect(polled->fixture, &polled->peer);
}

static void post(struct polled *polled, const char *body, unsigned status, const char *answer)
{
	fixture_post(&polled->peer, polled->sid, body);
	fixture_expect(&polled->peer, status, answer);
}

static void get(struct polled *polled, const char *answer)
{
	fixture_get(&polled->peer, polled->sid);
	fixture_expect(&polled->peer, 200, answer);
}

static void assert_story(const struct polled *polled, const char *story)
{
	assert_string_equal(polled->fixture->story, story);
}

/* It is over for the layer above and for the client. */
static void assert_closed(struct polled *polled, const char *story)
{
	assert_story(polled, story);
	fixture_assert_gone(polled->fixture, polled->sid);
	peer_close(&polled->peer);
}

/* --- GET ------------------------------------------------------------------- */

static void test_answers_have_their_type(void **state)
{
	struct polled polled;
	begin(&polled, state);
	fixture_send(polled.fixture, "4x");
	fixture_get(&polled.peer, polled.sid);
	struct answer answer = peer_answer(&polled.peer);
	assert_string_equal(answer_field(&answer, "Content-Type"), "text/plain; charset=UTF-8");
	assert_string_equal(answer_field(&answer, "Cache-Control"), "no-store");
	fixture_post(&polled.peer, polled.sid, "4y");
	answer = peer_answer(&polled.peer);
	assert_string_equal(answer_field(&answer, "Content-Type"), "text/html");
	assert_string_equal(answer_field(&answer, "Content-Length"), "2");
	peer_close(&polled.peer);
}

static void test_held_get_is_answered_by_what_is_sent(void **state)
{
	struct polled polled;
	begin(&polled, state);
	struct peer held;
	fixture_hold(polled.fixture, &held, polled.sid);
	assert_true(session_is_writable(polled.fixture->session));
	fixture_send(polled.fixture, "4first");
	assert_false(session_is_writable(polled.fixture->session));
	fixture_send(polled.fixture, "4second"); /* nobody asks for it yet */
	fixture_expect(&held, 200, "4first");
	fixture_get(&held, polled.sid);
	fixture_expect(&held, 200, "4second");
	peer_close(&held);
	peer_close(&polled.peer);
}

static void test_queued_packets_share_an_answer(void **state)
{
	struct polled polled;
	begin(&polled, state);
	fixture_send(polled.fixture, "4a");
	fixture_send_binary(polled.fixture, (struct bytes){ "\1\2\3\4", 4 });
	fixture_send(polled.fixture, "4\xe2\x82\xac");
	get(&polled, "4a\x1e" "bAQIDBA==\x1e" "4\xe2\x82\xac");
	peer_close(&polled.peer);
}

/* python's clients drop the connection above 16. */
static void test_sixteen_packets_at_most(void **state)
{
	struct polled polled;
	begin(&polled, state);
	static const size_t sizes[] = { 16, 16, 5 };
	char packet[8];
	for (int i = 0; i < 37; i++) {
		snprintf(packet, sizeof(packet), "4%d", i);
		fixture_send(polled.fixture, packet);
	}
	int next = 0;
	for (size_t i = 0; i < 3; i++) {
		fixture_get(&polled.peer, polled.sid);
		struct answer answer = peer_answer(&polled.peer);
		char expected[256] = "";
		for (size_t k = 0; k < sizes[i]; k++)
			snprintf(expected + strlen(expected), 16, k ? "\x1e" "4%d" : "4%d", next++);
		assert_true(bytes_equal_text(answer.body, expected));
	}
	peer_close(&polled.peer);
}

static void test_second_get(void **state)
{
	struct polled polled;
	begin(&polled, state);
	struct peer held;
	fixture_hold(polled.fixture, &held, polled.sid);
	fixture_get(&polled.peer, polled.sid);
	fixture_expect(&polled.peer, 400, BAD_REQUEST);
	fixture_expect(&held, 200, "1");
	peer_close(&held);
	assert_closed(&polled, "open close(transport error) ");
}

/* The same on one connection: both answers, in order. */
static void test_second_get_pipelined(void **state)
{
	struct polled polled;
	begin(&polled, state);
	fixture_get(&polled.peer, polled.sid);
	fixture_get(&polled.peer, polled.sid);
	fixture_expect(&polled.peer, 200, "1");
	fixture_expect(&polled.peer, 400, BAD_REQUEST);
	assert_closed(&polled, "open close(transport error) ");
}

static bool is_over(void *data)
{
	return ((struct fixture *)data)->session == NULL;
}

static void test_client_of_a_held_get_leaves(void **state)
{
	struct polled polled;
	begin(&polled, state);
	struct peer held;
	fixture_hold(polled.fixture, &held, polled.sid);
	peer_finish(&held);
	run_until(&polled.fixture->loop, is_over, polled.fixture);
	peer_close(&held);
	assert_closed(&polled, "open close(transport close) ");
}

/* --- POST ------------------------------------------------------------------ */

static void test_packets_of_a_post(void **state)
{
	struct polled polled;
	begin(&polled, state);
	post(&polled, "4hello\x1e" "bAQI=\x1e" "4\x1e" "3\x1e" "6\x1e" "4\xe2\x82\xac", 200, "ok");
	assert_story(&polled, "open message(hello) binary(2 bytes) message() message(\xe2\x82\xac) ");
	assert_memory_equal(polled.fixture->query, "EIO=4&transport=polling&sid=", 28); /* the request that carried them */
	peer_close(&polled.peer);
}

/* What one POST causes leaves in one answer. */
static void test_held_get_gets_all_that_a_post_causes(void **state)
{
	struct polled polled;
	begin(&polled, state);
	struct peer held;
	polled.fixture->echoes = true;
	fixture_hold(polled.fixture, &held, polled.sid);
	post(&polled, "4a\x1e" "4b\x1e" "4c", 200, "ok");
	fixture_expect(&held, 200, "4a\x1e" "4b\x1e" "4c");
	peer_close(&held);
	peer_close(&polled.peer);
}

static void test_chunked_post_in_pieces(void **state)
{
	struct polled polled;
	begin(&polled, state);
	peer_say(&polled.peer, "POST " TARGET "%s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n4h\r\n", polled.sid);
	run_idle(&polled.fixture->loop);
	assert_story(&polled, "open ");
	peer_say(&polled.peer, "4\r\nello\r\n0\r\n\r\n");
	fixture_expect(&polled.peer, 200, "ok");
	assert_story(&polled, "open message(hello) ");
	peer_close(&polled.peer);
}

static void test_malformed_posts(void **state)
{
	static const char *const bodies[] = { "", "x", "7", "4a\x1e", "\x1e" "4a", "b!", "bA", "4\xff", "4a\x1e\x1e" "4b", "4\xed\xa0\x80" };
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct polled polled;
		begin(&polled, state);
		struct peer held;
		polled.fixture->story[0] = '\0';
		fixture_hold(polled.fixture, &held, polled.sid);
		post(&polled, bodies[i], 400, BAD_REQUEST);
		fixture_expect(&held, 200, "1");
		peer_close(&held);
		assert_non_null(strstr(polled.fixture->story, "close(parse error) "));
		assert_null(strstr(polled.fixture->story, "message(b)"));
		fixture_assert_gone(polled.fixture, polled.sid);
		peer_close(&polled.peer);
	}
}

static void test_ping_of_the_client(void **state)
{
	struct polled polled;
	begin(&polled, state);
	post(&polled, "2\x1e" "4late", 200, "ok"); /* what stands behind it no longer counts */
	assert_closed(&polled, "open close(transport error) ");
}

static void test_close_packet(void **state)
{
	struct polled polled;
	begin(&polled, state);
	struct peer held;
	fixture_hold(polled.fixture, &held, polled.sid);
	post(&polled, "4bye\x1e" "1\x1e" "4late", 200, "ok");
	fixture_expect(&held, 200, "6");
	peer_close(&held);
	assert_closed(&polled, "open message(bye) close(transport close) ");
}

static void test_octet_stream(void **state)
{
	struct polled polled;
	begin(&polled, state);
	peer_say(&polled.peer, "POST " TARGET "%s HTTP/1.1\r\nHost: h\r\nContent-Type: Application/Octet-Stream\r\nContent-Length: 2\r\n\r\n4x", polled.sid);
	fixture_expect(&polled.peer, 400, BAD_REQUEST);
	assert_closed(&polled, "open close(transport error) ");
}

static void test_body_bound(void **state)
{
	struct polled polled;
	begin(&polled, state);
	struct fixture *fixture = polled.fixture;
	char body[1002];
	memset(body, 'x', sizeof(body));
	body[0] = '4';
	body[1000] = '\0';
	post(&polled, body, 200, "ok"); /* max_payload to the byte */
	assert_story(&polled, "open message(999 bytes) ");
	body[1000] = 'x';
	body[1001] = '\0';
	fixture_post(&polled.peer, polled.sid, body);
	struct answer answer = peer_answer(&polled.peer);
	assert_int_equal(answer.status, 413);
	peer_wait_end(&polled.peer);
	peer_close(&polled.peer);
	fixture_connect(fixture, &polled.peer); /* the length is not said before */
	peer_say(&polled.peer, "POST " TARGET "%s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n%.1000s\r\n1\r\nx\r\n", polled.sid, body);
	assert_int_equal(peer_answer(&polled.peer).status, 413);
	peer_close(&polled.peer);
	fixture_connect(fixture, &polled.peer);
	post(&polled, "4still there", 200, "ok");
	assert_story(&polled, "open message(999 bytes) message(still there) ");
	peer_close(&polled.peer);
}

static void begin_post(struct polled *polled, struct peer *peer)
{
	fixture_connect(polled->fixture, peer);
	peer_say(peer, "POST " TARGET "%s HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n4half", polled->sid);
	(void)fixture_ask(polled->fixture, "GET /engine.io/?transport=none HTTP/1.1\r\nHost: h\r\n\r\n");
	run_idle(&polled->fixture->loop);
}

static void test_second_post(void **state)
{
	struct polled polled;
	begin(&polled, state);
	struct peer first;
	begin_post(&polled, &first);
	post(&polled, "4x", 400, BAD_REQUEST);
	peer_wait_end(&first);
	assert_int_equal(first.received.len, 0); /* cut */
	peer_close(&first);
	assert_closed(&polled, "open close(transport error) ");
}

static void test_client_of_a_post_leaves(void **state)
{
	struct polled polled;
	begin(&polled, state);
	struct peer half, held;
	fixture_hold(polled.fixture, &held, polled.sid);
	begin_post(&polled, &half);
	peer_close(&half);
	run_until(&polled.fixture->loop, is_over, polled.fixture);
	fixture_expect(&held, 200, "1");
	peer_close(&held);
	assert_closed(&polled, "open close(transport close) ");
}

/* A GET and POSTs in one segment, and a POST that shares its segment with the next request. */
static void test_pipelined_get_and_posts(void **state)
{
	struct polled polled;
	begin(&polled, state);
	const char *sid = polled.sid;
	peer_say(&polled.peer, "GET " TARGET "%s HTTP/1.1\r\nHost: h\r\n\r\nPOST " TARGET "%s HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n4a"
	         "POST " TARGET "%s HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n4bGET /engine.io/?tr", sid, sid, sid);
	run_idle(&polled.fixture->loop);
	assert_story(&polled, "open message(a) message(b) ");
	assert_int_equal(polled.peer.received.len, 0); /* the held GET stands in front */
	fixture_send(polled.fixture, "4answer");
	fixture_expect(&polled.peer, 200, "4answer");
	fixture_expect(&polled.peer, 200, "ok");
	fixture_expect(&polled.peer, 200, "ok");
	peer_say(&polled.peer, "ansport=x HTTP/1.1\r\nHost: h\r\n\r\n");
	fixture_expect(&polled.peer, 400, "{\"code\":0,\"message\":\"Transport unknown\"}");
	peer_close(&polled.peer);
}

/* --- other methods --------------------------------------------------------- */

static void test_other_methods(void **state)
{
	struct polled polled;
	begin(&polled, state);
	static const char *const methods[] = { "PUT", "DELETE", "PATCH", "OPTIONS" };
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		peer_say(&polled.peer, "%s " TARGET "%s HTTP/1.1\r\nHost: h\r\n\r\n", methods[i], polled.sid);
		struct answer answer = peer_answer(&polled.peer);
		assert_int_equal(answer.status, 405);
		assert_string_equal(answer_field(&answer, "Allow"), "GET, POST, OPTIONS");
	}
	peer_say(&polled.peer, "HEAD " TARGET "%s HTTP/1.1\r\nHost: h\r\n\r\n", polled.sid);
	assert_int_equal(peer_answer_without_body(&polled.peer).status, 405);
	post(&polled, "4x", 200, "ok");
	assert_story(&polled, "open message(x) ");
	peer_close(&polled.peer);
}

static void test_websocket_of_a_polling_session_by_plain_request(void **state)
{
	struct polled polled;
	begin(&polled, state);
	peer_say(&polled.peer, "GET /engine.io/?EIO=4&transport=websocket&sid=%s HTTP/1.1\r\nHost: h\r\n\r\n", polled.sid);
	fixture_expect(&polled.peer, 400, BAD_REQUEST);
	assert_story(&polled, "open ");
	peer_close(&polled.peer);
}

/* --- the server closes ----------------------------------------------------- */

static void test_close_with_a_held_get(void **state)
{
	struct polled polled;
	begin(&polled, state);
	struct peer held;
	fixture_hold(polled.fixture, &held, polled.sid);
	session_close(polled.fixture->session, CLOSE_FORCED);
	fixture_expect(&held, 200, "1");
	peer_close(&held);
	assert_closed(&polled, "open close(forced close) ");
}

/* `1` stands alone and comes behind what was queued. */
static void test_close_with_a_queue(void **state)
{
	struct polled polled;
	begin(&polled, state);
	fixture_send(polled.fixture, "4last");
	session_close(polled.fixture->session, CLOSE_FORCED);
	assert_story(&polled, "open close(forced close) ");
	post(&polled, "4late", 200, "ok");
	get(&polled, "4last");
	get(&polled, "1");
	assert_closed(&polled, "open close(forced close) ");
}

static void test_nobody_comes_for_the_last_packets(void **state)
{
	struct engine_settings settings = fixture_settings;
	settings.close_linger_ms = 20;
	fixture_setup_with(state, &settings);
	struct polled polled;
	begin(&polled, state);
	fixture_send(polled.fixture, "4last");
	session_close(polled.fixture->session, CLOSE_FORCED);
	uint64_t begin_ns = uv_hrtime();
	while (uv_hrtime() - begin_ns < 20000000000u) { /* it goes by itself */
		peer_say(&polled.peer, "PUT " TARGET "%s HTTP/1.1\r\nHost: h\r\n\r\n", polled.sid);
		if (peer_answer(&polled.peer).status == 400)
			break;
	}
	assert_closed(&polled, "open close(forced close) ");
	fixture_teardown(state);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_answers_have_their_type), TEST(test_held_get_is_answered_by_what_is_sent), TEST(test_queued_packets_share_an_answer),
		TEST(test_sixteen_packets_at_most), TEST(test_second_get), TEST(test_second_get_pipelined), TEST(test_client_of_a_held_get_leaves),
		TEST(test_packets_of_a_post), TEST(test_held_get_gets_all_that_a_post_causes),
		 TEST(test_chunked_post_in_pieces), TEST(test_malformed_posts), TEST(test_ping_of_the_client),
		TEST(test_close_packet), TEST(test_octet_stream), TEST(test_body_bound), TEST(test_second_post), TEST(test_client_of_a_post_leaves),
		TEST(test_pipelined_get_and_posts), TEST(test_other_methods), TEST(test_websocket_of_a_polling_session_by_plain_request),
		TEST(test_close_with_a_held_get), TEST(test_close_with_a_queue), cmocka_unit_test(test_nobody_comes_for_the_last_packets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
