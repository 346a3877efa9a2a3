/* http_connection.c - a connection's bytes in both directions, what it waits for, and its end. */
#include "http_connection.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { DISCARD_MAX = 1024 * 1024 }; /* sent behind the last request */

struct pending_write {
	uv_write_t request;
	struct http_connection *connection;
	char bytes[];
};

#define TO(state) (1u << (state))
static const struct { const char *name; unsigned next; } states[] = {
	[HTTP_READING] = { "reading", TO(HTTP_DRAINING) | TO(HTTP_CLOSED) },
	[HTTP_DRAINING] = { "draining", TO(HTTP_LINGERING) | TO(HTTP_CLOSED) },
	[HTTP_LINGERING] = { "lingering", TO(HTTP_CLOSED) },
	[HTTP_CLOSED] = { "closed", 0 },
};

static void set_state(struct http_connection *connection, enum http_state state)
{
	assert(states[connection->state].next & TO(state));
	log_debug("msg=\"http connection\" from=%s to=%s", states[connection->state].name, states[state].name);
	connection->state = (uint8_t)state;
}

/* --- the end of a connection --------------------------------------------- */

static void drop_current(struct http_connection *connection)
{
	struct http_exchange *exchange = connection->current;
	connection->current = NULL;
	if (exchange)
		http_exchange_unref(exchange);
}

static void on_connection_closed(uv_handle_t *handle)
{
	struct http_connection *connection = handle->data;
	struct http_server *server = connection->server;
	if (connection->on_detached)
		connection->on_detached(connection->detached_data, connection->detached_fd, buffer_bytes(&connection->input));
	http_parse_free(connection->parse);
	buffer_deinit(&connection->input);
	free(connection);
	http_server_part_closed(server);
}

void http_connection_close(struct http_connection *connection)
{
	struct http_server *server = connection->server;
	if (connection->state == HTTP_CLOSED)
		return;
	set_state(connection, HTTP_CLOSED);
	deadline_cancel(&connection->deadline);
	while (connection->first) {
		http_exchange_abort(connection->first);
		http_exchange_pop(connection);
	}
	drop_current(connection);
	http_address_forget(&server->addresses, connection->address);
	connection->address = NULL;
	if (connection->previous)
		connection->previous->next = connection->next;
	else
		server->connections = connection->next;
	if (connection->next)
		connection->next->previous = connection->previous;
	server->counters.connections--;
	if (!connection->is_put_off)
		uv_close(&connection->io.handle, on_connection_closed);
}

static void put_off(struct http_connection *connection)
{
	struct http_server *server = connection->server;
	if (connection->is_put_off)
		return;
	connection->is_put_off = true;
	connection->next_put_off = server->put_off;
	server->put_off = connection;
	turn_end_ask(&server->turn_end);
}

void http_connection_close_later(struct http_connection *connection)
{
	connection->must_close = true;
	put_off(connection);
}

/* --- waiting ------------------------------------------------------------- */

static enum http_wait what_it_waits_for(const struct http_connection *connection)
{
	if (connection->writes > 0)
		return HTTP_WAIT_WRITE;
	if (connection->state == HTTP_LINGERING)
		return HTTP_WAIT_LINGER;
	if (connection->state == HTTP_READING && (http_parse_is_in_head(connection->parse) || connection->is_fresh))
		return HTTP_WAIT_HEADER;
	if (connection->current && connection->current->has_pending_body)
		return HTTP_WAIT_BODY;
	return connection->in_flight ? HTTP_WAIT_NOTHING : HTTP_WAIT_IDLE;
}

static void update_wait(struct http_connection *connection)
{
	if (connection->state == HTTP_CLOSED)
		return;
	enum http_wait wait = what_it_waits_for(connection);
	if (wait == HTTP_WAIT_NOTHING)
		deadline_cancel(&connection->deadline);
	else if (wait != connection->wait)
		deadlines_set(&connection->server->waits[wait], &connection->deadline);
	connection->wait = (uint8_t)wait;
}

/* --- writing ------------------------------------------------------------- */

static void on_written(uv_write_t *request, int status);

