/* test_event.c - events made from messages, and their frames in both framings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

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

static struct event *new_event(uint64_t seq, size_t body_len)
{
	struct error err;
	char *body = malloc(body_len + 1);
	memset(body, '7', body_len);
	struct event *event = event_from_message(&(struct message){ .kind = MESSAGE_EVENT, .epoch = 3, .seq = seq, .body = { body, body_len } }, &err);
	free(body);
	assert_non_null(event);
	return event;
}

/* The same bytes as the frames behind one another, whichever of them were made before. */
static void test_frames_together(void **state)
{
	(void)state;
	static const size_t lens[] = { 1, 117, 120, 121, 122, 130, 40000 };
	enum { COUNT = sizeof(lens) / sizeof(lens[0]) };
	struct event *events[COUNT];
	for (size_t i = 0; i < COUNT; i++)
		events[i] = new_event(i + 1, lens[i]);
	event_frame(events[2], FRAMING_OFFSET);
	event_frame(events[6], FRAMING_PLAIN);
	for (int framing = 0; framing < FRAMING_COUNT; framing++) {
		struct frames_together together;
		assert_true(event_frames_together(events, COUNT, (enum event_framing)framing, &together));
		assert_int_equal(together.count, COUNT);
		size_t at = 0, payload_len = 0;
		for (size_t i = 0; i < COUNT; i++) {
			const struct frame *frame = event_frame(events[i], (enum event_framing)framing);
			assert_memory_equal(together.wire->wire + at, frame->wire, frame_wire_len(frame));
			at += frame_wire_len(frame);
			payload_len += frame->payload_len;
		}
		assert_int_equal(frame_wire_len(together.wire), at);
		assert_int_equal(together.payload_len, payload_len);
		frame_unref(together.wire);
	}
	for (size_t i = 0; i < COUNT; i++)
		event_unref(events[i]);
}

static void test_too_much_together(void **state)
{
	(void)state;
	struct frames_together together;
	struct event *events[EVENTS_TOGETHER_MAX + 1];
	for (size_t i = 0; i <= EVENTS_TOGETHER_MAX; i++)
		events[i] = new_event(i + 1, i ? 10 : TOGETHER_BYTES_MAX - 200);
	assert_true(event_frames_together(events, 2, FRAMING_PLAIN, &together));
	frame_unref(together.wire);
	assert_false(event_frames_together(events, 30, FRAMING_PLAIN, &together)); /* bytes */
	assert_null(together.wire);
	assert_true(event_frames_together(events + 1, EVENTS_TOGETHER_MAX, FRAMING_PLAIN, &together));
	frame_unref(together.wire);
	assert_false(event_frames_together(events, EVENTS_TOGETHER_MAX + 1, FRAMING_PLAIN, &together));
	assert_null(together.wire);
	for (size_t i = 0; i <= EVENTS_TOGETHER_MAX; i++)
		event_unref(events[i]);
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
		cmocka_unit_test(test_framings),
		cmocka_unit_test(test_frames_together),
		cmocka_unit_test(test_too_much_together), cmocka_unit_test(test_only_events), cmocka_unit_test(test_websocket_headers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
