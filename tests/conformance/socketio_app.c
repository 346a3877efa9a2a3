/* socketio_app.c - says what it heard. */
#include "socketio_app.h"

#include <roomcast/json.h>
#include <roomcast/log.h>

static bool has_namespace(void *data, struct bytes nsp)
{
	(void)data;
	return bytes_equal_text(nsp, "/") || bytes_equal_text(nsp, "/custom");
}

static void on_connect(struct client *client, struct bytes auth, const struct request_info *request)
{
	(void)request;
	struct buffer arguments = { 0 };
	client_accept(client, NULL);
	buffer_add_text(&arguments, "\"auth\",");
	json_compact(&arguments, auth);
	if (!arguments.has_failed)
		client_emit(client, buffer_bytes(&arguments), NULL, 0);
	buffer_deinit(&arguments);
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
		.has_namespace = has_namespace, .on_connect = on_connect, .on_event = on_event,
		.on_disconnect = on_disconnect, .on_protocol_error = on_protocol_error,
	};
	return socketio_new(loop, &settings, &handler, err);
}
