/* websocket_frame.c - RFC 6455's framing: headers, masks, close payloads, and messages out of cut bytes. */
#include "websocket_frame.h"

#include <stdlib.h>
#include <string.h>

#include "utf8.h"

enum {
	FIN = 0x80, RESERVED = 0x70, OPCODE = 0x0f, CONTROL = 0x08, /* the first byte */
	MASKED = 0x80, LENGTH = 0x7f,                               /* the second */
	LENGTH_16 = 126, LENGTH_64 = 127,
};
enum {
	MEMORY_FIRST = 256,      /* of a message that comes in pieces */
	ROOM_MIN = 2048,         /* of a frame that is still to come: below it one more copy costs less than one more read */
	ROOM_MAX = 64 * 1024,
};

/* --- headers --------------------------------------------------------------- */

size_t websocket_header_write(unsigned char out[WEBSOCKET_SERVER_HEADER_MAX], enum websocket_opcode opcode, uint64_t payload_len)
{
	unsigned length_bytes = payload_len < LENGTH_16 ? 0 : payload_len <= UINT16_MAX ? 2 : 8;
	out[0] = (unsigned char)(FIN | opcode);
	out[1] = (unsigned char)(length_bytes == 0 ? payload_len : length_bytes == 2 ? LENGTH_16 : LENGTH_64);
	for (unsigned i = 0; i < length_bytes; i++)
		out[2 + i] = (unsigned char)(payload_len >> (8 * (length_bytes - 1 - i)));
	return 2 + length_bytes;
}

static bool is_control(enum websocket_opcode opcode)
{
	return opcode & CONTROL;
}

static bool is_good_first_byte(unsigned char byte)
{
	static const uint16_t known = 1u << WEBSOCKET_CONTINUATION | 1u << WEBSOCKET_TEXT | 1u << WEBSOCKET_BINARY |
	                              1u << WEBSOCKET_CLOSE | 1u << WEBSOCKET_PING | 1u << WEBSOCKET_PONG;
	return !(byte & RESERVED) && known >> (byte & OPCODE) & 1 && (byte & FIN || !(byte & CONTROL));
}

int websocket_header_read(const unsigned char *data, size_t len, struct websocket_header *out)
{
	if (len >= 1 && !is_good_first_byte(data[0]))
		return -1;
	if (len < 2)
		return 0;
	unsigned length = data[1] & LENGTH, length_bytes = length < LENGTH_16 ? 0 : length == LENGTH_16 ? 2 : 8;
	if (!(data[1] & MASKED) || (data[0] & CONTROL && length > WEBSOCKET_CONTROL_MAX))
		return -1;
	size_t header_len = 2 + length_bytes + sizeof(out->mask);
	if (len < 2 + length_bytes)
		return 0;
	uint64_t payload_len = length_bytes ? 0 : length;
	for (unsigned i = 0; i < length_bytes; i++)
		payload_len = payload_len << 8 | data[2 + i];
	if ((length_bytes && payload_len < LENGTH_16) || (length_bytes == 8 && payload_len <= UINT16_MAX) || payload_len > INT64_MAX)
		return -1;
	if (len < header_len)
		return 0;
	out->opcode = (enum websocket_opcode)(data[0] & OPCODE);
	out->is_final = data[0] & FIN;
	out->payload_len = payload_len;
	memcpy(out->mask, data + 2 + length_bytes, sizeof(out->mask));
	return (int)header_len;
}

void websocket_unmask(char *data, size_t len, const unsigned char mask[4], uint64_t at)
{
	unsigned char turned[8];
	uint64_t wide;
	size_t i = 0;
	for (size_t k = 0; k < sizeof(turned); k++)
		turned[k] = mask[(at + k) & 3];
	memcpy(&wide, turned, sizeof(wide));
	for (; i + sizeof(wide) <= len; i += sizeof(wide)) {
		uint64_t word;
		memcpy(&word, data + i, sizeof(word));
		word ^= wide;
		memcpy(data + i, &word, sizeof(word));
	}
	for (size_t k = 0; i < len; i++, k++)
		data[i] = (char)((unsigned char)data[i] ^ turned[k]);
}

