/* frame.h - one Engine.IO packet, framed once and shared by every connection that it goes to.
 *
 * The memory holds a complete unmasked WebSocket frame (RFC 6455, 5.2): header, then payload. A text
 * frame's payload is the Engine.IO packet as it also goes over polling (`4` and the message); a binary frame's
 * payload is the bare bytes of a binary message. Written to once, between frame_new and the first send. One
 * thread: the counts are plain. */
#ifndef ROOMCAST_HUB_FRAME_H
#define ROOMCAST_HUB_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <roomcast/bytes.h>

enum { FRAME_HEADER_MAX = 10 };

struct frame {
	uint32_t refs;
	uint32_t payload_len;
	uint8_t header_len; /* 2, 4 or 10; 0: the wire is more or other than one frame */
	bool is_binary;
	unsigned char wire[]; /* header_len + payload_len bytes */
};

/* One reference, for the caller. NULL without memory or past UINT32_MAX. */
struct frame *frame_new(size_t payload_len, bool is_binary);
struct frame *frame_from_bytes(struct bytes payload, bool is_binary);
/* Bytes that go out as they are, without a header of ours: what only a connection itself sends. */
struct frame *frame_of_wire(struct bytes wire);
/* The same, for the caller to fill: several frames behind one another, for WebSockets only. */
struct frame *frame_new_wire(size_t len);

/* Of the frame of a text with that many bytes: its whole length; writes its header and returns where the payload goes. */
size_t frame_text_wire_len(size_t payload_len);
char *frame_text_begin(void *wire, size_t payload_len);

/* Frames of texts that leave in one write for everybody who is ready for it, and what they hold. */
struct frames_together {
	struct frame *wire; /* frame_new_wire's */
	size_t count, payload_len;
};

static inline struct frame *frame_ref(struct frame *frame)
{
	frame->refs++;
	return frame;
}

void frame_unref(struct frame *frame); /* NULL is fine */

static inline char *frame_payload(struct frame *frame)
{
	return (char *)frame->wire + frame->header_len;
}

static inline size_t frame_wire_len(const struct frame *frame)
{
	return (size_t)frame->header_len + frame->payload_len;
}

#endif
