/* test_websocket_frame.c - RFC 6455's framing, class by class, and the same whatever way the bytes are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http_peer.h"
#include "websocket_frame.h"

enum { MESSAGE_MAX = 70000 };

/* --- headers --------------------------------------------------------------- */

static void test_headers_read(void **state)
{
	(void)state;
	static const struct {
		struct bytes bytes;
		int result;
		struct websocket_header header;
	} rows[] = {
#define BYTES(text) { text, sizeof(text) - 1 }
		{ BYTES("\x81\x80" "abcd"), 6, { WEBSOCKET_TEXT, true, 0, { 'a', 'b', 'c', 'd' } } },
		{ BYTES("\x02\xfd" "abcdmore"), 6, { WEBSOCKET_BINARY, false, 125, { 'a', 'b', 'c', 'd' } } },
		{ BYTES("\x80\xfe\x00\x7e" "abcd"), 8, { WEBSOCKET_CONTINUATION, true, 126, { 'a', 'b', 'c', 'd' } } },
		{ BYTES("\x82\xfe\xff\xff" "abcd"), 8, { WEBSOCKET_BINARY, true, 65535, { 'a', 'b', 'c', 'd' } } },
		{ BYTES("\x82\xff\0\0\0\0\0\1\0\0" "abcd"), 14, { WEBSOCKET_BINARY, true, 65536, { 'a', 'b', 'c', 'd' } } },
		{ BYTES("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" "abcd"), 14, { WEBSOCKET_BINARY, true, INT64_MAX, { 'a', 'b', 'c', 'd' } } },
		{ BYTES("\x88\xfd" "abcd"), 6, { WEBSOCKET_CLOSE, true, 125, { 'a', 'b', 'c', 'd' } } },
		{ BYTES("\x89\x80" "abcd"), 6, { WEBSOCKET_PING, true, 0, { 'a', 'b', 'c', 'd' } } },
		{ BYTES("\x8a\x81" "abcd"), 6, { WEBSOCKET_PONG, true, 1, { 'a', 'b', 'c', 'd' } } },
		/* cut */
		{ BYTES(""), 0, { 0 } }, { BYTES("\x81"), 0, { 0 } }, { BYTES("\x81\x80" "abc"), 0, { 0 } }, { BYTES("\x81\xfe\x01"), 0, { 0 } },
		{ BYTES("\x81\xff\0\0\0\0\0\1\0"), 0, { 0 } }, { BYTES("\x81\xff\0\0\0\0\0\1\0\0" "abc"), 0, { 0 } },
		/* reserved bits, reserved opcodes */
		{ BYTES("\xc1"), -1, { 0 } }, { BYTES("\xa1"), -1, { 0 } }, { BYTES("\x91"), -1, { 0 } }, { BYTES("\x83"), -1, { 0 } },
		{ BYTES("\x87"), -1, { 0 } }, { BYTES("\x8b"), -1, { 0 } }, { BYTES("\x8f"), -1, { 0 } },
		/* not masked */
		{ BYTES("\x81\x00"), -1, { 0 } }, { BYTES("\x82\x7e"), -1, { 0 } }, { BYTES("\x88\x00"), -1, { 0 } },
		/* control frames, fragmented and long */
		{ BYTES("\x08"), -1, { 0 } }, { BYTES("\x09"), -1, { 0 } }, { BYTES("\x0a"), -1, { 0 } },
		{ BYTES("\x89\xfe"), -1, { 0 } }, { BYTES("\x88\xff"), -1, { 0 } },
		/* lengths that a shorter form holds, and the 64th bit */
		{ BYTES("\x81\xfe\x00\x7d"), -1, { 0 } }, { BYTES("\x81\xfe\x00\x00"), -1, { 0 } }, { BYTES("\x81\xff\0\0\0\0\0\0\xff\xff"), -1, { 0 } },
		{ BYTES("\x81\xff\0\0\0\0\0\0\0\1"), -1, { 0 } }, { BYTES("\x82\xff\x80\0\0\0\0\0\0\0"), -1, { 0 } },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct websocket_header header;
		int result = websocket_header_read((const unsigned char *)rows[i].bytes.data, rows[i].bytes.len, &header);
		if (result != rows[i].result)
			fail_msg("row %zu: %d instead of %d", i, result, rows[i].result);
		if (result <= 0)
			continue;
		assert_int_equal(header.opcode, rows[i].header.opcode);
		assert_int_equal(header.is_final, rows[i].header.is_final);
		assert_int_equal(header.payload_len, rows[i].header.payload_len);
		assert_memory_equal(header.mask, rows[i].header.mask, 4);
	}
}