/* The rest of what the socket did not take. */
static void write_later(struct http_connection *connection, const char *data, size_t len)
{
	struct pending_write *write = malloc(sizeof(*write) + len);
	if (!write) {
		http_connection_close_later(connection);
		return;
	}
	write->connection = connection;
	write->request.data = write;
	memcpy(write->bytes, data, len);
	uv_buf_t rest = uv_buf_init(write->bytes, (unsigned)len);
	if (uv_write(&write->request, &connection->io.stream, &rest, 1, on_written) < 0) {
		free(write);
		http_connection_close_later(connection);
		return;
	}
	if (connection->writes++ == 0)
		connection->unsent = uv_stream_get_write_queue_size(&connection->io.stream);
}

void http_connection_write(struct http_connection *connection, struct bytes bytes)
{
	size_t sent = 0;
	if (connection->writes == 0) {
		uv_buf_t all = { .base = (char *)(uintptr_t)bytes.data, .len = bytes.len };
		int status = uv_try_write(&connection->io.stream, &all, 1);
		if (status < 0 && status != UV_EAGAIN) {
			http_connection_close_later(connection);
			return;
		}
		sent = status > 0 ? (size_t)status : 0;
	}
	if (sent < bytes.len)
		write_later(connection, bytes.data + sent, bytes.len - sent);
}

/* The last answer is out: FIN, then a while of listening, so that unread input does not reset what was sent. */
static void linger(struct http_connection *connection)
{
	uv_os_fd_t fd;
	set_state(connection, HTTP_LINGERING);
	if (uv_fileno(&connection->io.handle, &fd) == 0)
		shutdown(fd, SHUT_WR);
}

/* Puts off what may call handlers. */
static void finish(struct http_connection *connection)
{
	if (connection->state == HTTP_READING)
		set_state(connection, HTTP_DRAINING);
	if (connection->in_flight > 0) {
		connection->must_finish = true;
		put_off(connection);
	} else if (connection->writes == 0 && connection->state == HTTP_DRAINING) {
		linger(connection);
	}
}

static bool may_parse(const struct http_connection *connection)
{
	return connection->state == HTTP_READING && connection->writes == 0 && !connection->must_finish &&
	       connection->in_flight < connection->server->settings.max_pipelined;
}

/* Input that waited can be parsed, but not now: we may be inside a handler. */
static void parse_later(struct http_connection *connection)
{
	if (!connection->is_held || !may_parse(connection))
		return;
	connection->must_parse = true;
	put_off(connection);
}

void http_connection_flush(struct http_connection *connection)
{
	while (connection->state <= HTTP_DRAINING && !connection->must_close && !connection->must_finish &&
	       connection->first && connection->first->is_answered) {
		struct http_exchange *exchange = connection->first;
		bool is_last = exchange->is_last;
		http_connection_write(connection, buffer_bytes(&exchange->answer));
		http_exchange_pop(connection);
		if (is_last)
			finish(connection);
	}
	if (connection->must_close)
		return;
	parse_later(connection);
	update_wait(connection);
}

static void on_written(uv_write_t *request, int status)
{
	struct pending_write *write = request->data;
	struct http_connection *connection = write->connection;
	free(write);
	connection->writes--;
	if (connection->state == HTTP_CLOSED)
		return;
	if (status < 0) {
		http_connection_close(connection);
		return;
	}
	if (connection->writes == 0 && connection->state == HTTP_DRAINING && connection->in_flight == 0)
		linger(connection);
	parse_later(connection);
	update_wait(connection);
}

/* --- requests -------------------------------------------------------------- */

static void on_begin(void *data)
{
	struct http_connection *connection = data;
	connection->is_fresh = false;
	connection->wait = HTTP_WAIT_NOTHING; /* each message has its own time */
}

static bool on_head(void *data, const struct http_fields *fields, char *text)
{
	struct http_connection *connection = data;
	struct http_exchange *exchange = http_exchange_new(connection);
	connection->wait = HTTP_WAIT_NOTHING;
	if (!exchange) {
		free(text);
		http_connection_close_later(connection);
		return false;
	}
	exchange->refs++;
	connection->current = exchange;
	exchange->text = text;
	exchange->fields = *fields;
	exchange->fields.request.info.peer = bytes_of(connection->address ? connection->address->text : "unix");
	exchange->has_pending_body = fields->request.content_length > 0;
	exchange->is_last = fields->wants_close;
	http_exchange_dispatch(exchange);
	return !connection->must_close;
}

