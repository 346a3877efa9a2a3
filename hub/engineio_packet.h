/* engineio_packet.h - the Engine.IO 4 packet codec: bytes in, structs out. No sockets, no loop, no clock. */
#ifndef ROOMCAST_HUB_ENGINEIO_PACKET_H
#define ROOMCAST_HUB_ENGINEIO_PACKET_H

#include <stdbool.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

enum engineio_type {
	ENGINEIO_OPEN, ENGINEIO_CLOSE, ENGINEIO_PING, ENGINEIO_PONG, ENGINEIO_MESSAGE, ENGINEIO_UPGRADE, ENGINEIO_NOOP,
};

enum { ENGINEIO_SEPARATOR = 0x1e, ENGINEIO_PACKETS_PER_ANSWER = 16 }; /* python-engineio's limit */

struct engineio_packet {
	enum engineio_type type;
	bool is_binary;     /* a MESSAGE whose data is bytes, not text */
	struct bytes data;  /* behind the type; a view into what was parsed */
};

/* Parses a packet in its text form: `<type><data>`, or `b<base64>`. Base64 is decoded into room, of at least text.len bytes; it may be
 * the text's own memory. Does not judge whether data is UTF-8. */
int engineio_packet_parse(struct bytes text, char *room, struct engineio_packet *out, struct error *err) MUST_CHECK;

/* Walks a polling body, packets joined by 0x1e. Start with rest = the whole body, which is overwritten by what base64 is decoded.
 * 1 with a packet, 0 at the end, -1 on a malformed packet. An empty body is malformed, as an empty packet is. */
struct engineio_payload {
	char *rest;
	size_t len;
	bool is_started;
};
int engineio_payload_next(struct engineio_payload *payload, struct engineio_packet *out, struct error *err) MUST_CHECK;

/* Adds a message's packet to an answer: frames hold text as `4...`, binary as bare bytes (frame.h). A separator is put in front
 * unless the answer is empty. */
void engineio_payload_add(struct buffer *answer, struct bytes payload, bool is_binary);

/* The handshake packet's JSON, with the type in front. */
struct engineio_open {
	const char *sid;
	bool can_upgrade;
	unsigned long long ping_interval_ms, ping_timeout_ms, max_payload;
};
void engineio_open_write(struct buffer *out, const struct engineio_open *open);

#endif
