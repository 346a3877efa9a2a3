/* event.h - one event on its way to clients: who gets it, and its frames, made once each.
 *
 * Built from a message of the gateway, whose bytes it copies once. The body stays unparsed. One thread. */
#ifndef ROOMCAST_HUB_EVENT_H
#define ROOMCAST_HUB_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include <roomcast/message.h>
#include <roomcast/place.h>

#include "frame.h"

/* How an event is framed for a connection: without, or with a recovery offset as its last argument. */
enum event_framing { FRAMING_PLAIN, FRAMING_OFFSET, FRAMING_COUNT };

/* What is framed together at most: a connection that takes only a part of it keeps the rest beyond the bound of unsent bytes. */
enum { EVENTS_TOGETHER_MAX = 64, TOGETHER_BYTES_MAX = 64 * 1024 };

struct event {
	unsigned refs;
	size_t size;            /* bytes of memory, without the frames */
	uint64_t position;      /* in this hub's delivery order, given by fanout; 0 before that */
	struct place place;     /* its own when journaled; else, given by fanout, that of the newest event before it */
	struct message message; /* views into packed; kind EVENT, VOLATILE or CONTROL */
	struct frame *frames[FRAMING_COUNT];
	struct frame *replaces[FRAMING_COUNT]; /* frames of an earlier event that need not be given where they still wait; or NULL */
	char packed[];
};

/* packed: a message as it came. NULL and err when it cannot be read or is of another kind. */
struct event *event_new(struct bytes packed, struct error *err);
/* From a message made here (user:activity of this hub). */
struct event *event_from_message(const struct message *message, struct error *err);
struct event *event_ref(struct event *event);
void event_unref(struct event *event);

/* The shared frame; still the event's reference. NULL without memory. */
struct frame *event_frame(struct event *event, enum event_framing framing);

/* The frames of events, in order. False, and together->wire is NULL, without memory, and when they are too large for that. */
bool event_frames_together(struct event *const *events, size_t count, enum event_framing framing, struct frames_together *together);

/* Whether a client that is not ready for it at once goes without (Socket.IO's volatile). */
static inline bool event_is_droppable(const struct event *event)
{
	return event->message.kind == MESSAGE_VOLATILE && event->message.droppable;
}

static inline bool event_replaces(const struct event *event)
{
	return event->replaces[FRAMING_PLAIN] || event->replaces[FRAMING_OFFSET];
}

#endif
