/* message.c - packs and unpacks what gateway and hubs say to each other. */
#include <roomcast/message.h>

#include <inttypes.h>
#include <stdlib.h>

enum field_type { FIELD_NUMBER, FIELD_BYTES, FIELD_LIST };

enum { HEADER_LEN = 4, FIELD_HEADER_LEN = 5, NUMBER_LEN = 8, PAIR_MAX = 2 * MESSAGE_NAME_MAX + 1 };

#define FIELD(name) (UINT64_C(1) << TAG_##name)

enum tag {
	TAG_EPOCH = 1, TAG_SEQ, TAG_LAST_SEQ, TAG_FIRST_SEQ, TAG_TIME, TAG_AUDIENCE, TAG_COUNTER, TAG_CLIENTS,
	TAG_ROOM_COUNT, TAG_INSTANCE, TAG_HUB, TAG_ENDPOINT, TAG_REASON, TAG_EXCLUDE_USER, TAG_EXCLUDE_SID, TAG_BODY,
	TAG_ROOMS, TAG_EXCEPT, TAG_HUBS, TAG_DROPPABLE, TAG_OPERATION, TAG_UNTIL, TAG_CLOSE, TAG_ACTION,
	TAG_WANTS_REPORT, TAG_WINDOW_MS, TAG_WINDOW_EVENTS, TAG_WINDOW_BYTES, TAG_START_EPOCH, TAG_START_SEQ, TAG_INDEX, TAG_IS_LAST,
	TAG_DEADLINE, TAG_STATUS, TAG_RETRY_AFTER, TAG_CONTENT_LENGTH, TAG_IS_MALFORMED_LENGTH, TAG_IS_TOO_LARGE,
	TAG_USER, TAG_SID, TAG_ROOM, TAG_ENTITY_TYPE, TAG_ENTITY_ID, TAG_KEY,
	TAG_METHOD, TAG_PATH, TAG_QUERY, TAG_CONTENT_TYPE, TAG_AUTHORIZATION, TAG_IDEMPOTENCY_KEY, TAG_ALLOW,
	TAG_EPOCHS, TAG_GRANTS, TAG_BLOCKS,
	TAG_END,
};

_Static_assert(TAG_END <= 64, "tags are bits of a mask");

