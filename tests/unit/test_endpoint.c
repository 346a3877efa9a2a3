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
		assert_int_equal(endpoint_check(rows[i].endpoint, &err), rows[i].result);
	}
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
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_endpoints), cmocka_unit_test(test_timestamps) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
