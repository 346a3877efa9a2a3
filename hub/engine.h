/* engine.h - an Engine.IO 4 server at one path: handshakes, sessions by sid, heartbeats, the upgrade.
 *
 * Specified by the Engine.IO protocol, revision 4. It knows HTTP requests through http.h and WebSockets through
 * websocket.h, and hands sessions (session.h) to the layer above. */
#ifndef ROOMCAST_HUB_ENGINE_H
#define ROOMCAST_HUB_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include <roomcast/error.h>

#include "session.h"

struct engine;
struct http_exchange;
struct http_request;
struct websockets;

/* Times in milliseconds, sizes in bytes. */
struct engine_settings {
	const char *hub_name;          /* prefix of every sid, in front of `~` */
	uint64_t ping_interval_ms;
	uint64_t ping_timeout_ms;
	uint64_t upgrade_timeout_ms;
	uint64_t close_linger_ms;      /* how long a closed polling session's last packets wait for a GET */
	size_t max_payload;            /* of one packet, POST body or WebSocket message */
	size_t max_unsent;             /* queued for one session */
	size_t max_sessions;           /* past it handshakes get 503 */
};

/* Counted since the start. */
struct engine_counters {
	uint64_t sessions;             /* open now */
	uint64_t sessions_opened;
	uint64_t websocket_sessions;   /* open now */
	uint64_t upgrades;
	uint64_t handshakes_refused;
	uint64_t bad_requests;         /* every other error answer */
	uint64_t closed[CLOSE_REASON_COUNT];
	uint64_t packets_in, packets_out;
	uint64_t bytes_in, bytes_out;
};

/* Settings and handler are copied; hub_name and handler.data are kept by pointer. */
struct engine *engine_new(uv_loop_t *loop, struct websockets *websockets, const struct engine_settings *settings,
                          const struct session_handler *handler, struct error *err);
/* Whether a request to the engine's path speaks Engine.IO at all: it has EIO, transport or sid in its query, or wants to
 * upgrade. Others may be answered with something for people. */
bool engine_is_meant(const struct http_request *request);
/* Serves a request: what the on_request of the engine's http_route calls. */
void engine_serve(struct engine *engine, struct http_exchange *exchange);
const struct engine_counters *engine_counters(const struct engine *engine);
/* From now on handshakes get 503 with Retry-After; known sessions are served. */
void engine_refuse_handshakes(struct engine *engine);
/* Closes up to `most` sessions for that reason; returns how many are still open. */
size_t engine_close_some(struct engine *engine, size_t most, enum close_reason reason);
/* Closes every session at once and frees the engine when its handles are closed. */
void engine_close(struct engine *engine, void (*on_closed)(void *data), void *data);

#endif
