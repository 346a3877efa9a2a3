/* test_engineio_packet.c - packets and payloads both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engineio_packet.h"

static int parse(const char *text, struct engineio_packet *out)
{
	static char room[64];
	struct error err;
	return engineio_packet_parse(bytes_of(text), room, out, &err);
}

static void test_types(void **state)
{
	(void)state;
	struct engineio_packet packet;
	for (char type = '0'; type <= '6'; type++) {
		const char text[] = { type, 'x', 0 };
		assert_int_equal(parse(text, &packet), 0);
		assert_int_equal(packet.type, type - '0');
		assert_false(packet.is_binary);
		assert_true(bytes_equal_text(packet.data, "x"));
	}
	assert_int_equal(parse("", &packet), -1);
	assert_int_equal(parse("7", &packet), -1);
	assert_int_equal(parse("a", &packet), -1);
}

static void test_binary(void **state)
{
	(void)state;
	struct engineio_packet packet;
	assert_int_equal(parse("bAQIDBA==", &packet), 0);
	assert_true(packet.is_binary);
	assert_int_equal(packet.type, ENGINEIO_MESSAGE);
	assert_int_equal(packet.data.len, 4);
	assert_memory_equal(packet.data.data, "\1\2\3\4", 4);
	assert_int_equal(parse("b", &packet), 0);
	assert_int_equal(packet.data.len, 0);
	assert_int_equal(parse("bAQIDBA", &packet), 0);
	assert_int_equal(packet.data.len, 4);
	assert_int_equal(parse("bA", &packet), -1);
	assert_int_equal(parse("b!!!!", &packet), -1);
	assert_int_equal(parse("bAQ==BA==", &packet), -1);
}

static void test_payload_walk(void **state)
{
	(void)state;
	char text[] = "4a\x1e" "bAQI=\x1e" "3";
	struct engineio_payload payload = { .rest = text, .len = sizeof(text) - 1 };
	struct engineio_packet packet;
	struct error err;
	assert_int_equal(engineio_payload_next(&payload, &packet, &err), 1);
	assert_true(bytes_equal_text(packet.data, "a"));
	assert_int_equal(engineio_payload_next(&payload, &packet, &err), 1);
	assert_true(packet.is_binary);
	assert_memory_equal(packet.data.data, "\1\2", 2);
	assert_int_equal(engineio_payload_next(&payload, &packet, &err), 1);
	assert_int_equal(packet.type, ENGINEIO_PONG);
	assert_int_equal(engineio_payload_next(&payload, &packet, &err), 0);
}

static void test_empty_packets_are_malformed(void **state)
{
	(void)state;
	struct engineio_packet packet;
	struct error err;
	char trailing[] = "4a\x1e";
	struct engineio_payload empty = { .rest = NULL, .len = 0 };
	struct engineio_payload payload = { .rest = trailing, .len = sizeof(trailing) - 1 };
	assert_int_equal(engineio_payload_next(&empty, &packet, &err), -1);
	assert_int_equal(engineio_payload_next(&payload, &packet, &err), 1);
	assert_int_equal(engineio_payload_next(&payload, &packet, &err), -1);
}

static void test_payload_add(void **state)
{
	(void)state;
	struct buffer answer = { 0 };
	engineio_payload_add(&answer, bytes_of("4hello"), false);
	engineio_payload_add(&answer, (struct bytes){ "\1\2\3\4", 4 }, true);
	engineio_payload_add(&answer, (struct bytes){ NULL, 0 }, true);
	assert_string_equal(answer.data, "4hello\x1e" "bAQIDBA==\x1e" "b");
	buffer_deinit(&answer);
}

static void test_open_packet(void **state)
{
	(void)state;
	struct buffer out = { 0 };
	engineio_open_write(&out, &(struct engineio_open){ "h~1", true, 25000, 20000, 1000000 });
	assert_string_equal(out.data, "0{\"sid\":\"h~1\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,"
	                              "\"pingTimeout\":20000,\"maxPayload\":1000000}");
	buffer_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_payload_walk),
		cmocka_unit_test(test_empty_packets_are_malformed),
		cmocka_unit_test(test_payload_add),
		cmocka_unit_test(test_open_packet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
