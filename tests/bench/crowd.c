/* crowd.c - the sockets of many clients. */
#include "crowd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	READ_SIZE = 256 * 1024,
	SERVED_AT_ONCE = 512,
	CLIENTS_PER_ADDRESS = 2000, /* of 127.0.0.0/8: the kernel searches long for a port when many of an address are taken */
};

static char scratch[READ_SIZE];

int crowd_init(struct crowd *crowd, const struct crowd_settings *settings, struct error *err)
{
	*crowd = (struct crowd){ .settings = *settings };
	crowd->clients = calloc(settings->clients, sizeof(struct client));
	crowd->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!crowd->clients || crowd->epoll_fd < 0)
		return error_set(err, ERROR_SYSTEM, "no memory for %u clients", settings->clients);
	for (uint32_t i = 0; i < settings->clients; i++)
		crowd->clients[i] = (struct client){ .crowd = crowd, .fd = -1, .index = settings->first_index + i };
	return 0;
}

static void set_state(struct client *client, enum client_state state)
{
	struct crowd *crowd = client->crowd;
	crowd->opening -= client->state == CLIENT_CONNECTING || client->state == CLIENT_OPENING;
	crowd->ready -= client->state == CLIENT_READY;
	client->state = (uint8_t)state;
	crowd->opening += state == CLIENT_CONNECTING || state == CLIENT_OPENING;
	crowd->ready += state == CLIENT_READY;
}

static void leave(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	client->step = 0;
	buffer_deinit(&client->rest);
	buffer_deinit(&client->outbox);
	client->rest = client->outbox = (struct buffer){ 0 };
	free(client->sid);
	client->sid = NULL;
	set_state(client, CLIENT_AWAY);
}

void crowd_fail(struct client *client, const char *reason)
{
	struct crowd *crowd = client->crowd;
	if (client->state == CLIENT_AWAY)
		return;
	if (!crowd->lost++)
		snprintf(crowd->first_failure, sizeof(crowd->first_failure), "client %u: %s", client->index, reason);
	leave(client);
}

/* --- connecting ------------------------------------------------------------ */

/* 127.P.N.1, where P is different from one run to the next, so that connections in TIME-WAIT are not in the way. A port is chosen at
 * connect, so that each source address has all of them for each server. */
static int bind_source(int fd, uint32_t index)
{
	int one = 1;
	struct sockaddr_in source = { .sin_family = AF_INET };
	uint32_t run = 1 + (uint32_t)getppid() % 250, part = index / CLIENTS_PER_ADDRESS;
	source.sin_addr.s_addr = htonl(127u << 24 | run << 16 | (part & 0xff) << 8 | 1);
	return setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) ||
	               bind(fd, (struct sockaddr *)&source, sizeof(source)) ? -1 : 0;
}

static void start(struct crowd *crowd, struct client *client)
{
	const struct sockaddr_in *server = &crowd->settings.servers[client->index % crowd->settings.server_count];
	int one = 1;
	struct epoll_event interest = { .events = EPOLLIN | EPOLLOUT, .data.ptr = client };
	set_state(client, CLIENT_CONNECTING);
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0 || bind_source(client->fd, client->index) < 0 ||
	    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    (connect(client->fd, (const struct sockaddr *)server, sizeof(*server)) < 0 && errno != EINPROGRESS) ||
	    epoll_ctl(crowd->epoll_fd, EPOLL_CTL_ADD, client->fd, &interest) < 0)
		crowd_fail(client, strerror(errno));
}

static void on_connected(struct client *client)
{
	int error = 0;
	socklen_t size = sizeof(error);
	struct epoll_event interest = { .events = EPOLLIN, .data.ptr = client };
	if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error ||
	    epoll_ctl(client->crowd->epoll_fd, EPOLL_CTL_MOD, client->fd, &interest) < 0) {
		crowd_fail(client, strerror(error ? error : errno));
		return;
	}
	set_state(client, CLIENT_OPENING);
	client->crowd->settings.protocol->on_connected(client);
}

void crowd_is_ready(struct client *client)
{
	if (client->state == CLIENT_OPENING)
		set_state(client, CLIENT_READY);
}

bool crowd_is_settled(const struct crowd *crowd)
{
	return crowd->wanted == crowd->settings.clients && !crowd->opening;
}

void crowd_cut(struct crowd *crowd)
{
	for (uint32_t i = 0; i < crowd->settings.clients; i++)
		leave(&crowd->clients[i]);
	crowd->wanted = 0;
}

void crowd_deinit(struct crowd *crowd)
{
	crowd_cut(crowd);
	close(crowd->epoll_fd);
	free(crowd->clients);
}

/* --- bytes ----------------------------------------------------------------- */

uint32_t crowd_room(const struct client *client, uint32_t which)
{
	const struct crowd_settings *settings = &client->crowd->settings;
	return (uint32_t)(((uint64_t)client->index * settings->rooms_per_client + which) % settings->rooms);
}

/* Requests are small: a socket that does not take one whole is stuck. */
void crowd_send(struct client *client, struct bytes bytes)
{
	if (client->state != CLIENT_AWAY && send(client->fd, bytes.data, bytes.len, MSG_NOSIGNAL) != (ssize_t)bytes.len)
		crowd_fail(client, "the server does not read");
}

/* What is not a whole stays for the next time. */
static void digest(struct client *client, struct bytes bytes)
{
	bool is_continued = client->rest.len > 0;
	if (is_continued) {
		buffer_add_bytes(&client->rest, bytes);
		bytes = buffer_bytes(&client->rest);
	}
	ssize_t used = client->crowd->settings.protocol->on_bytes(client, bytes);
	if (used < 0 || client->state == CLIENT_AWAY)
		return;
	if (is_continued)
		buffer_consume(&client->rest, (size_t)used);
	else if ((size_t)used < bytes.len)
		buffer_add(&client->rest, bytes.data + used, bytes.len - (size_t)used);
	if (client->rest.data && !client->rest.len) {
		buffer_deinit(&client->rest);
		client->rest = (struct buffer){ 0 };
	}
}

static void on_readable(struct client *client)
{
	ssize_t len = recv(client->fd, scratch, sizeof(scratch), 0);
	if (len > 0)
		digest(client, (struct bytes){ scratch, (size_t)len });
	else if (len == 0)
		crowd_fail(client, "the server closed the connection");
	else if (errno != EAGAIN && errno != EINTR)
		crowd_fail(client, strerror(errno));
}

void crowd_turn(struct crowd *crowd, int timeout_ms)
{
	struct epoll_event events[SERVED_AT_ONCE];
	while (crowd->wanted < crowd->settings.clients && crowd->opening < crowd->settings.opening_max)
		start(crowd, &crowd->clients[crowd->wanted++]);
	int count = epoll_wait(crowd->epoll_fd, events, SERVED_AT_ONCE, timeout_ms);
	for (int i = 0; i < count; i++) {
		struct client *client = events[i].data.ptr;
		if (client->state == CLIENT_CONNECTING)
			on_connected(client);
		else if (client->state != CLIENT_AWAY)
			on_readable(client);
	}
}
