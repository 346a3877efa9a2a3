/* whole_hub.c - a hub, from its options to its sockets, in the hands of a test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "whole_hub.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <roomcast/clock.h>
#include <roomcast/token.h>

static const char secret[] = "a secret for tests alone";

int whole_hub_setup(void **state)
{
	struct whole_hub *whole = calloc(1, sizeof(*whole));
	char line[150], listen[150], key[100];
	struct error err;
	snprintf(whole->directory, sizeof(whole->directory), "/tmp/whole_hub.XXXXXX");
	if (!mkdtemp(whole->directory))
		return -1;
	unsetenv("ROOMCAST_CONFIG");
	uv_loop_init(&whole->loop);
	fake_gateway_open(&whole->gateway, &whole->loop, whole->directory, "a");
	snprintf(whole->socket, sizeof(whole->socket), "%s/hub.sock", whole->directory);
	snprintf(line, sizeof(line), "--line=%s", whole->gateway.line_endpoint);
	snprintf(listen, sizeof(listen), "--listen=unix:%s", whole->socket);
	snprintf(key, sizeof(key), "--jwt-secret=%s", secret);
	char *arguments[] = {
		(char[]){ "hub" }, (char[]){ "--config=/dev/null" }, (char[]){ "--name=hub-t" }, (char[]){ "--node-env=test" }, (char[]){ "--anonymous-types=Open" },
		(char[]){ "--rooms-per-client=5" }, line, listen, key, NULL,
	};
	if (options_load(&hub_program, &whole->config, 9, arguments, &err) != OPTIONS_RUN)
		fail_msg("%s", err.text);
	if (hub_open(&whole->hub, &whole->loop, &whole->config, &err))
		fail_msg("%s", err.text);
	fake_gateway_hear(&whole->gateway, MESSAGE_HELLO);
	*state = whole;
	return 0;
}

int whole_hub_teardown(void **state)
{
	struct whole_hub *whole = *state;
	char command[100];
	hub_drain(&whole->hub);
	hub_drain(&whole->hub); /* at once */
	run_out(&whole->loop);
	hub_deinit(&whole->hub);
	options_deinit(&hub_program, &whole->config);
	fake_gateway_close(&whole->gateway);
	snprintf(command, sizeof(command), "rm -r '%s'", whole->directory);
	int result = system(command);
	free(whole);
	return result;
}

/* --- the gateway's side ----------------------------------------------------- */

void whole_hub_standing(struct whole_hub *whole, const char *grant, const char *blocked)
{
	struct bytes grants = bytes_of(grant), blocks = bytes_of(blocked);
	struct standing_figures before, now;
	standing_figures(whole->hub.standing, &before);
	fake_gateway_say(&whole->gateway, &(struct message){
		.kind = MESSAGE_STANDING, .is_last = 1, .grants = { &grants, grant != NULL }, .blocks = { &blocks, blocked != NULL },
	});
	WAIT_FOR(&whole->loop, (standing_figures(whole->hub.standing, &now), now.loads > before.loads));
}

void whole_hub_follow(struct whole_hub *whole, const char *grant, const char *blocked)
{
	static const char key[MAC_KEY_LEN + 1] = "0123456789abcdef0123456789abcdef";
	whole->seq = WHOLE_HUB_SEQ;
	fake_gateway_say(&whole->gateway, &(struct message){
		.kind = MESSAGE_WELCOME, .epoch = WHOLE_HUB_EPOCH, .last_seq = whole->seq, .start_epoch = WHOLE_HUB_EPOCH, .start_seq = whole->seq,
		.instance = whole->gateway.instance, .endpoint = bytes_of(whole->gateway.events_endpoint), .key = { key, MAC_KEY_LEN },
	});
	whole_hub_standing(whole, grant, blocked);
	fake_gateway_wait_subscribed(&whole->gateway);
	WAIT_FOR(&whole->loop, subscriber_is_ready(whole->hub.subscriber));
}

