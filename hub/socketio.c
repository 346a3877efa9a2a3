/* socketio.c - a Socket.IO 5 server on Engine.IO sessions. */
#include "socketio.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/random.h>

#include <roomcast/json.h>

#include "deadline.h"
#include "socketio_assembly.h"
#include "turn_end.h"

enum {
	NAMESPACES_MAX = 32,        /* joined or asked for by one session */
	CONNECTS_PER_TURN_MAX = 64, /* of one session: each costs memory until the loop's turn ends */
	REFUSALS_MAX = 64,          /* of one session since its last accepted CONNECT */
	ATTACHMENT_BYTES_DEFAULT = 4 << 20,
};

enum client_state { CLIENT_CONNECTING, CLIENT_CONNECTED, CLIENT_GONE, CLIENT_STATE_COUNT };
#define TO(state) (1u << (state))
static const unsigned client_moves[CLIENT_STATE_COUNT] = {
	[CLIENT_CONNECTING] = TO(CLIENT_CONNECTED) | TO(CLIENT_GONE),
	[CLIENT_CONNECTED] = TO(CLIENT_GONE),
	[CLIENT_GONE] = 0,
};

struct client {
	struct session *session;
	struct client *next; /* of the same session; among the gone ones when it is gone */
	uint16_t nsp_len;    /* 0: "/"; otherwise it stands behind what the application keeps */
	uint8_t state;
	char sid[CLIENT_SID_SIZE];
	alignas(max_align_t) char above[];
};

/* What this layer keeps with each session. */
struct link {
	struct deadline deadline; /* until a first namespace is joined */
	struct session *session;
	struct client *clients;
	struct assembly *assembly; /* NULL: none */
	uint32_t turn;             /* of the loop, in which `connects` were counted */
	uint16_t connects;
	uint16_t refusals;
	uint8_t note;              /* the application's */
};

struct socketio {
	struct socketio_handler handler;
	size_t attachment_bytes_max;
	bool (*on_handshake)(void *data, const struct request_info *request, unsigned *retry_after_s);
	struct deadlines connect_deadlines;
	struct turn_end turn_end;
	struct client *gone; /* freed when the loop's turn ends */
	uint32_t turn;
	unsigned open_parts;
	void (*on_closed)(void *data);
	void *on_closed_data;
};

static const struct bytes nothing = { NULL, 0 };

/* --- clients --------------------------------------------------------------------------------------- */

static struct socketio *client_socketio(const struct client *client)
{
	return session_data(client->session);
}

static size_t nsp_offset(const struct socketio *socketio)
{
	return sizeof(struct client) + socketio->handler.above_size;
}

void *client_above(struct client *client)
{
	return client->above;
}

void *client_data(const struct client *client)
{
	return client_socketio(client)->handler.data;
}

const char *client_sid(const struct client *client)
{
	return client->sid;
}

void client_take_sid(struct client *client, const char *sid)
{
	assert(client->state == CLIENT_CONNECTING && strlen(sid) < CLIENT_SID_SIZE);
	strcpy(client->sid, sid);
}

uint8_t *client_session_note(struct client *client)
{
	struct link *link = session_above(client->session);
	return &link->note;
}

struct bytes client_namespace(const struct client *client)
{
	if (client->nsp_len == 0)
		return bytes_of("/");
	return (struct bytes){ (const char *)client + nsp_offset(client_socketio(client)), client->nsp_len };
}

struct session *client_session(const struct client *client)
{
	return client->session;
}

bool client_is_connected(const struct client *client)
{
	return client->state == CLIENT_CONNECTED;
}

static void client_move(struct client *client, enum client_state state)
{
	assert(client_moves[client->state] & TO(state));
	client->state = (uint8_t)state;
}

static int make_sid(char out[static CLIENT_SID_SIZE])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned char random[CLIENT_SID_SIZE - 1];
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -1;
	for (size_t i = 0; i < sizeof(random); i++)
		out[i] = digits[random[i] & 63];
	out[CLIENT_SID_SIZE - 1] = '\0';
	return 0;
}

