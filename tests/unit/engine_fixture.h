/* engine_fixture.h - an Engine.IO server on the loop of the test, at /engine.io, with an application that writes down what happens. */
#ifndef ROOMCAST_TESTS_ENGINE_FIXTURE_H
#define ROOMCAST_TESTS_ENGINE_FIXTURE_H

#include "engine.h"
#include "http.h"
#include "http_peer.h"

struct fixture {
	uv_loop_t loop;
	struct websockets *websockets;
	struct engine *engine;
	struct http_server *http;
	struct http_route route;
	unsigned port;
	struct session *session; /* the newest; NULL when it is closed */
	char story[4096];        /* `open `, `message(hello) `, `binary(2 bytes) `, `close(transport close) ` */
	char query[256];         /* of the request that carried the last message */
	bool echoes;             /* texts come back */
	bool refuses;            /* on_handshake says no */
	unsigned retry_after_s;  /* or: later */
	bool is_engine_closed;
};

extern const struct engine_settings fixture_settings; /* nothing is due by itself for an hour */

/* cmocka's setup and teardown; *state is the fixture. The second closes everything and finds handles that are left. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
/* A fixture with other settings. */
int fixture_setup_with(void **state, const struct engine_settings *settings);

void fixture_connect(struct fixture *fixture, struct peer *peer);
/* The answer to one request on a connection of its own. */
struct answer fixture_ask(struct fixture *fixture, const char *request);
/* Opens a polling session and returns its sid, valid until the next one. */
const char *fixture_open(struct fixture *fixture);
/* Sends a GET or a POST for a session. */
void fixture_get(struct peer *peer, const char *sid);
void fixture_post(struct peer *peer, const char *sid, const char *body);
/* A GET that is held, on a new connection: it has no answer although the server did all that it could. */
void fixture_hold(struct fixture *fixture, struct peer *peer, const char *sid);
/* Expects an answer with that status and body. */
void fixture_expect(struct peer *peer, unsigned status, const char *body);
/* Waits until the story is that. */
void fixture_wait_story(struct fixture *fixture, const char *story);
/* The session is not known any more. */
void fixture_assert_gone(struct fixture *fixture, const char *sid);
/* Connects a WebSocket; extra goes behind transport=websocket. Its handshake packet is taken when it opens a session. */
void fixture_websocket(struct fixture *fixture, struct peer *peer, const char *extra);
/* Sends a text message to the client. */
void fixture_send(struct fixture *fixture, const char *packet);
void fixture_send_binary(struct fixture *fixture, struct bytes message);

#endif
