/* upgrade.c - a session moves from polling to a WebSocket: `2probe`, `3probe`, `5`.
 *
 * Until the `5` the session stays with polling and nothing else goes to the WebSocket; if the WebSocket fails, polling
 * goes on as if nothing had been. */
#include <assert.h>
#include <stdlib.h>

#include <roomcast/log.h>

#include "transport.h"

struct upgrade {
	struct session *session;
	struct websocket *websocket;
	struct request_info *request; /* its handshake */
	struct deadline deadline;
	bool is_base64;
};

/* Forgets the upgrade; its WebSocket is somebody else's now. */
static void upgrade_free(struct upgrade *upgrade)
{
	upgrade->session->upgrade = NULL;
	deadline_cancel(&upgrade->deadline);
	free(upgrade->request);
	free(upgrade);
}

static void fall_back(struct upgrade *upgrade)
{
	struct session *session = upgrade->session;
	upgrade_free(upgrade);
	if (session->state == SESSION_UPGRADING)
		session_set_state(session, SESSION_OPEN);
}

void upgrade_cancel(struct session *session)
{
	struct upgrade *upgrade = session->upgrade;
	if (!upgrade)
		return;
	websocket_close(upgrade->websocket, WEBSOCKET_NORMAL);
	fall_back(upgrade);
}

void upgrade_on_due(struct deadline *deadline, void *data)
{
	struct upgrade *upgrade = (struct upgrade *)(void *)((char *)deadline - offsetof(struct upgrade, deadline));
	(void)data;
	upgrade_cancel(upgrade->session);
}

/* --- what the WebSocket says --------------------------------------------- */

static void on_open(void *data)
{
	(void)data; /* the client speaks first */
}

static void answer_probe(struct upgrade *upgrade)
{
	struct session *session = upgrade->session;
	if (websocket_write(upgrade->websocket, &session->engine->pong_probe, 1) == 0) {
		upgrade_cancel(session);
		return;
	}
	session_set_state(session, SESSION_UPGRADING);
	polling_release(session);
}

static void complete(struct upgrade *upgrade)
{
	struct session *session = upgrade->session;
	struct websocket *websocket = upgrade->websocket;
	session->request = upgrade->request;
	session->is_base64 = upgrade->is_base64;
	upgrade->request = NULL;
	upgrade_free(upgrade);
	polling_free(session);
	websocket_take_over(session, websocket);
	session_set_state(session, SESSION_OPEN);
	session->engine->counters.upgrades++;
	session_flush(session);
}

static void on_message(void *data, struct bytes message, bool is_binary)
{
	struct upgrade *upgrade = data;
	bool is_probed = upgrade->session->state == SESSION_UPGRADING;
	if (!is_binary && !is_probed && bytes_equal_text(message, "2probe"))
		answer_probe(upgrade);
	else if (!is_binary && is_probed && bytes_equal_text(message, "5"))
		complete(upgrade);
	else
		upgrade_cancel(upgrade->session);
}

static void on_writable(void *data)
{
	(void)data;
}

static void on_close(void *data, bool is_error)
{
	(void)is_error;
	fall_back(data);
}

static const struct websocket_handler handler = {
	.on_open = on_open, .on_message = on_message, .on_writable = on_writable, .on_close = on_close,
};

/* --- a second WebSocket for a session: accepted, and closed ---------------- */

static void on_unwanted_open(void *data)
{
	websocket_close(data, WEBSOCKET_NORMAL);
}

static void on_unwanted_message(void *data, struct bytes message, bool is_binary)
{
	(void)data;
	(void)message;
	(void)is_binary;
}

static void on_unwanted_close(void *data, bool is_error)
{
	(void)data;
	(void)is_error;
}

static const struct websocket_handler unwanted = {
	.on_open = on_unwanted_open, .on_message = on_unwanted_message, .on_writable = on_writable, .on_close = on_unwanted_close,
};

void upgrade_start(struct session *session, struct http_exchange *exchange, bool is_base64)
{
	struct engine *engine = session->engine;
	const struct http_request *request = http_request(exchange);
	bool is_wanted = session->state == SESSION_OPEN && session->transport == &polling_transport && !session->upgrade;
	struct upgrade *upgrade = calloc(1, sizeof(*upgrade));
	struct request_info *info = request_info_dup(&request->info);
	struct websocket *websocket = upgrade && info ? websocket_new(engine->websockets, request->websocket_key,
	                                                              engine->settings.max_payload, &handler, upgrade) : NULL;
	if (!websocket) {
		free(upgrade);
		free(info);
		http_answer_error(exchange, 503, "out_of_memory", "no memory");
		return;
	}
	if (is_wanted) {
		*upgrade = (struct upgrade){ .session = session, .websocket = websocket, .request = info, .is_base64 = is_base64 };
		session->upgrade = upgrade;
		deadlines_set(&engine->upgrades, &upgrade->deadline);
	} else {
		free(upgrade);
		free(info);
		websocket_set_handler(websocket, &unwanted, websocket);
	}
	http_detach(exchange, websocket_start, websocket);
}
