/* socketio_packet.c - the Socket.IO 5 packet codec. */
#include "socketio_packet.h"

#include <assert.h>

#include <roomcast/json.h>

#include "utf8.h"

/* --- placeholders ---------------------------------------------------------------------------------- */

/* What an open array or object has shown so far. */
struct level {
	size_t start;            /* where it stands in out */
	enum { MEMBER_OTHER, MEMBER_MARK, MEMBER_NUMBER } member; /* whose value comes next */
	bool is_marked;          /* "_placeholder": true */
	bool has_others;         /* members that a placeholder does not have */
	int64_t number;          /* "num", -1 without a good one */
};

/* One flat pass over checked JSON. */
struct walk {
	struct level levels[JSON_DEPTH_DEFAULT + 1];
	unsigned depth;
	unsigned attachments;    /* a placeholder's number must be below */
	struct buffer *out;      /* NULL: only check */
	const struct bytes *binary;
	struct bytes *sorted;
	int count;               /* of placeholders */
};

static void walk_value(struct level *level, struct bytes token)
{
	int64_t number;
	if (level->member == MEMBER_MARK)
		level->is_marked = bytes_equal_text(token, "true");
	else if (level->member == MEMBER_NUMBER)
		level->number = json_int64(token, &number) && number >= 0 ? number : -1;
	else
		level->has_others = true;
}

static void walk_key(struct level *level, struct bytes key)
{
	level->member = json_string_equals(key, "_placeholder") ? MEMBER_MARK :
	                json_string_equals(key, "num") ? MEMBER_NUMBER : MEMBER_OTHER;
}

static int walk_placeholder(struct walk *walk, const struct level *level, struct error *err)
{
	if (level->has_others || level->number < 0 || level->number >= walk->attachments)
		return error_set(err, ERROR_INVALID, "placeholder that names no attachment");
	int count = walk->count++;
	if (!walk->out)
		return 0;
	if (count == SOCKETIO_ATTACHMENTS_MAX)
		return error_set(err, ERROR_TOO_LARGE, "more than %d placeholders", SOCKETIO_ATTACHMENTS_MAX);
	walk->sorted[count] = walk->binary[level->number];
	if (!walk->out->has_failed) {
		walk->out->len = level->start;
		buffer_add_format(walk->out, "{\"_placeholder\":true,\"num\":%d}", count);
	}
	return 0;
}

static int walk_token(struct walk *walk, struct bytes token, bool is_key, struct error *err)
{
	struct level *level = &walk->levels[walk->depth];
	char c = token.data[0];
	if (c == '{' || c == '[') {
		walk_value(level, token);
		assert(walk->depth < JSON_DEPTH_DEFAULT);
		walk->levels[++walk->depth] = (struct level){ .start = walk->out ? walk->out->len : 0, .number = -1 };
	} else if (c == '}' || c == ']') {
		walk->depth--;
	} else if (is_key) {
		walk_key(level, token);
	} else if (c != ',' && c != ':') {
		walk_value(level, token);
	}
	if (walk->out)
		buffer_add_bytes(walk->out, token);
	return c == '}' && level->is_marked ? walk_placeholder(walk, level, err) : 0;
}

static int walk_json(struct walk *walk, struct bytes json, struct error *err)
{
	struct bytes rest = json, token;
	while (json_next_token(&rest, &token)) {
		bool is_key = token.data[0] == '"' && rest.len && rest.data[0] == ':';
		if (walk_token(walk, token, is_key, err))
			return -1;
	}
	return 0;
}

int socketio_packet_add_json(struct buffer *out, struct bytes json, const struct bytes *binary, unsigned attachments,
                             struct bytes sorted[static SOCKETIO_ATTACHMENTS_MAX])
{
	if (attachments == 0) { /* then what looks like a placeholder is the client's own data */
		json_compact(out, json);
		return 0;
	}
	struct walk walk = { .attachments = attachments, .out = out, .binary = binary, .sorted = sorted };
	return walk_json(&walk, json, NULL) ? -1 : walk.count;
}

/* --- parsing --------------------------------------------------------------------------------------- */

/* Cuts decimal digits off *rest. */
static struct bytes take_digits(struct bytes *rest)
{
	struct bytes digits = { rest->data, 0 };
	while (digits.len < rest->len && rest->data[digits.len] >= '0' && rest->data[digits.len] <= '9')
		digits.len++;
	rest->data += digits.len;
	rest->len -= digits.len;
	return digits;
}

static bool is_binary_type(enum socketio_type type)
{
	return type == SOCKETIO_BINARY_EVENT || type == SOCKETIO_BINARY_ACK;
}

static int take_attachments(struct bytes *rest, unsigned *out, struct error *err)
{
	struct bytes digits = take_digits(rest);
	if (digits.len == 0 || rest->len == 0 || rest->data[0] != '-')
		return error_set(err, ERROR_INVALID, "binary packet without a number of attachments");
	unsigned count = 0;
	for (size_t i = 0; i < digits.len; i++) {
		count = count * 10 + (unsigned)(digits.data[i] - '0');
		if (count > SOCKETIO_ATTACHMENTS_MAX)
			return error_set(err, ERROR_TOO_LARGE, "more than %d attachments", SOCKETIO_ATTACHMENTS_MAX);
	}
	rest->data++;
	rest->len--;
	*out = count;
	return 0;
}

