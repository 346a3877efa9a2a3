/* session.h - one Engine.IO 4 session as the layers above see it, whatever transport carries it.
 *
 * Everything here runs on the loop's thread. A session is closed once; on_close is called from inside the call
 * that closed it, as the last callback for it. Its memory stays valid until the current callback from the loop
 * has returned (the engine frees closed sessions at the end of the loop's turn), so a layer above may finish what it
 * was doing; sends to a closed session do nothing. */
#ifndef ROOMCAST_HUB_SESSION_H
#define ROOMCAST_HUB_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include <roomcast/bytes.h>

#include "frame.h"
#include "request.h"

struct session;

/* Why a session ended; the names in close_reason_name are Socket.IO's own where it has one. */
enum close_reason {
	CLOSE_TRANSPORT_CLOSE, /* the client went away or said `1` */
	CLOSE_TRANSPORT_ERROR,
	CLOSE_PING_TIMEOUT,
	CLOSE_PARSE_ERROR,
	CLOSE_FORCED,          /* the layer above wished it */
	CLOSE_SHUTTING_DOWN,   /* this hub drains */
	CLOSE_SLOW,            /* past the bound of unsent bytes */
	CLOSE_EXPIRED,         /* the client's token */
	CLOSE_TAKEN_OVER,      /* the client came back over another connection */
	/* Of one Socket.IO client, its session goes on: */
	CLOSE_CLIENT_NAMESPACE, /* it said DISCONNECT */
	CLOSE_SERVER_NAMESPACE, /* client_disconnect */
	CLOSE_REASON_COUNT,
};
const char *close_reason_name(enum close_reason reason);

/* Called by the engine. `above` is the memory that the layer above asked for with each session, zeroed at open. */
struct session_handler {
	size_t above_size; /* bytes kept with each session for the layer above */
	/* May refuse a handshake that passed every check (Engine.IO error 4, "Forbidden"; status is then 403), or,
	 * with *retry_after_s > 0, answers 503 with Retry-After: the client comes again. NULL: all are welcome. */
	bool (*on_handshake)(void *data, const struct request_info *request, unsigned *retry_after_s);
	void (*on_open)(struct session *session);
	/* message: without the Engine.IO type, valid until return. request: the one that carried it (the POST, or
	 * the WebSocket's handshake request). It stays available for WebSockets until session_forget_request. */
	void (*on_message)(struct session *session, struct bytes message, bool is_binary, const struct request_info *request);
	/* Nothing is queued any more; asked for with session_await_drained, once each time. To be taken note of: whoever wants to
	 * send more does so from the loop. May be NULL. */
	void (*on_drained)(struct session *session);
	/* What the client had sent when it heard the ping of session_ask_echo has all been received. To be taken note of, too. May be NULL. */
	void (*on_echo)(struct session *session);
	void (*on_close)(struct session *session, enum close_reason reason);
	void *data; /* for on_handshake and session_data */
};

void *session_above(struct session *session);
void *session_data(const struct session *session); /* the handler's data */
const char *session_sid(const struct session *session); /* secret */
bool session_is_open(const struct session *session);

/* Queues references to frames, in order, and writes at once what the transport takes: frames queued together leave in
 * one write. Past the bound of unsent bytes the session is closed with CLOSE_SLOW, nothing of these being sent; but one frame for
 * an empty queue is always taken. */
void session_send(struct session *session, struct frame *const *frames, size_t count);
/* All of them at once. False, and nothing is done: the transport cannot, or something is queued; then they are for session_send. */
bool session_send_together(struct session *session, const struct frames_together *together);

/* Takes a frame back that is queued; otherwise does nothing. */
void session_withdraw(struct session *session, const struct frame *frame);

bool session_is_queued(const struct session *session); /* something waits for the transport */
void session_await_drained(struct session *session);   /* something does: on_drained tells when it left */

/* Pings out of turn, once: on_echo follows the pong, which is behind everything that the client sent before. A client that does not answer
 * is closed, as after any ping. */
void session_ask_echo(struct session *session);

/* Brings into the cache what sending looks at: steps 0 and 1 in turn, the second needing what the first asked for. */
void session_prefetch(const struct session *session, unsigned step);

/* Whether a frame sent now would leave at once (a held GET, or a WebSocket with nothing unsent): what volatile means. */
bool session_is_writable(const struct session *session);

/* Sends what is queued if the transport takes it now, then closes the transport: `1` over polling, a WebSocket
 * close frame otherwise. */
void session_close(struct session *session, enum close_reason reason);

/* Drops the copy of a WebSocket's handshake request: call it when no packet needs it any more. */
void session_forget_request(struct session *session);

#endif
