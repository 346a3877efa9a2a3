/* test_http.c - the HTTP front with real sockets: answers in order, connections that end or are taken away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "http_fixture.h"

/* --- requests and answers -------------------------------------------------- */

static void test_keeping_alive(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	for (int i = 0; i < 3; i++) {
		peer_say(&peer, "GET /now?%d HTTP/1.1\r\nHost: h\r\n\r\n", i);
		struct answer seen = peer_answer(&peer);
		assert_string_equal(answer_field(&seen, "Connection"), "keep-alive");
		assert_true(seen.body.len == 1 && seen.body.data[0] == '0' + i);
	}
	assert_string_equal(fixture->peer_address, "127.0.0.1");
	peer_say(&peer, "GET /now HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	struct answer seen = peer_answer(&peer);
	assert_string_equal(answer_field(&seen, "Connection"), "close");
	peer_wait_end(&peer);
	assert_false(peer.was_reset);
	assert_int_equal(http_fixture_counters(fixture)->requests, 4);
	peer_close(&peer);
	http_fixture_wait_gone(fixture);
	assert_int_equal(http_fixture_counters(fixture)->accepted, 1);
}

static void test_http_1_0(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, "GET /now?x HTTP/1.0\r\n\r\n");
	http_fixture_expect(&peer, 200, "x");
	peer_wait_end(&peer);
	peer_close(&peer);
}

static void test_routes(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	static const struct { const char *request; unsigned status; } rows[] = {
		{ GET("/now"), 200 }, { GET("/now/"), 200 }, { GET("/now/below?x"), 200 }, { GET("/nowhere"), 404 }, { GET("/no"), 404 },
		{ GET("/"), 404 }, { GET("http://h/now"), 200 }, { GET("*"), 404 }, { GET("/NOW"), 404 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		peer_say(&peer, "%s", rows[i].request);
		assert_int_equal(peer_answer(&peer).status, rows[i].status);
	}
	peer_close(&peer);
}

static void test_pipelined_answers_leave_in_order(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, GET("/later") GET("/now?2") GET("/later/") GET("/nothing") GET("/now?5"));
	run_idle(&fixture->loop);
	assert_int_equal(fixture->kept_count, 2);
	assert_int_equal(peer.received.len, 0); /* the second has its answer and must wait */
	http_fixture_answer(fixture->kept[1], "3");
	run_idle(&fixture->loop);
	assert_int_equal(peer.received.len, 0);
	http_fixture_answer(fixture->kept[0], "1");
	http_fixture_expect(&peer, 200, "1");
	http_fixture_expect(&peer, 200, "2");
	http_fixture_expect(&peer, 200, "3");
	http_fixture_expect_error(&peer, 404, "not_found");
	http_fixture_expect(&peer, 200, "5");
	peer_close(&peer);
}

/* A body that shares its segment with what follows, and one that is cut into every piece. */
static void test_bodies_and_shared_segments(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, POST("/echo", "3", "one") POST("/echo", "0", "") GET("/now?x") POST("/echo", "3", "tw"));
	http_fixture_expect(&peer, 200, "one");
	http_fixture_expect(&peer, 200, "");
	http_fixture_expect(&peer, 200, "x");
	peer_say(&peer, "o" GET("/now?y"));
	http_fixture_expect(&peer, 200, "two");
	http_fixture_expect(&peer, 200, "y");
	static const char chunked[] = "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=1\r\ncde\r\n0\r\nT: x\r\n\r\n";
	for (size_t i = 0; i < sizeof(chunked) - 1; i++) {
		peer_send(&peer, (struct bytes){ chunked + i, 1 });
		run_idle(&fixture->loop);
	}
	http_fixture_expect(&peer, 200, "abcde");
	peer_say(&peer, "%s" GET("/now?z"), chunked);
	http_fixture_expect(&peer, 200, "abcde");
	http_fixture_expect(&peer, 200, "z");
	assert_int_equal(fixture->completed, 5);
	peer_close(&peer);
}

static void test_head_has_no_body(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, "HEAD /now?hello HTTP/1.1\r\nHost: h\r\n\r\n" GET("/now?x"));
	struct answer seen = peer_answer_without_body(&peer);
	assert_string_equal(answer_field(&seen, "Content-Length"), "5");
	http_fixture_expect(&peer, 200, "x");
	peer_say(&peer, "HEAD / HTTP/1.1\r\n\r\n"); /* refused, and still HEAD */
	assert_int_equal(peer_answer_without_body(&peer).status, 400);
	peer_wait_end(&peer);
	assert_int_equal(peer.received.len, 0);
	peer_close(&peer);
}

static void test_continue(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
	assert_int_equal(peer_answer_without_body(&peer).status, 100);
	peer_say(&peer, "ab");
	http_fixture_expect(&peer, 200, "ab");
	peer_say(&peer, "POST /nothing HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
	http_fixture_expect_error(&peer, 404, "not_found"); /* nobody wants the body: no 100, and the connection ends */
	peer_wait_end(&peer);
	peer_close(&peer);
}

static void test_answer_in_front_of_the_body(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, POST("/now?early", "100000", "abc"));
	struct answer seen = peer_answer(&peer);
	assert_string_equal(answer_field(&seen, "Connection"), "close");
	peer_say(&peer, "%01000d" GET("/now?never"), 0); /* dropped, not parsed, and no reset */
	peer_wait_end(&peer);
	assert_false(peer.was_reset);
	assert_int_equal(peer.received.len, 0);
	assert_int_equal(http_fixture_counters(fixture)->requests, 1);
	peer_close(&peer);
}

