/* websocket.h - server side WebSockets (RFC 6455) on the loop, from a checked handshake to the close.
 *
 * Messages come whole and checked (UTF-8, bounded); frames go out shared and never torn. No extension is offered. A connection at rest is one small
 * struct, without a timer of its own; what it reads in a turn of the loop is bounded. Loop thread only. */
#ifndef ROOMCAST_HUB_WEBSOCKET_H
#define ROOMCAST_HUB_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

#include "frame.h"
#include "websocket_frame.h"

struct websockets; /* all of one loop */
struct websocket;  /* one connection */

/* data: what websocket_new was given. Nothing is called after on_close or websocket_close. */
struct websocket_handler {
	void (*on_open)(void *data);
	void (*on_message)(void *data, struct bytes message, bool is_binary); /* valid until return */
	void (*on_writable)(void *data); /* after websocket_write took less than it was given */
	/* The connection is gone, or the peer closes it. is_error: it broke a rule or a bound, or there was no socket. */
	void (*on_close)(void *data, bool is_error);
};

struct websocket_counters {
	uint64_t open;                  /* now, closing ones included */
	uint64_t opened, too_big, invalid_text;
	uint64_t broken;                /* closed for a frame that breaks RFC 6455 */
};

struct websockets *websockets_new(uv_loop_t *loop, struct error *err);
const struct websocket_counters *websockets_counters(const struct websockets *websockets);
/* Drops all connections and stops; every websocket must have been closed by its owner. When uv_run has returned:
 * websockets_free. */
void websockets_close(struct websockets *websockets);
void websockets_free(struct websockets *websockets);

/* key: Sec-WebSocket-Key, judged by websocket_key_is_valid. NULL without memory. */
struct websocket *websocket_new(struct websockets *websockets, struct bytes key, size_t max_message,
                                const struct websocket_handler *handler, void *data);
bool websocket_key_is_valid(struct bytes key);
/* Starts it on a connected socket, which is consumed (-1: on_close). early: what the client sent behind its handshake. Has
 * the form of http_detach's callback; call it from there: on_open or on_close comes before it returns. */
void websocket_start(void *websocket, int fd, struct bytes early);
/* Changes whom the callbacks reach from now on; also from inside one of them. */
void websocket_set_handler(struct websocket *websocket, const struct websocket_handler *handler, void *data);

/* Whether a write now would leave at once. */
bool websocket_is_writable(const struct websocket *websocket);
/* Brings into the cache what a write looks at. */
void websocket_prefetch(const struct websocket *websocket);
/* Hands over frames from the front, many in one write; returns how many were taken. on_writable follows when that is less
 * than count. References stay the caller's. */
size_t websocket_write(struct websocket *websocket, struct frame *const *frames, size_t count);
/* Closes with that code: what was taken before leaves first, then a close frame; the peer has a few seconds to answer it. The websocket is no longer
 * the caller's, its memory stays until the loop's turn ends. */
void websocket_close(struct websocket *websocket, enum websocket_code code);

#endif
