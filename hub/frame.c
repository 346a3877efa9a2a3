/* frame.c - WebSocket frames built once and shared by reference. */
#include "frame.h"

#include <stdlib.h>
#include <string.h>

#include "websocket_frame.h"

struct frame *frame_new(size_t payload_len, bool is_binary)
{
	if (payload_len > UINT32_MAX)
		return NULL;
	unsigned char header[FRAME_HEADER_MAX];
	uint8_t header_len = (uint8_t)websocket_header_write(header, is_binary ? WEBSOCKET_BINARY : WEBSOCKET_TEXT, payload_len);
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

struct frame *frame_new_wire(size_t len)
{
	struct frame *frame = len <= UINT32_MAX ? malloc(sizeof(*frame) + len) : NULL;
	if (frame)
		*frame = (struct frame){ .refs = 1, .payload_len = (uint32_t)len };
	return frame;
}

struct frame *frame_of_wire(struct bytes wire)
{
	struct frame *frame = frame_new_wire(wire.len);
	if (frame)
		memcpy(frame->wire, wire.data, wire.len);
	return frame;
}

size_t frame_text_wire_len(size_t payload_len)
{
	unsigned char header[FRAME_HEADER_MAX];
	return websocket_header_write(header, WEBSOCKET_TEXT, payload_len) + payload_len;
}

char *frame_text_begin(void *wire, size_t payload_len)
{
	return (char *)wire + websocket_header_write(wire, WEBSOCKET_TEXT, payload_len);
}

void frame_unref(struct frame *frame)
{
	if (frame && --frame->refs == 0)
		free(frame);
}