static void test_cors(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, "OPTIONS /cors HTTP/1.1\r\nHost: h\r\nOrigin: http://good.example\r\nAccess-Control-Request-Headers: x-a\r\n\r\n");
	struct answer seen = peer_answer(&peer);
	assert_int_equal(seen.status, 204);
	assert_string_equal(answer_field(&seen, "Access-Control-Allow-Origin"), "http://good.example");
	assert_string_equal(answer_field(&seen, "Access-Control-Allow-Headers"), "x-a");
	peer_say(&peer, "GET /cors HTTP/1.1\r\nHost: h\r\nOrigin: http://bad.example\r\n\r\n");
	seen = peer_answer(&peer);
	assert_string_equal(answer_field(&seen, "Access-Control-Allow-Origin"), "");
	assert_string_equal(answer_field(&seen, "Vary"), "Origin");
	peer_say(&peer, "OPTIONS /cors/deep HTTP/1.1\r\nHost: h\r\n\r\n"); /* the longer path has no CORS: its handler decides */
	run_idle(&fixture->loop);
	assert_int_equal(fixture->kept_count, 1);
	peer_close(&peer);
	http_fixture_wait_gone(fixture);
}

static void test_unix_socket(void **state)
{
	struct http_fixture *fixture = *state;
	struct error err;
	struct peer peer;
	int fds[2];
	http_fixture_start(fixture);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(http_server_take(fixture->server, fds[0], &err), 0);
	peer_open(&peer, &fixture->loop, fds[1]);
	peer_say(&peer, GET("/now?x"));
	http_fixture_expect(&peer, 200, "x");
	assert_string_equal(fixture->peer_address, "unix");
	peer_close(&peer);
	http_fixture_wait_gone(fixture);
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(http_server_take(fixture->server, pipes[0], &err), -1); /* and is closed */
	assert_int_equal(close(pipes[0]), -1);
	close(pipes[1]);
}

static void test_listening_addresses(void **state)
{
	struct http_fixture *fixture = *state;
	struct error err;
	char directory[] = "/tmp/roomcast-http-XXXXXX", address[64];
	http_fixture_start(fixture);
	assert_non_null(mkdtemp(directory));
	snprintf(address, sizeof(address), "unix:%s/s", directory);
	assert_int_equal(http_server_listen(fixture->server, address, &err), 0);
	assert_int_equal(access(address + 5, F_OK), 0);
	assert_int_equal(http_server_listen(fixture->server, address, &err), -1); /* it is alive */
	assert_non_null(strstr(err.text, address));
	http_server_stop_listening(fixture->server);
	assert_int_equal(access(address + 5, F_OK), -1);
	run_idle(&fixture->loop);
	assert_int_equal(rmdir(directory), 0);
	assert_int_equal(http_server_port(fixture->server), 0);
}

/* --- clients that leave ---------------------------------------------------- */

static bool has_aborted(void *data)
{
	return ((struct http_fixture *)data)->aborted > 0;
}

static void test_client_leaves_a_kept_exchange(void **state)
{
	struct http_fixture *fixture = *state;
	for (int how = 0; how < 3; how++) {
		struct peer peer;
		http_fixture_connect(fixture, &peer);
		fixture->aborted = 0;
		peer_say(&peer, GET("/later"));
		run_idle(&fixture->loop);
		if (how == 0)
			peer_finish(&peer);
		else if (how == 1)
			peer_close(&peer);
		else
			peer_reset(&peer);
		run_until(&fixture->loop, has_aborted, fixture);
		assert_int_equal(fixture->aborted, 1);
		peer_close(&peer);
		http_fixture_wait_gone(fixture);
	}
	assert_int_equal(http_fixture_counters(fixture)->aborted, 3);
}

static void test_client_leaves_in_the_body(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, POST("/echo", "10", "abc"));
	run_idle(&fixture->loop);
	peer_finish(&peer);
	run_until(&fixture->loop, has_aborted, fixture);
	assert_int_equal(fixture->completed, 0);
	peer_close(&peer);
	http_fixture_wait_gone(fixture);
}

/* It has said all, and still reads: what is on its way arrives whole. */
static void test_half_closed_client_gets_a_large_answer(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, GET("/big"));
	peer_finish(&peer);
	assert_int_equal(peer_answer(&peer).body.len, 8 << 20);
	peer_wait_end(&peer);
	assert_false(peer.was_reset);
	peer_close(&peer);
}