static bool is_code_for_the_wire(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

struct websocket_close websocket_close_read(struct bytes payload)
{
	if (payload.len == 0)
		return (struct websocket_close){ WEBSOCKET_NO_CODE, true };
	unsigned code = payload.len < 2 ? 0 : (unsigned)(unsigned char)payload.data[0] << 8 | (unsigned char)payload.data[1];
	if (!is_code_for_the_wire(code))
		return (struct websocket_close){ WEBSOCKET_PROTOCOL_ERROR, false };
	if (!utf8_is_valid((struct bytes){ payload.data + 2, payload.len - 2 }))
		return (struct websocket_close){ WEBSOCKET_INVALID_DATA, false };
	return (struct websocket_close){ (enum websocket_code)code, true };
}

/* --- what is kept of something incomplete ------------------------------------ */

struct websocket_partial {
	struct websocket_header header; /* of the frame whose payload is read */
	uint64_t taken;                 /* of that payload */
	bool is_in_payload;
	bool is_in_message;             /* a first fragment was there, and the last was not */
	bool is_binary;
	bool is_given;                  /* what was handed out last is in this memory */
	uint8_t head_len;               /* of the next header, cut */
	unsigned char head[WEBSOCKET_CLIENT_HEADER_MAX];
	char control[WEBSOCKET_CONTROL_MAX];
	char *message;
	uint32_t message_len, capacity;
};

void websocket_decoder_init(struct websocket_decoder *decoder, uint32_t max_message)
{
	*decoder = (struct websocket_decoder){ .max_message = max_message };
}

void websocket_decoder_deinit(struct websocket_decoder *decoder)
{
	if (decoder->partial)
		free(decoder->partial->message);
	free(decoder->partial);
	decoder->partial = NULL;
}

static struct websocket_partial *need_partial(struct websocket_decoder *decoder)
{
	if (!decoder->partial)
		decoder->partial = calloc(1, sizeof(*decoder->partial));
	return decoder->partial;
}

/* What was handed out is no longer looked at; without anything incomplete no memory is kept. */
static void tidy(struct websocket_decoder *decoder)
{
	struct websocket_partial *partial = decoder->partial;
	if (!partial)
		return;
	if (partial->is_given && !partial->is_in_message) {
		free(partial->message);
		partial->message = NULL;
		partial->message_len = partial->capacity = 0;
	}
	partial->is_given = false;
	if (!partial->is_in_payload && !partial->is_in_message && partial->head_len == 0)
		websocket_decoder_deinit(decoder);
}

/* In proportion to what has come, whatever a header promises. */
static int grow(struct websocket_partial *partial, size_t len, uint64_t to_come)
{
	size_t needed = partial->message_len + len;
	if (needed <= partial->capacity)
		return 0;
	size_t capacity = partial->capacity ? 2 * (size_t)partial->capacity : MEMORY_FIRST;
	if (partial->header.is_final && capacity > needed + to_come)
		capacity = needed + (size_t)to_come;
	if (capacity < needed)
		capacity = needed;
	char *message = realloc(partial->message, capacity);
	if (!message)
		return -1;
	partial->message = message;
	partial->capacity = (uint32_t)capacity;
	return 0;
}

struct websocket_span websocket_decoder_room(struct websocket_decoder *decoder)
{
	struct websocket_partial *partial = decoder->partial;
	if (!partial || !partial->is_in_payload || is_control(partial->header.opcode) || decoder->is_discarding)
		return (struct websocket_span){ NULL, 0 };
	uint64_t to_come = partial->header.payload_len - partial->taken;
	size_t len = (size_t)partial->message_len + ROOM_MIN;
	if (len > ROOM_MAX)
		len = ROOM_MAX;
	if (len > to_come)
		len = (size_t)to_come;
	if (len < ROOM_MIN || grow(partial, len, to_come - len) < 0)
		return (struct websocket_span){ NULL, 0 };
	return (struct websocket_span){ partial->message + partial->message_len, len };
}

/* --- decoding -------------------------------------------------------------- */

static void skip(struct websocket_span *input, size_t len)
{
	input->data += len;
	input->len -= len;
}

static enum websocket_found give_error(struct websocket_item *item, enum websocket_code code)
{
	item->code = code;
	return WEBSOCKET_FOUND_ERROR;
}

/* The next header, be it in one piece or not: 1 when it is there, 0 when more has to come, -1 when it is broken or memory is out (item says). */
static int take_header(struct websocket_decoder *decoder, struct websocket_span *input, struct websocket_header *header, struct websocket_item *item)
{
	struct websocket_partial *partial = decoder->partial;
	size_t kept = partial ? partial->head_len : 0;
	unsigned char head[WEBSOCKET_CLIENT_HEADER_MAX];
	size_t len = input->len < sizeof(head) - kept ? input->len : sizeof(head) - kept;
	if (kept)
		memcpy(head, partial->head, kept);
	memcpy(head + kept, input->data, len);
	int header_len = websocket_header_read(head, kept + len, header);
	if (header_len > 0) {
		if (partial)
			partial->head_len = 0;
		skip(input, (size_t)header_len - kept);
		return 1;
	}
	if (header_len == 0)
		partial = need_partial(decoder);
	if (header_len < 0 || !partial) {
		item->code = header_len < 0 ? WEBSOCKET_PROTOCOL_ERROR : WEBSOCKET_SERVER_ERROR;
		return -1;
	}
	memcpy(partial->head, head, kept + len);
	partial->head_len = (uint8_t)(kept + len);
	skip(input, len);
	return 0;
}

/* 5.4: a message's fragments come one behind the other. 0, or what to close with. */
static enum websocket_code judge(const struct websocket_decoder *decoder, const struct websocket_header *header)
{
	const struct websocket_partial *partial = decoder->partial;
	bool is_in_message = partial && partial->is_in_message;
	if (is_control(header->opcode))
		return WEBSOCKET_NO_CODE;
	if ((header->opcode == WEBSOCKET_CONTINUATION) != is_in_message)
		return WEBSOCKET_PROTOCOL_ERROR;
	uint64_t before = is_in_message ? partial->message_len : 0;
	return !decoder->is_discarding && header->payload_len > decoder->max_message - before ? WEBSOCKET_TOO_BIG : WEBSOCKET_NO_CODE;
}

static enum websocket_found give_message(struct bytes payload, bool is_binary, struct websocket_item *item)
{
	if (!is_binary && !utf8_is_valid(payload))
		return give_error(item, WEBSOCKET_INVALID_DATA);
	item->payload = payload;
	item->is_binary = is_binary;
	return WEBSOCKET_FOUND_MESSAGE;
}

static enum websocket_found give_control(enum websocket_opcode opcode, struct bytes payload, struct websocket_item *item)
{
	item->payload = payload;
	return opcode == WEBSOCKET_PING ? WEBSOCKET_FOUND_PING : opcode == WEBSOCKET_PONG ? WEBSOCKET_FOUND_PONG : WEBSOCKET_FOUND_CLOSE;
}

/* A frame that is a whole message, or a control frame, all of it in the input. */
static enum websocket_found give_from_input(const struct websocket_header *header, struct websocket_span *input, struct websocket_item *item)
{
	struct bytes payload = { input->data, (size_t)header->payload_len };
	websocket_unmask(input->data, payload.len, header->mask, 0);
	skip(input, payload.len);
	if (is_control(header->opcode))
		return give_control(header->opcode, payload, item);
	return give_message(payload, header->opcode == WEBSOCKET_BINARY, item);
}

static int begin_payload(struct websocket_decoder *decoder, const struct websocket_header *header)
{
	struct websocket_partial *partial = need_partial(decoder);
	if (!partial)
		return -1;
	partial->header = *header;
	partial->taken = 0;
	partial->is_in_payload = true;
	if (!is_control(header->opcode) && header->opcode != WEBSOCKET_CONTINUATION) {
		partial->is_in_message = true;
		partial->is_binary = header->opcode == WEBSOCKET_BINARY;
	}
	return 0;
}

/* Takes what input has of the current payload. -1 without memory. */
static int take_payload(struct websocket_decoder *decoder, struct websocket_span *input)
{
	struct websocket_partial *partial = decoder->partial;
	const struct websocket_header *header = &partial->header;
	uint64_t to_come = header->payload_len - partial->taken;
	size_t len = input->len < to_come ? input->len : (size_t)to_come;
	if (is_control(header->opcode)) {
		memcpy(partial->control + partial->taken, input->data, len);
		websocket_unmask(partial->control + partial->taken, len, header->mask, partial->taken);
	} else if (!decoder->is_discarding && len > 0) {
		if (grow(partial, len, to_come - len) < 0)
			return -1;
		char *at = partial->message + partial->message_len;
		if (at != input->data)
			memcpy(at, input->data, len);
		websocket_unmask(at, len, header->mask, partial->taken);
		partial->message_len += (uint32_t)len;
	}
	partial->taken += len;
	skip(input, len);
	return 0;
}

/* Its payload is complete. Nothing is found when the message goes on, or is not wanted. */
static enum websocket_found end_payload(struct websocket_decoder *decoder, struct websocket_item *item)
{
	struct websocket_partial *partial = decoder->partial;
	const struct websocket_header *header = &partial->header;
	partial->is_in_payload = false;
	if (is_control(header->opcode)) {
		partial->is_given = true;
		return give_control(header->opcode, (struct bytes){ partial->control, (size_t)header->payload_len }, item);
	}
	if (!header->is_final)
		return WEBSOCKET_FOUND_NOTHING;
	partial->is_in_message = false;
	partial->is_given = true;
	if (decoder->is_discarding)
		return WEBSOCKET_FOUND_NOTHING;
	return give_message((struct bytes){ partial->message, partial->message_len }, partial->is_binary, item);
}

/* Takes a header, and what it announces if nothing needs to be kept. *is_begun: its payload has to be taken in pieces. */
static enum websocket_found begin_frame(struct websocket_decoder *decoder, struct websocket_span *input, struct websocket_item *item, bool *is_begun)
{
	struct websocket_header header;
	int status = take_header(decoder, input, &header, item);
	*is_begun = false;
	if (status <= 0)
		return status < 0 ? WEBSOCKET_FOUND_ERROR : WEBSOCKET_FOUND_NOTHING;
	enum websocket_code code = judge(decoder, &header);
	if (code)
		return give_error(item, code);
	bool is_whole = header.payload_len <= input->len && header.is_final && header.opcode != WEBSOCKET_CONTINUATION;
	if (is_whole && (is_control(header.opcode) || !decoder->is_discarding))
		return give_from_input(&header, input, item);
	if (begin_payload(decoder, &header) < 0)
		return give_error(item, WEBSOCKET_SERVER_ERROR);
	*is_begun = true;
	return WEBSOCKET_FOUND_NOTHING;
}

enum websocket_found websocket_decode(struct websocket_decoder *decoder, struct websocket_span *input, struct websocket_item *item)
{
	enum websocket_found found = WEBSOCKET_FOUND_NOTHING;
	*item = (struct websocket_item){ .code = WEBSOCKET_NO_CODE };
	tidy(decoder);
	while (found == WEBSOCKET_FOUND_NOTHING) {
		bool is_begun = decoder->partial && decoder->partial->is_in_payload;
		if (!is_begun && input->len == 0)
			break;
		if (!is_begun) {
			found = begin_frame(decoder, input, item, &is_begun);
			if (!is_begun)
				continue;
		}
		if (take_payload(decoder, input) < 0)
			return give_error(item, WEBSOCKET_SERVER_ERROR);
		if (decoder->partial->taken < decoder->partial->header.payload_len)
			break;
		found = end_payload(decoder, item);
	}
	if (found == WEBSOCKET_FOUND_NOTHING)
		tidy(decoder);
	return found;
}
