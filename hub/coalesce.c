/* coalesce.c - remembers the newest UPDATE of each entity. */
#include "coalesce.h"

#include <stdlib.h>

#include <uthash.h>

#include "config.h"

struct newest {
	struct frame *frames[FRAMING_COUNT];
	uint64_t number;
	uint32_t replaced;       /* how many in a row this one stands for */
	size_t bytes;
	UT_hash_handle hh;       /* by key; in the order of their last UPDATE */
	uint32_t key_len, exclude_user_len;
	char key[];              /* type, a byte 0, id; then the user that it excludes */
};

struct coalesce {
	const char *types;
	uint32_t most;
	struct newest *by_key;
	size_t bytes;
};

struct coalesce *coalesce_new(const char *types, uint32_t most, struct error *err)
{
	struct coalesce *coalesce = calloc(1, sizeof(*coalesce));
	if (!coalesce) {
		error_set(err, ERROR_SYSTEM, "no memory");
		return NULL;
	}
	coalesce->types = types;
	coalesce->most = most;
	return coalesce;
}

static void newest_free(struct newest *newest)
{
	if (!newest)
		return;
	for (int framing = 0; framing < FRAMING_COUNT; framing++)
		frame_unref(newest->frames[framing]);
	free(newest);
}

static void forget(struct coalesce *coalesce, struct newest *newest)
{
	HASH_DEL(coalesce->by_key, newest);
	coalesce->bytes -= newest->bytes;
	newest_free(newest);
}

void coalesce_free(struct coalesce *coalesce)
{
	if (!coalesce)
		return;
	while (coalesce->by_key)
		forget(coalesce, coalesce->by_key);
	free(coalesce);
}

/* What the table knows an event by; NULL without memory. */
static struct newest *newest_of(struct event *event)
{
	const struct message *message = &event->message;
	size_t key_len = message->entity_type.len + 1 + message->entity_id.len;
	struct newest *newest = calloc(1, sizeof(*newest) + key_len + message->exclude_user.len);
	if (!newest)
		return NULL;
	char *next = newest->key;
	memcpy(next, message->entity_type.data, message->entity_type.len);
	memcpy(next + message->entity_type.len + 1, message->entity_id.data, message->entity_id.len);
	if (message->exclude_user.len)
		memcpy(next + key_len, message->exclude_user.data, message->exclude_user.len);
	newest->key_len = (uint32_t)key_len;
	newest->exclude_user_len = (uint32_t)message->exclude_user.len;
	newest->bytes = sizeof(*newest) + key_len + message->exclude_user.len;
	return newest;
}

static int take_frames(struct newest *newest, struct event *event)
{
	for (int framing = 0; framing < FRAMING_COUNT; framing++) {
		struct frame *frame = event_frame(event, (enum event_framing)framing);
		if (!frame)
			return -1;
		newest->frames[framing] = frame_ref(frame);
		newest->bytes += sizeof(*frame) + frame_wire_len(frame);
	}
	return 0;
}

/* Whoever was to be given the earlier one is given the later one. */
static bool reaches_as_many(const struct newest *later, const struct newest *earlier)
{
	return !later->exclude_user_len ||
	       bytes_equal((struct bytes){ later->key + later->key_len, later->exclude_user_len },
	                   (struct bytes){ earlier->key + earlier->key_len, earlier->exclude_user_len });
}

/* It is for the entity type's room and nothing else, and tells what it is about. */
static bool takes_part(const struct coalesce *coalesce, const struct message *message)
{
	const size_t prefix = sizeof("sync-") - 1;
	const struct bytes *room = message->rooms.items;
	return message->entity_type.len && message->entity_id.len && message->audience == AUDIENCE_ROOMS && message->rooms.count == 1 &&
	       !message->except.count && room->len == prefix + message->entity_type.len &&
	       memcmp(room->data + prefix, message->entity_type.data, message->entity_type.len) == 0 &&
	       hub_config_list_has(coalesce->types, message->entity_type);
}

/* The later one in place of the earlier, if it may be. Returns the number that is replaced. */
static uint64_t replace(const struct coalesce *coalesce, struct newest *later, struct newest *earlier, struct event *event)
{
	if (earlier->replaced >= coalesce->most || !reaches_as_many(later, earlier))
		return COALESCE_NONE;
	later->replaced = earlier->replaced + 1;
	for (int framing = 0; framing < FRAMING_COUNT; framing++) {
		event->replaces[framing] = earlier->frames[framing];
		earlier->frames[framing] = NULL;
	}
	return earlier->number;
}

static void drop_past_bounds(struct coalesce *coalesce)
{
	while (coalesce->by_key && (HASH_COUNT(coalesce->by_key) > COALESCE_KEYS_MAX || coalesce->bytes > COALESCE_BYTES_MAX))
		forget(coalesce, coalesce->by_key);
}

uint64_t coalesce_note(struct coalesce *coalesce, struct event *event, uint64_t number)
{
	if (!*coalesce->types || !takes_part(coalesce, &event->message))
		return COALESCE_NONE;
	struct newest *later = newest_of(event), *earlier = NULL;
	if (later)
		HASH_FIND(hh, coalesce->by_key, later->key, later->key_len, earlier);
	bool may_be_replaced = later && event->message.action == ACTION_UPDATE && take_frames(later, event) == 0;
	uint64_t replaced = may_be_replaced && earlier ? replace(coalesce, later, earlier, event) : COALESCE_NONE;
	if (earlier)
		forget(coalesce, earlier);
	if (!may_be_replaced) { /* a CREATE or DELETE ends the row */
		newest_free(later);
		return replaced;
	}
	later->number = number;
	coalesce->bytes += later->bytes;
	HASH_ADD_KEYPTR(hh, coalesce->by_key, later->key, later->key_len, later);
	drop_past_bounds(coalesce);
	return replaced;
}

size_t coalesce_keys(const struct coalesce *coalesce)
{
	return HASH_COUNT(coalesce->by_key);
}