/* NULL without memory. */
static struct client *client_new(struct session *session, struct bytes nsp)
{
	struct socketio *socketio = session_data(session);
	struct link *link = session_above(session);
	size_t nsp_len = bytes_equal_text(nsp, "/") ? 0 : nsp.len;
	struct client *client = calloc(1, nsp_offset(socketio) + nsp_len);
	if (!client || make_sid(client->sid)) {
		free(client);
		return NULL;
	}
	client->session = session;
	client->nsp_len = (uint16_t)nsp_len;
	if (nsp_len)
		memcpy((char *)client + nsp_offset(socketio), nsp.data, nsp_len);
	client->next = link->clients;
	link->clients = client;
	return client;
}

static struct client *find_client(const struct link *link, struct bytes nsp)
{
	for (struct client *client = link->clients; client; client = client->next)
		if (bytes_equal(client_namespace(client), nsp))
			return client;
	return NULL;
}

/* Its memory stays until the loop's turn ends, because its own callbacks may be running. */
static void client_remove(struct client *client)
{
	struct socketio *socketio = client_socketio(client);
	struct link *link = session_above(client->session);
	struct client **place = &link->clients;
	while (*place != client)
		place = &(*place)->next;
	*place = client->next;
	client_move(client, CLIENT_GONE);
	client->next = socketio->gone;
	socketio->gone = client;
	turn_end_ask(&socketio->turn_end);
}

static void client_end(struct client *client, enum close_reason reason)
{
	struct socketio *socketio = client_socketio(client);
	client_remove(client);
	socketio->handler.on_disconnect(client, reason);
}

/* --- sending --------------------------------------------------------------------------------------- */

/* A packet that cannot be built would be a gap in what the client sees, so its session ends. */
static void fail_session(struct session *session)
{
	session_close(session, CLOSE_FORCED);
}

/* Sends the packet and its attachments in one go. Takes the buffer's memory. */
static void send_packet(struct session *session, struct buffer *packet, const struct bytes *binary, unsigned binary_count)
{
	struct frame *frames[1 + SOCKETIO_ATTACHMENTS_MAX];
	size_t count = 0;
	bool has_failed = packet->has_failed || binary_count > SOCKETIO_ATTACHMENTS_MAX;
	if (!has_failed) {
		frames[count++] = frame_from_bytes(buffer_bytes(packet), false);
		for (unsigned i = 0; i < binary_count; i++)
			frames[count++] = frame_from_bytes(binary[i], true);
	}
	for (size_t i = 0; i < count; i++)
		has_failed = has_failed || !frames[i];
	if (!has_failed)
		session_send(session, frames, count);
	for (size_t i = 0; i < count; i++)
		frame_unref(frames[i]);
	buffer_deinit(packet);
	if (has_failed)
		fail_session(session);
}

static void send_array(struct client *client, enum socketio_type type, struct bytes id, struct bytes arguments,
                       const struct bytes *binary, unsigned binary_count)
{
	struct buffer packet = { 0 };
	socketio_packet_add_head(&packet, type, binary_count, client_namespace(client), id);
	buffer_add_char(&packet, '[');
	buffer_add_bytes(&packet, arguments);
	buffer_add_char(&packet, ']');
	send_packet(client->session, &packet, binary, binary_count);
}

void client_emit(struct client *client, struct bytes arguments, const struct bytes *binary, unsigned binary_count)
{
	if (client_is_connected(client))
		send_array(client, SOCKETIO_EVENT, nothing, arguments, binary, binary_count);
}

void client_acknowledge(struct client *client, const struct socketio_packet *packet, struct bytes arguments,
                        const struct bytes *binary, unsigned binary_count)
{
	if (client_is_connected(client) && packet->id.len)
		send_array(client, SOCKETIO_ACK, packet->id, arguments, binary, binary_count);
}

void client_send(struct client *client, struct frame *const *frames, size_t count)
{
	if (client_is_connected(client))
		session_send(client->session, frames, count);
}

bool client_send_together(struct client *client, const struct frames_together *together)
{
	return client_is_connected(client) && session_send_together(client->session, together);
}

static const char event_start[] = "42[", event_end[] = "]", tail_start[] = ",\"", tail_end[] = "\"]";

size_t socketio_event_len(struct bytes arguments, struct bytes tail)
{
	size_t around = tail.len ? sizeof(tail_start) - 1 + tail.len + sizeof(tail_end) - 1 : sizeof(event_end) - 1;
	return sizeof(event_start) - 1 + arguments.len + around;
}

