/* subscriber_kit.c - a subscriber in the hands of a test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "subscriber_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <roomcast/clock.h>

struct subscriber_kit kit;

static void on_event(void *data, struct event *event, bool is_history)
{
	(void)data;
	assert_true(kit.got_count < GOT_MAX);
	kit.got[kit.got_count++] = (struct got){ event->place, event->message.kind, is_history };
	event_unref(event);
}

static bool on_standing(void *data, const struct message *message)
{
	(void)data;
	kit.standings++;
	return message->is_last;
}

static void on_loss(void *data)
{
	(void)data;
	kit.losses++;
}

static void on_round(void *data)
{
	(void)data;
}

static uint64_t patience_ns(void *data)
{
	(void)data;
	return 0;
}

static bool is_full(void *data)
{
	(void)data;
	return false;
}

static uint64_t clients(void *data)
{
	(void)data;
	return 3;
}

static uint64_t rooms(void *data)
{
	(void)data;
	return 4;
}

void kit_start(const char *line, uint64_t window_events)
{
	struct error err;
	kit.subscriber = subscriber_new(&kit.loop, &(struct subscriber_settings){
		.hub_name = "hub-t", .line = line, .held_max = 1 << 20, .start_patience_ms = kit.start_patience_ms, .silence_ms = kit.silence_ms,
		.window_ms = window_events ? 120000 : 0, .window_events = window_events, .window_bytes = window_events ? 1 << 20 : 0, .on_event = on_event, .on_standing = on_standing, .on_loss = on_loss, .on_round = on_round,
		.is_full = is_full, .patience_ns = patience_ns, .clients = clients, .rooms = rooms,
	}, &err);
	if (!kit.subscriber)
		fail_msg("%s", err.text);
}

int kit_setup(void **state)
{
	(void)state;
	kit.start_patience_ms = 5000;
	kit.silence_ms = 0; /* the usual */
	kit.got_count = kit.losses = kit.standings = 0;
	kit.is_closed = false;
	kit.subscriber = NULL;
	snprintf(kit.directory, sizeof(kit.directory), "/tmp/test_subscriber.XXXXXX");
	if (!mkdtemp(kit.directory))
		return -1;
	uv_loop_init(&kit.loop);
	fake_gateway_open(&kit.gateway, &kit.loop, kit.directory, "a");
	return 0;
}

static void on_closed(void *data)
{
	(void)data;
	kit.is_closed = true;
}

int kit_teardown(void **state)
{
	(void)state;
	char command[100];
	subscriber_close(kit.subscriber, on_closed, NULL);
	uv_run(&kit.loop, UV_RUN_DEFAULT);
	fake_gateway_close(&kit.gateway);
	snprintf(command, sizeof(command), "rm -r '%s'", kit.directory);
	return !kit.is_closed || uv_loop_close(&kit.loop) || system(command);
}

void kit_assert_got(size_t index, uint64_t epoch, uint64_t seq, bool is_history)
{
	assert_true(index < kit.got_count);
	assert_int_equal(kit.got[index].place.epoch, epoch);
	assert_int_equal(kit.got[index].place.seq, seq);
	assert_int_equal(kit.got[index].is_history, is_history);
}

void kit_wait(size_t count)
{
	WAIT_FOR(&kit.loop, kit.got_count >= count);
	assert_int_equal(kit.got_count, count);
}

void kit_follow(uint64_t seq)
{
	kit_start(kit.gateway.line_endpoint, 0);
	fake_gateway_hear(&kit.gateway, MESSAGE_HELLO);
	fake_gateway_welcome(&kit.gateway, PLACE(6, seq), NOWHERE, NULL);
	fake_gateway_hear(&kit.gateway, MESSAGE_REPORT);
	fake_gateway_wait_subscribed(&kit.gateway);
}

void kit_assert_asked(uint64_t epoch, uint64_t from, uint64_t to)
{
	const struct message *ask = fake_gateway_hear(&kit.gateway, MESSAGE_ASK);
	assert_int_equal(ask->epoch, epoch);
	assert_int_equal(ask->seq, from);
	assert_int_equal(ask->last_seq, to);
}

void kit_repair(uint64_t epoch, uint64_t from, uint64_t to)
{
	for (uint64_t seq = from; seq <= to; seq++)
		fake_gateway_send_event(&kit.gateway, true, epoch, seq);
}

void kit_publish(uint64_t epoch, uint64_t seq)
{
	fake_gateway_send_event(&kit.gateway, false, epoch, seq);
}

