/* session.c - a session's state, its queue of frames, and its packets. */
#include "session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <roomcast/log.h>

#include "transport.h"

#define TO(state) (1u << (state))
static const struct { const char *name; unsigned next; } session_states[] = {
	[SESSION_OPENING] = { "opening", TO(SESSION_OPEN) | TO(SESSION_CLOSED) },
	[SESSION_OPEN] = { "open", TO(SESSION_UPGRADING) | TO(SESSION_CLOSING) | TO(SESSION_CLOSED) },
	[SESSION_UPGRADING] = { "upgrading", TO(SESSION_OPEN) | TO(SESSION_CLOSING) | TO(SESSION_CLOSED) },
	[SESSION_CLOSING] = { "closing", TO(SESSION_CLOSED) },
	[SESSION_CLOSED] = { "closed", 0 },
};

static const char *const reason_names[CLOSE_REASON_COUNT] = {
	[CLOSE_TRANSPORT_CLOSE] = "transport close",
	[CLOSE_TRANSPORT_ERROR] = "transport error",
	[CLOSE_PING_TIMEOUT] = "ping timeout",
	[CLOSE_PARSE_ERROR] = "parse error",
	[CLOSE_FORCED] = "forced close",
	[CLOSE_SHUTTING_DOWN] = "server shutting down",
	[CLOSE_SLOW] = "too slow",
	[CLOSE_EXPIRED] = "token expired",
	[CLOSE_TAKEN_OVER] = "taken over",
	[CLOSE_CLIENT_NAMESPACE] = "client namespace disconnect",
	[CLOSE_SERVER_NAMESPACE] = "server namespace disconnect",
};

enum { FRAME_COST = 32 }; /* what a queued frame takes beyond its bytes, roughly */

const char *close_reason_name(enum close_reason reason)
{
	return reason_names[reason];
}

void *session_above(struct session *session)
{
	return session->above;
}

void *session_data(const struct session *session)
{
	return session->engine->handler.data;
}

const char *session_sid(const struct session *session)
{
	return session->sid;
}

bool session_is_open(const struct session *session)
{
	return session->state == SESSION_OPEN || session->state == SESSION_UPGRADING;
}

void session_set_state(struct session *session, enum session_state state)
{
	assert(session_states[session->state].next & TO(state));
	log_debug("msg=\"session\" from=%s to=%s", session_states[session->state].name, session_states[state].name);
	session->state = (uint8_t)state;
}

/* --- life ---------------------------------------------------------------- */

struct session *session_new(struct engine *engine, const struct transport *transport)
{
	size_t sid_size = strlen(engine->settings.hub_name) + sizeof("~") + ENGINE_SID_RANDOM;
	struct session *session = calloc(1, sizeof(*session) + engine->handler.above_size + sid_size);
	if (!session)
		return NULL;
	session->engine = engine;
	session->transport = transport;
	session->sid = session->above + engine->handler.above_size;
	return session;
}

void session_free(struct session *session)
{
	session_drop_queue(session, session->queue_len);
	polling_free(session);
	free(session->request);
	free(session);
}

void session_write_open(const struct session *session, bool can_upgrade, struct buffer *out)
{
	const struct engine_settings *settings = &session->engine->settings;
	engineio_open_write(out, &(struct engineio_open){
		.sid = session->sid,
		.can_upgrade = can_upgrade,
		.ping_interval_ms = settings->ping_interval_ms,
		.ping_timeout_ms = settings->ping_timeout_ms,
		.max_payload = settings->max_payload,
	});
}

void session_begin(struct session *session)
{
	struct engine *engine = session->engine;
	session_set_state(session, SESSION_OPEN);
	engine->counters.sessions++;
	engine->counters.sessions_opened++;
	deadlines_set(&engine->pings, &session->deadline);
	if (engine->handler.on_open)
		engine->handler.on_open(session);
}

