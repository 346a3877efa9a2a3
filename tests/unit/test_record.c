/* test_record.c - FastCGI records from strangers, whole and in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "record.h"

static void add(struct buffer *out, enum record_type type, uint16_t id, const void *content, size_t len)
{
	unsigned char header[RECORD_HEADER_LEN];
	record_header(header, type, id, len);
	buffer_add(out, header, sizeof(header));
	buffer_add(out, content, len);
}

static void add_request(struct buffer *out, uint16_t id, const char *length, const char *body)
{
	struct buffer params = { 0 };
	buffer_add_char(&params, 14);
	buffer_add_char(&params, (char)strlen(length));
	buffer_add_text(&params, "CONTENT_LENGTH");
	buffer_add_text(&params, length);
	add(out, RECORD_BEGIN_REQUEST, id, "\0\1\1\0\0\0\0\0", 8);
	add(out, RECORD_PARAMS, id, params.data, params.len);
	add(out, RECORD_PARAMS, id, NULL, 0);
	if (body[0])
		add(out, RECORD_STDIN, id, body, strlen(body));
	add(out, RECORD_STDIN, id, NULL, 0);
	buffer_deinit(&params);
}

static void test_every_cut_gives_the_same_request(void **state)
{
	(void)state;
	struct buffer wire = { 0 };
	add(&wire, RECORD_GET_VALUES, 0, "\x0f\0FCGI_MPXS_CONNS", 17);
	add_request(&wire, 0x1234, "5", "hello");
	for (size_t at = 0; at <= wire.len; at++) {
		struct record_reader reader = { .max_body = 100 };
		struct bytes first = { wire.data, at }, second = { wire.data + at, wire.len - at };
		enum record_result result = record_feed(&reader, &first, NULL);
		if (result == RECORD_MORE)
			result = record_feed(&reader, &second, NULL);
		assert_int_equal(result, RECORD_REQUEST);
		assert_int_equal(reader.request_id, 0x1234);
		assert_true(reader.keep_connection);
		assert_true(reader.content_length == 5 && bytes_equal_text(buffer_bytes(&reader.body), "hello"));
		assert_int_equal(reader.reply.len, RECORD_HEADER_LEN + 18);
		record_deinit(&reader);
	}
	buffer_deinit(&wire);
}

static void test_too_large_is_known_early_and_drained(void **state)
{
	(void)state;
	struct buffer wire = { 0 };
	struct record_reader reader = { .max_body = 4 };
	add_request(&wire, 1, "5", "hello");
	add_request(&wire, 2, "2", "ok");
	struct bytes input = buffer_bytes(&wire);
	assert_int_equal(record_feed(&reader, &input, NULL), RECORD_REQUEST);
	assert_true(reader.is_too_large && reader.stage == RECORD_STAGE_EARLY && reader.body.len == 0);
	record_next(&reader);
	assert_int_equal(record_feed(&reader, &input, NULL), RECORD_REQUEST);
	assert_true(!reader.is_too_large && reader.request_id == 2 && input.len == 0);
	record_next(&reader);
	/* Without an announcement, or with one that lies, what comes counts. */
	buffer_clear(&wire);
	add_request(&wire, 3, "1", "hello");
	input = buffer_bytes(&wire);
	assert_int_equal(record_feed(&reader, &input, NULL), RECORD_REQUEST);
	assert_true(reader.is_too_large);
	record_deinit(&reader);
	buffer_deinit(&wire);
}

