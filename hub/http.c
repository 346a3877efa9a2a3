/* http.c - connections that carry pipelined requests to their routes and answers back. The one file that includes http_parser.h.
 *
 * Nothing of a handler is called from inside a call of its own: what goes wrong while a handler answers is put off to
 * the end of the loop's turn. */
#include "http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <http_parser.h>
#include <uthash.h>

#include <roomcast/log.h>

#include "deadline.h"
#include "http_head.h"
#include "http_reply.h"
#include "listener.h"
#include "turn_end.h"

enum {
	READ_SIZE = 64 * 1024,
	DISCARD_MAX = 1024 * 1024, /* sent behind the last request */
};

const struct http_settings http_settings_default = {
	.max_header = 16 * 1024,
	.max_url = 8 * 1024,
	.max_pipelined = 16,
	.max_connections = 10000,
	.max_per_address = 0,
	.header_timeout_ms = 10000,
	.body_timeout_ms = 60000,
	.idle_timeout_ms = 75000, /* longer than nginx keeps an upstream connection */
	.write_timeout_ms = 30000,
	.linger_timeout_ms = 2000,
};

/* What a connection waits for, each with its own timeout. */
enum wait { WAIT_NOTHING, WAIT_HEADER, WAIT_BODY, WAIT_IDLE, WAIT_WRITE, WAIT_LINGER, WAIT_COUNT };

enum connection_state { CONNECTION_READING, CONNECTION_DRAINING, CONNECTION_LINGERING, CONNECTION_CLOSED };

#define TO(state) (1u << (state))
static const struct { const char *name; unsigned next; } connection_states[] = {
	/* requests are parsed */
	[CONNECTION_READING] = { "reading", TO(CONNECTION_DRAINING) | TO(CONNECTION_CLOSED) },
	/* no further request is parsed, answers are outstanding */
	[CONNECTION_DRAINING] = { "draining", TO(CONNECTION_LINGERING) | TO(CONNECTION_CLOSED) },
	/* all is said; the client may finish its sentence */
	[CONNECTION_LINGERING] = { "lingering", TO(CONNECTION_CLOSED) },
	[CONNECTION_CLOSED] = { "closed", 0 },
};

/* A request that breaks HTTP or a bound. */
struct refusal {
	unsigned status;
	const char *code, *message;
};

struct http_exchange {
	struct connection *connection;
	struct http_exchange *next;
	const struct http_exchange_handler *handler;
	void *data;
	const struct http_route *route;
	struct http_fields fields;
	char *text;            /* what the fields point into */
	struct buffer answer;
	unsigned refs;         /* the connection's list, and its parser */
	bool has_pending_body; /* more of the request is to come */
	bool is_answered, is_last;
};

struct address {
	UT_hash_handle hh;
	unsigned connections;
	char text[INET6_ADDRSTRLEN];
};

struct connection {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} io;
	struct http_server *server;
	struct connection *previous, *next;
	struct connection *next_put_off;
	struct address *address;       /* NULL for a unix socket */
	struct http_exchange *first, *last; /* in order of the requests, until the answer is written */
	struct http_exchange *current; /* whose body is read */
	struct http_head *head;        /* of the request that is coming in */
	struct deadline deadline;
	http_parser parser;
	struct refusal refusal;        /* why a parser's callback stopped it */
	struct buffer input;           /* read, and not parsed yet: too much is in flight */
	size_t discarded;
	size_t unsent;                 /* when the write timeout looked last */
	unsigned in_flight, writes;
	uint8_t state, wait;
	bool is_parsing, is_fresh, is_put_off;
	bool is_held; /* not read: input waits */
	bool must_close, must_finish, must_parse; /* what was put off */
	void (*on_detached)(void *data, int fd, struct bytes early);
	void *detached_data;
	int detached_fd;
};

struct listener {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} io;
	struct http_server *server;
	struct listener *next;
	char *unix_path; /* to be removed */
	unsigned port;
};

struct http_server {
	uv_loop_t *loop;
	struct http_settings settings;
	const struct http_route *routes;
	size_t route_count;
	struct listener *listeners;
	struct connection *connections;
	struct connection *put_off;
	struct address *addresses;
	struct deadlines waits[WAIT_COUNT];
	struct turn_end turn_end;
	struct http_counters counters;
	struct log_limit refused_log;
	unsigned open_parts; /* handles and the like; 0: free */
	bool is_closing;
	void (*on_closed)(void *data);
	void *on_closed_data;
	char read_buffer[READ_SIZE];
};

struct pending_write {
	uv_write_t request;
	struct connection *connection;
	char bytes[];
};

