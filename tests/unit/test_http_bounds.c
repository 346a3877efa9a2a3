/* test_http_bounds.c - what one connection, one address, all of them may take of the HTTP front; time; refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/socket.h>

#include <cmocka.h>

#include "http_fixture.h"

/* --- bounds ---------------------------------------------------------------- */

/* No more requests are parsed than may wait for answers; the rest follows when they are out. */
static void test_pipelined_bound(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	fixture->settings.max_pipelined = 4;
	http_fixture_connect(fixture, &peer);
	for (int i = 0; i < 10; i++)
		peer_say(&peer, GET("/later"));
	run_idle(&fixture->loop);
	assert_int_equal(fixture->kept_count, 4);
	for (int i = 0; i < 10; i++) {
		char number[8];
		snprintf(number, sizeof(number), "%d", i);
		assert_true((size_t)i < fixture->kept_count);
		http_fixture_answer(fixture->kept[i], number);
		http_fixture_expect(&peer, 200, number);
		run_idle(&fixture->loop);
	}
	assert_int_equal(fixture->kept_count, 10);
	peer_close(&peer);
}

/* A client that asks and never reads does not fill the memory. */
static void test_client_that_reads_nothing(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	uv_poll_stop(peer.poll);
	for (int i = 0; i < 20; i++)
		peer_say(&peer, GET("/big"));
	run_idle(&fixture->loop);
	assert_int_equal(http_fixture_counters(fixture)->requests, 1);
	peer_close(&peer);
	http_fixture_wait_gone(fixture);
}

static void test_connection_bounds(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peers[4];
	fixture->settings.max_connections = 2;
	http_fixture_connect(fixture, &peers[0]);
	http_fixture_connect(fixture, &peers[1]);
	http_fixture_connect(fixture, &peers[2]);
	struct answer seen = peer_answer(&peers[2]);
	assert_int_equal(seen.status, 503);
	assert_string_equal(answer_field(&seen, "Connection"), "close");
	assert_string_equal(answer_field(&seen, "Retry-After"), "1");
	peer_wait_end(&peers[2]);
	assert_int_equal(http_fixture_counters(fixture)->refused, 1);
	peer_close(&peers[0]);
	run_idle(&fixture->loop);
	http_fixture_connect(fixture, &peers[3]);
	peer_say(&peers[3], GET("/now?x"));
	http_fixture_expect(&peers[3], 200, "x");
	for (int i = 1; i < 4; i++)
		peer_close(&peers[i]);
}

static void test_bound_of_an_address(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peers[3], local;
	struct error err;
	int fds[2];
	fixture->settings.max_per_address = 2;
	for (int i = 0; i < 3; i++)
		http_fixture_connect(fixture, &peers[i]);
	assert_int_equal(peer_answer(&peers[2]).status, 429);
	peer_wait_end(&peers[2]);
	assert_int_equal(http_fixture_counters(fixture)->refused_address, 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0); /* has none */
	assert_int_equal(http_server_take(fixture->server, fds[0], &err), 0);
	peer_open(&local, &fixture->loop, fds[1]);
	peer_say(&local, GET("/now?x"));
	http_fixture_expect(&local, 200, "x");
	peer_close(&local);
	for (int i = 0; i < 3; i++)
		peer_close(&peers[i]);
	http_fixture_wait_gone(fixture);
	http_fixture_connect(fixture, &peers[0]); /* they were counted off again */
	peer_say(&peers[0], GET("/now?y"));
	http_fixture_expect(&peers[0], 200, "y");
	peer_close(&peers[0]);
}

/* --- time ------------------------------------------------------------------ */

enum { SOON_MS = 100 };

static uint64_t since_ms(uint64_t begin_ns)
{
	return (uv_hrtime() - begin_ns) / 1000000;
}

static void test_header_timeout(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer silent, slow;
	fixture->settings.header_timeout_ms = SOON_MS;
	http_fixture_connect(fixture, &silent);
	http_fixture_connect(fixture, &slow);
	peer_say(&slow, "GET /now HTTP/1.1\r\nHo");
	http_fixture_expect_error(&slow, 408, "request_timeout");
	peer_wait_end(&slow);
	peer_wait_end(&silent); /* it has asked for nothing */
	assert_int_equal(silent.received.len, 0);
	assert_int_equal(http_fixture_counters(fixture)->timeouts, 1);
	peer_close(&silent);
	peer_close(&slow);
}

/* A byte now and then buys no time. */
static void test_header_that_trickles(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	fixture->settings.header_timeout_ms = SOON_MS;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, "GET /now HTTP/1.1\r\nX: ");
	uint64_t begin_ns = uv_hrtime(), sent_ns = 0;
	while (!peer.received.len && since_ms(begin_ns) < 20000) {
		if (since_ms(sent_ns) > 1) {
			peer_say(&peer, "x");
			sent_ns = uv_hrtime();
		}
		uv_run(&fixture->loop, UV_RUN_NOWAIT);
	}
	http_fixture_expect_error(&peer, 408, "request_timeout");
	peer_close(&peer);
}

/* A request that begins behind another one's end has all its time. */
static void test_each_header_has_its_own_time(void **state)
{
	enum { TIMEOUT_MS = 300 };
	struct http_fixture *fixture = *state;
	struct peer peer;
	fixture->settings.header_timeout_ms = TIMEOUT_MS;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, "GET /now?x HTTP/1.1\r\nHo");
	for (uint64_t begin_ns = uv_hrtime(); since_ms(begin_ns) < TIMEOUT_MS / 2;)
		uv_run(&fixture->loop, UV_RUN_NOWAIT);
	uint64_t begin_ns = uv_hrtime();
	peer_say(&peer, "st: h\r\n\r\nGET /now HTTP/1.1\r\nHo");
	struct answer seen = peer_answer(&peer);
	if (seen.status == 408) { /* the machine was too slow for the first one: nothing is learnt */
		peer_close(&peer);
		return;
	}
	http_fixture_expect_error(&peer, 408, "request_timeout");
	assert_in_range(since_ms(begin_ns), TIMEOUT_MS - 10, 20000);
	peer_close(&peer);
}

