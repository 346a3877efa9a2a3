/* http.h - the HTTP/1.1 front on the hub's loop (RFC 9110, RFC 9112): connections, requests, answers.
 *
 * A request becomes an exchange, given to the handler of its route when its header is complete. The handler answers
 * at once, or keeps the exchange (http_await) and answers later, or takes the connection away (http_detach).
 * Pipelined requests are dispatched as they come; their answers leave in order. Everything a client sends is bounded.
 * Loop thread only. SIGPIPE is ignored for the process by http_server_new. */
#ifndef ROOMCAST_HUB_HTTP_H
#define ROOMCAST_HUB_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

#include "cors.h"
#include "request.h"

struct http_server;
struct http_exchange;

/* Sizes in bytes, times in milliseconds. A bound of 0 connections means no bound. */
struct http_settings {
	size_t max_header;            /* request line and header together: 431 */
	size_t max_url;               /* 414 */
	unsigned max_pipelined;       /* unanswered requests of one connection; then it is not read */
	unsigned max_connections;     /* 503 */
	unsigned max_per_address;     /* 429; unix sockets are not counted */
	uint64_t header_timeout_ms;   /* from the first byte (or the accept) to the end of the header */
	uint64_t body_timeout_ms;     /* from there to the end of the body */
	uint64_t idle_timeout_ms;     /* of a kept connection without a request */
	uint64_t write_timeout_ms;    /* an answer's reader that takes nothing for so long is cut */
	uint64_t linger_timeout_ms;   /* how long input is discarded behind the last answer, so that it is not reset */
};
extern const struct http_settings http_settings_default;

struct http_counters {
	uint64_t connections;         /* open now; not those handed to WebSocket */
	uint64_t accepted;
	uint64_t refused;             /* past max_connections */
	uint64_t refused_address;     /* past max_per_address */
	uint64_t requests;
	uint64_t malformed;           /* requests that broke HTTP or a bound */
	uint64_t timeouts;
	uint64_t aborted;             /* exchanges whose client left before the answer */
};

enum http_verb { HTTP_VERB_GET, HTTP_VERB_HEAD, HTTP_VERB_POST, HTTP_VERB_OPTIONS, HTTP_VERB_OTHER };

#define HTTP_LENGTH_UNKNOWN UINT64_MAX /* a chunked body */

/* Views, valid until the exchange is answered, detached or aborted. Absent header fields are empty. */
struct http_request {
	enum http_verb verb;
	struct bytes path;              /* raw, in front of the `?` */
	struct request_info info;       /* info.query is what stands behind it */
	struct bytes content_type;
	struct bytes requested_headers; /* Access-Control-Request-Headers */
	struct bytes websocket_key, websocket_version;
	uint64_t content_length;        /* 0: no body */
	bool is_websocket_upgrade;      /* GET, HTTP/1.1, asks for `websocket`; key and version are not judged */
};

struct http_route {
	const char *path;       /* `/api/socket`: matches itself and everything below; `/` at its end is ignored */
	const struct cors *cors; /* NULL: none. Otherwise preflights are answered and every answer has its header fields */
	void (*on_request)(struct http_exchange *exchange, void *data);
	void *data;
};

/* For an exchange that is kept. After http_answer, http_detach or on_abort nothing more is called. */
struct http_exchange_handler {
	void (*on_body)(struct http_exchange *exchange, struct bytes piece, void *data); /* NULL: the body is dropped */
	void (*on_complete)(struct http_exchange *exchange, void *data); /* the body's end; NULL allowed */
	void (*on_abort)(struct http_exchange *exchange, void *data);    /* the client is gone or broke HTTP */
};

/* All texts are copied. */
struct http_answer {
	unsigned status;
	const char *content_type; /* NULL: no such field */
	struct bytes body;        /* left out for HEAD, its length is not */
	const char *headers;      /* further complete lines, each with \r\n, or NULL */
	bool is_last;             /* close the connection behind it */
};

/* Routes are kept by pointer. The first route that matches counts: name the longer path first. */
struct http_server *http_server_new(uv_loop_t *loop, const struct http_settings *settings,
                                    const struct http_route *routes, size_t route_count, struct error *err);
/* `host:port`, `[v6]:port` or `unix:/path`; may be called several times. A dead unix socket is replaced, a live one
 * is an error. */
int http_server_listen(struct http_server *server, const char *address, struct error *err) MUST_CHECK;
/* Serves a connected socket, which is consumed even on failure. */
int http_server_take(struct http_server *server, int fd, struct error *err) MUST_CHECK;
unsigned http_server_port(const struct http_server *server); /* of the first TCP listener, 0 without one */
const struct http_counters *http_server_counters(const struct http_server *server);
void http_server_stop_listening(struct http_server *server);
/* Stops listening, cuts every connection (on_abort for what is unanswered) and frees. */
void http_server_close(struct http_server *server, void (*on_closed)(void *data), void *data);

const struct http_request *http_request(const struct http_exchange *exchange);

/* Keeps the exchange: data goes to the handler's callbacks. */
void http_await(struct http_exchange *exchange, const struct http_exchange_handler *handler, void *data);
/* Answers; the exchange belongs to the server again. May be called inside any callback. An answer in front of the
 * body's end closes the connection. */
void http_answer(struct http_exchange *exchange, const struct http_answer *answer);
/* {"success":false,"error":message,"code":code} */
void http_answer_error(struct http_exchange *exchange, unsigned status, const char *code, const char *message);
/* 405. allow: the methods that are served, as one header line (RFC 9110, 15.5.6): `Allow: GET, HEAD\r\n` */
void http_answer_not_allowed(struct http_exchange *exchange, const char *allow);
/* Ends the connection without an answer. */
void http_cut(struct http_exchange *exchange);
/* Takes the connection out of the server: later, on_detached gets a socket of its own (-1 when there is none) and
 * the bytes behind the request, valid until it returns. Only for a request without body that is the only one in
 * flight (http_can_detach). */
bool http_can_detach(const struct http_exchange *exchange);
void http_detach(struct http_exchange *exchange, void (*on_detached)(void *data, int fd, struct bytes early), void *data);

#endif
