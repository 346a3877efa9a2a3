/* fuzz_websocket.c - a stranger's bytes behind a WebSocket's handshake. Behind the first two, which say how they are cut and from which item on messages
 * are skipped, they are decoded whole, in pieces, and in pieces received where the decoder wants them: the same must come out. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"
#include "websocket_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_MAX = 3000 };

struct seen {
	uint64_t hash;
	unsigned items, discard_from; /* 0: never */
	bool is_over;
};

static void must(bool condition)
{
	if (!condition)
		abort();
}

static void note(struct seen *seen, const void *data, size_t len)
{
	const unsigned char *bytes = data;
	for (size_t i = 0; i < len; i++)
		seen->hash = (seen->hash ^ bytes[i]) * 1099511628211u;
}

static void note_item(struct seen *seen, enum websocket_found found, const struct websocket_item *item)
{
	const unsigned char marks[] = { (unsigned char)found, item->is_binary, (unsigned char)(item->code & 255) };
	note(seen, marks, sizeof(marks));
	note(seen, &item->payload.len, sizeof(item->payload.len));
	note(seen, item->payload.data, item->payload.len);
	seen->items++;
	must(item->payload.len <= (found == WEBSOCKET_FOUND_MESSAGE ? MESSAGE_MAX : WEBSOCKET_CONTROL_MAX));
	if (found == WEBSOCKET_FOUND_MESSAGE)
		must(item->is_binary || utf8_is_valid(item->payload));
	if (found == WEBSOCKET_FOUND_CLOSE) {
		struct websocket_close close = websocket_close_read(item->payload);
		must(item->payload.len == 0 ? close.code == WEBSOCKET_NO_CODE : close.code >= 1000 && close.code <= 4999);
	}
	if (found == WEBSOCKET_FOUND_ERROR)
		must(item->code == WEBSOCKET_PROTOCOL_ERROR || item->code == WEBSOCKET_INVALID_DATA || item->code == WEBSOCKET_TOO_BIG);
}

static void decode(struct websocket_decoder *decoder, struct websocket_span input, struct seen *seen)
{
	struct websocket_item item;
	enum websocket_found found;
	while (!seen->is_over && (found = websocket_decode(decoder, &input, &item)) != WEBSOCKET_FOUND_NOTHING) {
		note_item(seen, found, &item);
		seen->is_over = found == WEBSOCKET_FOUND_ERROR || found == WEBSOCKET_FOUND_CLOSE;
		decoder->is_discarding = seen->discard_from && seen->items >= seen->discard_from;
	}
	must(seen->is_over || input.len == 0);
}

/* In memory of exactly its size, which is gone afterwards. */
static void decode_copy(struct websocket_decoder *decoder, const uint8_t *data, size_t size, struct seen *seen)
{
	char *copy = malloc(size);
	must(copy != NULL);
	memcpy(copy, data, size);
	decode(decoder, (struct websocket_span){ copy, size }, seen);
	free(copy);
}

static void decode_all(const uint8_t *data, size_t size, size_t segment, bool uses_room, struct seen *seen)
{
	struct websocket_decoder decoder;
	websocket_decoder_init(&decoder, MESSAGE_MAX);
	for (size_t at = 0; at < size && !seen->is_over;) {
		struct websocket_span room = uses_room ? websocket_decoder_room(&decoder) : (struct websocket_span){ NULL, 0 };
		size_t len = size - at < segment ? size - at : segment;
		if (room.len) {
			room.len = room.len < len ? room.len : len;
			memcpy(room.data, data + at, room.len);
			at += room.len;
			decode(&decoder, room, seen);
		} else {
			decode_copy(&decoder, data + at, len, seen);
			at += len;
		}
	}
	websocket_decoder_deinit(&decoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3)
		return 0;
	const unsigned discard_from = data[1] % 8u;
	const size_t segment = 1 + data[0] % 200u;
	struct seen whole = { .discard_from = discard_from }, cut = whole, in_place = whole;
	decode_all(data + 2, size - 2, size, false, &whole);
	decode_all(data + 2, size - 2, segment, false, &cut);
	decode_all(data + 2, size - 2, 8 * segment, true, &in_place);
	must(whole.hash == cut.hash && whole.items == cut.items && whole.is_over == cut.is_over);
	must(whole.hash == in_place.hash && whole.items == in_place.items && whole.is_over == in_place.is_over);
	return 0;
}