void session_end(struct session *session, enum close_reason reason, enum farewell farewell)
{
	struct engine *engine = session->engine;
	if (!session_is_open(session))
		return;
	upgrade_cancel(session);
	deadline_cancel(&session->deadline);
	bool is_lingering = session->transport->end(session, farewell, reason);
	session_set_state(session, is_lingering ? SESSION_CLOSING : SESSION_CLOSED);
	engine->counters.sessions--;
	engine->counters.closed[reason]++;
	if (is_lingering)
		deadlines_set(&engine->lingers, &session->deadline);
	else
		engine_bury(session);
	log_debug("msg=\"session closed\" reason=\"%s\"", close_reason_name(reason));
	engine->handler.on_close(session, reason);
}

void session_finish_lingering(struct session *session)
{
	deadline_cancel(&session->deadline);
	session_set_state(session, SESSION_CLOSED);
	engine_bury(session);
}

void session_close(struct session *session, enum close_reason reason)
{
	session_end(session, reason, FAREWELL_POLITE);
}

void session_forget_request(struct session *session)
{
	free(session->request);
	session->request = NULL;
}

/* --- sending ------------------------------------------------------------- */

void session_drop_queue(struct session *session, size_t count)
{
	assert(count <= session->queue_len);
	for (size_t i = 0; i < count; i++) {
		struct frame *frame = session->queue[session->queue_head + i];
		session->unsent -= frame_wire_len(frame) + FRAME_COST;
		frame_unref(frame);
	}
	session->queue_head += (uint32_t)count;
	session->queue_len -= (uint32_t)count;
	if (session->queue_len > 0)
		return;
	free(session->queue);
	session->queue = NULL;
	session->queue_head = session->queue_capacity = 0;
	if (session->awaits_drained && session_is_open(session)) {
		session->awaits_drained = false;
		session->engine->handler.on_drained(session);
	}
}

void session_withdraw(struct session *session, const struct frame *frame)
{
	struct frame **queue = session->queue + session->queue_head;
	uint32_t at = session->queue_len;
	while (at > 0 && queue[at - 1] != frame)
		at--;
	if (at == 0)
		return;
	session->unsent -= frame_wire_len(frame) + FRAME_COST;
	frame_unref(queue[at - 1]);
	memmove(queue + at - 1, queue + at, (session->queue_len - at) * sizeof(*queue));
	session->queue_len--;
}

bool session_is_queued(const struct session *session)
{
	return session->queue_len > 0;
}

void session_await_drained(struct session *session)
{
	assert(session->queue_len > 0 && session->engine->handler.on_drained);
	session->awaits_drained = true;
}

static int make_room(struct session *session, size_t count)
{
	if (session->queue_head + session->queue_len + count <= session->queue_capacity)
		return 0;
	if (session->queue_head) {
		memmove(session->queue, session->queue + session->queue_head, session->queue_len * sizeof(*session->queue));
		session->queue_head = 0;
	}
	size_t needed = session->queue_len + count, capacity = session->queue_capacity ? session->queue_capacity : 8;
	while (capacity < needed)
		capacity *= 2;
	if (capacity == session->queue_capacity)
		return 0;
	struct frame **queue = realloc(session->queue, capacity * sizeof(*queue));
	if (!queue)
		return -1;
	session->queue = queue;
	session->queue_capacity = (uint32_t)capacity;
	return 0;
}

static bool fits(const struct session *session, struct frame *const *frames, size_t count)
{
	size_t unsent = session->unsent;
	for (size_t i = 0; i < count; i++)
		unsent += frame_wire_len(frames[i]) + FRAME_COST;
	return unsent <= session->engine->settings.max_unsent || (count == 1 && session->queue_len == 0);
}

static void enqueue(struct session *session, struct frame *const *frames, size_t count)
{
	if (count == 0)
		return;
	if (!fits(session, frames, count) || make_room(session, count) < 0) {
		session_drop_queue(session, session->queue_len);
		session_end(session, CLOSE_SLOW, FAREWELL_POLITE);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		session->queue[session->queue_head + session->queue_len++] = frame_ref(frames[i]);
		session->unsent += frame_wire_len(frames[i]) + FRAME_COST;
	}
}

