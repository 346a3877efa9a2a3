/* protocol_polling.c - Socket.IO over long-polling: one connection a client, one request at a time. */
#include "crowd.h"

#include <stdio.h>
#include <string.h>

#include "engineio_client.h"
#include "http_answer.h"

enum { STEP_HANDSHAKE, STEP_GETTING, STEP_POSTING };
enum { SEPARATOR = 0x1e };

static void get(struct client *client)
{
	char request[512];
	const struct crowd_settings *settings = &client->crowd->settings;
	int len = snprintf(request, sizeof(request), "GET %s/?EIO=4&transport=polling%s%s%s HTTP/1.1\r\nHost: localhost\r\n\r\n", settings->path,
	                   settings->query, client->sid ? "&sid=" : "", client->sid ? client->sid : "");
	crowd_send(client, (struct bytes){ request, (size_t)len });
}

static void post_outbox(struct client *client)
{
	struct buffer request = { 0 };
	buffer_add_format(&request, "POST %s/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain;charset=UTF-8\r\n"
	                  "Content-Length: %zu\r\n\r\n", client->crowd->settings.path, client->sid, client->outbox.len);
	buffer_add_bytes(&request, buffer_bytes(&client->outbox));
	buffer_deinit(&client->outbox);
	client->outbox = (struct buffer){ 0 };
	crowd_send(client, buffer_bytes(&request));
	buffer_deinit(&request);
}

static void send_packet(struct client *client, struct bytes packet)
{
	if (client->outbox.len)
		buffer_add_char(&client->outbox, SEPARATOR);
	buffer_add_bytes(&client->outbox, packet);
}

static void take_packets(struct client *client, struct bytes body)
{
	while (body.len && client->state != CLIENT_AWAY) {
		const char *end = memchr(body.data, SEPARATOR, body.len);
		size_t len = end ? (size_t)(end - body.data) : body.len;
		engineio_client_on_packet(client, (struct bytes){ body.data, len });
		body.data += len + (end ? 1 : 0);
		body.len -= len + (end ? 1 : 0);
	}
}

static void on_connected(struct client *client)
{
	client->step = STEP_HANDSHAKE;
	get(client);
}

static ssize_t on_bytes(struct client *client, struct bytes bytes)
{
	struct http_answer answer;
	ssize_t used = http_answer_cut(bytes, &answer);
	if (used == 0)
		return 0;
	if (used < 0 || answer.status != 200 || answer.is_last) {
		crowd_fail(client, "a polling request is refused");
		return -1;
	}
	if (client->step != STEP_POSTING)
		take_packets(client, answer.body);
	if (client->state == CLIENT_AWAY)
		return -1;
	client->step = client->outbox.len ? STEP_POSTING : STEP_GETTING;
	if (client->step == STEP_POSTING)
		post_outbox(client);
	else
		get(client);
	return client->state == CLIENT_AWAY ? -1 : used;
}

const struct protocol protocol_polling = { "polling", on_connected, on_bytes, send_packet };
