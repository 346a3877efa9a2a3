/* test_status.c - what a hub tells over plain HTTP, as its line comes and goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include <roomcast/clock.h>

#include "whole_hub.h"

static void expect(struct whole_hub *whole, const char *path, unsigned status, const char *body)
{
	struct peer peer;
	struct answer answer = whole_hub_ask(whole, &peer, "GET", path);
	if (answer.status != status || !bytes_equal_text(answer.body, body))
		fail_msg("%s: %u `%.*s` instead of %u `%s`", path, answer.status, (int)answer.body.len, answer.body.data, status, body);
	assert_string_equal(answer_field(&answer, "Content-Type"), "application/json");
	peer_close(&peer);
}

static void expect_parts(struct whole_hub *whole, const char *path, const char *const *parts)
{
	struct peer peer;
	struct answer answer = whole_hub_ask(whole, &peer, "GET", path);
	assert_int_equal(answer.status, 200);
	for (; *parts; parts++)
		if (!strstr(answer.body.data, *parts))
			fail_msg("`%s` lacks `%s`", answer.body.data, *parts);
	peer_close(&peer);
}

static void test_before_and_after_the_gateway(void **state)
{
	struct whole_hub *whole = *state;
	expect(whole, "/readyz", 503, "{\"ready\":false,\"draining\":false,\"gateway\":\"seeking\"}");
	expect(whole, "/healthz", 200, "{\"healthy\":true}");
	expect_parts(whole, "/api/socket", (const char *const[]){
		"{\"success\":true,\"message\":\"Socket.IO server status\",\"available\":true,\"connectedClients\":0,\"path\":\"/api/socket\",\"hub\":\"hub-t\"",
		"\"gateway\":\"seeking\",\"line\":{\"position\":\"0.0\",\"lag\":0,\"lost\":0,\"breaks\":0,\"epochs\":0,\"history\":false}",
		"\"standing\":{\"grants\":0,\"blocks\":0}", NULL,
	});
	whole_hub_follow(whole, "7\na", "8\n99999999999999");
	expect(whole, "/readyz", 200, "{\"ready\":true,\"draining\":false,\"gateway\":\"following\"}");
	expect_parts(whole, "/api/socket/", (const char *const[]){
		"\"gateway\":\"following\",\"line\":{\"position\":\"6.10\",\"lag\":0,\"lost\":0,\"breaks\":0,\"epochs\":1,\"history\":true}",
		"\"standing\":{\"grants\":1,\"blocks\":1}", NULL,
	});
}

static void test_handshakes_wait_until_it_is_ready(void **state)
{
	struct whole_hub *whole = *state;
	struct peer peer;
	struct answer answer = whole_hub_ask(whole, &peer, "GET", "/api/socket/?EIO=4&transport=polling");
	assert_int_equal(answer.status, 503);
	assert_string_equal(answer_field(&answer, "Retry-After"), "1");
	peer_close(&peer);
	whole_hub_follow(whole, NULL, NULL);
	answer = whole_hub_ask(whole, &peer, "GET", "/api/socket/?EIO=4&transport=polling");
	assert_int_equal(answer.status, 200);
	peer_close(&peer);
}

/* The value of a metric, which must stand there once, explained. */
static long long metric(struct bytes text, const char *name)
{
	char line[200];
	snprintf(line, sizeof(line), "\nroomcast_hub_%s ", name);
	const char *at = strstr(text.data, line);
	if (!at || strstr(at + 1, line))
		fail_msg("%s is not there once", name);
	snprintf(line, sizeof(line), "# TYPE roomcast_hub_%s ", name);
	assert_non_null(strstr(text.data, line));
	return strtoll(at + strlen("\nroomcast_hub_") + strlen(name), NULL, 10);
}

static void test_metrics_of_the_line(void **state)
{
	struct whole_hub *whole = *state;
	struct peer client, peer;
	const struct bytes hubs[] = { bytes_of("hub-t=1"), bytes_of("hub-u=41") };
	whole_hub_follow(whole, "7\na", NULL);
	whole_hub_connect(whole, &client, "7");
	fake_gateway_publish(&whole->gateway, &(struct message){
		.kind = MESSAGE_HEARTBEAT, .epoch = WHOLE_HUB_EPOCH, .last_seq = WHOLE_HUB_SEQ + 3, .instance = whole->gateway.instance, .hubs = { hubs, 2 },
	});
	fake_gateway_hear(&whole->gateway, MESSAGE_ASK);
	fake_gateway_send_event(&whole->gateway, true, WHOLE_HUB_EPOCH, WHOLE_HUB_SEQ + 3);
	WAIT_FOR(&whole->loop, sequence_lag(subscriber_sequence(whole->hub.subscriber)) == 3 && subscriber_sequence(whole->hub.subscriber)->held_bytes);
	struct answer answer = whole_hub_ask(whole, &peer, "GET", "/metrics");
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer_field(&answer, "Content-Type"), "text/plain; version=0.0.4");
	static const struct { const char *name; long long value; } rows[] = {
		{ "clients", 1 }, { "cluster_clients", 42 }, { "line_following", 1 }, { "line_ready", 1 }, { "line_has_history", 1 },
		{ "line_epoch", WHOLE_HUB_EPOCH }, { "line_seq", WHOLE_HUB_SEQ }, { "line_newest_epoch", WHOLE_HUB_EPOCH },
		{ "line_newest_seq", WHOLE_HUB_SEQ + 3 }, { "line_lag_events", 3 }, { "line_gaps_total", 1 }, { "line_lost_total", 0 },
		{ "line_known_epochs", 1 }, { "line_welcomes_total", 1 }, { "line_asks_total", 1 }, { "standing_grants", 1 }, { "standing_blocks", 0 },
		{ "standing_loads_total", 1 }, { "blocked_total", 0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (metric(answer.body, rows[i].name) != rows[i].value)
			fail_msg("%s is %lld, not %lld", rows[i].name, metric(answer.body, rows[i].name), rows[i].value);
	assert_true(metric(answer.body, "line_held_bytes") > 0);
	peer_close(&peer);
	peer_close(&client);
}

static void test_only_read(void **state)
{
	struct whole_hub *whole = *state;
	static const char *const paths[] = { "/api/socket", "/healthz", "/readyz", "/metrics" };
	struct peer peer;
	whole_hub_follow(whole, NULL, NULL);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert_int_equal(whole_hub_ask(whole, &peer, "HEAD", paths[i]).status, 200);
		peer_close(&peer);
		struct answer answer = whole_hub_ask(whole, &peer, "DELETE", paths[i]);
		assert_int_equal(answer.status, 405);
		assert_string_equal(answer_field(&answer, "Allow"), "GET, HEAD");
		peer_close(&peer);
	}
	assert_int_equal(whole_hub_ask(whole, &peer, "GET", "/elsewhere").status, 404);
	peer_close(&peer);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, whole_hub_setup, whole_hub_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_before_and_after_the_gateway), CASE(test_handshakes_wait_until_it_is_ready), CASE(test_metrics_of_the_line), CASE(test_only_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