void session_send(struct session *session, struct frame *const *frames, size_t count)
{
	struct engine_counters *counters = &session->engine->counters;
	if (!session_is_open(session))
		return;
	counters->packets_out += count;
	for (size_t i = 0; i < count; i++)
		counters->bytes_out += frames[i]->payload_len;
	size_t taken = session->queue_len ? 0 : session->transport->send(session, frames, count);
	enqueue(session, frames + taken, count - taken);
}

bool session_send_together(struct session *session, const struct frames_together *together)
{
	if (!session_is_open(session) || session->queue_len || !session->transport->takes_wire || !session->transport->send(session, &together->wire, 1))
		return false;
	session->engine->counters.packets_out += together->count;
	session->engine->counters.bytes_out += together->payload_len;
	return true;
}

void session_prefetch(const struct session *session, unsigned step)
{
	if (step == 0) {
		__builtin_prefetch(session);
		__builtin_prefetch((const char *)&session->queue_len);
	} else if (session->websocket) {
		websocket_prefetch(session->websocket);
	}
}

void session_flush(struct session *session)
{
	if (session->queue_len == 0)
		return;
	size_t taken = session->transport->send(session, session->queue + session->queue_head, session->queue_len);
	session_drop_queue(session, taken);
}

bool session_is_writable(const struct session *session)
{
	return session_is_open(session) && session->queue_len == 0 && session->transport->is_writable(session);
}

/* --- receiving ----------------------------------------------------------- */

typedef void packet_action(struct session *session, const struct engineio_packet *packet, const struct request_info *request);

static void ignore(struct session *session, const struct engineio_packet *packet, const struct request_info *request)
{
	(void)session;
	(void)packet;
	(void)request;
}

static void on_close_packet(struct session *session, const struct engineio_packet *packet, const struct request_info *request)
{
	(void)packet;
	(void)request;
	session_end(session, CLOSE_TRANSPORT_CLOSE, FAREWELL_NOOP);
}

/* Pings come from the server in this revision of the protocol. */
static void on_ping_packet(struct session *session, const struct engineio_packet *packet, const struct request_info *request)
{
	(void)packet;
	(void)request;
	session_end(session, CLOSE_TRANSPORT_ERROR, FAREWELL_NOW);
}

void session_ping(struct session *session, uint64_t since_ms)
{
	session->is_pinged = true;
	deadlines_set_since(&session->engine->pongs, &session->deadline, since_ms);
	session_send(session, &session->engine->ping, 1);
}

static void ask_echo(struct session *session)
{
	session->echo = ECHO_ASKED;
	session_ping(session, uv_now(session->engine->loop));
}

void session_ask_echo(struct session *session)
{
	if (!session_is_open(session) || session->echo != ECHO_NONE)
		return;
	if (session->is_pinged)
		session->echo = ECHO_DUE;
	else
		ask_echo(session);
}

static void on_pong_packet(struct session *session, const struct engineio_packet *packet, const struct request_info *request)
{
	(void)packet;
	(void)request;
	enum session_echo echo = session->echo;
	session->is_pinged = false;
	session->echo = ECHO_NONE;
	if (echo == ECHO_DUE) {
		ask_echo(session);
		return;
	}
	deadlines_set(&session->engine->pings, &session->deadline);
	if (echo == ECHO_ASKED && session->engine->handler.on_echo)
		session->engine->handler.on_echo(session);
}

static void on_message_packet(struct session *session, const struct engineio_packet *packet, const struct request_info *request)
{
	session->engine->handler.on_message(session, packet->data, packet->is_binary, request);
}

static packet_action *const packet_actions[] = {
	[ENGINEIO_OPEN] = ignore,
	[ENGINEIO_CLOSE] = on_close_packet,
	[ENGINEIO_PING] = on_ping_packet,
	[ENGINEIO_PONG] = on_pong_packet,
	[ENGINEIO_MESSAGE] = on_message_packet,
	[ENGINEIO_UPGRADE] = ignore,
	[ENGINEIO_NOOP] = ignore,
};

void session_receive(struct session *session, const struct engineio_packet *packet, const struct request_info *request)
{
	if (!session_is_open(session))
		return;
	session->engine->counters.packets_in++;
	session->engine->counters.bytes_in += packet->data.len;
	packet_actions[packet->type](session, packet, request);
}