static const struct field {
	const char *name;
	enum field_type type;
	size_t offset;
	size_t max; /* bytes of the text, or of one item of the list */
} fields[TAG_END] = {
	[TAG_EPOCH] = { "epoch", FIELD_NUMBER, offsetof(struct message, epoch), 0 },
	[TAG_SEQ] = { "seq", FIELD_NUMBER, offsetof(struct message, seq), 0 },
	[TAG_LAST_SEQ] = { "last_seq", FIELD_NUMBER, offsetof(struct message, last_seq), 0 },
	[TAG_FIRST_SEQ] = { "first_seq", FIELD_NUMBER, offsetof(struct message, first_seq), 0 },
	[TAG_TIME] = { "time_ms", FIELD_NUMBER, offsetof(struct message, time_ms), 0 },
	[TAG_AUDIENCE] = { "audience", FIELD_NUMBER, offsetof(struct message, audience), 0 },
	[TAG_COUNTER] = { "counter", FIELD_NUMBER, offsetof(struct message, counter), 0 },
	[TAG_CLIENTS] = { "clients", FIELD_NUMBER, offsetof(struct message, clients), 0 },
	[TAG_ROOM_COUNT] = { "room_count", FIELD_NUMBER, offsetof(struct message, room_count), 0 },
	[TAG_INSTANCE] = { "instance", FIELD_NUMBER, offsetof(struct message, instance), 0 },
	[TAG_HUB] = { "hub", FIELD_BYTES, offsetof(struct message, hub), HUB_NAME_MAX },
	[TAG_ENDPOINT] = { "endpoint", FIELD_BYTES, offsetof(struct message, endpoint), MESSAGE_NAME_MAX },
	[TAG_REASON] = { "reason", FIELD_BYTES, offsetof(struct message, reason), MESSAGE_NAME_MAX },
	[TAG_EXCLUDE_USER] = { "exclude_user", FIELD_BYTES, offsetof(struct message, exclude_user), MESSAGE_NAME_MAX },
	[TAG_EXCLUDE_SID] = { "exclude_sid", FIELD_BYTES, offsetof(struct message, exclude_sid), MESSAGE_NAME_MAX },
	[TAG_BODY] = { "body", FIELD_BYTES, offsetof(struct message, body), MESSAGE_BODY_MAX },
	[TAG_ROOMS] = { "rooms", FIELD_LIST, offsetof(struct message, rooms), MESSAGE_NAME_MAX },
	[TAG_EXCEPT] = { "except", FIELD_LIST, offsetof(struct message, except), MESSAGE_NAME_MAX },
	[TAG_DROPPABLE] = { "droppable", FIELD_NUMBER, offsetof(struct message, droppable), 0 },
	[TAG_HUBS] = { "hubs", FIELD_LIST, offsetof(struct message, hubs), MESSAGE_NAME_MAX },
	[TAG_OPERATION] = { "operation", FIELD_NUMBER, offsetof(struct message, operation), 0 },
	[TAG_UNTIL] = { "until_ms", FIELD_NUMBER, offsetof(struct message, until_ms), 0 },
	[TAG_CLOSE] = { "close", FIELD_NUMBER, offsetof(struct message, close), 0 },
	[TAG_ACTION] = { "action", FIELD_NUMBER, offsetof(struct message, action), 0 },
	[TAG_WANTS_REPORT] = { "wants_report", FIELD_NUMBER, offsetof(struct message, wants_report), 0 },
	[TAG_WINDOW_MS] = { "window_ms", FIELD_NUMBER, offsetof(struct message, window_ms), 0 },
	[TAG_WINDOW_EVENTS] = { "window_events", FIELD_NUMBER, offsetof(struct message, window_events), 0 },
	[TAG_WINDOW_BYTES] = { "window_bytes", FIELD_NUMBER, offsetof(struct message, window_bytes), 0 },
	[TAG_START_EPOCH] = { "start_epoch", FIELD_NUMBER, offsetof(struct message, start_epoch), 0 },
	[TAG_START_SEQ] = { "start_seq", FIELD_NUMBER, offsetof(struct message, start_seq), 0 },
	[TAG_INDEX] = { "index", FIELD_NUMBER, offsetof(struct message, index), 0 },
	[TAG_IS_LAST] = { "is_last", FIELD_NUMBER, offsetof(struct message, is_last), 0 },
	[TAG_DEADLINE] = { "deadline_ms", FIELD_NUMBER, offsetof(struct message, deadline_ms), 0 },
	[TAG_STATUS] = { "status", FIELD_NUMBER, offsetof(struct message, status), 0 },
	[TAG_RETRY_AFTER] = { "retry_after_s", FIELD_NUMBER, offsetof(struct message, retry_after_s), 0 },
	[TAG_CONTENT_LENGTH] = { "content_length", FIELD_NUMBER, offsetof(struct message, content_length), 0 },
	[TAG_IS_MALFORMED_LENGTH] = { "is_malformed_length", FIELD_NUMBER, offsetof(struct message, is_malformed_length), 0 },
	[TAG_IS_TOO_LARGE] = { "is_too_large", FIELD_NUMBER, offsetof(struct message, is_too_large), 0 },
	[TAG_USER] = { "user", FIELD_BYTES, offsetof(struct message, user), MESSAGE_NAME_MAX },
	[TAG_SID] = { "sid", FIELD_BYTES, offsetof(struct message, sid), MESSAGE_NAME_MAX },
	[TAG_ROOM] = { "room", FIELD_BYTES, offsetof(struct message, room), MESSAGE_NAME_MAX },
	[TAG_ENTITY_TYPE] = { "entity_type", FIELD_BYTES, offsetof(struct message, entity_type), MESSAGE_NAME_MAX },
	[TAG_ENTITY_ID] = { "entity_id", FIELD_BYTES, offsetof(struct message, entity_id), MESSAGE_NAME_MAX },
	[TAG_KEY] = { "key", FIELD_BYTES, offsetof(struct message, key), MAC_KEY_LEN },
	[TAG_METHOD] = { "method", FIELD_BYTES, offsetof(struct message, method), MESSAGE_HEADER_MAX },
	[TAG_PATH] = { "path", FIELD_BYTES, offsetof(struct message, path), MESSAGE_HEADER_MAX },
	[TAG_QUERY] = { "query", FIELD_BYTES, offsetof(struct message, query), MESSAGE_HEADER_MAX },
	[TAG_CONTENT_TYPE] = { "content_type", FIELD_BYTES, offsetof(struct message, content_type), MESSAGE_HEADER_MAX },
	[TAG_AUTHORIZATION] = { "authorization", FIELD_BYTES, offsetof(struct message, authorization), MESSAGE_HEADER_MAX },
	[TAG_IDEMPOTENCY_KEY] = { "idempotency_key", FIELD_BYTES, offsetof(struct message, idempotency_key), MESSAGE_HEADER_MAX },
	[TAG_ALLOW] = { "allow", FIELD_BYTES, offsetof(struct message, allow), MESSAGE_HEADER_MAX },
	[TAG_EPOCHS] = { "epochs", FIELD_LIST, offsetof(struct message, epochs), MESSAGE_NAME_MAX },
	[TAG_GRANTS] = { "grants", FIELD_LIST, offsetof(struct message, grants), PAIR_MAX },
	[TAG_BLOCKS] = { "blocks", FIELD_LIST, offsetof(struct message, blocks), PAIR_MAX },
};

