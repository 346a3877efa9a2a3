/* socketio_packet.h - the Socket.IO 5 packet codec: bytes in, structs out. No sockets, no loop, no clock.
 *
 * Specified by the Socket.IO protocol, revision 5: <type>[<n>-][/nsp,][<id>][json]. */
#ifndef ROOMCAST_HUB_SOCKETIO_PACKET_H
#define ROOMCAST_HUB_SOCKETIO_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

enum socketio_type {
	SOCKETIO_CONNECT, SOCKETIO_DISCONNECT, SOCKETIO_EVENT, SOCKETIO_ACK,
	SOCKETIO_CONNECT_ERROR, SOCKETIO_BINARY_EVENT, SOCKETIO_BINARY_ACK,
};

enum { SOCKETIO_ATTACHMENTS_MAX = 10, SOCKETIO_ID_DIGITS_MAX = 20, SOCKETIO_NAMESPACE_MAX = 256 };

/* Views into the message that was parsed. */
struct socketio_packet {
	enum socketio_type type;
	struct bytes nsp;         /* "/" when the packet names none; without a query part */
	struct bytes id;          /* decimal digits as they came; empty: no acknowledgement wanted */
	struct bytes json;        /* checked JSON, compact or not; empty when absent */
	unsigned attachments;     /* how many binary messages follow */
	const struct bytes *binary; /* those, when complete (socketio.c fills it); NULL in what the parser returns */
};

/* Parses one text message (without Engine.IO's `4`). -1 on everything that must close the connection. Checks the
 * payload's shape for its type, JSON included (bounded depth), and for binary types that each placeholder
 * names an attachment. A bare EVENT or ACK without any payload passes, as in the reference: it is to be ignored. */
int socketio_packet_parse(struct bytes message, struct socketio_packet *out, struct error *err) MUST_CHECK;

/* The event's name as a raw JSON value (a string with its quotes, or a number), and the arguments behind it as the
 * inside of an array (`1,{"a":2}`; empty when there are none). packet must be an EVENT or BINARY_EVENT with a payload. */
struct bytes socketio_event_name(const struct socketio_packet *packet);
struct bytes socketio_event_arguments(const struct socketio_packet *packet);

/* Adds what stands in front of a packet's JSON, Engine.IO's `4` included. attachments makes EVENT and ACK binary. */
void socketio_packet_add_head(struct buffer *out, enum socketio_type type, unsigned attachments, struct bytes nsp, struct bytes id);

/* For whoever sends on what a client sent: adds json (a packet's, or the inside of an array) compacted, with its
 * placeholders numbered anew in the order in which they stand, and puts the attachments that they name into
 * sorted, in that order. Returns how many, or -1 when more than SOCKETIO_ATTACHMENTS_MAX placeholders stand there. */
int socketio_packet_add_json(struct buffer *out, struct bytes json, const struct bytes *binary, unsigned attachments,
                             struct bytes sorted[static SOCKETIO_ATTACHMENTS_MAX]);

#endif