static void test_body_timeout(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	fixture->settings.body_timeout_ms = SOON_MS;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, POST("/echo", "10", "abc"));
	http_fixture_expect_error(&peer, 408, "request_timeout");
	peer_wait_end(&peer);
	assert_int_equal(fixture->aborted, 1);
	assert_int_equal(fixture->completed, 0);
	peer_close(&peer);
}

static void test_idle_timeout(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	fixture->settings.idle_timeout_ms = SOON_MS;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, GET("/now?x"));
	http_fixture_expect(&peer, 200, "x");
	peer_wait_end(&peer);
	assert_int_equal(peer.received.len, 0);
	peer_close(&peer);
}

/* A kept exchange has all the time that its handler gives it. */
static void test_kept_exchange_is_not_idle(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer idle, waiting;
	fixture->settings.idle_timeout_ms = fixture->settings.header_timeout_ms = fixture->settings.body_timeout_ms = SOON_MS;
	http_fixture_connect(fixture, &waiting);
	peer_say(&waiting, GET("/later"));
	run_idle(&fixture->loop);
	http_fixture_connect(fixture, &idle);
	peer_say(&idle, GET("/now?x"));
	http_fixture_expect(&idle, 200, "x");
	peer_wait_end(&idle); /* later than the other one would have ended */
	assert_false(waiting.is_ended);
	assert_int_equal(fixture->aborted, 0);
	http_fixture_answer(fixture->kept[0], "at last");
	http_fixture_expect(&waiting, 200, "at last");
	peer_close(&waiting);
	peer_close(&idle);
}

static void test_reader_that_stalls(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	fixture->settings.write_timeout_ms = SOON_MS;
	http_fixture_connect(fixture, &peer);
	uv_poll_stop(peer.poll);
	peer_say(&peer, GET("/big"));
	http_fixture_wait_gone(fixture);
	peer_close(&peer);
}

/* It says that nothing follows, and waits with the close until the client has ended its side too. */
static void test_last_answer_is_followed_by_the_end(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	fixture->settings.linger_timeout_ms = 3600 * 1000;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, "GET /now?x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	http_fixture_expect(&peer, 200, "x");
	peer_wait_end(&peer);
	assert_int_equal(http_fixture_counters(fixture)->connections, 1);
	peer_finish(&peer);
	http_fixture_wait_gone(fixture);
	peer_close(&peer);
}

static void test_lingering_ends(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	fixture->settings.linger_timeout_ms = SOON_MS;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, "GET /now?x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	http_fixture_expect(&peer, 200, "x");
	peer_wait_end(&peer);
	http_fixture_wait_gone(fixture); /* although the client does not end its side */
	peer_close(&peer);
}

/* --- refusals -------------------------------------------------------------- */

static void test_refusals_end_the_connection(void **state)
{
	struct http_fixture *fixture = *state;
	static const struct { const char *text; unsigned status; const char *code; } rows[] = {
		{ "\x01\x02\r\n\r\n", 400, "bad_request" }, { "GET / HTTP/1.1\r\n\r\n", 400, "bad_request" },
		{ "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 405, "method_not_allowed" },
		{ "GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505, "http_version" },
		{ "POST / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", 417, "expectation_failed" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabX", 400, "bad_request" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer peer;
		http_fixture_connect(fixture, &peer);
		peer_say(&peer, "%s" GET("/now?never"), rows[i].text);
		http_fixture_expect_error(&peer, rows[i].status, rows[i].code);
		peer_wait_end(&peer);
		assert_int_equal(peer.received.len, 0);
		assert_false(peer.was_reset);
		peer_close(&peer);
	}
	assert_int_equal(http_fixture_counters(fixture)->malformed, sizeof(rows) / sizeof(rows[0]));
	assert_int_equal(fixture->aborted, 1); /* the body that broke off */
}

static void test_not_allowed_names_what_is(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n");
	struct answer seen = peer_answer(&peer);
	assert_int_equal(seen.status, 405);
	assert_string_equal(answer_field(&seen, "Allow"), "GET, HEAD, POST, OPTIONS");
	peer_close(&peer);
}

/* What came before it is answered, in order, and only then the refusal. */
static void test_refusal_behind_good_requests(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, GET("/now?1") GET("/later") "BROKEN\r\n\r\n");
	http_fixture_expect(&peer, 200, "1");
	run_idle(&fixture->loop);
	assert_int_equal(peer.received.len, 0);
	http_fixture_answer(fixture->kept[0], "2");
	http_fixture_expect(&peer, 200, "2");
	http_fixture_expect_error(&peer, 400, "bad_request");
	peer_wait_end(&peer);
	peer_close(&peer);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, http_fixture_setup, http_fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_pipelined_bound), TEST(test_client_that_reads_nothing), TEST(test_connection_bounds), TEST(test_bound_of_an_address),
		TEST(test_header_timeout), TEST(test_header_that_trickles), TEST(test_each_header_has_its_own_time), TEST(test_body_timeout), TEST(test_idle_timeout),
		TEST(test_kept_exchange_is_not_idle), TEST(test_reader_that_stalls), TEST(test_last_answer_is_followed_by_the_end),
		TEST(test_lingering_ends),
		TEST(test_refusals_end_the_connection), TEST(test_not_allowed_names_what_is), TEST(test_refusal_behind_good_requests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
