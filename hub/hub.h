/* hub.h - the hub as its parts see each other: configuration, members, rooms, fan-out, the line to the gateway. */
#ifndef ROOMCAST_HUB_HUB_H
#define ROOMCAST_HUB_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include <roomcast/curve.h>
#include <roomcast/log.h>

#include "arrivals.h"
#include "authentication.h"
#include "config.h"
#include "engine.h"
#include "expiry.h"
#include "fanout.h"
#include "http.h"
#include "member.h"
#include "recovery.h"
#include "room.h"
#include "socketio.h"
#include "standing.h"
#include "subscriber.h"
#include "websocket.h"

enum { HUB_ROUTES = 5 };

struct hub_counters {
	uint64_t connects, connects_authenticated, bad_tokens, expired;
	uint64_t commands, unknown_events, rate_exceeded, denied;
	uint64_t protocol_errors;
	uint64_t controls, control_disconnects, grants_refused, blocked;
};

struct hub {
	const struct hub_config *config;
	uv_loop_t *loop;
	struct cors *cors;
	struct authentication authentication;
	struct rooms rooms;
	struct member *members; /* by Socket.IO id */
	struct fanout *fanout;
	struct recovery recovery;
	struct arrivals arrivals;
	struct expiries expiries; /* of members' tokens */
	struct curve curve;     /* of the subscriber */
	struct subscriber *subscriber;
	struct standing *standing;
	bool is_in_accord;      /* with it are all clients */
	struct socketio *socketio;
	struct engine *engine;
	struct websockets *websockets;
	struct http_server *http;
	struct hub_counters counters;
	struct log_limit token_limit, protocol_limit, rate_limit, control_limit;
	struct http_route routes[HUB_ROUTES];
	uv_timer_t drain;
	uint64_t drain_until;   /* loop time */
	size_t drain_step;      /* sessions closed at once */
	bool is_draining, is_closing;
};

/* Everything between the wire and the line: opens sockets, starts the parts. On -1 the process is expected to end. */
int hub_open(struct hub *hub, uv_loop_t *loop, const struct hub_config *config, struct error *err) MUST_CHECK;
/* Handshakes get 503, connections are closed spread over the configured window, then everything is closed and the loop
 * runs empty. A second call ends at once. */
void hub_drain(struct hub *hub);
/* When the loop has ended. */
void hub_deinit(struct hub *hub);

/* Connected clients here, and on all live hubs. */
uint64_t hub_clients(const struct hub *hub);
uint64_t hub_cluster_clients(const struct hub *hub);

#endif