uint64_t whole_hub_emit(struct whole_hub *whole, const char *room)
{
	char body[48];
	struct bytes name = bytes_of(room);
	snprintf(body, sizeof(body), "\"n\",%" PRIu64, ++whole->seq);
	fake_gateway_publish(&whole->gateway, &(struct message){
		.kind = MESSAGE_EVENT, .epoch = WHOLE_HUB_EPOCH, .seq = whole->seq, .time_ms = clock_wall_ms(), .rooms = { &name, 1 }, .body = bytes_of(body),
	});
	return whole->seq;
}

void whole_hub_control(struct whole_hub *whole, struct message control, const char *room)
{
	struct bytes name = bytes_of(room);
	control.kind = MESSAGE_CONTROL;
	control.epoch = WHOLE_HUB_EPOCH;
	control.seq = ++whole->seq;
	control.time_ms = clock_wall_ms();
	if (room)
		control.rooms = (struct message_list){ &name, 1 };
	fake_gateway_publish(&whole->gateway, &control);
}

/* --- clients ---------------------------------------------------------------- */

static void dial(struct whole_hub *whole, struct peer *peer)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", whole->socket);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	peer_open(peer, &whole->loop, fd);
}

static void dial_websocket(struct whole_hub *whole, struct peer *peer, const char *target)
{
	dial(whole, peer);
	peer_upgrade(peer, target);
	assert_int_equal(peer_frame(peer).payload.data[0], '0');
}

/* `"token":".."` on the heap. */
static char *token_of(const char *user)
{
	struct error err;
	struct identity identity = { .expires_s = clock_wall_ms() / 1000 + 3600 };
	snprintf(identity.user_id, sizeof(identity.user_id), "%s", user);
	snprintf(identity.username, sizeof(identity.username), "name of %s", user);
	char *token = token_issue(&identity, bytes_of(secret), clock_wall_ms() / 1000, &err);
	assert_non_null(token);
	char *member = malloc(strlen(token) + 16);
	sprintf(member, "\"token\":\"%s\"", token);
	free(token);
	return member;
}

struct bytes whole_hub_try(struct whole_hub *whole, struct peer *peer, const char *user)
{
	char connect_packet[1024] = "40";
	dial_websocket(whole, peer, "/api/socket/?EIO=4&transport=websocket");
	if (user) {
		char *token = token_of(user);
		snprintf(connect_packet, sizeof(connect_packet), "40{%s}", token);
		free(token);
	}
	peer_send_text(peer, connect_packet);
	return peer_frame(peer).payload;
}

void whole_hub_return(struct whole_hub *whole, struct peer *peer, const char *user, const char *shown)
{
	char connect_packet[2048], *token = user ? token_of(user) : NULL;
	dial_websocket(whole, peer, "/api/socket/?EIO=4&transport=websocket&recovery=1");
	snprintf(connect_packet, sizeof(connect_packet), "40{%s%s%s}", token ? token : "", token && *shown ? "," : "", shown);
	peer_send_text(peer, connect_packet);
	free(token);
}

const char *whole_hub_connect(struct whole_hub *whole, struct peer *peer, const char *user)
{
	static char sid[CLIENT_SID_SIZE];
	struct bytes answer = whole_hub_try(whole, peer, user);
	char text[200];
	snprintf(text, sizeof(text), "%.*s", (int)answer.len, answer.data);
	if (sscanf(text, "40{\"sid\":\"%20[^\"]\"", sid) != 1)
		fail_msg("not connected: %s", text);
	return sid;
}

void whole_hub_expect(struct peer *peer, uint64_t n)
{
	char text[64];
	snprintf(text, sizeof(text), "42[\"n\",%" PRIu64 "]", n);
	peer_assert_text(peer, text);
}

struct answer whole_hub_ask(struct whole_hub *whole, struct peer *peer, const char *verb, const char *path)
{
	dial(whole, peer);
	peer_say(peer, "%s %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", verb, path);
	return strcmp(verb, "HEAD") == 0 ? peer_answer_without_body(peer) : peer_answer(peer);
}
