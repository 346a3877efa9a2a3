/* http_fixture.c - an HTTP server on the loop of the test. */
#include "http_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* --- routes ---------------------------------------------------------------- */

void http_fixture_answer(struct http_exchange *exchange, const char *body)
{
	http_answer(exchange, &(struct http_answer){ .status = 200, .content_type = "text/plain", .body = bytes_of(body) });
}

/* /now: answers with its query. */
static void on_now(struct http_exchange *exchange, void *data)
{
	struct http_fixture *fixture = data;
	const struct http_request *request = http_request(exchange);
	snprintf(fixture->peer_address, sizeof(fixture->peer_address), "%.*s", (int)request->info.peer.len, request->info.peer.data);
	http_answer(exchange, &(struct http_answer){ .status = 200, .body = request->info.query });
}

static void on_abort(struct http_exchange *exchange, void *data)
{
	struct http_fixture *fixture = data;
	fixture->aborted++;
	for (size_t i = 0; i < fixture->kept_count; i++)
		if (fixture->kept[i] == exchange)
			fixture->kept[i] = NULL;
}

/* /later: kept until the test answers. */
static void on_later(struct http_exchange *exchange, void *data)
{
	static const struct http_exchange_handler handler = { .on_abort = on_abort };
	struct http_fixture *fixture = data;
	assert_true(fixture->kept_count < KEPT_MAX);
	fixture->kept[fixture->kept_count++] = exchange;
	http_await(exchange, &handler, fixture);
}

static void on_echo_body(struct http_exchange *exchange, struct bytes piece, void *data)
{
	struct http_fixture *fixture = data;
	(void)exchange;
	buffer_add_bytes(&fixture->body, piece);
}

static void on_echo_complete(struct http_exchange *exchange, void *data)
{
	struct http_fixture *fixture = data;
	fixture->completed++;
	http_answer(exchange, &(struct http_answer){ .status = 200, .body = buffer_bytes(&fixture->body) });
	buffer_clear(&fixture->body);
}

/* /echo: answers with the body. */
static void on_echo(struct http_exchange *exchange, void *data)
{
	static const struct http_exchange_handler handler = { .on_body = on_echo_body, .on_complete = on_echo_complete, .on_abort = on_abort };
	struct http_fixture *fixture = data;
	buffer_clear(&fixture->body);
	http_await(exchange, &handler, fixture);
}

/* /big: an answer that no socket takes at once. */
static void on_big(struct http_exchange *exchange, void *data)
{
	static char megabytes[8 << 20];
	(void)data;
	http_answer(exchange, &(struct http_answer){ .status = 200, .body = { megabytes, sizeof(megabytes) } });
}

/* /cut: no answer. */
static void on_cut(struct http_exchange *exchange, void *data)
{
	(void)data;
	http_cut(exchange);
}

static void on_detached(void *data, int fd, struct bytes early)
{
	struct http_fixture *fixture = data;
	fixture->is_detached = true;
	fixture->detached_fd = fd;
	snprintf(fixture->early, sizeof(fixture->early), "%.*s", (int)early.len, early.len ? early.data : "");
}

/* /socket: is taken away if it can be. */
static void on_socket(struct http_exchange *exchange, void *data)
{
	if (http_can_detach(exchange))
		http_detach(exchange, on_detached, data);
	else
		http_answer_error(exchange, 400, "no_upgrade", "not now");
}

/* --- up and down ----------------------------------------------------------- */

void http_fixture_start(struct http_fixture *fixture)
{
	struct error err = { 0 };
	fixture->server = http_server_new(&fixture->loop, &fixture->settings, fixture->routes, 8, &err);
	assert_non_null(fixture->server);
	assert_int_equal(http_server_listen(fixture->server, "127.0.0.1:0", &err), 0);
	assert_true(http_server_port(fixture->server) > 0);
}

int http_fixture_setup(void **state)
{
	struct http_fixture *fixture = calloc(1, sizeof(*fixture));
	struct error err;
	assert_non_null(fixture);
	uv_loop_init(&fixture->loop);
	fixture->cors = cors_new("http://good.example", &err);
	fixture->settings = http_settings_default;
	const struct http_route routes[] = {
		{ "/now", NULL, on_now, fixture }, { "/later/", NULL, on_later, fixture }, { "/echo", NULL, on_echo, fixture },
		{ "/big", NULL, on_big, fixture }, { "/cut", NULL, on_cut, fixture }, { "/socket", NULL, on_socket, fixture },
		{ "/cors/deep", NULL, on_later, fixture }, { "/cors", fixture->cors, on_now, fixture },
	};
	memcpy(fixture->routes, routes, sizeof(routes));
	*state = fixture;
	return 0;
}

void http_fixture_on_closed(void *data)
{
	((struct http_fixture *)data)->is_closed = true;
}

int http_fixture_teardown(void **state)
{
	struct http_fixture *fixture = *state;
	if (fixture->server)
		http_server_close(fixture->server, http_fixture_on_closed, fixture);
	run_out(&fixture->loop);
	assert_true(fixture->is_closed || !fixture->server);
	buffer_deinit(&fixture->body);
	cors_free(fixture->cors);
	free(fixture);
	return 0;
}

void http_fixture_connect(struct http_fixture *fixture, struct peer *peer)
{
	if (!fixture->server)
		http_fixture_start(fixture);
	peer_connect(peer, &fixture->loop, http_server_port(fixture->server));
}

const struct http_counters *http_fixture_counters(const struct http_fixture *fixture)
{
	return http_server_counters(fixture->server);
}

void http_fixture_expect(struct peer *peer, unsigned status, const char *body)
{
	struct answer seen = peer_answer(peer);
	if (seen.status != status || !bytes_equal_text(seen.body, body))
		fail_msg("%u `%.*s` instead of %u `%s`", seen.status, (int)seen.body.len, seen.body.data, status, body);
}

void http_fixture_expect_error(struct peer *peer, unsigned status, const char *code)
{
	struct answer seen = peer_answer(peer);
	assert_int_equal(seen.status, status);
	assert_string_equal(answer_field(&seen, "Content-Type"), "application/json");
	char member[64];
	snprintf(member, sizeof(member), "\"code\":\"%s\"}", code);
	assert_true(seen.body.len > strlen(member));
	assert_memory_equal(seen.body.data + seen.body.len - strlen(member), member, strlen(member));
}

static bool is_gone(void *data)
{
	return http_fixture_counters(data)->accepted > 0 && http_fixture_counters(data)->connections == 0;
}

void http_fixture_wait_gone(struct http_fixture *fixture)
{
	run_until(&fixture->loop, is_gone, fixture);
}
