/* frame.c - WebSocket frames built once and shared by reference. */
#include "frame.h"

#include <stdlib.h>
#include <string.h>

enum { FIN = 0x80, OPCODE_TEXT = 1, OPCODE_BINARY = 2 };

/* RFC 6455, 5.2; a server does not mask. Returns the header's length. */
static uint8_t write_header(unsigned char *out, size_t payload_len, bool is_binary)
{
	out[0] = (unsigned char)(FIN | (is_binary ? OPCODE_BINARY : OPCODE_TEXT));
	if (payload_len < 126) {
		out[1] = (unsigned char)payload_len;
		return 2;
	}
	unsigned length_bytes = payload_len <= 0xffff ? 2 : 8;
	out[1] = length_bytes == 2 ? 126 : 127;
	for (unsigned i = 0; i < length_bytes; i++)
		out[2 + i] = (unsigned char)((uint64_t)payload_len >> (8 * (length_bytes - 1 - i)));
	return (uint8_t)(2 + length_bytes);
}

struct frame *frame_new(size_t payload_len, bool is_binary)
{
	if (payload_len > UINT32_MAX)
		return NULL;
	unsigned char header[FRAME_HEADER_MAX];
	uint8_t header_len = write_header(header, payload_len, is_binary);
	struct frame *frame = malloc(sizeof(*frame) + header_len + payload_len);
	if (!frame)
		return NULL;
	*frame = (struct frame){
		.refs = 1, .payload_len = (uint32_t)payload_len, .header_len = header_len, .is_binary = is_binary,
	};
	memcpy(frame->wire, header, header_len);
	return frame;
}

struct frame *frame_from_bytes(struct bytes payload, bool is_binary)
{
	struct frame *frame = frame_new(payload.len, is_binary);
	if (frame && payload.len)
		memcpy(frame_payload(frame), payload.data, payload.len);
	return frame;
}

void frame_unref(struct frame *frame)
{
	if (frame && --frame->refs == 0)
		free(frame);
}
