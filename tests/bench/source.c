/* source.c - events of a fixed length with a stamp, and the kinds of sources by name. */
#include "source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct source {
	const struct source_kind *kind;
	void *data;
	char *padding;
	struct buffer object;
};

static const struct source_kind *const kinds[] = { &source_line, &source_control, &source_gateway, &source_nchan };

struct source *source_open(const char *address, uint32_t packet_len, uint32_t servers, struct error *err)
{
	struct source *source = calloc(1, sizeof(*source));
	uint32_t padding_len = packet_len > 120 ? packet_len - 120 : 0;
	if (!source || !(source->padding = malloc(padding_len + 1))) {
		free(source);
		error_set(err, ERROR_SYSTEM, "no memory");
		return NULL;
	}
	memset(source->padding, 'x', padding_len);
	source->padding[padding_len] = '\0';
	const char *colon = strchr(address, ':');
	for (size_t i = 0; colon && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (bytes_equal_text((struct bytes){ address, (size_t)(colon - address) }, kinds[i]->name))
			source->kind = kinds[i];
	if (!source->kind)
		error_set(err, ERROR_INVALID, "source \"%s\" is none of line:, control:, gateway:, nchan:", address);
	else
		source->data = source->kind->open(colon + 1, servers, err);
	if (source->data)
		return source;
	free(source->padding);
	free(source);
	return NULL;
}

void source_close(struct source *source)
{
	if (!source)
		return;
	source->kind->close(source->data);
	buffer_deinit(&source->object);
	free(source->padding);
	free(source);
}

int source_publish(struct source *source, uint32_t room, uint64_t number, uint64_t sent_ns, struct error *err)
{
	buffer_clear(&source->object);
	buffer_add_format(&source->object,
	                  "{\"entityType\":\"bench-%u\",\"action\":\"UPDATE\",\"data\":{\"stamp\":\"%010" PRIu64 ".%019" PRIu64 "\",\"text\":\"%s\"}}",
	                  room, number, sent_ns, source->padding);
	return source->kind->publish(source->data, room, buffer_bytes(&source->object), err);
}

bool source_read_stamp(struct bytes packet, uint64_t *number, uint64_t *sent_ns)
{
	static const char key[] = "\"stamp\":\"";
	enum { KEY_LEN = sizeof(key) - 1, STAMP_LEN = 30 };
	const char *at = memmem(packet.data, packet.len, key, KEY_LEN);
	if (!at || packet.len - (size_t)(at - packet.data) < KEY_LEN + STAMP_LEN)
		return false;
	*number = strtoull(at + KEY_LEN, NULL, 10);
	*sent_ns = strtoull(at + KEY_LEN + 11, NULL, 10);
	return true;
}

int source_flush(struct source *source, struct error *err)
{
	return source->kind->flush(source->data, err);
}

int source_turn(struct source *source, struct error *err)
{
	return source->kind->turn(source->data, err);
}

bool source_is_ready(const struct source *source)
{
	return source->kind->is_ready(source->data);
}