/* The same when the answer comes late and the client ends its side meanwhile. */
static void test_half_closed_client_gets_a_late_large_answer(void **state)
{
	static char megabytes[8 << 20];
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, GET("/later"));
	run_idle(&fixture->loop);
	http_answer(fixture->kept[0], &(struct http_answer){ .status = 200, .body = { megabytes, sizeof(megabytes) } });
	peer_finish(&peer);
	assert_int_equal(peer_answer(&peer).body.len, sizeof(megabytes));
	peer_wait_end(&peer);
	peer_close(&peer);
}

static void test_cut(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, GET("/later") GET("/cut") GET("/later"));
	peer_wait_end(&peer);
	assert_int_equal(peer.received.len, 0);
	assert_int_equal(fixture->kept_count, 1); /* nothing behind it was served */
	assert_int_equal(fixture->aborted, 1);
	peer_close(&peer);
}

/* An answer with is_last in front of others: those are aborted, never sent. */
static void test_last_answer_ends_the_pipeline(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, GET("/later") GET("/later"));
	run_idle(&fixture->loop);
	http_answer(fixture->kept[0], &(struct http_answer){ .status = 200, .body = bytes_of("bye"), .is_last = true });
	assert_int_equal(fixture->aborted, 0); /* not from inside the answer */
	http_fixture_expect(&peer, 200, "bye");
	peer_wait_end(&peer);
	assert_int_equal(fixture->aborted, 1);
	peer_close(&peer);
}

/* Whoever says `close` has said all, even before the answer is there. */
static void test_nothing_is_served_behind_close(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, "GET /later HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" GET("/now?never"));
	run_idle(&fixture->loop);
	assert_int_equal(http_fixture_counters(fixture)->requests, 1);
	http_fixture_answer(fixture->kept[0], "x");
	http_fixture_expect(&peer, 200, "x");
	peer_wait_end(&peer);
	assert_int_equal(peer.received.len, 0);
	peer_close(&peer);
}

static void test_server_closes(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, GET("/later") GET("/later"));
	run_idle(&fixture->loop);
	http_server_close(fixture->server, http_fixture_on_closed, fixture);
	fixture->server = NULL;
	peer_wait_end(&peer);
	assert_int_equal(fixture->aborted, 2);
	assert_true(fixture->is_closed);
	peer_close(&peer);
}

/* --- connections that are taken away --------------------------------------- */

#define UPGRADE(connection) "GET /socket HTTP/1.1\r\nHost: h\r\nConnection: " connection "\r\nUpgrade: websocket\r\n\r\n"

static bool is_detached(void *data)
{
	return ((struct http_fixture *)data)->is_detached;
}

static void test_detach(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, UPGRADE("Upgrade") "early bytes");
	run_until(&fixture->loop, is_detached, fixture);
	assert_string_equal(fixture->early, "early bytes");
	assert_int_equal(http_fixture_counters(fixture)->connections, 0);
	assert_int_equal(fixture->aborted, 0);
	assert_int_equal(write(fixture->detached_fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 40), 40);
	http_fixture_expect(&peer, 200, "hi"); /* the same connection */
	close(fixture->detached_fd);
	peer_wait_end(&peer);
	peer_close(&peer);
}

static void test_detach_only_alone(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, GET("/later") UPGRADE("Upgrade"));
	run_idle(&fixture->loop);
	http_fixture_answer(fixture->kept[0], "1");
	http_fixture_expect(&peer, 200, "1");
	http_fixture_expect_error(&peer, 400, "no_upgrade");
	peer_wait_end(&peer);
	assert_false(fixture->is_detached);
	peer_close(&peer);
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, GET("/now?1") UPGRADE("Upgrade")); /* whose answer is out */
	http_fixture_expect(&peer, 200, "1");
	run_until(&fixture->loop, is_detached, fixture);
	close(fixture->detached_fd);
	peer_close(&peer);
}

static void test_server_closes_while_a_cut_is_put_off(void **state)
{
	struct http_fixture *fixture = *state;
	struct peer peer;
	http_fixture_connect(fixture, &peer);
	peer_say(&peer, GET("/later"));
	run_idle(&fixture->loop);
	http_cut(fixture->kept[0]); /* put off, and then the server goes */
	http_server_close(fixture->server, http_fixture_on_closed, fixture);
	fixture->server = NULL;
	peer_wait_end(&peer);
	assert_int_equal(fixture->aborted, 0); /* who cut it knows */
	peer_close(&peer);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, http_fixture_setup, http_fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_keeping_alive), TEST(test_http_1_0), TEST(test_routes), TEST(test_pipelined_answers_leave_in_order),
		TEST(test_bodies_and_shared_segments), TEST(test_head_has_no_body), TEST(test_continue), TEST(test_answer_in_front_of_the_body),
		TEST(test_cors), TEST(test_unix_socket), TEST(test_listening_addresses), TEST(test_client_leaves_a_kept_exchange),
		TEST(test_client_leaves_in_the_body), TEST(test_half_closed_client_gets_a_large_answer),
		TEST(test_half_closed_client_gets_a_late_large_answer), TEST(test_cut),
		TEST(test_last_answer_ends_the_pipeline), TEST(test_nothing_is_served_behind_close), TEST(test_server_closes), TEST(test_detach), TEST(test_detach_only_alone),
		TEST(test_server_closes_while_a_cut_is_put_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
