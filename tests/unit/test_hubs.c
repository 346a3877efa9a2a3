/* test_hubs.c - who is alive, who may call itself what, and how status tells it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "hubs.h"
#include "status.h"

static struct routing_id id(unsigned char c)
{
	return (struct routing_id){ { c }, 1 };
}

static struct message hello(const char *name, uint64_t instance)
{
	return (struct message){ .kind = MESSAGE_HELLO, .hub = bytes_of(name), .instance = instance, .clients = 2 };
}

static enum hello_result greet(struct hubs *hubs, const char *name, uint64_t instance, unsigned char from, uint64_t now_ms, struct hub **hub)
{
	struct message message = hello(name, instance);
	struct routing_id routing = id(from);
	return hubs_hello(hubs, &message, &routing, now_ms, hub);
}

static size_t gone_count;

static void on_gone(const struct hub *hub)
{
	(void)hub;
	gone_count++;
}

static void test_names(void **state)
{
	(void)state;
	static struct hubs hubs;
	struct hub *hub;
	assert_int_equal(greet(&hubs, "hub-1", 11, 'a', 0, &hub), HELLO_WELCOME);
	assert_int_equal(greet(&hubs, "hub-1", 11, 'b', 1, &hub), HELLO_WELCOME); /* it reconnected */
	assert_int_equal(hubs.count, 1);
	struct routing_id old = id('a'), now = id('b');
	assert_null(hubs_find(&hubs, &old));
	assert_ptr_equal(hubs_find(&hubs, &now), hub);
	assert_int_equal(greet(&hubs, "hub-1", 12, 'c', 2, &hub), HELLO_TAKEN);
	assert_true(hub->instance == 11);
	assert_int_equal(greet(&hubs, "hub-2", 12, 'c', 2, &hub), HELLO_WELCOME);
	assert_true(hubs_clients(&hubs) == 4);
	assert_int_equal(greet(&hubs, "", 13, 'd', 2, &hub), HELLO_BAD_NAME);
	assert_int_equal(greet(&hubs, "a b", 13, 'd', 2, &hub), HELLO_BAD_NAME);
	assert_int_equal(greet(&hubs, "123456789012345678901234567890123", 13, 'd', 2, &hub), HELLO_BAD_NAME);
	/* The same line under another name: it is one hub. */
	assert_int_equal(greet(&hubs, "hub-3", 12, 'c', 3, &hub), HELLO_WELCOME);
	assert_int_equal(hubs.count, 2);
	assert_int_equal(hubs_expire(&hubs, 3001, 3000, on_gone), 0);
	assert_int_equal(hubs_expire(&hubs, 3002, 3000, on_gone), 1);
	assert_int_equal(gone_count, 1);
	assert_string_equal(hubs.items[0].name, "hub-3");
	assert_true(hubs.silent_count == 1 && hubs.silent[0].heard_ms == 1);
	assert_string_equal(hubs.silent[0].name, "hub-1");
	assert_int_equal(greet(&hubs, "hub-1", 12, 'e', 3002, &hub), HELLO_WELCOME); /* the silent one is replaced */
	assert_int_equal(hubs.silent_count, 0);
}

static void test_silent_hubs_are_remembered_for_a_while(void **state)
{
	(void)state;
	static struct hubs hubs;
	struct hub *hub;
	char name[16];
	uint64_t now_ms = 0;
	for (unsigned i = 0; i < 2 * HUBS_MAX; i++) { /* no more of them than bounded */
		snprintf(name, sizeof(name), "hub-%u", i);
		assert_int_equal(greet(&hubs, name, i + 1, 'a', ++now_ms, &hub), HELLO_WELCOME);
		assert_int_equal(hubs_expire(&hubs, now_ms + 5, 4, on_gone), 1);
	}
	assert_int_equal(hubs.silent_count, HUBS_MAX);
	assert_string_equal(hubs.silent[0].name, "hub-64");
	assert_int_equal(greet(&hubs, "hub-100", 1000, 'a', now_ms, &hub), HELLO_WELCOME);
	assert_int_equal(hubs_expire(&hubs, now_ms + 5, 4, on_gone), 1); /* named once */
	assert_int_equal(hubs.silent_count, HUBS_MAX);
	assert_int_equal(hubs_expire(&hubs, 65 + HUBS_REMEMBER_MS + 10, 4, on_gone), 0);
	assert_string_equal(hubs.silent[0].name, "hub-74");
	hubs_expire(&hubs, now_ms + HUBS_REMEMBER_MS + 1, 4, on_gone);
	assert_int_equal(hubs.silent_count, 0);
}

static void test_many(void **state)
{
	(void)state;
	static struct hubs hubs;
	struct hub *hub;
	for (unsigned i = 0; i < HUBS_MAX; i++)
		assert_int_equal(greet(&hubs, (char[]){ (char)('A' + i / 26), (char)('A' + i % 26), 0 }, i + 1, (unsigned char)i, 0, &hub), HELLO_WELCOME);
	assert_int_equal(greet(&hubs, "one-more", 1000, 200, 0, &hub), HELLO_FULL);
}

static void test_reports(void **state)
{
	(void)state;
	static struct hubs hubs;
	struct hub *hub;
	assert_int_equal(greet(&hubs, "hub-1", 11, 'a', 0, &hub), HELLO_WELCOME);
	struct message report = { .hub = bytes_of("hub-1"), .instance = 11, .clients = 2, .epoch = 5, .seq = 90, .counter = 3 };
	assert_int_equal(hub_check(hub, &report), 0);
	assert_false(hub_report(hub, &report, 1000));
	report.clients = 3;
	assert_true(hub_report(hub, &report, 1500));
	assert_true(hub_relays(hub, &report));
	assert_false(hub_relays(hub, &report)); /* a repeat */
	report.instance = 12;
	assert_int_equal(hub_check(hub, &report), -1);
	report.instance = 11;
	report.hub = bytes_of("hub-2");
	assert_int_equal(hub_check(hub, &report), -1);

	struct line_figures figures = { .hubs = hubs, .now_ms = 2000, .epoch = 5, .published_seq = 100 };
	struct buffer out = { 0 };
	status_add_hubs(&figures, &out);
	assert_string_equal(out.data, "[{\"name\":\"hub-1\",\"clients\":3,\"rooms\":0,\"lag\":10,\"epoch\":5,\"seq\":90,\"lastReportSeconds\":0.5}]");
	figures.epoch = 6;
	buffer_clear(&out);
	status_add_hubs(&figures, &out);
	assert_non_null(strstr(out.data, "\"lag\":100,"));
	buffer_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_silent_hubs_are_remembered_for_a_while),
		cmocka_unit_test(test_reports),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
