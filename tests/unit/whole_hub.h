/* whole_hub.h - a whole hub on the loop of a test: its HTTP on a unix socket, its gateway played by the test. */
#ifndef ROOMCAST_TESTS_WHOLE_HUB_H
#define ROOMCAST_TESTS_WHOLE_HUB_H

#include "fake_gateway.h"
#include "http_peer.h"
#include "hub.h"

enum { WHOLE_HUB_EPOCH = 6, WHOLE_HUB_SEQ = 10 /* where the log stands when it is followed */ };

struct whole_hub {
	uv_loop_t loop;
	struct hub hub;
	struct hub_config config;
	struct fake_gateway gateway;
	char directory[64], socket[100];
	uint64_t seq; /* of the last event that was published */
};

/* cmocka's setup and teardown; *state is the hub. It seeks its gateway, and is not ready. */
int whole_hub_setup(void **state);
int whole_hub_teardown(void **state);

/* Welcomes it. grant: "<user>\n<room>", blocked: "<user>\n<until>", NULL for none. */
void whole_hub_follow(struct whole_hub *whole, const char *grant, const char *blocked);
/* The next STANDING, in one message. */
void whole_hub_standing(struct whole_hub *whole, const char *grant, const char *blocked);
/* Publishes `"n",<n>` to a room, as the next event of the log; returns n, its seq. */
uint64_t whole_hub_emit(struct whole_hub *whole, const char *room);
/* Publishes a control event as the next of the log. room, when not NULL, is its only one of rooms. */
void whole_hub_control(struct whole_hub *whole, struct message control, const char *room);

/* Connects a WebSocket as that user (NULL: anonymous) and returns the Socket.IO id, valid until the next one. */
const char *whole_hub_connect(struct whole_hub *whole, struct peer *peer, const char *user);
/* The same up to the hub's answer to CONNECT, which is returned, valid until the next frame. */
struct bytes whole_hub_try(struct whole_hub *whole, struct peer *peer, const char *user);
/* The same up to the client's CONNECT: with recovery on, and more members of auth: `"pid":"..","offset":".."`, or "". */
void whole_hub_return(struct whole_hub *whole, struct peer *peer, const char *user, const char *shown);
/* The next text is that event. */
void whole_hub_expect(struct peer *peer, uint64_t n);
/* The answer to a request on a connection of its own. */
struct answer whole_hub_ask(struct whole_hub *whole, struct peer *peer, const char *verb, const char *path);

#endif
