/* test_frame.c - frames: the header's three sizes, the payload behind it, references. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "frame.h"

/* RFC 6455, 5.2: the shortest length is the only legal one; nothing is masked. */
static void test_headers(void **state)
{
	(void)state;
	static const struct {
		size_t payload_len;
		bool is_binary;
		unsigned char header[FRAME_HEADER_MAX];
		size_t header_len;
	} rows[] = {
		{ 0, false, { 0x81, 0 }, 2 }, { 1, true, { 0x82, 1 }, 2 }, { 125, false, { 0x81, 125 }, 2 },
		{ 126, false, { 0x81, 126, 0, 126 }, 4 }, { 65535, true, { 0x82, 126, 0xff, 0xff }, 4 },
		{ 65536, false, { 0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0 }, 10 }, { 0x1020304, false, { 0x81, 127, 0, 0, 0, 0, 1, 2, 3, 4 }, 10 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct frame *frame = frame_new(rows[i].payload_len, rows[i].is_binary);
		assert_non_null(frame);
		assert_int_equal(frame->header_len, rows[i].header_len);
		assert_memory_equal(frame->wire, rows[i].header, rows[i].header_len);
		assert_int_equal(frame_wire_len(frame), rows[i].header_len + rows[i].payload_len);
		assert_ptr_equal(frame_payload(frame), frame->wire + rows[i].header_len);
		assert_int_equal(frame->is_binary, rows[i].is_binary);
		memset(frame_payload(frame), 'x', rows[i].payload_len); /* all of it is ours */
		frame_unref(frame);
	}
	assert_null(frame_new((size_t)UINT32_MAX + 1, false));
}

static void test_bytes(void **state)
{
	(void)state;
	struct frame *frame = frame_from_bytes(bytes_of("4hello"), false);
	assert_memory_equal(frame->wire, "\x81\x06" "4hello", 8);
	frame_unref(frame);
	frame = frame_from_bytes((struct bytes){ NULL, 0 }, true);
	assert_memory_equal(frame->wire, "\x82\x00", 2);
	frame_unref(frame);
}

static void test_references(void **state)
{
	(void)state;
	struct frame *frame = frame_from_bytes(bytes_of("4"), false);
	assert_int_equal(frame->refs, 1);
	assert_ptr_equal(frame_ref(frame), frame);
	frame_unref(frame);
	assert_int_equal(frame->refs, 1); /* the sanitizers watch the last one */
	assert_memory_equal(frame_payload(frame), "4", 1);
	frame_unref(frame);
	frame_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_headers), cmocka_unit_test(test_bytes), cmocka_unit_test(test_references) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
