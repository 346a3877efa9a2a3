/* socketio_app.c - says what it heard. */
#include "socketio_app.h"

#include <stdlib.h>

#include <roomcast/json.h>
#include <roomcast/log.h>

static bool has_namespace(void *data, struct bytes nsp)
{
	(void)data;
	return bytes_equal_text(nsp, "/") || bytes_equal_text(nsp, "/custom");
}

/* The event that follows CONNECT. Suites wait for one message after the other and miss the second of two that arrive in one
 * segment, so it leaves a while later, as the reference's does. */
enum { GREETING_DELAY_MS = 10 };
struct greeting {
	uv_timer_t timer;
	struct client *client;
	struct buffer arguments;
};

static void on_greeting_closed(uv_handle_t *handle)
{
	struct greeting *greeting = handle->data;
	buffer_deinit(&greeting->arguments);
	free(greeting);
}

static void drop_greeting(struct client *client)
{
	struct greeting **greeting = client_above(client);
	if (*greeting)
		uv_close((uv_handle_t *)&(*greeting)->timer, on_greeting_closed);
	*greeting = NULL;
}

static void on_greeting_due(uv_timer_t *timer)
{
	struct greeting *greeting = timer->data;
	struct client *client = greeting->client;
	client_emit(client, buffer_bytes(&greeting->arguments), NULL, 0);
	drop_greeting(client);
}

static void on_connect(struct client *client, struct bytes auth, const struct request_info *request)
{
	struct greeting *greeting = calloc(1, sizeof(*greeting)), **place = client_above(client);
	(void)request;
	if (greeting) {
		buffer_add_text(&greeting->arguments, "\"auth\",");
		json_compact(&greeting->arguments, auth);
	}
	if (!greeting || greeting->arguments.has_failed) {
		free(greeting);
		client_refuse(client, "no memory", (struct bytes){ NULL, 0 });
		return;
	}
	uv_timer_init(client_data(client), &greeting->timer);
	greeting->timer.data = greeting;
	greeting->client = client;
	*place = greeting;
	uv_timer_start(&greeting->timer, on_greeting_due, GREETING_DELAY_MS, 0);
	client_accept(client, NULL);
}

static void send_back(struct client *client, const struct socketio_packet *packet)
{
	struct bytes sorted[SOCKETIO_ATTACHMENTS_MAX], arguments = socketio_event_arguments(packet);
	struct buffer out = { 0 };
	buffer_add_text(&out, "\"message-back\"");
	if (arguments.len)
		buffer_add_char(&out, ',');
	int count = socketio_packet_add_json(&out, arguments, packet->binary, packet->attachments, sorted);
	if (count >= 0 && !out.has_failed)
		client_emit(client, buffer_bytes(&out), sorted, (unsigned)count);
	buffer_deinit(&out);
}

static void acknowledge(struct client *client, const struct socketio_packet *packet)
{
	struct bytes sorted[SOCKETIO_ATTACHMENTS_MAX];
	struct buffer out = { 0 };
	int count = socketio_packet_add_json(&out, socketio_event_arguments(packet), packet->binary, packet->attachments, sorted);
	if (count >= 0 && !out.has_failed)
		client_acknowledge(client, packet, buffer_bytes(&out), sorted, (unsigned)count);
	buffer_deinit(&out);
}

static void on_event(struct client *client, const struct socketio_packet *packet)
{
	static const struct { const char *name; void (*run)(struct client *client, const struct socketio_packet *packet); } events[] = {
		{ "message", send_back },
		{ "message-with-ack", acknowledge },
	};
	struct bytes name = socketio_event_name(packet);
	if (!bytes_equal_text(client_namespace(client), "/") || json_kind(name) != JSON_STRING)
		return;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (json_string_equals(name, events[i].name))
			events[i].run(client, packet);
}

static void on_disconnect(struct client *client, enum close_reason reason)
{
	drop_greeting(client);
	log_debug("msg=\"client gone\" sid=%s reason=\"%s\"", client_sid(client), close_reason_name(reason));
}

static void on_protocol_error(void *data, const struct error *err)
{
	(void)data;
	log_debug("msg=\"protocol error\" reason=\"%s\"", err->text);
}

struct socketio *socketio_app_new(uv_loop_t *loop, uint64_t connect_timeout_ms, struct error *err)
{
	const struct socketio_settings settings = { .connect_timeout_ms = connect_timeout_ms };
	const struct socketio_handler handler = {
		.above_size = sizeof(struct greeting *), .data = loop,
		.has_namespace = has_namespace, .on_connect = on_connect, .on_event = on_event,
		.on_disconnect = on_disconnect, .on_protocol_error = on_protocol_error,
	};
	return socketio_new(loop, &settings, &handler, err);
}
