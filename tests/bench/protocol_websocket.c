/* protocol_websocket.c - WebSocket from the client's side: bare, and with Socket.IO inside. */
#include "crowd.h"

#include <stdio.h>
#include <string.h>

#include "engineio_client.h"

enum { STEP_UPGRADING, STEP_OPEN };
enum { OPCODE_TEXT = 1, OPCODE_CLOSE = 8, OPCODE_PING = 9 };
enum { HEADER_MAX = 14, CONTROL_MAX = 125 };

static void ask_for_upgrade(struct client *client, const char *target)
{
	struct buffer request = { 0 };
	buffer_add_format(&request,
	                  "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cm9vbWNhc3QgYmVuY2hlcw==\r\n\r\n", target);
	crowd_send(client, buffer_bytes(&request));
	buffer_deinit(&request);
}

/* The mask is 0, which leaves the payload as it is. */
static void send_frame(struct client *client, unsigned opcode, struct bytes payload)
{
	struct buffer frame = { 0 };
	unsigned char header[HEADER_MAX] = { (unsigned char)(0x80 | opcode) };
	size_t len = 2;
	if (payload.len < 126) {
		header[1] = (unsigned char)(0x80 | payload.len);
	} else {
		header[1] = 0x80 | 126;
		header[2] = (unsigned char)(payload.len >> 8);
		header[3] = (unsigned char)payload.len;
		len = 4;
	}
	buffer_add(&frame, header, len + 4);
	buffer_add_bytes(&frame, payload);
	if (payload.len > 0xffff || frame.has_failed)
		crowd_fail(client, "a packet too large to be sent");
	else
		crowd_send(client, buffer_bytes(&frame));
	buffer_deinit(&frame);
}

static void send_packet(struct client *client, struct bytes packet)
{
	send_frame(client, OPCODE_TEXT, packet);
}

/* The first frame of bytes; returns its length, 0 when it is not whole. */
static size_t cut_frame(struct bytes bytes, unsigned *opcode, struct bytes *payload)
{
	const unsigned char *data = (const unsigned char *)bytes.data;
	if (bytes.len < 2)
		return 0;
	size_t header = data[1] == 126 ? 4 : data[1] == 127 ? 10 : 2;
	if (bytes.len < header)
		return 0;
	size_t len = data[1];
	if (header > 2) {
		len = 0;
		for (size_t i = 2; i < header; i++)
			len = len << 8 | data[i];
	}
	if (bytes.len - header < len)
		return 0;
	*opcode = data[0] & 0x0f;
	*payload = (struct bytes){ bytes.data + header, len };
	return header + len;
}

static void on_control(struct client *client, unsigned opcode, struct bytes payload)
{
	enum { OPCODE_PONG = 10 };
	if (opcode == OPCODE_PING && payload.len <= CONTROL_MAX)
		send_frame(client, OPCODE_PONG, payload);
	else if (opcode == OPCODE_CLOSE)
		crowd_fail(client, "the server closes the WebSocket");
}

static ssize_t on_frames(struct client *client, struct bytes bytes)
{
	bool is_plain = client->crowd->settings.protocol == &protocol_plain;
	struct bytes left = bytes, payload;
	unsigned opcode;
	size_t len;
	while ((len = cut_frame(left, &opcode, &payload))) {
		if (opcode != OPCODE_TEXT)
			on_control(client, opcode, payload);
		else if (is_plain)
			crowd_event(client, payload);
		else
			engineio_client_on_packet(client, payload);
		if (client->state == CLIENT_AWAY)
			return -1;
		left.data += len;
		left.len -= len;
	}
	return (ssize_t)(bytes.len - left.len);
}

static ssize_t on_bytes(struct client *client, struct bytes bytes)
{
	static const char accepted[] = "HTTP/1.1 101 ";
	if (client->step == STEP_OPEN)
		return on_frames(client, bytes);
	const char *end = memmem(bytes.data, bytes.len, "\r\n\r\n", 4);
	if (!end)
		return 0;
	if (memcmp(bytes.data, accepted, sizeof(accepted) - 1) != 0) {
		crowd_fail(client, "the WebSocket is refused");
		return -1;
	}
	client->step = STEP_OPEN;
	if (client->crowd->settings.protocol == &protocol_plain)
		crowd_is_ready(client);
	size_t head = (size_t)(end - bytes.data) + 4;
	ssize_t used = on_frames(client, (struct bytes){ bytes.data + head, bytes.len - head });
	return used < 0 ? -1 : (ssize_t)head + used;
}

static void connect_plain(struct client *client)
{
	char target[256];
	const struct crowd_settings *settings = &client->crowd->settings;
	snprintf(target, sizeof(target), "%s%u", settings->path, settings->first_room + (settings->rooms ? crowd_room(client, 0) : 0));
	ask_for_upgrade(client, target);
}

static void connect_engineio(struct client *client)
{
	char target[256];
	snprintf(target, sizeof(target), "%s/?EIO=4&transport=websocket%s", client->crowd->settings.path, client->crowd->settings.query);
	ask_for_upgrade(client, target);
}

const struct protocol protocol_plain = { "plain", connect_plain, on_bytes, NULL };
const struct protocol protocol_websocket = { "websocket", connect_engineio, on_bytes, send_packet };
