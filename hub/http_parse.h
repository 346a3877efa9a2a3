/* http_parse.h - requests out of bytes that come in any pieces (HTTP/1.1, RFC 9112): no sockets, no loop, no clock.
 *
 * Everything is judged that HTTP itself or a bound has against a request; http_parse.c is the one file that includes
 * http_parser.h. */
#ifndef ROOMCAST_HUB_HTTP_PARSE_H
#define ROOMCAST_HUB_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include <roomcast/bytes.h>

#include "http_head.h"

struct http_parse;

/* Bytes; the caller keeps it. */
struct http_parse_bounds {
	size_t max_header; /* request line and header together, a chunked body's trailer too: 431 */
	size_t max_url;    /* 414 */
};

enum http_parse_next { HTTP_PARSE_GO_ON, HTTP_PARSE_PAUSE, HTTP_PARSE_STOP };

/* data: what http_parse_new was given. None of these may feed or free the parse. */
struct http_parse_handler {
	void (*on_begin)(void *data); /* the first byte of a request */
	/* A header is complete and good. The fields are views into text, which is the callee's to free. false stops. */
	bool (*on_head)(void *data, const struct http_fields *fields, char *text);
	bool (*on_body)(void *data, struct bytes piece);      /* chunks are taken apart */
	/* The request's end, also without a body. Behind a request to become a WebSocket there is nothing to pause. */
	enum http_parse_next (*on_complete)(void *data);
};

/* Why a request is not served. Texts are static; headers may be NULL. */
struct http_refusal {
	unsigned status;
	const char *code, *message;
	const char *headers;
};

enum http_parse_result {
	HTTP_PARSE_MORE,     /* all was used */
	HTTP_PARSE_PAUSED,   /* as on_complete wished; feed the rest when it may go on */
	HTTP_PARSE_STOPPED,  /* as a callback wished; not to be fed again, as behind the following two */
	HTTP_PARSE_UPGRADED, /* behind a request to become a WebSocket: the rest is not HTTP */
	HTTP_PARSE_REFUSED,  /* see http_parse_refusal */
};

struct http_parse *http_parse_new(const struct http_parse_bounds *bounds, const struct http_parse_handler *handler, void *data);
void http_parse_free(struct http_parse *parse); /* NULL is fine */
/* *used: how many bytes of input were parsed. */
enum http_parse_result http_parse_feed(struct http_parse *parse, struct bytes input, size_t *used);
/* Whether a header has begun and is not complete. */
bool http_parse_is_in_head(const struct http_parse *parse);
const struct http_refusal *http_parse_refusal(const struct http_parse *parse);
/* Of the request that was refused for its complete header; GET when it did not come so far. */
enum http_verb http_parse_verb(const struct http_parse *parse);

#endif