static void test_headers_written(void **state)
{
	(void)state;
	static const struct { enum websocket_opcode opcode; uint64_t len; struct bytes wire; } rows[] = {
		{ WEBSOCKET_TEXT, 0, BYTES("\x81\x00") }, { WEBSOCKET_PONG, 125, BYTES("\x8a\x7d") }, { WEBSOCKET_BINARY, 126, BYTES("\x82\x7e\x00\x7e") },
		{ WEBSOCKET_BINARY, 65535, BYTES("\x82\x7e\xff\xff") }, { WEBSOCKET_TEXT, 65536, BYTES("\x81\x7f\0\0\0\0\0\1\0\0") },
		{ WEBSOCKET_TEXT, 0x0102030405060708, BYTES("\x81\x7f\1\2\3\4\5\6\7\x8") },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned char wire[WEBSOCKET_SERVER_HEADER_MAX];
		assert_int_equal(websocket_header_write(wire, rows[i].opcode, rows[i].len), rows[i].wire.len);
		assert_memory_equal(wire, rows[i].wire.data, rows[i].wire.len);
	}
}

/* --- masks ----------------------------------------------------------------- */

static void test_unmask(void **state)
{
	(void)state;
	static const unsigned char mask[4] = { 0x01, 0x82, 0xff, 0x10 };
	char data[64], expected[64];
	for (size_t len = 0; len <= 40; len++) {
		for (size_t at = 0; at < 9; at++) {
			for (size_t shift = 0; shift < 8; shift++) { /* wherever it lies in memory */
				for (size_t i = 0; i < sizeof(data); i++)
					data[i] = expected[i] = (char)(i * 7);
				for (size_t i = 0; i < len; i++)
					expected[shift + i] = (char)((unsigned char)expected[shift + i] ^ mask[(at + i) % 4]);
				websocket_unmask(data + shift, len, mask, at);
				assert_memory_equal(data, expected, sizeof(data));
			}
		}
	}
}

/* --- close payloads ---------------------------------------------------------- */

static void test_close_payloads(void **state)
{
	(void)state;
	static const struct { unsigned first, last; bool is_valid; } ranges[] = {
		{ 0, 999, false }, { 1000, 1003, true }, { 1004, 1006, false }, { 1007, 1014, true }, { 1015, 2999, false }, { 3000, 4999, true }, { 5000, 65535, false },
	};
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		for (unsigned code = ranges[i].first; code <= ranges[i].last; code++) {
			const char payload[] = { (char)(code >> 8), (char)code, 'b', 'y', 'e' };
			struct websocket_close close = websocket_close_read((struct bytes){ payload, sizeof(payload) });
			assert_int_equal(close.is_valid, ranges[i].is_valid);
			assert_int_equal(close.code, ranges[i].is_valid ? code : 1002);
		}
	}
	static const struct { struct bytes payload; bool is_valid; unsigned code; } rows[] = {
		{ { NULL, 0 }, true, WEBSOCKET_NO_CODE }, { BYTES("\x03"), false, 1002 }, { BYTES("\x03\xe8"), true, 1000 },
		{ BYTES("\x03\xe8" "\xc3\xa9"), true, 1000 }, { BYTES("\x03\xe8" "\xc3"), false, 1007 }, { BYTES("\x03\xe8" "a\xff"), false, 1007 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct websocket_close close = websocket_close_read(rows[i].payload);
		assert_int_equal(close.is_valid, rows[i].is_valid);
		assert_int_equal(close.code, rows[i].code);
	}
}