/* A required number may be 0 only where 0 is a value: those are not listed (last_seq, clients, ...). */
static const struct {
	const char *name;
	uint64_t required;
} kinds[MESSAGE_KIND_END] = {
	[MESSAGE_EVENT] = { "event", FIELD(EPOCH) | FIELD(SEQ) | FIELD(BODY) },
	[MESSAGE_VOLATILE] = { "volatile", FIELD(BODY) },
	[MESSAGE_HEARTBEAT] = { "heartbeat", FIELD(EPOCH) },
	[MESSAGE_HELLO] = { "hello", FIELD(HUB) | FIELD(INSTANCE) },
	[MESSAGE_WELCOME] = { "welcome", FIELD(EPOCH) | FIELD(ENDPOINT) },
	[MESSAGE_REFUSAL] = { "refusal", FIELD(REASON) },
	[MESSAGE_REPORT] = { "report", FIELD(HUB) | FIELD(INSTANCE) },
	[MESSAGE_ASK] = { "ask", FIELD(EPOCH) | FIELD(SEQ) | FIELD(LAST_SEQ) },
	[MESSAGE_GONE] = { "gone", FIELD(EPOCH) | FIELD(FIRST_SEQ) },
	[MESSAGE_RELAY] = { "relay", FIELD(HUB) | FIELD(INSTANCE) | FIELD(COUNTER) | FIELD(BODY) },
	[MESSAGE_CONTROL] = { "control", FIELD(EPOCH) | FIELD(SEQ) | FIELD(OPERATION) },
	[MESSAGE_STANDING] = { "standing", 0 },
	[MESSAGE_FORWARD] = { "forward", FIELD(COUNTER) | FIELD(DEADLINE) },
	[MESSAGE_ANSWER] = { "answer", FIELD(COUNTER) | FIELD(STATUS) },
};

const char *message_kind_name(enum message_kind kind)
{
	return kind > 0 && kind < MESSAGE_KIND_END ? kinds[kind].name : "unknown";
}

static void *place_of(struct message *message, const struct field *field)
{
	return (char *)message + field->offset;
}

static const void *const_place_of(const struct message *message, const struct field *field)
{
	return (const char *)message + field->offset;
}

static uint64_t read_integer(const char *data, size_t len)
{
	uint64_t value = 0;
	for (size_t i = 0; i < len; i++)
		value = value << 8 | (unsigned char)data[i];
	return value;
}

static void add_integer(struct buffer *out, uint64_t value, size_t len)
{
	char bytes[NUMBER_LEN];
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)(value >> (8 * (len - 1 - i)));
	buffer_add(out, bytes, len);
}