char *socketio_event_write(struct bytes arguments, struct bytes tail, char *out)
{
	out = mempcpy(out, event_start, sizeof(event_start) - 1);
	if (arguments.len)
		out = mempcpy(out, arguments.data, arguments.len);
	if (!tail.len)
		return mempcpy(out, event_end, sizeof(event_end) - 1);
	out = mempcpy(out, tail_start, sizeof(tail_start) - 1);
	out = mempcpy(out, tail.data, tail.len);
	return mempcpy(out, tail_end, sizeof(tail_end) - 1);
}

struct frame *socketio_event_frame(struct bytes arguments, struct bytes tail)
{
	struct frame *frame = frame_new(socketio_event_len(arguments, tail), false);
	if (frame)
		socketio_event_write(arguments, tail, frame_payload(frame));
	return frame;
}

/* --- answers to CONNECT ---------------------------------------------------------------------------- */

void client_accept(struct client *client, const char *pid)
{
	if (client->state != CLIENT_CONNECTING)
		return;
	struct link *link = session_above(client->session);
	client_move(client, CLIENT_CONNECTED);
	deadline_cancel(&link->deadline);
	link->refusals = 0;
	struct buffer packet = { 0 };
	socketio_packet_add_head(&packet, SOCKETIO_CONNECT, 0, client_namespace(client), nothing);
	buffer_add_format(&packet, "{\"sid\":\"%s\"", client->sid);
	if (pid) {
		buffer_add_text(&packet, ",\"pid\":");
		buffer_add_json_string(&packet, bytes_of(pid));
	}
	buffer_add_char(&packet, '}');
	send_packet(client->session, &packet, NULL, 0);
}

static void send_refusal(struct session *session, struct bytes nsp, const char *message, struct bytes data)
{
	struct buffer packet = { 0 };
	socketio_packet_add_head(&packet, SOCKETIO_CONNECT_ERROR, 0, nsp, nothing);
	buffer_add_text(&packet, "{\"message\":");
	buffer_add_json_string(&packet, bytes_of(message));
	if (data.len) {
		buffer_add_text(&packet, ",\"data\":");
		buffer_add_bytes(&packet, data);
	}
	buffer_add_char(&packet, '}');
	send_packet(session, &packet, NULL, 0);
}

void client_refuse(struct client *client, const char *message, struct bytes data)
{
	if (client->state != CLIENT_CONNECTING)
		return;
	struct link *link = session_above(client->session);
	link->refusals++;
	client_remove(client);
	send_refusal(client->session, client_namespace(client), message, data);
}

void client_disconnect(struct client *client)
{
	if (client->state == CLIENT_GONE)
		return;
	struct buffer packet = { 0 };
	socketio_packet_add_head(&packet, SOCKETIO_DISCONNECT, 0, client_namespace(client), nothing);
	send_packet(client->session, &packet, NULL, 0);
	if (client->state != CLIENT_GONE) /* sending may have closed the session */
		client_end(client, CLOSE_SERVER_NAMESPACE);
}

/* --- packets of clients ---------------------------------------------------------------------------- */

/* All return -1 and err for what closes the session. */

static int count_connect(struct session *session, struct error *err)
{
	struct socketio *socketio = session_data(session);
	struct link *link = session_above(session);
	if (link->turn != socketio->turn)
		link->connects = 0;
	link->turn = socketio->turn;
	unsigned open = 0;
	for (const struct client *client = link->clients; client; client = client->next)
		open++;
	if (++link->connects > CONNECTS_PER_TURN_MAX || link->refusals >= REFUSALS_MAX || open >= NAMESPACES_MAX)
		return error_set(err, ERROR_TOO_LARGE, "too many CONNECTs of one session");
	turn_end_ask(&socketio->turn_end); /* which ends the counting */
	return 0;
}

