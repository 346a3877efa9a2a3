/* websocket_frame.h - RFC 6455's framing, the server's side of it: bytes in, messages out. No sockets, no clock.
 *
 * A frame that is there whole is unmasked where it lies and handed out from there; only of what is cut, by the network or into
 * fragments, a copy is kept, and no more of it than has come. */
#ifndef ROOMCAST_HUB_WEBSOCKET_FRAME_H
#define ROOMCAST_HUB_WEBSOCKET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <roomcast/bytes.h>

enum websocket_opcode { /* 5.2 */
	WEBSOCKET_CONTINUATION = 0x0,
	WEBSOCKET_TEXT = 0x1,
	WEBSOCKET_BINARY = 0x2,
	WEBSOCKET_CLOSE = 0x8,
	WEBSOCKET_PING = 0x9,
	WEBSOCKET_PONG = 0xa,
};

enum websocket_code { /* 7.4.1 */
	WEBSOCKET_NO_CODE = 0, /* a close frame without one */
	WEBSOCKET_NORMAL = 1000,
	WEBSOCKET_GOING_AWAY = 1001,
	WEBSOCKET_PROTOCOL_ERROR = 1002,
	WEBSOCKET_INVALID_DATA = 1007,
	WEBSOCKET_POLICY = 1008,
	WEBSOCKET_TOO_BIG = 1009,
	WEBSOCKET_SERVER_ERROR = 1011,
};

enum {
	WEBSOCKET_CONTROL_MAX = 125,      /* bytes in a control frame, 5.5 */
	WEBSOCKET_SERVER_HEADER_MAX = 10, /* not masked */
	WEBSOCKET_CLIENT_HEADER_MAX = 14,
};

/* --- sending --------------------------------------------------------------- */

/* Writes the header of a whole frame in its shortest form and returns its length: 2, 4 or 10. */
size_t websocket_header_write(unsigned char out[WEBSOCKET_SERVER_HEADER_MAX], enum websocket_opcode opcode, uint64_t payload_len);

/* --- receiving ------------------------------------------------------------- */

struct websocket_header {
	enum websocket_opcode opcode;
	bool is_final;
	uint64_t payload_len;
	unsigned char mask[4];
};

/* Reads a client's header from the front of data. Returns its length, 0 when it is good as far as it goes but not all there, or -1:
 * it breaks 5.2 or 5.5 (reserved bits or opcodes, no mask, a length in more bytes than it needs, a control frame that is long or fragmented). */
int websocket_header_read(const unsigned char *data, size_t len, struct websocket_header *out);

/* 5.3; at: how far into the payload data begins. */
void websocket_unmask(char *data, size_t len, const unsigned char mask[4], uint64_t at);

/* What a close frame's payload says (5.5.1): its code, or what to answer when it must not say that. */
struct websocket_close {
	enum websocket_code code;
	bool is_valid;
};
struct websocket_close websocket_close_read(struct bytes payload);

struct websocket_partial;

/* One connection's. Idle it owns no memory. */
struct websocket_decoder {
	struct websocket_partial *partial; /* what began and is not complete; NULL: nothing */
	uint32_t max_message;
	bool is_discarding; /* messages are skipped, whatever their size; control frames still come out */
};

struct websocket_span { /* of memory that is changed while it is read */
	char *data;
	size_t len;
};

enum websocket_found {
	WEBSOCKET_FOUND_NOTHING, /* all was read */
	WEBSOCKET_FOUND_MESSAGE,
	WEBSOCKET_FOUND_PING,
	WEBSOCKET_FOUND_PONG,
	WEBSOCKET_FOUND_CLOSE,
	WEBSOCKET_FOUND_ERROR,   /* nothing behind it has a meaning */
};

struct websocket_item {
	struct bytes payload;     /* valid until the next call, and while the input's memory is */
	bool is_binary;           /* of a message; a text was checked to be UTF-8 */
	enum websocket_code code; /* of an error: what to close with */
};

/* max_message: bytes, over all fragments */
void websocket_decoder_init(struct websocket_decoder *decoder, uint32_t max_message);
void websocket_decoder_deinit(struct websocket_decoder *decoder);
/* Takes from the front of input up to the next item; call it until it finds nothing. Without memory it is an error. */
enum websocket_found websocket_decode(struct websocket_decoder *decoder, struct websocket_span *input, struct websocket_item *item);
/* Where the next bytes may be received, lest they be copied: in the middle of a large frame. Input that begins there stays in place. Its len is 0
 * when any other memory is as good. */
struct websocket_span websocket_decoder_room(struct websocket_decoder *decoder);

#endif
