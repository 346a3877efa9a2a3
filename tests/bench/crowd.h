/* crowd.h - many clients of one server in one process: they connect, become ready in their rooms, and count what they are given.
 *
 * One thread, one epoll. A protocol (protocol_*.c) says what a client writes and makes of what it reads; the crowd has the sockets. */
#ifndef ROOMCAST_BENCH_CROWD_H
#define ROOMCAST_BENCH_CROWD_H

#include <netinet/in.h>
#include <sys/types.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

enum client_state {
	CLIENT_AWAY,       /* no connection yet, or not any more */
	CLIENT_CONNECTING, /* the TCP handshake */
	CLIENT_OPENING,    /* the protocol's own */
	CLIENT_READY,      /* in its rooms */
};

struct client {
	struct crowd *crowd;
	uint64_t events;      /* received since the crowd began */
	struct buffer rest;   /* received, but not yet a whole */
	struct buffer outbox; /* packets that wait for a POST (polling) */
	char *sid;            /* Engine.IO id (polling) */
	int fd;
	uint32_t index;       /* among all clients of the run */
	uint8_t state;
	uint8_t step;         /* the protocol's own; 0 with each new connection */
};

struct protocol {
	const char *name;
	void (*on_connected)(struct client *client);
	/* Acts on every whole frame or answer in bytes. Returns how many bytes those were; -1 after crowd_fail. */
	ssize_t (*on_bytes)(struct client *client, struct bytes bytes);
	/* Sends one Engine.IO packet; NULL for protocols without. */
	void (*send_packet)(struct client *client, struct bytes packet);
};
extern const struct protocol protocol_plain;     /* a WebSocket whose every text message is an event */
extern const struct protocol protocol_websocket; /* Socket.IO over WebSocket */
extern const struct protocol protocol_polling;   /* Socket.IO over long-polling */

struct crowd_settings {
	const struct protocol *protocol;
	const struct sockaddr_in *servers; /* client i connects to server i % server_count */
	uint32_t server_count;
	const char *path;                  /* plain: before the room's number; otherwise the path of the Engine.IO server */
	const char *query;                 /* further parameters, each with its `&` in front */
	const char *token;                 /* a JWT for auth.token; "" for none */
	uint32_t clients, first_index;
	uint32_t rooms, rooms_per_client;  /* client i is in rooms i * rooms_per_client + 0, 1, ...; modulo rooms; 0: in none */
	uint32_t first_room;               /* what the servers call the first of them */
	uint32_t opening_max;              /* clients on their way to ready at once */
	void (*on_event)(void *data, struct client *client, struct bytes payload); /* NULL: events are only counted */
	void *data;
};

struct crowd {
	struct crowd_settings settings;
	struct client *clients;
	int epoll_fd;
	uint32_t wanted;           /* clients from here on have not been started */
	uint32_t opening, ready;
	uint64_t lost;             /* connections that ended, or never came to be, without our doing */
	uint64_t events;           /* of all clients */
	uint64_t heartbeats;       /* answered */
	char first_failure[160];
};

/* Nothing connects before the first turn. */
int crowd_init(struct crowd *crowd, const struct crowd_settings *settings, struct error *err) MUST_CHECK;
/* Starts clients that are still to come, waits for at most timeout_ms, and serves what is readable. */
void crowd_turn(struct crowd *crowd, int timeout_ms);
/* Whether nobody is on its way any more. */
bool crowd_is_settled(const struct crowd *crowd);
/* Closes every connection; the next turns connect all anew. */
void crowd_cut(struct crowd *crowd);
void crowd_deinit(struct crowd *crowd);

/* For protocols. */
uint32_t crowd_room(const struct client *client, uint32_t which);
void crowd_send(struct client *client, struct bytes bytes);
void crowd_is_ready(struct client *client);
void crowd_fail(struct client *client, const char *reason);

static inline void crowd_event(struct client *client, struct bytes payload)
{
	struct crowd *crowd = client->crowd;
	client->events++;
	crowd->events++;
	if (crowd->settings.on_event)
		crowd->settings.on_event(crowd->settings.data, client, payload);
}

#endif
