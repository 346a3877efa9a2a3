/* test_endpoint.c - which ZeroMQ endpoints are opened, and which could be reached by strangers; clocks' texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <roomcast/clock.h>
#include <roomcast/endpoint.h>

static void test_endpoints(void **state)
{
	(void)state;
	static const struct { const char *endpoint; int result; } rows[] = {
		{ "ipc:///run/roomcast/line.sock", 0 }, { "ipc://line.sock", 0 }, { "tcp://127.0.0.1:5555", 0 }, { "tcp://127.9.9.9:1", 0 },
		{ "tcp://localhost:5555", 0 }, { "tcp://[::1]:5555", 0 }, { "tcp://*:5555", -1 }, { "tcp://0.0.0.0:5555", -1 },
		{ "tcp://10.0.0.1:5555", -1 }, { "tcp://[::]:5555", -1 }, { "tcp://128.0.0.1:1", -1 }, { "tcp://127.0.0.1.evil.example:1", -1 },
		{ "tcp://eth0:5555", -1 }, { "tcp://127.0.0.1", -1 }, { "ipc://", -1 }, { "inproc://x", -1 }, { "pgm://x", -1 }, { "", -1 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err;
		assert_int_equal(endpoint_check(rows[i].endpoint, false, &err), rows[i].result);
	}
}

static void test_secured(void **state)
{
	(void)state;
	static const struct { const char *endpoint; int result; } rows[] = {
		{ "ipc:///run/roomcast/line.sock", 0 }, { "tcp://127.0.0.1:5555", 0 }, { "tcp://10.0.0.1:5555", 0 }, { "tcp://[fd00::1]:5555", 0 },
		{ "tcp://gateway.example:5555", 0 }, { "tcp://*:5555", -1 }, { "tcp://0.0.0.0:5555", -1 }, { "tcp://[::]:5555", -1 },
		{ "tcp://10.0.0.1", -1 }, { "inproc://x", -1 }, { "ipc://", -1 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err;
		assert_int_equal(endpoint_check(rows[i].endpoint, true, &err), rows[i].result);
	}
}

static void test_lists(void **state)
{
	(void)state;
	static const struct { const char *list; int result; } rows[] = {
		{ "ipc:///a", 0 }, { "ipc:///a,tcp://127.0.0.1:1", 0 }, { " ipc:///a , ipc:///b ", 0 }, { "ipc:///a,", -1 }, { ",ipc:///a", -1 }, { "", -1 },
		{ "ipc:///a,tcp://10.0.0.1:1", -1 }, { "ipc:///1,ipc:///2,ipc:///3,ipc:///4,ipc:///5,ipc:///6,ipc:///7,ipc:///8", 0 },
		{ "ipc:///1,ipc:///2,ipc:///3,ipc:///4,ipc:///5,ipc:///6,ipc:///7,ipc:///8,ipc:///9", -1 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err;
		assert_int_equal(endpoint_check_list(rows[i].list, false, &err), rows[i].result);
	}
	struct bytes list = bytes_of(" a ,,b"), item;
	assert_true(endpoint_next(&list, &item));
	assert_true(bytes_equal_text(item, "a"));
	assert_true(endpoint_next(&list, &item));
	assert_int_equal(item.len, 0);
	assert_true(endpoint_next(&list, &item));
	assert_true(bytes_equal_text(item, "b"));
	assert_false(endpoint_next(&list, &item));
}

static void test_timestamps(void **state)
{
	(void)state;
	char text[TIMESTAMP_SIZE];
	timestamp_format(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000Z");
	timestamp_format(UINT64_C(1709164799999), text);
	assert_string_equal(text, "2024-02-28T23:59:59.999Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_endpoints), cmocka_unit_test(test_secured), cmocka_unit_test(test_lists), cmocka_unit_test(test_timestamps) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