static bool on_body(void *data, struct bytes piece)
{
	struct http_connection *connection = data;
	struct http_exchange *exchange = connection->current;
	if (!exchange->is_answered && exchange->handler->on_body)
		exchange->handler->on_body(exchange, piece, exchange->data);
	return connection->state == HTTP_READING && !connection->must_close;
}

static enum http_parse_next on_complete(void *data)
{
	struct http_connection *connection = data;
	struct http_exchange *exchange = connection->current;
	exchange->has_pending_body = false;
	if (!exchange->is_answered && exchange->handler->on_complete)
		exchange->handler->on_complete(exchange, exchange->data);
	bool is_last = exchange->is_last;
	drop_current(connection);
	if (is_last && !connection->on_detached && connection->state == HTTP_READING)
		set_state(connection, HTTP_DRAINING);
	if (connection->state != HTTP_READING || connection->must_close)
		return HTTP_PARSE_STOP;
	return may_parse(connection) ? HTTP_PARSE_GO_ON : HTTP_PARSE_PAUSE;
}

static const struct http_parse_handler parse_handler = {
	.on_begin = on_begin, .on_head = on_head, .on_body = on_body, .on_complete = on_complete,
};

/* For a request that was refused before it could become an exchange. */
static struct http_exchange *new_refused(struct http_connection *connection)
{
	struct http_exchange *exchange = http_exchange_new(connection);
	if (exchange)
		exchange->fields.request.verb = http_parse_verb(connection->parse);
	return exchange;
}

/* Answers a request that cannot be understood, behind those that could, and reads no other. From the loop's own callbacks only. */
static void refuse(struct http_connection *connection, const struct http_refusal *refusal)
{
	struct http_exchange *exchange = connection->current;
	connection->server->counters.malformed++;
	if (exchange && !exchange->is_answered && exchange->handler)
		exchange->handler->on_abort(exchange, exchange->data);
	else if (!exchange)
		exchange = new_refused(connection);
	if (!exchange) {
		http_connection_close(connection);
		return;
	}
	if (!exchange->is_answered)
		http_exchange_refuse(exchange, refusal);
	else
		finish(connection);
	drop_current(connection);
	if (connection->state == HTTP_READING)
		set_state(connection, HTTP_DRAINING);
}

/* Keeps what cannot be parsed yet. The client is no longer read until its answers are out. */
static void hold(struct http_connection *connection, struct bytes rest)
{
	uv_read_stop(&connection->io.stream);
	connection->is_held = true;
	buffer_clear(&connection->input);
	buffer_add_bytes(&connection->input, rest);
	if (connection->input.has_failed)
		http_connection_close_later(connection);
	parse_later(connection);
}

/* The descriptor is doubled because libuv closes its own; the next owner starts when it is out of the loop. */
static void take_away(struct http_connection *connection, struct bytes early)
{
	uv_os_fd_t fd;
	buffer_clear(&connection->input);
	buffer_add_bytes(&connection->input, early);
	if (!connection->input.has_failed && uv_fileno(&connection->io.handle, &fd) == 0)
		connection->detached_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	http_connection_close(connection);
}

static void feed(struct http_connection *connection, struct bytes input)
{
	size_t used;
	connection->is_parsing = true;
	enum http_parse_result result = http_parse_feed(connection->parse, input, &used);
	connection->is_parsing = false;
	struct bytes rest = { input.data + used, input.len - used };
	if (connection->on_detached)
		take_away(connection, rest);
	else if (connection->must_close)
		http_connection_close(connection);
	else if (result == HTTP_PARSE_PAUSED)
		hold(connection, rest);
	else if (result == HTTP_PARSE_REFUSED && connection->state == HTTP_READING)
		refuse(connection, http_parse_refusal(connection->parse));
	update_wait(connection);
}

/* --- the loop's callbacks ------------------------------------------------ */

static void on_buffer_wanted(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct http_connection *connection = handle->data;
	(void)suggested;
	*out = uv_buf_init(connection->server->read_buffer, HTTP_READ_SIZE);
}

static void discard(struct http_connection *connection, size_t len)
{
	connection->discarded += len;
	if (connection->discarded > DISCARD_MAX && connection->state != HTTP_LINGERING)
		http_connection_close(connection);
}

