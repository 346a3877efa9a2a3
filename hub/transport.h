/* transport.h - what the Engine.IO files share: the engine, a session, and the two transports behind the same few functions.
 *
 * engine.c admits requests and keeps time, session.c owns a session's state and queue, polling.c and
 * websocket_transport.c carry packets, upgrade.c moves a session from the first to the second. */
#ifndef ROOMCAST_HUB_TRANSPORT_H
#define ROOMCAST_HUB_TRANSPORT_H

#include <stddef.h>

#include <roomcast/bytes.h>

#include "deadline.h"
#include "engine.h"
#include "engineio_packet.h"
#include "http.h"
#include "session.h"
#include "turn_end.h"
#include "websocket.h"

enum session_state {
	SESSION_OPENING,   /* admitted, its WebSocket's handshake is under way */
	SESSION_OPEN,
	SESSION_UPGRADING, /* probed: GETs are answered at once */
	SESSION_CLOSING,   /* over for the layers above; last packets wait for a GET */
	SESSION_CLOSED,    /* freed when the loop's turn ends */
};

/* How a session's transport takes leave. */
enum farewell {
	FAREWELL_POLITE, /* what is queued, then `1` or a close frame; polling may wait for a GET */
	FAREWELL_NOW,    /* `1` to a held GET, or a close frame */
	FAREWELL_NOOP,   /* the client said `1`: a held GET gets `6` */
	FAREWELL_NONE,   /* the transport is gone */
};

struct transport {
	const char *name; /* in the query */
	bool takes_wire; /* frames leave as they are: one may be several */
	bool (*is_writable)(const struct session *session);
	/* Takes frames from the front, nothing being queued; returns how many. References stay the caller's. */
	size_t (*send)(struct session *session, struct frame *const *frames, size_t count);
	/* Lets go of everything. Whether packets still wait for the client. */
	bool (*end)(struct session *session, enum farewell farewell, enum close_reason reason);
};
extern const struct transport polling_transport, websocket_transport;

enum session_echo {
	ECHO_NONE,
	ECHO_DUE,   /* another ping is under way; its pong may be older than the question */
	ECHO_ASKED, /* the next pong is the answer */
};

struct session {
	struct engine *engine;
	const struct transport *transport;
	struct session *next;            /* in the engine's table, or among the dead */
	struct deadline deadline;        /* of the next ping, the pong, or the end of lingering */
	struct polling *polling;         /* of the polling transport */
	struct websocket *websocket;     /* of the other one */
	struct upgrade *upgrade;         /* under way */
	struct request_info *request;    /* the WebSocket's handshake */
	struct frame **queue;            /* of queue_capacity; queue_len in use from queue_head on */
	uint32_t queue_head, queue_len, queue_capacity;
	uint8_t state;
	bool is_base64;                  /* the WebSocket's client wants binary as text */
	bool awaits_drained;             /* the layer above wants to know when the queue is empty */
	bool is_pinged;                  /* a pong is due */
	uint8_t echo;                    /* enum session_echo */
	size_t unsent;                   /* wire bytes in the queue */
	char *sid;                       /* behind the memory of the layer above */
	_Alignas(max_align_t) char above[];
};

struct engine {
	uv_loop_t *loop;
	struct websockets *websockets;
	struct engine_settings settings;
	struct session_handler handler;
	struct engine_counters counters;
	struct deadlines pings, pongs, lingers, upgrades;
	struct turn_end turn_end;
	struct session **table; /* chains by sid */
	size_t table_size, session_count; /* a power of two; opening, open and lingering ones */
	size_t close_cursor;
	struct session *dead;
	struct frame *ping, *pong_probe;
	struct buffer scratch; /* for what is built and sent at once */
	bool refuses_handshakes;
	unsigned open_parts;
	void (*on_closed)(void *data);
	void *on_closed_data;
};

enum { ENGINE_SID_RANDOM = 20 }; /* characters behind the hub's name and `~`: 120 bits */

/* --- engine.c */
/* A new session, in the table, for a handshake that passed every check; NULL when it was answered instead. */
struct session *engine_admit(struct engine *engine, struct http_exchange *exchange, const struct transport *transport);
enum engine_error {
	ENGINE_UNKNOWN_TRANSPORT, ENGINE_UNKNOWN_SID, ENGINE_BAD_METHOD, ENGINE_BAD_REQUEST, ENGINE_FORBIDDEN, ENGINE_BAD_VERSION,
};
void engine_refuse(struct engine *engine, struct http_exchange *exchange, enum engine_error error);
void engine_bury(struct session *session); /* out of the table, freed when the turn ends */

/* --- session.c */
struct session *session_new(struct engine *engine, const struct transport *transport);
void session_free(struct session *session);
void session_set_state(struct session *session, enum session_state state);
/* An admitted session begins: the layer above learns of it, the heartbeat runs. */
void session_begin(struct session *session);
/* Adds its handshake packet to out. */
void session_write_open(const struct session *session, bool can_upgrade, struct buffer *out);
/* The one way out: does nothing when the session is not open. */
void session_end(struct session *session, enum close_reason reason, enum farewell farewell);
/* Its pong is due a ping's time-out after since_ms. */
void session_ping(struct session *session, uint64_t since_ms);
/* Nothing waits for the client any more. */
void session_finish_lingering(struct session *session);
/* Acts on a packet from the client; request carried it. */
void session_receive(struct session *session, const struct engineio_packet *packet, const struct request_info *request);
/* Gives the transport what is queued, as far as it takes it. */
void session_flush(struct session *session);
void session_drop_queue(struct session *session, size_t count);

/* --- polling.c */
void polling_handshake(struct engine *engine, struct http_exchange *exchange);
/* A GET or POST for a session on this transport. */
void polling_serve(struct session *session, struct http_exchange *exchange);
/* Answers a held GET although nothing may be queued: an upgrade is under way. */
void polling_release(struct session *session);
void polling_free(struct session *session); /* what is left of the transport */

/* --- websocket_transport.c */
void websocket_handshake(struct engine *engine, struct http_exchange *exchange, bool is_base64);
/* Moves an open WebSocket into the session. */
void websocket_take_over(struct session *session, struct websocket *websocket);

/* --- upgrade.c */
void upgrade_start(struct session *session, struct http_exchange *exchange, bool is_base64);
void upgrade_cancel(struct session *session); /* closes the probing WebSocket, if there is one */
void upgrade_on_due(struct deadline *deadline, void *data);

#endif
