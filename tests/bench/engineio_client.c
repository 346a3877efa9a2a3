/* engineio_client.c - a Socket.IO client's side of the conversation. */
#include "engineio_client.h"

#include <stdlib.h>

static void send_buffer(struct client *client, struct buffer *packet)
{
	if (packet->has_failed)
		crowd_fail(client, "no memory");
	else
		client->crowd->settings.protocol->send_packet(client, buffer_bytes(packet));
	buffer_deinit(packet);
}

/* Polling needs the sid for every further request. */
static void on_open(struct client *client, struct bytes packet)
{
	const char *token = client->crowd->settings.token;
	struct buffer connect = { 0 };
	static const char key[] = "\"sid\":\"";
	const char *sid = memmem(packet.data, packet.len, key, sizeof(key) - 1);
	const char *end = sid ? memchr(sid + sizeof(key) - 1, '"', packet.len - (size_t)(sid - packet.data) - (sizeof(key) - 1)) : NULL;
	if (!end) {
		crowd_fail(client, "an open packet without a sid");
		return;
	}
	sid += sizeof(key) - 1;
	if (client->crowd->settings.protocol == &protocol_polling)
		client->sid = bytes_dup((struct bytes){ sid, (size_t)(end - sid) });
	buffer_add_text(&connect, "40");
	if (*token)
		buffer_add_format(&connect, "{\"token\":\"%s\"}", token);
	send_buffer(client, &connect);
}

static void join_rooms(struct client *client)
{
	struct buffer join = { 0 };
	const struct crowd_settings *settings = &client->crowd->settings;
	if (!settings->rooms || !settings->rooms_per_client) {
		crowd_is_ready(client);
		return;
	}
	buffer_add_text(&join, "420[\"join-data-sync\",[");
	for (uint32_t i = 0; i < settings->rooms_per_client; i++)
		buffer_add_format(&join, "%s\"bench-%u\"", i ? "," : "", settings->first_room + crowd_room(client, i));
	buffer_add_text(&join, "]]");
	send_buffer(client, &join);
}

static void on_message(struct client *client, struct bytes packet)
{
	switch (packet.len > 1 ? packet.data[1] : 0) {
	case '2':
		crowd_event(client, packet);
		return;
	case '0':
		join_rooms(client);
		return;
	case '3':
		crowd_is_ready(client);
		return;
	default:
		crowd_fail(client, "the server refuses the client");
	}
}

void engineio_client_on_packet(struct client *client, struct bytes packet)
{
	switch (packet.len ? packet.data[0] : 0) {
	case '4':
		on_message(client, packet);
		return;
	case '0':
		on_open(client, packet);
		return;
	case '2':
		client->crowd->heartbeats++;
		client->crowd->settings.protocol->send_packet(client, bytes_of("3"));
		return;
	case '6':
		return;
	default:
		crowd_fail(client, "the server closes the session");
	}
}
