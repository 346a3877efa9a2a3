/* websocket_inside.h - what the WebSocket files share: a connection, what waits to leave it, and all of them. */
#ifndef ROOMCAST_HUB_WEBSOCKET_INSIDE_H
#define ROOMCAST_HUB_WEBSOCKET_INSIDE_H

#include <stddef.h>
#include <sys/epoll.h>

#include <openssl/evp.h>

#include "deadline.h"
#include "turn_end.h"
#include "websocket.h"

enum {
	RECEIVE_MAX = 4096,          /* read from one connection in a turn, outside of large messages: some hundred frames at most */
	EVENTS_MAX = 128,
	GATHER_MAX = 128 * 1024,     /* bytes of frames put together for one write */
	GATHER_FRAMES_MAX = 64,
};

enum websocket_state {
	WEBSOCKET_NEW,
	WEBSOCKET_OPEN,
	WEBSOCKET_CLOSING, /* no longer its owner's: our close frame or the peer's is under way */
	WEBSOCKET_GONE,    /* freed when the turn ends */
};

/* What a connection at rest does without. */
struct outgoing {
	struct websocket *websocket;
	struct frame *first;      /* a part of it may have left */
	size_t first_sent;
	struct frame *pong;       /* the newest */
	struct frame *close;
	struct deadline deadline; /* of the closing */
};

struct websocket {
	struct websockets *all;
	const struct websocket_handler *handler;
	union {
		void *data;                  /* the handler's */
		struct websocket *next_gone;
	};
	struct websocket_decoder decoder;
	struct outgoing *out;            /* NULL: nothing waits */
	int fd;                          /* -1 before the start */
	uint8_t state;
	bool is_opening : 1;             /* on_open runs: what it writes leaves with the handshake's answer */
	bool is_full : 1;                /* the socket was, when written to last */
	bool is_watched : 1;             /* for room in the socket */
	bool wants_to_write : 1;         /* the owner waits for on_writable */
	bool has_failed : 1;             /* a write did: the socket was shut down, and its event ends the connection */
	bool has_early : 1;              /* bytes are in all->early: the socket is not read */
	bool has_heard_close : 1;        /* the peer's close frame */
	bool is_deaf : 1;                /* what comes is read and dropped */
};

/* Frames put together. A broadcast offers the same ones for each of its members. */
struct gathered {
	struct frame *frames[GATHER_FRAMES_MAX]; /* a reference each, so that nothing else takes their addresses */
	size_t count, len;
	unsigned char bytes[GATHER_MAX];
};

/* The connections have an epoll descriptor of their own, which the loop watches: a uv_poll_t for each would be larger than all the rest of it,
 * and cost two system calls whenever a socket is full. */
struct websockets {
	uv_poll_t poll;
	int epoll;
	int event_at, event_count;
	struct epoll_event events[EVENTS_MAX];
	struct early *early;
	struct websocket *gone;
	struct turn_end turn_end;
	struct deadlines closing;
	struct websocket_counters counters;
	EVP_MD_CTX *sha1;
	struct gathered gathered;
	char input[RECEIVE_MAX];
};

static inline struct outgoing *outgoing_of(struct deadline *deadline)
{
	return (struct outgoing *)(void *)((char *)deadline - offsetof(struct outgoing, deadline));
}

/* --- websocket_send.c */
/* Puts bytes behind what waits. -1 without memory. */
int outgoing_add(struct websocket *websocket, struct bytes wire);
/* The last that will leave; keeps what waits in front of it. -1 without memory. */
int outgoing_add_close(struct websocket *websocket, enum websocket_code code);
/* Sends a pong, or lets it wait in place of an older one. */
void outgoing_pong(struct websocket *websocket, struct bytes payload);
/* Watches the socket for room, or no longer. */
void outgoing_watch(struct websocket *websocket, bool is_watched);
/* Writes what waits. Whether all has left; otherwise the socket is watched, or has failed. */
bool outgoing_flush(struct websocket *websocket);
bool outgoing_is_done(const struct websocket *websocket); /* nothing waits */
void outgoing_free(struct websocket *websocket);
void gathered_forget(struct gathered *gathered);

#endif