static int on_connect_packet(struct session *session, const struct socketio_packet *packet, const struct request_info *request,
                             struct error *err)
{
	const struct socketio *socketio = session_data(session);
	struct link *link = session_above(session);
	if (find_client(link, packet->nsp))
		return error_set(err, ERROR_INVALID, "second CONNECT for a namespace");
	if (count_connect(session, err))
		return -1;
	if (!socketio->handler.has_namespace(socketio->handler.data, packet->nsp)) {
		link->refusals++;
		send_refusal(session, packet->nsp, "Invalid namespace", nothing);
		return 0;
	}
	struct client *client = client_new(session, packet->nsp);
	if (!client)
		return error_set(err, ERROR_SYSTEM, "no memory for a client");
	socketio->handler.on_connect(client, packet->json.len ? json_trim(packet->json) : bytes_of("{}"), request);
	return 0;
}

static struct client *find_connected(struct session *session, const struct socketio_packet *packet, struct error *err)
{
	struct client *client = find_client(session_above(session), packet->nsp);
	if (client && client_is_connected(client))
		return client;
	error_set(err, ERROR_INVALID, "packet for a namespace that is not joined");
	return NULL;
}

static int on_disconnect_packet(struct session *session, const struct socketio_packet *packet, const struct request_info *request,
                                struct error *err)
{
	(void)request;
	struct client *client = find_connected(session, packet, err);
	if (!client)
		return -1;
	client_end(client, CLOSE_CLIENT_NAMESPACE);
	return 0;
}

static int on_event_packet(struct session *session, const struct socketio_packet *packet, const struct request_info *request,
                           struct error *err)
{
	(void)request;
	const struct socketio *socketio = session_data(session);
	struct client *client = find_connected(session, packet, err);
	if (!client)
		return -1;
	if (packet->json.len)
		socketio->handler.on_event(client, packet);
	return 0;
}

/* Nobody here asks for acknowledgements, and those of unknown ids are to be ignored. */
static int on_ack_packet(struct session *session, const struct socketio_packet *packet, const struct request_info *request,
                         struct error *err)
{
	(void)request;
	return find_connected(session, packet, err) ? 0 : -1;
}

static int dispatch(struct session *session, const struct socketio_packet *packet, const struct request_info *request, struct error *err)
{
	static int (*const actions[])(struct session *, const struct socketio_packet *, const struct request_info *, struct error *) = {
		[SOCKETIO_CONNECT] = on_connect_packet,
		[SOCKETIO_DISCONNECT] = on_disconnect_packet,
		[SOCKETIO_EVENT] = on_event_packet,
		[SOCKETIO_ACK] = on_ack_packet,
		[SOCKETIO_BINARY_EVENT] = on_event_packet,
		[SOCKETIO_BINARY_ACK] = on_ack_packet,
	};
	return actions[packet->type](session, packet, request, err);
}

/* --- binary packets -------------------------------------------------------------------------------- */

static int on_attachment(struct session *session, struct bytes attachment, const struct request_info *request, struct error *err)
{
	const struct socketio *socketio = session_data(session);
	struct link *link = session_above(session);
	struct assembly *assembly = link->assembly;
	if (!assembly)
		return error_set(err, ERROR_INVALID, "binary message when none is due");
	if (assembly_add(assembly, attachment, socketio->attachment_bytes_max, err))
		return -1;
	if (!assembly->packet.binary)
		return 0;
	link->assembly = NULL;
	int result = dispatch(session, &assembly->packet, request, err);
	assembly_free(assembly);
	return result;
}

static int on_text(struct session *session, struct bytes message, const struct request_info *request, struct error *err)
{
	struct link *link = session_above(session);
	struct socketio_packet packet;
	if (link->assembly)
		return error_set(err, ERROR_INVALID, "text while attachments are due");
	if (socketio_packet_parse(message, &packet, err))
		return -1;
	if (packet.attachments == 0)
		return dispatch(session, &packet, request, err);
	/* A stranger's packet is not kept, whatever is to follow. */
	link->assembly = find_connected(session, &packet, err) ? assembly_new(message, err) : NULL;
	return link->assembly ? 0 : -1;
}

/* --- the engine's side ----------------------------------------------------------------------------- */

static void on_open(struct session *session)
{
	struct socketio *socketio = session_data(session);
	struct link *link = session_above(session);
	link->session = session;
	deadlines_set(&socketio->connect_deadlines, &link->deadline);
}