/* --- decoding, cut in every way ---------------------------------------------- */

struct story {
	char text[4096];
	bool is_over;
};

static void tell(struct story *story, const char *format, ...) PRINTF_LIKE(2, 3);
static void tell(struct story *story, const char *format, ...)
{
	size_t used = strlen(story->text);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(story->text + used, sizeof(story->text) - used, format, arguments);
	va_end(arguments);
}

static void tell_item(struct story *story, enum websocket_found found, const struct websocket_item *item)
{
	static const char *const names[] = {
		[WEBSOCKET_FOUND_PING] = "ping", [WEBSOCKET_FOUND_PONG] = "pong", [WEBSOCKET_FOUND_CLOSE] = "close", [WEBSOCKET_FOUND_MESSAGE] = "text",
	};
	if (found == WEBSOCKET_FOUND_ERROR)
		tell(story, "error(%d) ", (int)item->code);
	else if (item->is_binary)
		tell(story, "binary(%zu) ", item->payload.len);
	else if (item->payload.len > 60)
		tell(story, "%s(%zu) ", names[found], item->payload.len);
	else
		tell(story, "%s(%.*s) ", names[found], (int)item->payload.len, item->payload.len ? item->payload.data : "");
	story->is_over = found == WEBSOCKET_FOUND_ERROR;
}

static void decode_some(struct websocket_decoder *decoder, const char *data, size_t len, struct story *story)
{
	struct websocket_item item;
	enum websocket_found found;
	char *copy = malloc(len + 1);
	struct websocket_span input = { copy, len };
	memcpy(copy, data, len);
	while (!story->is_over && (found = websocket_decode(decoder, &input, &item)) != WEBSOCKET_FOUND_NOTHING)
		tell_item(story, found, &item);
	free(copy);
}

static void expect(const struct buffer *input, size_t first, size_t segment, bool is_discarding, const char *expected, bool is_idle)
{
	struct websocket_decoder decoder;
	struct story story = { .is_over = false };
	websocket_decoder_init(&decoder, MESSAGE_MAX);
	decoder.is_discarding = is_discarding;
	decode_some(&decoder, input->data, first, &story);
	for (size_t at = first; at < input->len; at += segment)
		decode_some(&decoder, input->data + at, input->len - at < segment ? input->len - at : segment, &story);
	if (strcmp(story.text, expected) != 0)
		fail_msg("cut at %zu and then every %zu: `%s` instead of `%s`", first, segment, story.text, expected);
	assert_true(!is_idle || !decoder.partial); /* between messages it owns no memory */
	websocket_decoder_deinit(&decoder);
}

static void expect_whatever_the_cuts(struct buffer *input, bool is_discarding, const char *expected)
{
	bool is_idle = !strstr(expected, "error");
	for (size_t first = 0; first <= input->len && first < 200; first++)
		expect(input, first, input->len, is_discarding, expected, is_idle);
	for (size_t segment = 1; segment < 40; segment++)
		expect(input, 0, segment, is_discarding, expected, is_idle);
	buffer_deinit(input);
}

static void add(struct buffer *out, int first_byte, const char *payload)
{
	frame_add(out, first_byte, bytes_of(payload));
}

static void add_zeros(struct buffer *out, int first_byte, size_t len)
{
	static char zeros[MESSAGE_MAX + 1];
	frame_add(out, first_byte, (struct bytes){ zeros, len });
}

