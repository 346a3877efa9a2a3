/* fake_gateway.c - the gateway's sockets in the hands of a test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_gateway.h"

#include <stdio.h>
#include <time.h>

#include <zmq.h>

#include <roomcast/clock.h>

enum { EPOCHS_MAX = 300 };

static void *open_socket(struct fake_gateway *gateway, int type, const char *endpoint)
{
	int none = 0, all = 1;
	void *socket = zmq_socket(gateway->context, type);
	assert_non_null(socket);
	zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof(none));
	if (type == ZMQ_XPUB)
		zmq_setsockopt(socket, ZMQ_XPUB_VERBOSE, &all, sizeof(all));
	assert_int_equal(zmq_bind(socket, endpoint), 0);
	return socket;
}

void fake_gateway_open(struct fake_gateway *gateway, uv_loop_t *loop, const char *directory, const char *name)
{
	*gateway = (struct fake_gateway){ .loop = loop, .instance = clock_monotonic_ms() | 1, .context = zmq_ctx_new() };
	snprintf(gateway->line_endpoint, sizeof(gateway->line_endpoint), "ipc://%s/%s-line.sock", directory, name);
	snprintf(gateway->events_endpoint, sizeof(gateway->events_endpoint), "ipc://%s/%s-events.sock", directory, name);
	gateway->events = open_socket(gateway, ZMQ_XPUB, gateway->events_endpoint);
	gateway->line = open_socket(gateway, ZMQ_ROUTER, gateway->line_endpoint);
}

static void forget(struct fake_gateway *gateway)
{
	message_deinit(&gateway->heard);
	buffer_clear(&gateway->packed);
}

void fake_gateway_close(struct fake_gateway *gateway)
{
	zmq_close(gateway->events);
	zmq_close(gateway->line);
	zmq_ctx_term(gateway->context);
	message_deinit(&gateway->heard);
	buffer_deinit(&gateway->packed);
}

void fake_gateway_turn(uv_loop_t *loop)
{
	uv_run(loop, UV_RUN_NOWAIT);
	nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
}

/* --- hearing ---------------------------------------------------------------- */

static bool receive(struct fake_gateway *gateway)
{
	int len = zmq_recv(gateway->line, gateway->routing, sizeof(gateway->routing), ZMQ_DONTWAIT);
	if (len < 0)
		return false;
	gateway->routing_len = (size_t)len;
	zmq_msg_t content;
	struct error err;
	zmq_msg_init(&content);
	assert_true(zmq_msg_recv(&content, gateway->line, 0) >= 0);
	forget(gateway);
	buffer_add(&gateway->packed, zmq_msg_data(&content), zmq_msg_size(&content));
	zmq_msg_close(&content);
	if (message_unpack(buffer_bytes(&gateway->packed), &gateway->heard, &err))
		fail_msg("the hub said something unreadable: %s", err.text);
	return true;
}

bool fake_gateway_hears(struct fake_gateway *gateway, enum message_kind kind, uint64_t within_ms)
{
	uint64_t end = clock_monotonic_ms() + within_ms;
	do {
		while (receive(gateway))
			if (gateway->heard.kind == kind)
				return true;
		fake_gateway_turn(gateway->loop);
	} while (clock_monotonic_ms() < end);
	return false;
}

const struct message *fake_gateway_hear(struct fake_gateway *gateway, enum message_kind kind)
{
	if (!fake_gateway_hears(gateway, kind, WAIT_MS))
		fail_msg("the hub did not say %s", message_kind_name(kind));
	return &gateway->heard;
}

void fake_gateway_wait_subscribed(struct fake_gateway *gateway)
{
	char what[16];
	uint64_t end = clock_monotonic_ms() + WAIT_MS;
	for (;;) {
		int len = zmq_recv(gateway->events, what, sizeof(what), ZMQ_DONTWAIT);
		if (len >= 1 && what[0] == 1)
			return;
		if (clock_monotonic_ms() > end)
			fail_msg("nobody subscribed");
		fake_gateway_turn(gateway->loop);
	}
}

/* --- saying ----------------------------------------------------------------- */

void fake_gateway_say_raw(struct fake_gateway *gateway, struct bytes packed, bool in_two_parts)
{
	assert_true(zmq_send(gateway->line, gateway->routing, gateway->routing_len, ZMQ_SNDMORE) >= 0);
	if (in_two_parts)
		assert_true(zmq_send(gateway->line, packed.data, packed.len, ZMQ_SNDMORE) >= 0);
	assert_true(zmq_send(gateway->line, packed.data, packed.len, 0) >= 0);
}

static void pack(const struct message *message, struct buffer *packed)
{
	struct error err;
	if (message_pack(message, packed, &err))
		fail_msg("%s", err.text);
}

void fake_gateway_say(struct fake_gateway *gateway, const struct message *message)
{
	struct buffer packed = { 0 };
	pack(message, &packed);
	fake_gateway_say_raw(gateway, buffer_bytes(&packed), false);
	buffer_deinit(&packed);
}

void fake_gateway_publish(struct fake_gateway *gateway, const struct message *message)
{
	struct buffer packed = { 0 };
	pack(message, &packed);
	assert_true(zmq_send(gateway->events, packed.data, packed.len, 0) >= 0);
	buffer_deinit(&packed);
}

void fake_gateway_welcome(struct fake_gateway *gateway, struct place end, struct place start, const char *const *epochs)
{
	struct bytes items[EPOCHS_MAX];
	size_t count = 0;
	for (; epochs && epochs[count]; count++)
		items[count] = bytes_of(epochs[count]);
	fake_gateway_say(gateway, &(struct message){
		.kind = MESSAGE_WELCOME, .epoch = end.epoch, .last_seq = end.seq, .start_epoch = start.epoch, .start_seq = start.seq,
		.instance = gateway->instance, .endpoint = bytes_of(gateway->events_endpoint), .epochs = { items, count },
	});
}

void fake_gateway_send_event(struct fake_gateway *gateway, bool by_line, uint64_t epoch, uint64_t seq)
{
	struct bytes room = bytes_of("sync-Thing");
	char body[64];
	snprintf(body, sizeof(body), "\"data-change\",{\"n\":%llu}", (unsigned long long)seq);
	struct message message = {
		.kind = MESSAGE_EVENT, .epoch = epoch, .seq = seq, .time_ms = clock_wall_ms(), .rooms = { &room, 1 }, .body = bytes_of(body),
	};
	if (by_line)
		fake_gateway_say(gateway, &message);
	else
		fake_gateway_publish(gateway, &message);
}

void fake_gateway_heartbeat(struct fake_gateway *gateway, struct place end, bool wants_report)
{
	fake_gateway_publish(gateway, &(struct message){
		.kind = MESSAGE_HEARTBEAT, .epoch = end.epoch, .last_seq = end.seq, .instance = gateway->instance, .wants_report = wants_report,
	});
}
