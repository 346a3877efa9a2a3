/* http_fixture.h - an HTTP server on the loop of the test, with routes for every way to answer. */
#ifndef ROOMCAST_TESTS_HTTP_FIXTURE_H
#define ROOMCAST_TESTS_HTTP_FIXTURE_H

#include "http.h"
#include "http_peer.h"

enum { KEPT_MAX = 64 };

struct http_fixture {
	uv_loop_t loop;
	struct http_server *server;
	struct http_settings settings;
	struct http_route routes[8]; /* see http_fixture.c */
	struct cors *cors;
	struct http_exchange *kept[KEPT_MAX]; /* NULL again when aborted */
	size_t kept_count, aborted, completed;
	struct buffer body;
	char peer_address[64];
	int detached_fd;
	char early[64];
	bool is_detached, is_closed;
};

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST(path, length, body) "POST " path " HTTP/1.1\r\nHost: h\r\nContent-Length: " length "\r\n\r\n" body

/* cmocka's setup and teardown; *state is the fixture. The server starts with the first connection, with the settings as they are
 * then. The second closes everything and finds handles that are left. */
int http_fixture_setup(void **state);
int http_fixture_teardown(void **state);
void http_fixture_start(struct http_fixture *fixture);
void http_fixture_on_closed(void *fixture);

void http_fixture_connect(struct http_fixture *fixture, struct peer *peer);
const struct http_counters *http_fixture_counters(const struct http_fixture *fixture);
void http_fixture_answer(struct http_exchange *exchange, const char *body); /* 200 */
/* Expects an answer with that status and body; an error with that code. */
void http_fixture_expect(struct peer *peer, unsigned status, const char *body);
void http_fixture_expect_error(struct peer *peer, unsigned status, const char *code);
void http_fixture_wait_gone(struct http_fixture *fixture); /* until no connection is left */

#endif