static int take_namespace(struct bytes *rest, struct bytes *out, struct error *err)
{
	*out = bytes_of("/");
	if (rest->len == 0 || rest->data[0] != '/')
		return 0;
	const char *comma = memchr(rest->data, ',', rest->len);
	struct bytes name = { rest->data, comma ? (size_t)(comma - rest->data) : rest->len };
	if (name.len > SOCKETIO_NAMESPACE_MAX)
		return error_set(err, ERROR_TOO_LARGE, "namespace of more than %d bytes", SOCKETIO_NAMESPACE_MAX);
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7f)
			return error_set(err, ERROR_INVALID, "namespace with control characters");
	if (!utf8_is_valid(name))
		return error_set(err, ERROR_INVALID, "namespace that is not UTF-8");
	size_t used = name.len + (comma != NULL);
	rest->data += used;
	rest->len -= used;
	const char *query = memchr(name.data, '?', name.len);
	*out = (struct bytes){ name.data, query ? (size_t)(query - name.data) : name.len };
	return 0;
}

static int check_name(struct bytes json, struct error *err)
{
	static const char *const reserved[] = {
		"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
	};
	struct bytes rest = json, name;
	if (json_kind(json) != JSON_ARRAY || !json_next_element(&rest, &name))
		return error_set(err, ERROR_INVALID, "event without a name");
	if (json_kind(name) == JSON_NUMBER)
		return 0;
	if (json_kind(name) != JSON_STRING)
		return error_set(err, ERROR_INVALID, "event whose name is neither a string nor a number");
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (json_string_equals(name, reserved[i]))
			return error_set(err, ERROR_INVALID, "event with the reserved name %s", reserved[i]);
	return 0;
}

static int check_object(struct bytes json, struct error *err)
{
	return json_kind(json) == JSON_OBJECT ? 0 : error_set(err, ERROR_INVALID, "CONNECT whose payload is not an object");
}

static int check_array(struct bytes json, struct error *err)
{
	return json_kind(json) == JSON_ARRAY ? 0 : error_set(err, ERROR_INVALID, "ACK whose payload is not an array");
}

static int check_nothing(struct bytes json, struct error *err)
{
	(void)json;
	return error_set(err, ERROR_INVALID, "DISCONNECT with a payload");
}

static const struct {
	bool is_welcome;     /* from a client */
	bool needs_payload;
	int (*check)(struct bytes json, struct error *err); /* of a payload that is there */
} types[] = {
	[SOCKETIO_CONNECT] = { true, false, check_object },
	[SOCKETIO_DISCONNECT] = { true, false, check_nothing },
	[SOCKETIO_EVENT] = { true, false, check_name },
	[SOCKETIO_ACK] = { true, false, check_array },
	[SOCKETIO_CONNECT_ERROR] = { false, false, check_nothing },
	[SOCKETIO_BINARY_EVENT] = { true, true, check_name },
	[SOCKETIO_BINARY_ACK] = { true, true, check_array },
};

static int check_payload(const struct socketio_packet *packet, struct error *err)
{
	if (packet->json.len == 0)
		return types[packet->type].needs_payload ? error_set(err, ERROR_INVALID, "binary packet without a payload") : 0;
	if (json_check(packet->json, JSON_DEPTH_DEFAULT, err) || types[packet->type].check(packet->json, err))
		return -1;
	if (!is_binary_type(packet->type))
		return 0;
	struct walk walk = { .attachments = packet->attachments };
	return walk_json(&walk, packet->json, err);
}

int socketio_packet_parse(struct bytes message, struct socketio_packet *out, struct error *err)
{
	if (message.len == 0)
		return error_set(err, ERROR_INVALID, "empty packet");
	unsigned type = (unsigned)(unsigned char)message.data[0] - '0';
	if (type >= sizeof(types) / sizeof(types[0]) || !types[type].is_welcome)
		return error_set(err, ERROR_INVALID, "packet of a type that no client sends");
	struct socketio_packet packet = { .type = (enum socketio_type)type };
	struct bytes rest = { message.data + 1, message.len - 1 };
	if (is_binary_type(packet.type) && take_attachments(&rest, &packet.attachments, err))
		return -1;
	if (take_namespace(&rest, &packet.nsp, err))
		return -1;
	packet.id = take_digits(&rest);
	if (packet.id.len > SOCKETIO_ID_DIGITS_MAX)
		return error_set(err, ERROR_TOO_LARGE, "id of more than %d digits", SOCKETIO_ID_DIGITS_MAX);
	packet.json = rest;
	if (check_payload(&packet, err))
		return -1;
	*out = packet;
	return 0;
}

/* --- events ---------------------------------------------------------------------------------------- */

struct bytes socketio_event_name(const struct socketio_packet *packet)
{
	struct bytes rest = packet->json, name = { NULL, 0 };
	(void)json_next_element(&rest, &name);
	return name;
}

struct bytes socketio_event_arguments(const struct socketio_packet *packet)
{
	struct bytes rest = json_trim(packet->json), name;
	if (!json_next_element(&rest, &name))
		return (struct bytes){ NULL, 0 };
	/* Now a comma and more, or the closing bracket alone. */
	rest.len--;
	if (rest.len) {
		rest.data++;
		rest.len--;
	}
	return json_trim(rest);
}

/* --- writing --------------------------------------------------------------------------------------- */

void socketio_packet_add_head(struct buffer *out, enum socketio_type type, unsigned attachments, struct bytes nsp, struct bytes id)
{
	if (attachments && type == SOCKETIO_EVENT)
		type = SOCKETIO_BINARY_EVENT;
	else if (attachments && type == SOCKETIO_ACK)
		type = SOCKETIO_BINARY_ACK;
	buffer_add_char(out, '4');
	buffer_add_char(out, (char)('0' + type));
	if (attachments)
		buffer_add_format(out, "%u-", attachments);
	if (!bytes_equal_text(nsp, "/")) {
		buffer_add_bytes(out, nsp);
		buffer_add_char(out, ',');
	}
	buffer_add_bytes(out, id);
}