static void on_message(struct session *session, struct bytes message, bool is_binary, const struct request_info *request)
{
	const struct socketio *socketio = session_data(session);
	struct error err;
	if (!session_is_open(session))
		return;
	int result = is_binary ? on_attachment(session, message, request, &err) : on_text(session, message, request, &err);
	if (result == 0)
		return;
	if (socketio->handler.on_protocol_error)
		socketio->handler.on_protocol_error(socketio->handler.data, &err);
	session_close(session, err.code == ERROR_SYSTEM ? CLOSE_FORCED : CLOSE_PARSE_ERROR);
}

static void on_drained(struct session *session)
{
	const struct socketio *socketio = session_data(session);
	struct link *link = session_above(session);
	for (struct client *client = link->clients; client && socketio->handler.on_drained; client = client->next)
		if (client_is_connected(client))
			socketio->handler.on_drained(client);
}

static void on_echo(struct session *session)
{
	const struct socketio *socketio = session_data(session);
	struct link *link = session_above(session);
	for (struct client *client = link->clients; client && socketio->handler.on_echo; client = client->next)
		if (client_is_connected(client))
			socketio->handler.on_echo(client);
}

static void on_close(struct session *session, enum close_reason reason)
{
	struct link *link = session_above(session);
	deadline_cancel(&link->deadline);
	assembly_free(link->assembly);
	link->assembly = NULL;
	while (link->clients)
		client_end(link->clients, reason);
}

static bool on_handshake(void *data, const struct request_info *request, unsigned *retry_after_s)
{
	const struct socketio *socketio = data;
	return !socketio->on_handshake || socketio->on_handshake(socketio->handler.data, request, retry_after_s);
}

struct session_handler socketio_session_handler(struct socketio *socketio,
                                                bool (*ask)(void *data, const struct request_info *request, unsigned *retry_after_s))
{
	socketio->on_handshake = ask;
	return (struct session_handler){
		.above_size = sizeof(struct link),
		.on_handshake = on_handshake,
		.on_open = on_open,
		.on_message = on_message,
		.on_drained = on_drained,
		.on_echo = on_echo,
		.on_close = on_close,
		.data = socketio,
	};
}

/* --- the server ------------------------------------------------------------------------------------ */

static void on_connect_due(struct deadline *deadline, void *data)
{
	(void)data;
	const struct link *link = (const struct link *)(const void *)((const char *)deadline - offsetof(struct link, deadline));
	session_close(link->session, CLOSE_FORCED);
}

static void free_gone(void *data)
{
	struct socketio *socketio = data;
	socketio->turn++;
	while (socketio->gone) {
		struct client *client = socketio->gone;
		socketio->gone = client->next;
		free(client);
	}
}

static void on_part_closed(void *data)
{
	struct socketio *socketio = data;
	if (--socketio->open_parts)
		return;
	free_gone(socketio);
	if (socketio->on_closed)
		socketio->on_closed(socketio->on_closed_data);
	free(socketio);
}

struct socketio *socketio_new(uv_loop_t *loop, const struct socketio_settings *settings, const struct socketio_handler *handler,
                              struct error *err)
{
	struct socketio *socketio = calloc(1, sizeof(*socketio));
	if (!socketio) {
		error_set(err, ERROR_SYSTEM, "no memory");
		return NULL;
	}
	socketio->handler = *handler;
	socketio->attachment_bytes_max =
		settings->attachment_bytes_max ? settings->attachment_bytes_max : ATTACHMENT_BYTES_DEFAULT;
	if (deadlines_init(&socketio->connect_deadlines, loop, settings->connect_timeout_ms, on_connect_due, socketio, err)) {
		free(socketio);
		return NULL;
	}
	socketio->open_parts = 1;
	if (turn_end_init(&socketio->turn_end, loop, free_gone, socketio, err)) {
		deadlines_close(&socketio->connect_deadlines, on_part_closed, socketio);
		return NULL;
	}
	socketio->open_parts = 2;
	return socketio;
}

void socketio_close(struct socketio *socketio, void (*on_closed)(void *data), void *data)
{
	socketio->on_closed = on_closed;
	socketio->on_closed_data = data;
	deadlines_close(&socketio->connect_deadlines, on_part_closed, socketio);
	turn_end_close(&socketio->turn_end, on_part_closed, socketio);
}
