/* test_event.c - events made from messages, and their frames in both framings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event.h"

static void assert_payload(struct frame *frame, const char *text)
{
	assert_non_null(frame);
	assert_int_equal(frame->payload_len, strlen(text));
	assert_memory_equal(frame_payload(frame), text, strlen(text));
}

static void test_framings(void **state)
{
	(void)state;
	struct error err;
	struct message message = { .kind = MESSAGE_EVENT, .epoch = 12, .seq = 34, .body = bytes_of("\"e\",{\"n\":1.10}") };
	struct event *event = event_from_message(&message, &err);
	assert_non_null(event);
	struct frame *plain = event_frame(event, FRAMING_PLAIN);
	assert_payload(plain, "42[\"e\",{\"n\":1.10}]");
	assert_payload(event_frame(event, FRAMING_OFFSET), "42[\"e\",{\"n\":1.10},\"12.34\"]");
	assert_ptr_equal(event_frame(event, FRAMING_PLAIN), plain); /* made once */
	frame_ref(plain);
	event_unref(event);
	assert_payload(plain, "42[\"e\",{\"n\":1.10}]"); /* a connection may still have it queued */
	frame_unref(plain);
}

static void test_only_events(void **state)
{
	(void)state;
	struct error err;
	struct message message = { .kind = MESSAGE_HEARTBEAT, .epoch = 1 };
	assert_null(event_from_message(&message, &err));
	assert_null(event_new(bytes_of("RC\1\1 nonsense"), &err));
	assert_null(event_new((struct bytes){ NULL, 0 }, &err));
}

static void test_websocket_headers(void **state)
{
	(void)state;
	static const struct { size_t len; uint8_t header_len; unsigned char second; } rows[] = {
		{ 0, 2, 0 }, { 125, 2, 125 }, { 126, 4, 126 }, { 65535, 4, 126 }, { 65536, 10, 127 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct frame *frame = frame_new(rows[i].len, i % 2);
		assert_int_equal(frame->header_len, rows[i].header_len);
		assert_int_equal(frame->wire[0], i % 2 ? 0x82 : 0x81);
		assert_int_equal(frame->wire[1], rows[i].second);
		frame_unref(frame);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_framings), cmocka_unit_test(test_only_events), cmocka_unit_test(test_websocket_headers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