static void feed(struct connection *connection, struct bytes input);

static void set_state(struct connection *connection, enum connection_state state)
{
	assert(connection_states[connection->state].next & TO(state));
	log_debug("msg=\"http connection\" from=%s to=%s", connection_states[connection->state].name, connection_states[state].name);
	connection->state = (uint8_t)state;
}

static void part_closed(void *data)
{
	struct http_server *server = data;
	if (--server->open_parts > 0)
		return;
	if (server->on_closed)
		server->on_closed(server->on_closed_data);
	free(server);
}

/* --- exchanges ----------------------------------------------------------- */

static void exchange_unref(struct http_exchange *exchange)
{
	if (--exchange->refs > 0)
		return;
	buffer_deinit(&exchange->answer);
	free(exchange->text);
	free(exchange);
}

static struct http_exchange *exchange_new(struct connection *connection)
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

static void exchange_pop(struct connection *connection)
{
	struct http_exchange *exchange = connection->first;
	connection->first = exchange->next;
	if (!connection->first)
		connection->last = NULL;
	connection->in_flight--;
	exchange_unref(exchange);
}

/* Its handler hears of it at most once, and never after an answer. */
static void exchange_abort(struct http_exchange *exchange)
{
	if (exchange->is_answered)
		return;
	exchange->is_answered = true;
	exchange->connection->server->counters.aborted++;
	if (exchange->handler)
		exchange->handler->on_abort(exchange, exchange->data);
}

static void drop_current(struct connection *connection)
{
	struct http_exchange *exchange = connection->current;
	connection->current = NULL;
	if (exchange)
		exchange_unref(exchange);
}

static void drop_head(struct connection *connection)
{
	if (!connection->head)
		return;
	http_head_deinit(connection->head);
	free(connection->head);
	connection->head = NULL;
}

/* --- the end of a connection --------------------------------------------- */

static void forget_address(struct connection *connection)
{
	struct address *address = connection->address;
	connection->address = NULL;
	if (!address || --address->connections > 0)
		return;
	HASH_DEL(connection->server->addresses, address);
	free(address);
}

static void on_connection_closed(uv_handle_t *handle)
{
	struct connection *connection = handle->data;
	struct http_server *server = connection->server;
	if (connection->on_detached)
		connection->on_detached(connection->detached_data, connection->detached_fd, buffer_bytes(&connection->input));
	buffer_deinit(&connection->input);
	free(connection);
	part_closed(server);
}