static void test_messages(void **state)
{
	(void)state;
	struct buffer input = { 0 };
	add(&input, FIN | OPCODE_TEXT, "hello");
	add(&input, FIN | OPCODE_TEXT, "");
	add(&input, FIN | OPCODE_PING, "p");
	add_zeros(&input, FIN | OPCODE_BINARY, 0);
	add_zeros(&input, FIN | OPCODE_BINARY, 125);
	add_zeros(&input, FIN | OPCODE_BINARY, 126);
	add(&input, FIN | OPCODE_PONG, "");
	add(&input, FIN | OPCODE_TEXT, "\xe2\x82\xac");
	add(&input, FIN | OPCODE_CLOSE, "");
	expect_whatever_the_cuts(&input, false, "text(hello) text() ping(p) binary(0) binary(125) binary(126) pong() text(\xe2\x82\xac) close() ");
}

static void test_long_messages(void **state)
{
	(void)state;
	struct buffer input = { 0 };
	add_zeros(&input, FIN | OPCODE_BINARY, 65535);
	add_zeros(&input, FIN | OPCODE_BINARY, 65536);
	add_zeros(&input, FIN | OPCODE_BINARY, MESSAGE_MAX);
	expect_whatever_the_cuts(&input, false, "binary(65535) binary(65536) binary(70000) ");
}

static void test_fragments(void **state)
{
	(void)state;
	struct buffer input = { 0 };
	add(&input, OPCODE_TEXT, "a\xe2");
	add(&input, FIN | OPCODE_PING, "between");
	add(&input, OPCODE_CONTINUATION, "");
	add(&input, OPCODE_CONTINUATION, "\x82\xac");
	add(&input, FIN | OPCODE_PONG, "");
	add(&input, FIN | OPCODE_CONTINUATION, "z");
	add(&input, OPCODE_BINARY, "12");
	add(&input, FIN | OPCODE_CONTINUATION, "");
	add(&input, OPCODE_TEXT, "");
	add(&input, FIN | OPCODE_CONTINUATION, "");
	add(&input, FIN | OPCODE_TEXT, "x");
	expect_whatever_the_cuts(&input, false, "ping(between) pong() text(a\xe2\x82\xacz) binary(2) text() text(x) ");
}

static void test_errors(void **state)
{
	(void)state;
	static const struct { int first_byte; const char *payload; const char *story; } rows[] = {
		{ FIN | OPCODE_CONTINUATION, "x", "text(ok) error(1002) " }, { OPCODE_CONTINUATION, "", "text(ok) error(1002) " },
		{ FIN | OPCODE_TEXT, "\xc3\x28", "text(ok) error(1007) " }, { FIN | OPCODE_TEXT, "\xe2\x82", "text(ok) error(1007) " },
		{ FIN | OPCODE_TEXT, "\xed\xa0\x80", "text(ok) error(1007) " }, { FIN | OPCODE_TEXT, "\xf4\x90\x80\x80", "text(ok) error(1007) " },
		{ FIN | OPCODE_TEXT, "\xc0\x80", "text(ok) error(1007) " }, { FIN | UNMASKED | OPCODE_TEXT, "x", "text(ok) error(1002) " },
		{ FIN | 0x40 | OPCODE_TEXT, "x", "text(ok) error(1002) " }, { FIN | 3, "x", "text(ok) error(1002) " }, { OPCODE_PING, "x", "text(ok) error(1002) " },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buffer input = { 0 };
		add(&input, FIN | OPCODE_TEXT, "ok");
		add(&input, rows[i].first_byte, rows[i].payload);
		add(&input, FIN | OPCODE_TEXT, "behind it");
		expect_whatever_the_cuts(&input, false, rows[i].story);
	}
}