static void test_content_length(void **state)
{
	(void)state;
	static const struct { const char *text; int64_t length; } cases[] = {
		{ "", LENGTH_ABSENT }, { "0", 0 }, { "-1", LENGTH_MALFORMED }, { "1x", LENGTH_MALFORMED }, { " 1", LENGTH_MALFORMED }, { "007", 7 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct record_reader reader = { .max_body = 100 };
		struct buffer wire = { 0 };
		add_request(&wire, 1, cases[i].text, "");
		struct bytes input = buffer_bytes(&wire);
		assert_int_equal(record_feed(&reader, &input, NULL), RECORD_REQUEST);
		assert_true(reader.content_length == cases[i].length);
		record_deinit(&reader);
		buffer_deinit(&wire);
	}
	struct record_reader reader = { .max_body = 100 };
	struct buffer wire = { 0 };
	add_request(&wire, 1, "99999999999999999999999999", "");
	struct bytes input = buffer_bytes(&wire);
	assert_int_equal(record_feed(&reader, &input, NULL), RECORD_REQUEST);
	assert_true(reader.is_too_large);
	record_deinit(&reader);
	buffer_deinit(&wire);
}

static void test_parameters_are_found(void **state)
{
	(void)state;
	static const char params[] = "\x01\x02" "Axy" "\x06\x00" "METHOD" "\x01\x03" "Aend" "\x80\x00\x00\x01\x80\x00\x00\x02" "Blo";
	struct buffer wire = { 0 };
	struct record_reader reader = { .max_body = 100 };
	add(&wire, RECORD_BEGIN_REQUEST, 1, "\0\1\0\0\0\0\0\0", 8);
	add(&wire, RECORD_PARAMS, 1, params, sizeof(params) - 1);
	add(&wire, RECORD_PARAMS, 1, NULL, 0);
	add(&wire, RECORD_STDIN, 1, NULL, 0);
	struct bytes input = buffer_bytes(&wire);
	assert_int_equal(record_feed(&reader, &input, NULL), RECORD_REQUEST);
	assert_true(bytes_equal_text(record_param(&reader, "A"), "end"));
	assert_true(bytes_equal_text(record_param(&reader, "B"), "lo"));
	assert_int_equal(record_param(&reader, "METHOD").len, 0);
	assert_int_equal(record_param(&reader, "METHO").len, 0);
	record_deinit(&reader);
	buffer_deinit(&wire);
}

static void test_an_answer_of_any_size(void **state)
{
	(void)state;
	static char body[70000];
	memset(body, 'b', sizeof(body));
	struct record_reader reader = { .request_id = 0x0102 };
	struct buffer out = { 0 }, content = { 0 };
	record_add_answer(&reader, bytes_of("Status: 200 OK\r\n\r\n"), (struct bytes){ body, sizeof(body) }, &out);
	size_t at = 0;
	for (bool is_open = true; at < out.len; at += RECORD_HEADER_LEN) {
		const unsigned char *header = (const unsigned char *)out.data + at;
		size_t len = (size_t)(header[4] << 8 | header[5]);
		assert_true(out.len - at >= RECORD_HEADER_LEN + len && header[0] == 1 && header[2] == 1 && header[3] == 2 && header[6] == 0);
		assert_int_equal(header[1], is_open ? RECORD_STDOUT : RECORD_END_REQUEST);
		if (is_open)
			buffer_add(&content, header + RECORD_HEADER_LEN, len);
		is_open = is_open && len;
		at += len;
	}
	assert_int_equal(at, out.len);
	assert_int_equal(content.len, 18 + sizeof(body));
	assert_memory_equal(content.data + 18, body, sizeof(body));
	buffer_deinit(&content);
	buffer_deinit(&out);
}

static void test_a_second_request_at_once_is_declined(void **state)
{
	(void)state;
	struct buffer wire = { 0 };
	struct record_reader reader = { .max_body = 100 };
	add(&wire, RECORD_BEGIN_REQUEST, 1, "\0\1\0\0\0\0\0\0", 8);
	add_request(&wire, 2, "2", "no");
	add(&wire, RECORD_PARAMS, 1, NULL, 0);
	add(&wire, RECORD_STDIN, 1, NULL, 0);
	struct bytes input = buffer_bytes(&wire);
	assert_int_equal(record_feed(&reader, &input, NULL), RECORD_REQUEST);
	assert_int_equal(reader.request_id, 1);
	assert_int_equal(reader.body.len, 0);
	assert_int_equal(reader.reply.len, 2 * RECORD_HEADER_LEN);
	assert_int_equal((unsigned char)reader.reply.data[1], RECORD_END_REQUEST);
	assert_int_equal((unsigned char)reader.reply.data[12], 1); /* FCGI_CANT_MPX_CONN */
	record_deinit(&reader);
	buffer_deinit(&wire);
}

static void assert_malformed(struct buffer *wire)
{
	struct record_reader reader = { .max_body = 100 };
	struct error err = { 0 };
	struct bytes input = buffer_bytes(wire);
	assert_int_equal(record_feed(&reader, &input, &err), RECORD_MALFORMED);
	assert_true(err.text[0] != '\0');
	record_deinit(&reader);
	buffer_clear(wire);
}

static void test_malformed(void **state)
{
	(void)state;
	/* The second pair of lengths overflows a signed sum. */
	static const struct { const char *data; size_t len; } params[] = {
		{ "\x05\x01" "ab", 4 }, { "\xff\xff\xff\xff\xff\xff\xff\xff" "a", 9 }, { "\x80", 1 }, { "\x01", 1 }, { "\x01\x01" "a\0", 4 },
	};
	struct buffer wire = { 0 };
	buffer_add_text(&wire, "GET / HTTP/1.1\r\n\r\n");
	assert_malformed(&wire);
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		add(&wire, RECORD_BEGIN_REQUEST, 1, "\0\1\0\0\0\0\0\0", 8);
		add(&wire, RECORD_PARAMS, 1, params[i].data, params[i].len);
		add(&wire, RECORD_PARAMS, 1, NULL, 0);
		assert_malformed(&wire);
	}
	add(&wire, RECORD_BEGIN_REQUEST, 1, "\0\2\0\0\0\0\0\0", 8); /* authorizer */
	assert_malformed(&wire);
	add(&wire, RECORD_BEGIN_REQUEST, 0, "\0\1\0\0\0\0\0\0", 8);
	assert_malformed(&wire);
	add(&wire, RECORD_BEGIN_REQUEST, 1, "\0\1\0\0", 4);
	assert_malformed(&wire);
	add(&wire, RECORD_UNKNOWN_TYPE, 0, NULL, 0);
	assert_malformed(&wire);
	add(&wire, RECORD_BEGIN_REQUEST, 1, "\0\1\0\0\0\0\0\0", 8);
	add(&wire, RECORD_STDIN, 1, "x", 1); /* before the parameters ended */
	assert_malformed(&wire);
	buffer_deinit(&wire);
}

static void test_parameters_are_bounded(void **state)
{
	(void)state;
	static char filler[65535];
	struct buffer wire = { 0 };
	add(&wire, RECORD_BEGIN_REQUEST, 1, "\0\1\0\0\0\0\0\0", 8);
	for (size_t sent = 0; sent <= RECORD_PARAMS_MAX; sent += sizeof(filler))
		add(&wire, RECORD_PARAMS, 1, filler, sizeof(filler));
	assert_malformed(&wire);
	buffer_deinit(&wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cut_gives_the_same_request),
		cmocka_unit_test(test_too_large_is_known_early_and_drained),
		cmocka_unit_test(test_content_length),
		cmocka_unit_test(test_parameters_are_found),
		cmocka_unit_test(test_an_answer_of_any_size),
		cmocka_unit_test(test_a_second_request_at_once_is_declined),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_parameters_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
