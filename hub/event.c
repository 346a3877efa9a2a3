/* event.c - events and their frames. */
#include "event.h"

#include <stdlib.h>
#include <string.h>

#include "socketio.h"

struct event *event_new(struct bytes packed, struct error *err)
{
	struct event *event = malloc(sizeof(*event) + packed.len);
	if (!event) {
		error_set(err, ERROR_SYSTEM, "no memory for an event of %zu bytes", packed.len);
		return NULL;
	}
	*event = (struct event){ .refs = 1 };
	if (packed.len)
		memcpy(event->packed, packed.data, packed.len);
	if (message_unpack((struct bytes){ event->packed, packed.len }, &event->message, err)) {
		free(event);
		return NULL;
	}
	const struct message *message = &event->message;
	event->size = sizeof(*event) + packed.len + (message->rooms.count + message->except.count) * sizeof(struct bytes);
	if (message->kind != MESSAGE_EVENT && message->kind != MESSAGE_VOLATILE && message->kind != MESSAGE_CONTROL) {
		error_set(err, ERROR_INVALID, "%s message where an event was expected", message_kind_name(message->kind));
		event_unref(event);
		return NULL;
	}
	event->place = (struct place){ event->message.epoch, event->message.seq };
	return event;
}

struct event *event_from_message(const struct message *message, struct error *err)
{
	struct buffer packed = { 0 };
	struct event *event = NULL;
	if (message_pack(message, &packed, err) == 0)
		event = event_new(buffer_bytes(&packed), err);
	buffer_deinit(&packed);
	return event;
}

struct event *event_ref(struct event *event)
{
	event->refs++;
	return event;
}

void event_unref(struct event *event)
{
	if (!event || --event->refs)
		return;
	for (int framing = 0; framing < FRAMING_COUNT; framing++) {
		frame_unref(event->frames[framing]);
		frame_unref(event->replaces[framing]);
	}
	message_deinit(&event->message);
	free(event);
}

struct frame *event_frame(struct event *event, enum event_framing framing)
{
	if (event->frames[framing])
		return event->frames[framing];
	char offset[PLACE_TEXT_SIZE] = "";
	if (framing == FRAMING_OFFSET)
		place_format(event->place, offset);
	event->frames[framing] = socketio_event_frame(event->message.body, bytes_of(offset));
	return event->frames[framing];
}