static void test_errors_in_fragments(void **state)
{
	(void)state;
	static const int second[] = { FIN | OPCODE_TEXT, OPCODE_BINARY };
	for (size_t i = 0; i < 2; i++) {
		struct buffer input = { 0 };
		add(&input, OPCODE_TEXT, "x");
		add(&input, second[i], "y");
		expect_whatever_the_cuts(&input, false, "error(1002) ");
	}
	struct buffer input = { 0 };
	add(&input, OPCODE_TEXT, "\xe2\x82");
	add(&input, FIN | OPCODE_CONTINUATION, "x");
	expect_whatever_the_cuts(&input, false, "error(1007) ");
}

/* The bound is the message's, whatever the frames; a header that promises too much is enough. */
static void test_bound(void **state)
{
	(void)state;
	struct buffer input = { 0 };
	add_zeros(&input, FIN | OPCODE_BINARY, MESSAGE_MAX + 1);
	input.len = 20;
	expect_whatever_the_cuts(&input, false, "error(1009) ");
	input = (struct buffer){ 0 };
	add_zeros(&input, OPCODE_BINARY, MESSAGE_MAX - 1);
	add_zeros(&input, OPCODE_CONTINUATION, 1);
	add_zeros(&input, FIN | OPCODE_CONTINUATION, 1);
	expect_whatever_the_cuts(&input, false, "error(1009) ");
	input = (struct buffer){ 0 };
	buffer_add(&input, "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" "abcd", 14);
	expect_whatever_the_cuts(&input, false, "error(1009) ");
}

static void test_discarding(void **state)
{
	(void)state;
	struct buffer input = { 0 };
	add_zeros(&input, FIN | OPCODE_BINARY, MESSAGE_MAX + 1);
	add(&input, FIN | OPCODE_TEXT, "\xff");
	add(&input, OPCODE_TEXT, "x");
	add(&input, FIN | OPCODE_PING, "p");
	add(&input, FIN | OPCODE_CONTINUATION, "y");
	add(&input, FIN | OPCODE_CLOSE, "\x03\xe8");
	expect_whatever_the_cuts(&input, true, "ping(p) close(\x03\xe8) ");
}

/* What was received where the decoder wants it comes out as from anywhere else; what is asked for stands in proportion to what has come. */
static void test_room(void **state)
{
	(void)state;
	struct buffer input = { 0 };
	struct websocket_decoder decoder;
	struct websocket_item item;
	websocket_decoder_init(&decoder, MESSAGE_MAX);
	assert_int_equal(websocket_decoder_room(&decoder).len, 0);
	add_zeros(&input, FIN | OPCODE_BINARY, MESSAGE_MAX);
	struct websocket_span span = { input.data, 20 };
	assert_int_equal(websocket_decode(&decoder, &span, &item), WEBSOCKET_FOUND_NOTHING);
	size_t at = 20;
	enum websocket_found found = WEBSOCKET_FOUND_NOTHING;
	while (found == WEBSOCKET_FOUND_NOTHING) {
		assert_true(at < input.len);
		struct websocket_span room = websocket_decoder_room(&decoder);
		assert_true(room.len <= at + 2048 && room.len <= input.len - at);
		if (room.len == 0)
			room = (struct websocket_span){ input.data + at, input.len - at };
		else
			memcpy(room.data, input.data + at, room.len);
		at += room.len;
		found = websocket_decode(&decoder, &room, &item);
	}
	assert_int_equal(found, WEBSOCKET_FOUND_MESSAGE);
	assert_int_equal(at, input.len);
	assert_int_equal(item.payload.len, MESSAGE_MAX);
	for (size_t i = 0; i < MESSAGE_MAX; i++)
		assert_int_equal(item.payload.data[i], 0);
	websocket_decoder_deinit(&decoder);
	buffer_deinit(&input);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers_read), cmocka_unit_test(test_headers_written), cmocka_unit_test(test_unmask), cmocka_unit_test(test_close_payloads),
		cmocka_unit_test(test_messages), cmocka_unit_test(test_long_messages), cmocka_unit_test(test_fragments), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_errors_in_fragments), cmocka_unit_test(test_bound), cmocka_unit_test(test_discarding), cmocka_unit_test(test_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