static void add_field(struct buffer *out, unsigned tag, struct bytes value)
{
	buffer_add_char(out, (char)tag);
	add_integer(out, value.len, 4);
	buffer_add_bytes(out, value);
}

/* What the kind demands but the message lacks; NULL when complete. */
static const char *missing_field(enum message_kind kind, uint64_t present)
{
	uint64_t missing = kinds[kind].required & ~present;
	return missing ? fields[__builtin_ctzll(missing)].name : NULL;
}

static int check_length(const struct field *field, size_t len, struct error *err)
{
	if (len > field->max)
		return error_set(err, ERROR_TOO_LARGE, "field %s has %zu bytes, at most %zu are allowed", field->name, len, field->max);
	return 0;
}

/* Sets *is_present when the field was worth a place in the message. */
static int pack_field(unsigned tag, const void *place, struct buffer *out, bool *is_present, struct error *err)
{
	const struct field *field = &fields[tag];
	*is_present = false;
	if (field->type == FIELD_NUMBER) {
		uint64_t value = *(const uint64_t *)place;
		if (!value)
			return 0;
		buffer_add_char(out, (char)tag);
		add_integer(out, NUMBER_LEN, 4);
		add_integer(out, value, NUMBER_LEN);
	} else if (field->type == FIELD_BYTES) {
		struct bytes value = *(const struct bytes *)place;
		if (!value.len)
			return 0;
		if (check_length(field, value.len, err))
			return -1;
		add_field(out, tag, value);
	} else {
		const struct message_list *list = place;
		if (list->count > MESSAGE_LIST_MAX)
			return error_set(err, ERROR_TOO_LARGE, "field %s has %zu entries, at most %d are allowed", field->name, list->count, MESSAGE_LIST_MAX);
		for (size_t i = 0; i < list->count; i++) {
			if (check_length(field, list->items[i].len, err))
				return -1;
			add_field(out, tag, list->items[i]);
		}
		if (!list->count)
			return 0;
	}
	*is_present = true;
	return 0;
}

int message_pack(const struct message *message, struct buffer *out, struct error *err)
{
	if (message->kind <= 0 || message->kind >= MESSAGE_KIND_END)
		return error_set(err, ERROR_INVALID, "no such message kind: %d", (int)message->kind);
	buffer_add(out, (const char[]){ 'R', 'C', MESSAGE_VERSION, (char)message->kind }, HEADER_LEN);
	uint64_t present = 0;
	for (unsigned tag = 1; tag < TAG_END; tag++) {
		bool is_present;
		if (pack_field(tag, const_place_of(message, &fields[tag]), out, &is_present, err))
			return error_context(err, "%s message", kinds[message->kind].name);
		present |= (uint64_t)is_present << tag;
	}
	const char *missing = missing_field(message->kind, present);
	if (missing)
		return error_set(err, ERROR_INVALID, "%s message without %s", kinds[message->kind].name, missing);
	if (out->has_failed)
		return error_set(err, ERROR_TOO_LARGE, "no room for a %s message", kinds[message->kind].name);
	return 0;
}

/* Cuts the next field off rest. */
static int next_field(struct bytes *rest, unsigned *tag, struct bytes *value, struct error *err)
{
	if (rest->len < FIELD_HEADER_LEN)
		return error_set(err, ERROR_INVALID, "truncated field header");
	*tag = (unsigned char)rest->data[0];
	size_t len = (size_t)read_integer(rest->data + 1, 4);
	if (len > rest->len - FIELD_HEADER_LEN)
		return error_set(err, ERROR_INVALID, "field %u says %zu bytes, %zu are left", *tag, len, rest->len - FIELD_HEADER_LEN);
	*value = (struct bytes){ rest->data + FIELD_HEADER_LEN, len };
	rest->data += FIELD_HEADER_LEN + len;
	rest->len -= FIELD_HEADER_LEN + len;
	return 0;
}