/* Calls handlers: only from the loop's own callbacks. */
static void close_connection(struct connection *connection)
{
	struct http_server *server = connection->server;
	if (connection->state == CONNECTION_CLOSED)
		return;
	set_state(connection, CONNECTION_CLOSED);
	deadline_cancel(&connection->deadline);
	while (connection->first) {
		exchange_abort(connection->first);
		exchange_pop(connection);
	}
	drop_current(connection);
	drop_head(connection);
	forget_address(connection);
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

static void put_off(struct connection *connection)
{
	struct http_server *server = connection->server;
	if (connection->is_put_off)
		return;
	connection->is_put_off = true;
	connection->next_put_off = server->put_off;
	server->put_off = connection;
	turn_end_ask(&server->turn_end);
}

static void close_later(struct connection *connection)
{
	connection->must_close = true;
	put_off(connection);
}

/* --- waiting ------------------------------------------------------------- */

static enum wait what_it_waits_for(const struct connection *connection)
{
	if (connection->writes > 0)
		return WAIT_WRITE;
	if (connection->state == CONNECTION_LINGERING)
		return WAIT_LINGER;
	if (connection->state == CONNECTION_READING && (connection->head || connection->is_fresh))
		return WAIT_HEADER;
	if (connection->current && connection->current->has_pending_body)
		return WAIT_BODY;
	return connection->in_flight ? WAIT_NOTHING : WAIT_IDLE;
}

static void update_wait(struct connection *connection)
{
	if (connection->state == CONNECTION_CLOSED)
		return;
	enum wait wait = what_it_waits_for(connection);
	if (wait == WAIT_NOTHING)
		deadline_cancel(&connection->deadline);
	else if (wait != connection->wait)
		deadlines_set(&connection->server->waits[wait], &connection->deadline);
	connection->wait = (uint8_t)wait;
}

/* --- writing ------------------------------------------------------------- */

static void on_written(uv_write_t *request, int status);

/* The rest of what the socket did not take. */
static void write_later(struct connection *connection, const char *data, size_t len)
{
	struct pending_write *write = malloc(sizeof(*write) + len);
	if (!write) {
		close_later(connection);
		return;
	}
	write->connection = connection;
	write->request.data = write;
	memcpy(write->bytes, data, len);
	uv_buf_t rest = uv_buf_init(write->bytes, (unsigned)len);
	if (uv_write(&write->request, &connection->io.stream, &rest, 1, on_written) < 0) {
		free(write);
		close_later(connection);
		return;
	}
	if (connection->writes++ == 0)
		connection->unsent = uv_stream_get_write_queue_size(&connection->io.stream);
}

static void write_bytes(struct connection *connection, struct bytes bytes)
{
	size_t sent = 0;
	if (connection->writes == 0) {
		uv_buf_t all = { .base = (char *)(uintptr_t)bytes.data, .len = bytes.len };
		int status = uv_try_write(&connection->io.stream, &all, 1);
		if (status < 0 && status != UV_EAGAIN) {
			close_later(connection);
			return;
		}
		sent = status > 0 ? (size_t)status : 0;
	}
	if (sent < bytes.len)
		write_later(connection, bytes.data + sent, bytes.len - sent);
}

/* The last answer is out: FIN, then a while of listening, so that unread input does not reset what was sent. */
static void linger(struct connection *connection)
{
	uv_os_fd_t fd;
	set_state(connection, CONNECTION_LINGERING);
	if (uv_fileno(&connection->io.handle, &fd) == 0)
		shutdown(fd, SHUT_WR);
}

/* Puts off what may call handlers. */
static void finish(struct connection *connection)
{
	if (connection->state == CONNECTION_READING)
		set_state(connection, CONNECTION_DRAINING);
	if (connection->in_flight > 0) {
		connection->must_finish = true;
		put_off(connection);
	} else if (connection->writes == 0 && connection->state == CONNECTION_DRAINING) {
		linger(connection);
	}
}

static bool may_parse(const struct connection *connection)
{
	return connection->state == CONNECTION_READING && connection->writes == 0 && !connection->must_finish &&
	       connection->in_flight < connection->server->settings.max_pipelined;
}

/* Input that waited can be parsed, but not now: we may be inside a handler. */
static void parse_later(struct connection *connection)
{
	if (!connection->is_held || !may_parse(connection))
		return;
	connection->must_parse = true;
	put_off(connection);
}

/* Sends the answers that are next in order. */
static void flush(struct connection *connection)
{
	while (connection->state <= CONNECTION_DRAINING && !connection->must_close && !connection->must_finish &&
	       connection->first && connection->first->is_answered) {
		struct http_exchange *exchange = connection->first;
		bool is_last = exchange->is_last;
		write_bytes(connection, buffer_bytes(&exchange->answer));
		exchange_pop(connection);
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
	struct connection *connection = write->connection;
	free(write);
	connection->writes--;
	if (connection->state == CONNECTION_CLOSED)
		return;
	if (status < 0) {
		close_connection(connection);
		return;
	}
	if (connection->writes == 0 && connection->state == CONNECTION_DRAINING && connection->in_flight == 0)
		linger(connection);
	parse_later(connection);
	update_wait(connection);
}

/* --- answering ----------------------------------------------------------- */

const struct http_request *http_request(const struct http_exchange *exchange)
{
	return &exchange->fields.request;
}

static void set_answer(struct http_exchange *exchange, const struct http_answer *answer)
{
	if (answer->is_last || exchange->has_pending_body)
		exchange->is_last = true;
	const struct http_reply_context context = {
		.request = &exchange->fields.request,
		.cors = exchange->route ? exchange->route->cors : NULL,
		.is_last = exchange->is_last,
	};
	http_reply_write(&exchange->answer, &context, answer);
	exchange->is_answered = true;
}

void http_answer(struct http_exchange *exchange, const struct http_answer *answer)
{
	struct connection *connection = exchange->connection;
	if (connection->state == CONNECTION_CLOSED) {
		exchange->is_answered = true;
		return;
	}
	assert(!exchange->is_answered);
	set_answer(exchange, answer);
	if (exchange->answer.has_failed) {
		close_later(connection);
		return;
	}
	flush(connection);
}

static void answer_error(struct http_exchange *exchange, const struct refusal *refusal, bool is_last)
{
	struct buffer body = { 0 };
	http_reply_write_error(&body, refusal->code, refusal->message);
	http_answer(exchange, &(struct http_answer){
		.status = refusal->status, .content_type = "application/json", .body = buffer_bytes(&body), .is_last = is_last,
	});
	buffer_deinit(&body);
}

void http_answer_error(struct http_exchange *exchange, unsigned status, const char *code, const char *message)
{
	answer_error(exchange, &(struct refusal){ status, code, message }, false);
}

void http_cut(struct http_exchange *exchange)
{
	exchange->is_answered = true;
	exchange->handler = NULL;
	if (exchange->connection->state != CONNECTION_CLOSED)
		close_later(exchange->connection);
}

static void on_nothing(struct http_exchange *exchange, void *data)
{
	(void)exchange;
	(void)data;
}
static const struct http_exchange_handler nobody = { .on_abort = on_nothing };

void http_await(struct http_exchange *exchange, const struct http_exchange_handler *handler, void *data)
{
	struct connection *connection = exchange->connection;
	exchange->handler = handler;
	exchange->data = data;
	if (handler->on_body && exchange->has_pending_body && exchange->fields.expect.len && connection->first == exchange)
		write_bytes(connection, bytes_of("HTTP/1.1 100 Continue\r\n\r\n"));
}

bool http_can_detach(const struct http_exchange *exchange)
{
	const struct connection *connection = exchange->connection;
	return exchange->fields.request.is_websocket_upgrade && connection->state == CONNECTION_READING &&
	       connection->is_parsing && connection->first == exchange && !exchange->next && connection->writes == 0;
}

void http_detach(struct http_exchange *exchange, void (*on_detached)(void *data, int fd, struct bytes early), void *data)
{
	struct connection *connection = exchange->connection;
	assert(http_can_detach(exchange));
	exchange->is_answered = true;
	exchange->handler = &nobody;
	connection->on_detached = on_detached;
	connection->detached_data = data;
	connection->detached_fd = -1;
}

/* The descriptor is doubled because libuv closes its own; the next owner starts when it is out of the loop. */
static void take_away(struct connection *connection, struct bytes early)
{
	uv_os_fd_t fd;
	buffer_clear(&connection->input);
	buffer_add_bytes(&connection->input, early);
	if (!connection->input.has_failed && uv_fileno(&connection->io.handle, &fd) == 0)
		connection->detached_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	close_connection(connection);
}

/* --- parsing ------------------------------------------------------------- */

static int stop(struct connection *connection, unsigned status, const char *code, const char *message)
{
	connection->refusal = (struct refusal){ status, code, message };
	return -1;
}

static int on_message_begin(http_parser *parser)
{
	struct connection *connection = parser->data;
	connection->is_fresh = false;
	connection->wait = WAIT_NOTHING; /* each message has its own time */
	connection->head = calloc(1, sizeof(*connection->head));
	return connection->head ? 0 : -1;
}

static int on_url(http_parser *parser, const char *data, size_t len)
{
	struct connection *connection = parser->data;
	http_head_add_url(connection->head, data, len);
	if (connection->head->url_len > connection->server->settings.max_url)
		return stop(connection, 414, "uri_too_long", "request target too long");
	return 0;
}

static int on_header_field(http_parser *parser, const char *data, size_t len)
{
	struct connection *connection = parser->data;
	/* Debian's parser takes blanks in a name; `Content-Length : 3` means different things to different servers */
	if (memchr(data, ' ', len))
		return stop(connection, 400, "bad_request", "a blank in a header field's name");
	if (connection->head) /* not a trailer */
		http_head_add_name(connection->head, data, len);
	return 0;
}

static int on_header_value(http_parser *parser, const char *data, size_t len)
{
	struct connection *connection = parser->data;
	if (connection->head)
		http_head_add_value(connection->head, data, len);
	return 0;
}

static enum http_verb verb_of(unsigned method)
{
	return method == HTTP_GET ? HTTP_VERB_GET : method == HTTP_HEAD ? HTTP_VERB_HEAD : method == HTTP_POST ? HTTP_VERB_POST :
	       method == HTTP_OPTIONS ? HTTP_VERB_OPTIONS : HTTP_VERB_OTHER;
}

static bool has_token(struct bytes list, const char *token)
{
	size_t len = strlen(token);
	for (size_t i = 0; i + len <= list.len; i++) {
		bool starts = i == 0 || strchr(", \t", list.data[i - 1]);
		bool ends = i + len == list.len || strchr(", \t", list.data[i + len]);
		if (starts && ends && strncasecmp(list.data + i, token, len) == 0)
			return true;
	}
	return false;
}

static void fill_request(struct http_exchange *exchange, const http_parser *parser)
{
	struct http_request *request = &exchange->fields.request;
	bool is_chunked = parser->flags & F_CHUNKED;
	request->verb = verb_of(parser->method);
	request->content_length = is_chunked ? HTTP_LENGTH_UNKNOWN : parser->flags & F_CONTENTLENGTH ? parser->content_length : 0;
	exchange->has_pending_body = request->content_length > 0;
	request->is_websocket_upgrade = request->verb == HTTP_VERB_GET && parser->upgrade && parser->http_minor >= 1 &&
	                                has_token(exchange->fields.upgrade, "websocket");
	const struct address *address = exchange->connection->address;
	request->info.peer = bytes_of(address ? address->text : "unix");
}

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

/* What HTTP itself, or a bound of ours, has against a request whose header is complete. */
static int judge_head(struct connection *connection, struct http_exchange *exchange, const http_parser *parser)
{
	if (parser->http_major != 1)
		return stop(connection, 505, "http_version", "HTTP/1.1 is spoken here");
	if (parser->method == HTTP_CONNECT || parser->method == HTTP_TRACE)
		return stop(connection, 405, "method_not_allowed", "method not allowed");
	if (parser->http_minor >= 1 && exchange->fields.request.info.host.len == 0)
		return stop(connection, 400, "bad_request", "no Host header field");
	if (exchange->fields.expect.len && !(exchange->fields.expect.len == 12 && has_token(exchange->fields.expect, "100-continue")))
		return stop(connection, 417, "expectation_failed", "unknown expectation");
	if (exchange->fields.request.is_websocket_upgrade && exchange->has_pending_body)
		return stop(connection, 400, "bad_request", "an upgrade has no body");
	return 0;
}

static void dispatch(struct http_exchange *exchange)
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

static int on_headers_complete(http_parser *parser)
{
	struct connection *connection = parser->data;
	struct error err = { 0 };
	struct http_exchange *exchange = exchange_new(connection);
	if (!exchange)
		return -1;
	exchange->refs++;
	connection->current = exchange;
	int status = http_head_finish(connection->head, &exchange->fields, &exchange->text, &err);
	drop_head(connection);
	connection->wait = WAIT_NOTHING;
	fill_request(exchange, parser);
	exchange->is_last = !http_should_keep_alive(parser) || exchange->fields.request.is_websocket_upgrade;
	if (status < 0)
		return stop(connection, 400, "bad_request", "a header field stands there twice");
	if (judge_head(connection, exchange, parser) < 0)
		return -1;
	if (!exchange->fields.request.is_websocket_upgrade)
		parser->upgrade = 0; /* other protocols are not spoken here: it is a plain request */
	dispatch(exchange);
	return connection->must_close ? -1 : 0;
}

static int on_body(http_parser *parser, const char *data, size_t len)
{
	struct connection *connection = parser->data;
	struct http_exchange *exchange = connection->current;
	if (!exchange->is_answered && exchange->handler->on_body)
		exchange->handler->on_body(exchange, (struct bytes){ data, len }, exchange->data);
	return connection->state == CONNECTION_READING && !connection->must_close ? 0 : -1;
}

static int on_message_complete(http_parser *parser)
{
	struct connection *connection = parser->data;
	struct http_exchange *exchange = connection->current;
	exchange->has_pending_body = false;
	if (!exchange->is_answered && exchange->handler->on_complete)
		exchange->handler->on_complete(exchange, exchange->data);
	bool is_last = exchange->is_last;
	drop_current(connection);
	if (is_last && !connection->on_detached && connection->state == CONNECTION_READING)
		set_state(connection, CONNECTION_DRAINING);
	if (connection->state != CONNECTION_READING || connection->must_close)
		return -1;
	if (!may_parse(connection))
		http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings parser_settings = {
	.on_message_begin = on_message_begin,
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

/* Answers a request that cannot be understood, behind those that could, and reads no other. From the loop's own callbacks only. */
static void refuse(struct connection *connection, const struct refusal *refusal)
{
	struct http_exchange *exchange = connection->current;
	connection->server->counters.malformed++;
	drop_head(connection);
	if (exchange && !exchange->is_answered && exchange->handler)
		exchange->handler->on_abort(exchange, exchange->data);
	else if (!exchange)
		exchange = exchange_new(connection);
	if (!exchange) {
		close_connection(connection);
		return;
	}
	if (!exchange->is_answered)
		answer_error(exchange, refusal, true);
	else
		finish(connection);
	drop_current(connection);
	if (connection->state == CONNECTION_READING)
		set_state(connection, CONNECTION_DRAINING);
}

static void refuse_by_parser(struct connection *connection, enum http_errno code)
{
	struct refusal refusal = connection->refusal;
	if (!refusal.status && code == HPE_HEADER_OVERFLOW)
		refusal = (struct refusal){ 431, "header_too_large", "request header too large" };
	else if (!refusal.status && code == HPE_INVALID_VERSION)
		refusal = (struct refusal){ 505, "http_version", "HTTP/1.1 is spoken here" };
	else if (!refusal.status)
		refusal = (struct refusal){ 400, "bad_request", http_errno_description(code) };
	refuse(connection, &refusal);
}

/* Keeps what cannot be parsed yet. The client is no longer read until its answers are out. */
static void hold(struct connection *connection, struct bytes rest)
{
	http_parser_pause(&connection->parser, 0);
	uv_read_stop(&connection->io.stream);
	connection->is_held = true;
	buffer_clear(&connection->input);
	buffer_add_bytes(&connection->input, rest);
	if (connection->input.has_failed)
		close_later(connection);
	parse_later(connection);
}

static void feed(struct connection *connection, struct bytes input)
{
	connection->is_parsing = true;
	size_t used = http_parser_execute(&connection->parser, &parser_settings, input.data, input.len);
	connection->is_parsing = false;
	enum http_errno code = HTTP_PARSER_ERRNO(&connection->parser);
	struct bytes rest = { input.data + used, input.len - used };
	if (connection->on_detached)
		take_away(connection, rest);
	else if (connection->must_close)
		close_connection(connection);
	else if (connection->refusal.status && connection->state == CONNECTION_READING)
		refuse_by_parser(connection, code);
	else if (code == HPE_PAUSED)
		hold(connection, rest);
	else if (code != HPE_OK && connection->state == CONNECTION_READING)
		refuse_by_parser(connection, code);
	update_wait(connection);
}

/* --- the loop's callbacks ------------------------------------------------ */

static void on_buffer_wanted(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct connection *connection = handle->data;
	(void)suggested;
	*out = uv_buf_init(connection->server->read_buffer, READ_SIZE);
}

static void discard(struct connection *connection, size_t len)
{
	connection->discarded += len;
	if (connection->discarded > DISCARD_MAX && connection->state != CONNECTION_LINGERING)
		close_connection(connection);
}

/* The client has said all; what it asked for is on its way. */
static void stop_reading(struct connection *connection)
{
	uv_read_stop(&connection->io.stream);
	if (connection->state == CONNECTION_READING)
		set_state(connection, CONNECTION_DRAINING);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
	struct connection *connection = stream->data;
	if (len == 0)
		return;
	if (len == UV_EOF && connection->in_flight == 0 && connection->writes > 0)
		stop_reading(connection);
	else if (len < 0)
		close_connection(connection);
	else if (connection->state == CONNECTION_READING)
		feed(connection, (struct bytes){ buffer->base, (size_t)len });
	else
		discard(connection, (size_t)len);
}

static void parse_held(struct connection *connection)
{
	struct buffer input = connection->input;
	connection->input = (struct buffer){ 0 };
	connection->is_held = false;
	if (input.len)
		feed(connection, buffer_bytes(&input));
	buffer_deinit(&input);
	if (connection->state < CONNECTION_CLOSED && !connection->is_held)
		uv_read_start(&connection->io.stream, on_buffer_wanted, on_read);
}

static void do_what_was_put_off(struct connection *connection)
{
	connection->is_put_off = false;
	if (connection->state == CONNECTION_CLOSED) {
		uv_close(&connection->io.handle, on_connection_closed);
		return;
	}
	bool must_close = connection->must_close, must_finish = connection->must_finish, must_parse = connection->must_parse;
	connection->must_close = connection->must_finish = connection->must_parse = false;
	if (must_close) {
		close_connection(connection);
	} else if (must_finish) {
		while (connection->first) {
			exchange_abort(connection->first);
			exchange_pop(connection);
		}
		finish(connection);
		update_wait(connection);
	} else if (must_parse && may_parse(connection)) {
		parse_held(connection);
	}
}

static void do_all_put_off(void *data)
{
	struct http_server *server = data;
	struct connection *next = server->put_off;
	server->put_off = NULL;
	while (next) {
		struct connection *connection = next;
		next = connection->next_put_off;
		do_what_was_put_off(connection);
	}
}

static void on_write_slow(struct connection *connection)
{
	size_t unsent = uv_stream_get_write_queue_size(&connection->io.stream);
	if (unsent >= connection->unsent) {
		close_connection(connection);
		return;
	}
	connection->unsent = unsent;
	deadlines_set(&connection->server->waits[WAIT_WRITE], &connection->deadline);
}

static void on_due(struct deadline *deadline, void *data)
{
	static const struct refusal too_slow = { 408, "request_timeout", "the request did not come in time" };
	struct connection *connection = (struct connection *)(void *)((char *)deadline - offsetof(struct connection, deadline));
	struct http_server *server = data;
	enum wait wait = connection->wait;
	if (wait == WAIT_WRITE) {
		on_write_slow(connection);
		return;
	}
	if (wait == WAIT_BODY || (wait == WAIT_HEADER && connection->head)) {
		server->counters.timeouts++;
		refuse(connection, &too_slow);
		update_wait(connection);
		return;
	}
	close_connection(connection);
}

/* --- accepting ----------------------------------------------------------- */

static struct address *count_address(struct http_server *server, const char *text)
{
	struct address *address;
	HASH_FIND_STR(server->addresses, text, address);
	if (!address) {
		address = calloc(1, sizeof(*address));
		if (!address)
			return NULL;
		memcpy(address->text, text, strlen(text) + 1);
		HASH_ADD_STR(server->addresses, text, address);
	}
	address->connections++;
	return address;
}

static int identify_peer(struct connection *connection)
{
	struct sockaddr_storage name;
	int len = sizeof(name);
	char text[INET6_ADDRSTRLEN];
	if (connection->io.handle.type != UV_TCP)
		return 0;
	if (uv_tcp_getpeername(&connection->io.tcp, (struct sockaddr *)&name, &len) < 0 ||
	    uv_ip_name((const struct sockaddr *)&name, text, sizeof(text)) < 0)
		return -1;
	uv_tcp_nodelay(&connection->io.tcp, 1);
	connection->address = count_address(connection->server, text);
	return connection->address ? 0 : -1;
}

static struct connection *connection_new(struct http_server *server, bool is_tcp)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	if (!connection)
		return NULL;
	connection->server = server;
	connection->is_fresh = true;
	if (is_tcp)
		uv_tcp_init(server->loop, &connection->io.tcp);
	else
		uv_pipe_init(server->loop, &connection->io.pipe, 0);
	connection->io.handle.data = connection;
	http_parser_init(&connection->parser, HTTP_REQUEST);
	connection->parser.data = connection;
	connection->next = server->connections;
	if (connection->next)
		connection->next->previous = connection;
	server->connections = connection;
	server->counters.connections++;
	server->open_parts++;
	return connection;
}

/* Past a bound: it is told so as far as that costs nothing. */
static void turn_away(struct connection *connection, const char *answer)
{
	uv_buf_t text = { .base = (char *)(uintptr_t)answer, .len = strlen(answer) };
	uv_try_write(&connection->io.stream, &text, 1);
	log_limited(&connection->server->refused_log, "msg=\"connection refused\" connections=%llu",
	            (unsigned long long)connection->server->counters.connections);
	close_connection(connection);
}

static void welcome(struct connection *connection)
{
	struct http_server *server = connection->server;
	const struct http_settings *settings = &server->settings;
	server->counters.accepted++;
	if (identify_peer(connection) < 0) {
		close_connection(connection);
	} else if (settings->max_connections && server->counters.connections > settings->max_connections) {
		server->counters.refused++;
		turn_away(connection, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n");
	} else if (settings->max_per_address && connection->address && connection->address->connections > settings->max_per_address) {
		server->counters.refused_address++;
		turn_away(connection, "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	} else if (uv_read_start(&connection->io.stream, on_buffer_wanted, on_read) < 0) {
		close_connection(connection);
	} else {
		update_wait(connection);
	}
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct listener *listener = stream->data;
	struct connection *connection = status == 0 ? connection_new(listener->server, stream->type == UV_TCP) : NULL;
	if (!connection)
		return;
	if (uv_accept(stream, &connection->io.stream) < 0)
		close_connection(connection);
	else
		welcome(connection);
}

int http_server_take(struct http_server *server, int fd, struct error *err)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	struct connection *connection = NULL;
	if (getsockname(fd, (struct sockaddr *)&name, &len) == 0)
		connection = connection_new(server, name.ss_family != AF_UNIX);
	if (!connection) {
		close(fd);
		return error_set(err, ERROR_SYSTEM, "not a socket, or no memory");
	}
	int status = name.ss_family == AF_UNIX ? uv_pipe_open(&connection->io.pipe, fd) : uv_tcp_open(&connection->io.tcp, fd);
	if (status < 0) {
		close(fd);
		close_connection(connection);
		return error_set(err, ERROR_SYSTEM, "cannot serve this socket: %s", uv_strerror(status));
	}
	welcome(connection);
	return 0;
}

/* --- the server ---------------------------------------------------------- */

static int init_waits(struct http_server *server, struct error *err)
{
	const struct http_settings *settings = &server->settings;
	const uint64_t delays[WAIT_COUNT] = {
		[WAIT_HEADER] = settings->header_timeout_ms,
		[WAIT_BODY] = settings->body_timeout_ms,
		[WAIT_IDLE] = settings->idle_timeout_ms,
		[WAIT_WRITE] = settings->write_timeout_ms,
		[WAIT_LINGER] = settings->linger_timeout_ms,
	};
	for (int i = 0; i < WAIT_COUNT; i++) {
		if (deadlines_init(&server->waits[i], server->loop, delays[i], on_due, server, err) < 0)
			return -1;
		server->open_parts++;
	}
	return 0;
}

struct http_server *http_server_new(uv_loop_t *loop, const struct http_settings *settings,
                                    const struct http_route *routes, size_t route_count, struct error *err)
{
	struct http_server *server = calloc(1, sizeof(*server));
	if (!server) {
		error_set(err, ERROR_SYSTEM, "no memory");
		return NULL;
	}
	server->loop = loop;
	server->settings = *settings;
	server->routes = routes;
	server->route_count = route_count;
	http_parser_set_max_header_size((uint32_t)settings->max_header);
	signal(SIGPIPE, SIG_IGN);
	/* neither fails with libuv on Linux once the loop exists */
	if (init_waits(server, err) < 0 || turn_end_init(&server->turn_end, loop, do_all_put_off, server, err) < 0) {
		free(server);
		return NULL;
	}
	server->open_parts++;
	return server;
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct listener *listener = handle->data;
	struct http_server *server = listener->server;
	free(listener->unix_path);
	free(listener);
	part_closed(server);
}

static int start_listener(struct listener *listener, int fd, struct error *err)
{
	struct sockaddr_storage name;
	int len = sizeof(name);
	int status = listener->unix_path ? uv_pipe_open(&listener->io.pipe, fd) : uv_tcp_open(&listener->io.tcp, fd);
	if (status < 0) {
		close(fd);
		return error_set(err, ERROR_SYSTEM, "%s", uv_strerror(status));
	}
	status = uv_listen(&listener->io.stream, LISTENER_BACKLOG, on_connection);
	if (status < 0)
		return error_set(err, ERROR_SYSTEM, "listen: %s", uv_strerror(status));
	if (!listener->unix_path && uv_tcp_getsockname(&listener->io.tcp, (struct sockaddr *)&name, &len) == 0)
		listener->port = ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&name)->sin6_port
		                                                  : ((struct sockaddr_in *)(void *)&name)->sin_port);
	return 0;
}

int http_server_listen(struct http_server *server, const char *address, struct error *err)
{
	const char *path = listener_unix_path(address);
	int fd = listener_open(address, err);
	if (fd < 0)
		return -1;
	struct listener *listener = calloc(1, sizeof(*listener));
	if (!listener || (path && !(listener->unix_path = strdup(path)))) {
		free(listener);
		close(fd);
		return error_set(err, ERROR_SYSTEM, "no memory");
	}
	listener->server = server;
	if (path)
		uv_pipe_init(server->loop, &listener->io.pipe, 0);
	else
		uv_tcp_init(server->loop, &listener->io.tcp);
	listener->io.handle.data = listener;
	server->open_parts++;
	if (start_listener(listener, fd, err) < 0) {
		uv_close(&listener->io.handle, on_listener_closed);
		return error_context(err, "%s", address);
	}
	struct listener **end = &server->listeners;
	while (*end)
		end = &(*end)->next;
	*end = listener;
	return 0;
}

unsigned http_server_port(const struct http_server *server)
{
	for (const struct listener *listener = server->listeners; listener; listener = listener->next)
		if (listener->port)
			return listener->port;
	return 0;
}

const struct http_counters *http_server_counters(const struct http_server *server)
{
	return &server->counters;
}

void http_server_stop_listening(struct http_server *server)
{
	while (server->listeners) {
		struct listener *listener = server->listeners;
		server->listeners = listener->next;
		if (listener->unix_path)
			unlink(listener->unix_path);
		uv_close(&listener->io.handle, on_listener_closed);
	}
}

void http_server_close(struct http_server *server, void (*on_closed)(void *data), void *data)
{
	server->on_closed = on_closed;
	server->on_closed_data = data;
	http_server_stop_listening(server);
	while (server->connections)
		close_connection(server->connections);
	do_all_put_off(server);
	for (int i = 0; i < WAIT_COUNT; i++)
		deadlines_close(&server->waits[i], part_closed, server);
	turn_end_close(&server->turn_end, part_closed, server);
}
