/* socketio.h - a Socket.IO 5 server on one Engine.IO server: namespaces, CONNECT, events, acknowledgements.
 *
 * It is the engine's session_handler. One struct client is one client connected (or connecting) to one namespace; a
 * client's memory follows its session's rule (session.h). Loop thread only. */
#ifndef ROOMCAST_HUB_SOCKETIO_H
#define ROOMCAST_HUB_SOCKETIO_H

#include <stdbool.h>
#include <stddef.h>

#include <roomcast/bytes.h>

#include "engine.h"
#include "session.h"
#include "socketio_packet.h"

struct client;
struct socketio;

enum { CLIENT_SID_SIZE = 21 }; /* 20 URL-safe characters and the 0; not the Engine.IO sid, which is secret */

struct socketio_handler {
	size_t above_size; /* bytes kept with each client for the application, zeroed */
	/* Whether this namespace exists: otherwise the client gets "Invalid namespace". */
	bool (*has_namespace)(void *data, struct bytes nsp);
	/* A CONNECT. auth: its payload as raw JSON, `{}` if absent. Answer with client_accept or client_refuse, now or
	 * later; packets of the client that come before the answer close the session, as the protocol demands. The client
	 * may leave before the answer: on_disconnect says so. request: as in session.h's on_message. */
	void (*on_connect)(struct client *client, struct bytes auth, const struct request_info *request);
	/* packet: an EVENT or BINARY_EVENT with a payload, valid until return. */
	void (*on_event)(struct client *client, const struct socketio_packet *packet);
	/* Once for every client that on_connect was called for, refused ones excepted; inside client_accept, client_emit and
	 * the like, too, when what they send is too much for the session. Its memory stays until the loop's turn ends. */
	void (*on_disconnect)(struct client *client, enum close_reason reason);
	/* Everything sent to the client's session has left for the transport: see session_await_drained. May be NULL. */
	void (*on_drained)(struct client *client);
	/* See session_ask_echo. May be NULL. */
	void (*on_echo)(struct client *client);
	/* A packet that closes the session: for counting and logging. May be NULL. */
	void (*on_protocol_error)(void *data, const struct error *err);
	void *data;
};

struct socketio_settings {
	uint64_t connect_timeout_ms;  /* a session that joins no namespace for so long is closed */
	size_t attachment_bytes_max;  /* of one packet, all attachments together; 0: 4 MiB */
};

/* Fills the handler that engine_new wants; the socketio object must outlive the engine. */
struct socketio *socketio_new(uv_loop_t *loop, const struct socketio_settings *settings, const struct socketio_handler *handler,
                              struct error *err);
struct session_handler socketio_session_handler(struct socketio *socketio,
                                                bool (*on_handshake)(void *data, const struct request_info *request, unsigned *retry_after_s));
void socketio_close(struct socketio *socketio, void (*on_closed)(void *data), void *data); /* after the engine */

void *client_above(struct client *client);
void *client_data(const struct client *client); /* the handler's data */
const char *client_sid(const struct client *client);
/* Gives it the id of a client that is gone, whose session it resumes; before client_accept. sid: as CLIENT_SID_SIZE says. */
void client_take_sid(struct client *client, const char *sid);
/* A byte that the application keeps with the session, for its later clients too; 0 at first. */
uint8_t *client_session_note(struct client *client);
struct bytes client_namespace(const struct client *client);
struct session *client_session(const struct client *client);
bool client_is_connected(const struct client *client);

/* Answers CONNECT: `0{"sid":..}`; with pid (plain ASCII) when it is not NULL (connection state recovery). */
void client_accept(struct client *client, const char *pid);
/* Answers CONNECT_ERROR; message is UTF-8 text, data raw JSON or empty. The client is gone afterwards. */
void client_refuse(struct client *client, const char *message, struct bytes data);
/* Sends DISCONNECT; the session stays. Note that the JavaScript client does not come back by itself after it. */
void client_disconnect(struct client *client);

/* arguments: the inside of the argument array, name included: `"pong",{"timestamp":".."}`. With binary, placeholders
 * must stand in it already. */
void client_emit(struct client *client, struct bytes arguments, const struct bytes *binary, unsigned binary_count);
/* Acknowledges packet when it asked for it; otherwise does nothing. arguments as above, without a name. */
void client_acknowledge(struct client *client, const struct socketio_packet *packet, struct bytes arguments,
                        const struct bytes *binary, unsigned binary_count);

/* Frames of an event in namespace "/" for client_send and session_send: 42[arguments], or 42[arguments,"tail"] when tail is not
 * empty (plain ASCII). NULL without memory. */
struct frame *socketio_event_frame(struct bytes arguments, struct bytes tail);
/* Its payload's length, and the payload written to out; returns its end. */
size_t socketio_event_len(struct bytes arguments, struct bytes tail);
char *socketio_event_write(struct bytes arguments, struct bytes tail, char *out);
void client_send(struct client *client, struct frame *const *frames, size_t count);
bool client_send_together(struct client *client, const struct frames_together *together); /* as session_send_together */

#endif