static int list_append(struct message_list *list, struct bytes value, const struct field *field, struct error *err)
{
	if (list->count >= MESSAGE_LIST_MAX)
		return error_set(err, ERROR_TOO_LARGE, "field %s has more than %d entries", field->name, MESSAGE_LIST_MAX);
	struct bytes *items = (struct bytes *)(uintptr_t)list->items; /* ours: made below */
	if ((list->count & (list->count - 1)) == 0) { /* grow at powers of two */
		items = realloc(items, (list->count ? list->count * 2 : 1) * sizeof(*items));
		if (!items)
			return error_set(err, ERROR_SYSTEM, "no memory for field %s", field->name);
		list->items = items;
	}
	items[list->count++] = value;
	return 0;
}

static int store_field(struct message *out, unsigned tag, struct bytes value, uint64_t present, struct error *err)
{
	const struct field *field = &fields[tag];
	bool is_repeated = present & (UINT64_C(1) << tag);
	if (field->type != FIELD_NUMBER && check_length(field, value.len, err))
		return -1;
	if (field->type == FIELD_LIST)
		return list_append(place_of(out, field), value, field, err);
	if (is_repeated)
		return error_set(err, ERROR_INVALID, "field %s stands there twice", field->name);
	if (field->type == FIELD_BYTES) {
		*(struct bytes *)place_of(out, field) = value;
		return 0;
	}
	if (value.len != NUMBER_LEN)
		return error_set(err, ERROR_INVALID, "field %s is a number of %zu bytes", field->name, value.len);
	*(uint64_t *)place_of(out, field) = read_integer(value.data, NUMBER_LEN);
	return 0;
}

static bool is_empty(const struct message *message, const struct field *field)
{
	const void *place = const_place_of(message, field);
	if (field->type == FIELD_NUMBER)
		return *(const uint64_t *)place == 0;
	return field->type == FIELD_BYTES && ((const struct bytes *)place)->len == 0;
}

static bool has_header(struct bytes packed)
{
	return packed.len >= HEADER_LEN && packed.data[0] == 'R' && packed.data[1] == 'C';
}

enum message_kind message_peek(struct bytes packed)
{
	unsigned kind = has_header(packed) ? (unsigned char)packed.data[3] : 0;
	return kind < MESSAGE_KIND_END ? (enum message_kind)kind : 0;
}

int message_unpack(struct bytes packed, struct message *out, struct error *err)
{
	*out = (struct message){ 0 };
	if (!has_header(packed))
		return error_set(err, ERROR_INVALID, "not a roomcast message (%zu bytes)", packed.len);
	if (packed.data[2] != MESSAGE_VERSION)
		return error_set(err, ERROR_INVALID, "message version %u, ours is %d", (unsigned char)packed.data[2], MESSAGE_VERSION);
	unsigned kind = (unsigned char)packed.data[3];
	if (kind == 0 || kind >= MESSAGE_KIND_END)
		return error_set(err, ERROR_INVALID, "no such message kind: %u", kind);
	out->kind = (enum message_kind)kind;

	uint64_t present = 0, empty = 0; /* fields that stand there; and of these the 0 and the empty, which is as if they did not */
	struct bytes rest = { packed.data + HEADER_LEN, packed.len - HEADER_LEN };
	while (rest.len) {
		unsigned tag;
		struct bytes value;
		if (next_field(&rest, &tag, &value, err))
			goto malformed;
		if (tag == 0 || tag >= TAG_END)
			continue; /* of a later release */
		if (store_field(out, tag, value, present, err))
			goto malformed;
		present |= UINT64_C(1) << tag;
		if (is_empty(out, &fields[tag]))
			empty |= UINT64_C(1) << tag;
	}
	const char *missing = missing_field(out->kind, present & ~empty);
	if (!missing)
		return 0;
	error_set(err, ERROR_INVALID, "no %s", missing);
malformed:
	error_context(err, "%s message", kinds[kind].name);
	message_deinit(out);
	return -1;
}

void message_deinit(struct message *message)
{
	for (unsigned tag = 1; tag < TAG_END; tag++) {
		if (fields[tag].type == FIELD_LIST) {
			struct message_list *list = place_of(message, &fields[tag]);
			free((void *)(uintptr_t)list->items);
			*list = (struct message_list){ 0 };
		}
	}
}
