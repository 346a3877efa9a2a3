/* http_connection.h - what the files of the HTTP front share: the server, its connections, their exchanges.
 *
 * http.c accepts, http_connection.c reads, writes and keeps time, http_parse.c makes requests of what was read,
 * http_exchange.c brings them to their routes and takes the answers. Nothing of a handler is called from inside a call
 * of its own: what goes wrong while a handler answers is put off to the end of the loop's turn. */
#ifndef ROOMCAST_HUB_HTTP_CONNECTION_H
#define ROOMCAST_HUB_HTTP_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include <roomcast/bytes.h>
#include <roomcast/log.h>

#include "deadline.h"
#include "http.h"
#include "http_address.h"
#include "http_parse.h"
#include "turn_end.h"

enum { HTTP_READ_SIZE = 64 * 1024 };

/* What a connection waits for, each with its own timeout. */
enum http_wait {
	HTTP_WAIT_NOTHING, HTTP_WAIT_HEADER, HTTP_WAIT_BODY, HTTP_WAIT_IDLE, HTTP_WAIT_WRITE, HTTP_WAIT_LINGER, HTTP_WAIT_COUNT,
};

enum http_state {
	HTTP_READING,   /* requests are parsed */
	HTTP_DRAINING,  /* no further request is parsed, answers are outstanding */
	HTTP_LINGERING, /* all is said; the client may finish its sentence */
	HTTP_CLOSED,
};

struct http_exchange {
	struct http_connection *connection;
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

union http_stream {
	uv_handle_t handle;
	uv_stream_t stream;
	uv_tcp_t tcp;
	uv_pipe_t pipe;
};

struct http_connection {
	union http_stream io;
	struct http_server *server;
	struct http_connection *previous, *next;
	struct http_connection *next_put_off;
	struct http_address *address;       /* NULL for a unix socket */
	struct http_exchange *first, *last; /* in order of the requests, until the answer is written */
	struct http_exchange *current;      /* whose body is read */
	struct http_parse *parse;
	struct deadline deadline;
	struct buffer input;                /* read, and not parsed yet: too much is in flight */
	size_t discarded;
	size_t unsent;                      /* when the write timeout looked last */
	unsigned in_flight, writes;
	uint8_t state, wait;
	bool is_parsing, is_fresh, is_put_off;
	bool is_held;                       /* not read: input waits */
	bool must_close, must_finish, must_parse; /* what was put off */
	void (*on_detached)(void *data, int fd, struct bytes early);
	void *detached_data;
	int detached_fd;
};

struct http_server {
	uv_loop_t *loop;
	struct http_settings settings;
	struct http_parse_bounds bounds;
	const struct http_route *routes;
	size_t route_count;
	struct http_listener *listeners;
	struct http_connection *connections;
	struct http_connection *put_off;
	struct http_address *addresses;
	struct deadlines waits[HTTP_WAIT_COUNT];
	struct turn_end turn_end;
	struct http_counters counters;
	struct log_limit refused_log;
	unsigned open_parts; /* handles and the like; 0: free */
	void (*on_closed)(void *data);
	void *on_closed_data;
	char read_buffer[HTTP_READ_SIZE];
};

/* --- http.c */
void http_server_part_closed(void *server);

/* --- http_connection.c */
/* In the server's list, its stream initialised and not yet open. NULL without memory. */
struct http_connection *http_connection_new(struct http_server *server, bool is_tcp);
/* -1 when its stream cannot be read. */
int http_connection_start(struct http_connection *connection);
/* Calls handlers: only from the loop's own callbacks. */
void http_connection_close(struct http_connection *connection);
void http_connection_close_later(struct http_connection *connection);
void http_connection_write(struct http_connection *connection, struct bytes bytes);
/* Sends the answers that are next in order. */
void http_connection_flush(struct http_connection *connection);
void http_connection_on_due(struct deadline *deadline, void *server);
void http_connection_do_all_put_off(void *server);

/* --- http_exchange.c */
/* At the end of the connection's list. NULL without memory. */
struct http_exchange *http_exchange_new(struct http_connection *connection);
void http_exchange_unref(struct http_exchange *exchange);
/* Its handler hears of it at most once, and never after an answer. */
void http_exchange_abort(struct http_exchange *exchange);
void http_exchange_pop(struct http_connection *connection); /* takes the first off the list */
/* Takes a request to its route. */
void http_exchange_dispatch(struct http_exchange *exchange);
/* Answers with the refusal as the connection's last words. */
void http_exchange_refuse(struct http_exchange *exchange, const struct http_refusal *refusal);

#endif