/* The client has said all; what it asked for is on its way. */
static void stop_reading(struct http_connection *connection)
{
	uv_read_stop(&connection->io.stream);
	if (connection->state == HTTP_READING)
		set_state(connection, HTTP_DRAINING);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
	struct http_connection *connection = stream->data;
	if (len == 0)
		return;
	if (len == UV_EOF && connection->in_flight == 0 && connection->writes > 0)
		stop_reading(connection);
	else if (len < 0)
		http_connection_close(connection);
	else if (connection->state == HTTP_READING)
		feed(connection, (struct bytes){ buffer->base, (size_t)len });
	else
		discard(connection, (size_t)len);
}

static void parse_held(struct http_connection *connection)
{
	struct buffer input = connection->input;
	connection->input = (struct buffer){ 0 };
	connection->is_held = false;
	if (input.len)
		feed(connection, buffer_bytes(&input));
	buffer_deinit(&input);
	if (connection->state < HTTP_CLOSED && !connection->is_held)
		uv_read_start(&connection->io.stream, on_buffer_wanted, on_read);
}

static void do_what_was_put_off(struct http_connection *connection)
{
	connection->is_put_off = false;
	if (connection->state == HTTP_CLOSED) {
		uv_close(&connection->io.handle, on_connection_closed);
		return;
	}
	bool must_close = connection->must_close, must_finish = connection->must_finish, must_parse = connection->must_parse;
	connection->must_close = connection->must_finish = connection->must_parse = false;
	if (must_close) {
		http_connection_close(connection);
	} else if (must_finish) {
		while (connection->first) {
			http_exchange_abort(connection->first);
			http_exchange_pop(connection);
		}
		finish(connection);
		update_wait(connection);
	} else if (must_parse && may_parse(connection)) {
		parse_held(connection);
	}
}

void http_connection_do_all_put_off(void *data)
{
	struct http_server *server = data;
	struct http_connection *next = server->put_off;
	server->put_off = NULL;
	while (next) {
		struct http_connection *connection = next;
		next = connection->next_put_off;
		do_what_was_put_off(connection);
	}
}

static void on_write_slow(struct http_connection *connection)
{
	size_t unsent = uv_stream_get_write_queue_size(&connection->io.stream);
	if (unsent >= connection->unsent) {
		http_connection_close(connection);
		return;
	}
	connection->unsent = unsent;
	deadlines_set(&connection->server->waits[HTTP_WAIT_WRITE], &connection->deadline);
}

void http_connection_on_due(struct deadline *deadline, void *data)
{
	static const struct http_refusal too_slow = { 408, "request_timeout", "the request did not come in time", NULL };
	struct http_connection *connection = (struct http_connection *)(void *)((char *)deadline - offsetof(struct http_connection, deadline));
	struct http_server *server = data;
	enum http_wait wait = (enum http_wait)connection->wait;
	if (wait == HTTP_WAIT_WRITE) {
		on_write_slow(connection);
		return;
	}
	if (wait == HTTP_WAIT_BODY || (wait == HTTP_WAIT_HEADER && http_parse_is_in_head(connection->parse))) {
		server->counters.timeouts++;
		refuse(connection, &too_slow);
		update_wait(connection);
		return;
	}
	http_connection_close(connection);
}

/* --- one of them ----------------------------------------------------------- */

struct http_connection *http_connection_new(struct http_server *server, bool is_tcp)
{
	struct http_connection *connection = calloc(1, sizeof(*connection));
	struct http_parse *parse = connection ? http_parse_new(&server->bounds, &parse_handler, connection) : NULL;
	if (!parse) {
		free(connection);
		return NULL;
	}
	connection->server = server;
	connection->parse = parse;
	connection->is_fresh = true;
	if (is_tcp)
		uv_tcp_init(server->loop, &connection->io.tcp);
	else
		uv_pipe_init(server->loop, &connection->io.pipe, 0);
	connection->io.handle.data = connection;
	connection->next = server->connections;
	if (connection->next)
		connection->next->previous = connection;
	server->connections = connection;
	server->counters.connections++;
	server->open_parts++;
	return connection;
}

int http_connection_start(struct http_connection *connection)
{
	if (uv_read_start(&connection->io.stream, on_buffer_wanted, on_read) < 0)
		return -1;
	update_wait(connection);
	return 0;
}
