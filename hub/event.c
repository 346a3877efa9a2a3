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

static struct bytes offset_of(const struct event *event, enum event_framing framing, char text[PLACE_TEXT_SIZE])
{
	if (framing != FRAMING_OFFSET)
		return (struct bytes){ 0 };
	place_format(event->place, text);
	return bytes_of(text);
}

struct frame *event_frame(struct event *event, enum event_framing framing)
{
	char text[PLACE_TEXT_SIZE];
	if (!event->frames[framing])
		event->frames[framing] = socketio_event_frame(event->message.body, offset_of(event, framing, text));
	return event->frames[framing];
}

static size_t payload_len(const struct event *event, enum event_framing framing)
{
	char text[PLACE_TEXT_SIZE];
	const struct frame *frame = event->frames[framing];
	return frame ? frame->payload_len : socketio_event_len(event->message.body, offset_of(event, framing, text));
}

static char *write_frame(const struct event *event, enum event_framing framing, size_t len, char *out)
{
	char text[PLACE_TEXT_SIZE];
	const struct frame *frame = event->frames[framing];
	if (frame)
		return mempcpy(out, frame->wire, frame_wire_len(frame));
	return socketio_event_write(event->message.body, offset_of(event, framing, text), frame_text_begin(out, len));
}

bool event_frames_together(struct event *const *events, size_t count, enum event_framing framing, struct frames_together *together)
{
	size_t lens[EVENTS_TOGETHER_MAX], wire_len = 0;
	*together = (struct frames_together){ 0 };
	if (count > EVENTS_TOGETHER_MAX)
		return false;
	for (size_t i = 0; i < count; i++) {
		lens[i] = payload_len(events[i], framing);
		together->payload_len += lens[i];
		wire_len += frame_text_wire_len(lens[i]);
	}
	if (wire_len > TOGETHER_BYTES_MAX || !(together->wire = frame_new_wire(wire_len)))
		return false;
	together->count = count;
	char *out = (char *)together->wire->wire;
	for (size_t i = 0; i < count; i++)
		out = write_frame(events[i], framing, lens[i], out);
	return true;
}
