/* http_exchange.c - a request on its way to its route, and its answer on the way back. */
#include "http_connection.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <roomcast/clock.h>

#include "http_reply.h"

/* --- life ------------------------------------------------------------------ */

void http_exchange_unref(struct http_exchange *exchange)
{
	if (--exchange->refs > 0)
		return;
	buffer_deinit(&exchange->answer);
	free(exchange->text);
	free(exchange);
}

struct http_exchange *http_exchange_new(struct http_connection *connection)
{
	struct http_exchange *exchange = calloc(1, sizeof(*exchange));
	if (!exchange)
		return NULL;
	exchange->connection = connection;
	exchange->refs = 1;
	if (connection->last)
		connection->last->next = exchange;
	else
		connection->first = exchange;
	connection->last = exchange;
	connection->in_flight++;
	return exchange;
}

void http_exchange_pop(struct http_connection *connection)
{
	struct http_exchange *exchange = connection->first;
	connection->first = exchange->next;
	if (!connection->first)
		connection->last = NULL;
	connection->in_flight--;
	http_exchange_unref(exchange);
}

void http_exchange_abort(struct http_exchange *exchange)
{
	if (exchange->is_answered)
		return;
	exchange->is_answered = true;
	exchange->connection->server->counters.aborted++;
	if (exchange->handler)
		exchange->handler->on_abort(exchange, exchange->data);
}

/* --- to the route ---------------------------------------------------------- */

static const struct http_route *find_route(const struct http_server *server, struct bytes path)
{
	for (size_t i = 0; i < server->route_count; i++) {
		const char *start = server->routes[i].path;
		size_t len = strlen(start);
		while (len && start[len - 1] == '/')
			len--;
		if (path.len >= len && memcmp(path.data ? path.data : "", start, len) == 0 && (path.len == len || path.data[len] == '/'))
			return &server->routes[i];
	}
	return NULL;
}

void http_exchange_dispatch(struct http_exchange *exchange)
{
	struct http_server *server = exchange->connection->server;
	server->counters.requests++;
	exchange->route = find_route(server, exchange->fields.request.path);
	if (!exchange->route) {
		http_answer_error(exchange, 404, "not_found", "no such path");
	} else if (exchange->route->cors && exchange->fields.request.verb == HTTP_VERB_OPTIONS) {
		http_answer(exchange, &(struct http_answer){ .status = 204 });
	} else {
		exchange->route->on_request(exchange, exchange->route->data);
		assert(exchange->is_answered || exchange->handler);
	}
}

const struct http_request *http_request(const struct http_exchange *exchange)
{
	return &exchange->fields.request;
}

void http_await(struct http_exchange *exchange, const struct http_exchange_handler *handler, void *data)
{
	struct http_connection *connection = exchange->connection;
	exchange->handler = handler;
	exchange->data = data;
	if (handler->on_body && exchange->has_pending_body && exchange->fields.expect.len && connection->first == exchange)
		http_connection_write(connection, bytes_of("HTTP/1.1 100 Continue\r\n\r\n"));
}

/* --- the answer ------------------------------------------------------------ */

static void set_answer(struct http_exchange *exchange, const struct http_answer *answer)
{
	if (answer->is_last || exchange->has_pending_body)
		exchange->is_last = true;
	const struct http_reply_context context = {
		.request = &exchange->fields.request,
		.cors = exchange->route ? exchange->route->cors : NULL,
		.is_last = exchange->is_last,
		.now_s = clock_wall_ms() / 1000,
	};
	http_reply_write(&exchange->answer, &context, answer);
	exchange->is_answered = true;
}

void http_answer(struct http_exchange *exchange, const struct http_answer *answer)
{
	struct http_connection *connection = exchange->connection;
	if (connection->state == HTTP_CLOSED) {
		exchange->is_answered = true;
		return;
	}
	assert(!exchange->is_answered);
	set_answer(exchange, answer);
	if (exchange->answer.has_failed) {
		http_connection_close_later(connection);
		return;
	}
	http_connection_flush(connection);
}

static void answer_refusal(struct http_exchange *exchange, const struct http_refusal *refusal, bool is_last)
{
	struct buffer body = { 0 };
	http_reply_write_error(&body, refusal->code, refusal->message);
	http_answer(exchange, &(struct http_answer){
		.status = refusal->status, .content_type = "application/json", .body = buffer_bytes(&body), .headers = refusal->headers,
		.is_last = is_last,
	});
	buffer_deinit(&body);
}

void http_exchange_refuse(struct http_exchange *exchange, const struct http_refusal *refusal)
{
	answer_refusal(exchange, refusal, true);
}

void http_answer_error(struct http_exchange *exchange, unsigned status, const char *code, const char *message)
{
	answer_refusal(exchange, &(struct http_refusal){ status, code, message, NULL }, false);
}

void http_answer_not_allowed(struct http_exchange *exchange, const char *allow)
{
	answer_refusal(exchange, &(struct http_refusal){ 405, "method_not_allowed", "this method is not served here", allow }, false);
}

void http_cut(struct http_exchange *exchange)
{
	exchange->is_answered = true;
	exchange->handler = NULL;
	if (exchange->connection->state != HTTP_CLOSED)
		http_connection_close_later(exchange->connection);
}

/* --- the connection goes to somebody else ---------------------------------- */

static void on_nothing(struct http_exchange *exchange, void *data)
{
	(void)exchange;
	(void)data;
}
static const struct http_exchange_handler nobody = { .on_abort = on_nothing };

bool http_can_detach(const struct http_exchange *exchange)
{
	const struct http_connection *connection = exchange->connection;
	return exchange->fields.request.is_websocket_upgrade && connection->state == HTTP_READING && connection->is_parsing &&
	       connection->first == exchange && !exchange->next && connection->writes == 0;
}

void http_detach(struct http_exchange *exchange, void (*on_detached)(void *data, int fd, struct bytes early), void *data)
{
	struct http_connection *connection = exchange->connection;
	assert(http_can_detach(exchange));
	exchange->is_answered = true;
	exchange->handler = &nobody;
	connection->on_detached = on_detached;
	connection->detached_data = data;
	connection->detached_fd = -1;
}
