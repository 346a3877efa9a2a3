/* engine.c - admits Engine.IO requests, finds their sessions, keeps their time. */
#include "engine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include <roomcast/log.h>

#include "transport.h"

enum { TABLE_SIZE_FIRST = 64, RETRY_AFTER_S = 1 };

static const struct {
	unsigned status;
	const char *message;
} errors[] = {
	[ENGINE_UNKNOWN_TRANSPORT] = { 400, "Transport unknown" },
	[ENGINE_UNKNOWN_SID] = { 400, "Session ID unknown" },
	[ENGINE_BAD_METHOD] = { 400, "Bad handshake method" },
	[ENGINE_BAD_REQUEST] = { 400, "Bad request" },
	[ENGINE_FORBIDDEN] = { 403, "Forbidden" },
	[ENGINE_BAD_VERSION] = { 400, "Unsupported protocol version" },
};

/* --- sessions by sid ----------------------------------------------------- */

static size_t hash_sid(const struct engine *engine, const char *sid)
{
	uint64_t hash = 14695981039346656037u; /* FNV-1a; sids are ours, nobody can choose a chain */
	while (*sid)
		hash = (hash ^ (unsigned char)*sid++) * 1099511628211u;
	return (size_t)(hash ^ hash >> 32) & (engine->table_size - 1);
}

static struct session *find_session(const struct engine *engine, const char *sid)
{
	struct session *session = engine->table[hash_sid(engine, sid)];
	while (session && strcmp(session->sid, sid) != 0)
		session = session->next;
	return session && session->state != SESSION_OPENING ? session : NULL;
}

static void link_session(struct engine *engine, struct session *session)
{
	struct session **chain = &engine->table[hash_sid(engine, session->sid)];
	session->next = *chain;
	*chain = session;
}

/* Stays with the smaller table when there is no memory: chains get longer. */
static void grow_table(struct engine *engine)
{
	size_t old_size = engine->table_size;
	struct session **old = engine->table, **table = calloc(old_size * 2, sizeof(struct session *));
	if (!table)
		return;
	engine->table = table;
	engine->table_size = old_size * 2;
	for (size_t i = 0; i < old_size; i++) {
		while (old[i]) {
			struct session *session = old[i];
			old[i] = session->next;
			link_session(engine, session);
		}
	}
	free(old);
}

void engine_bury(struct session *session)
{
	struct engine *engine = session->engine;
	struct session **at = &engine->table[hash_sid(engine, session->sid)];
	while (*at != session)
		at = &(*at)->next;
	*at = session->next;
	engine->session_count--;
	session->next = engine->dead;
	engine->dead = session;
	turn_end_ask(&engine->turn_end);
}

static void free_dead(void *data)
{
	struct engine *engine = data;
	while (engine->dead) {
		struct session *session = engine->dead;
		engine->dead = session->next;
		session_free(session);
	}
}

static int make_sid(struct session *session)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned char random[ENGINE_SID_RANDOM];
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -1;
	char *out = stpcpy(session->sid, session->engine->settings.hub_name);
	*out++ = '~';
	for (size_t i = 0; i < sizeof(random); i++)
		*out++ = letters[random[i] & 63];
	*out = '\0';
	return 0;
}

/* --- answers that are errors --------------------------------------------- */

/* Clients that ask for a WebSocket read no body. */
static void refuse_upgrade(struct http_exchange *exchange, unsigned status, const char *text, const char *headers)
{
	http_answer(exchange, &(struct http_answer){
		.status = status, .content_type = "text/plain", .body = bytes_of(text), .headers = headers, .is_last = true,
	});
}

void engine_refuse(struct engine *engine, struct http_exchange *exchange, enum engine_error error)
{
	engine->counters.bad_requests++;
	if (http_request(exchange)->is_websocket_upgrade) {
		refuse_upgrade(exchange, errors[error].status, errors[error].message, NULL);
		return;
	}
	struct buffer body = { 0 };
	buffer_add_format(&body, "{\"code\":%d,\"message\":\"%s\"}", (int)error, errors[error].message);
	http_answer(exchange, &(struct http_answer){
		.status = errors[error].status, .content_type = "application/json", .body = buffer_bytes(&body),
	});
	buffer_deinit(&body);
}

/* The client comes again by itself, to another hub when a web server stands between. */
static void send_away(struct engine *engine, struct http_exchange *exchange, unsigned retry_after_s)
{
	char header[64];
	snprintf(header, sizeof(header), "Retry-After: %u\r\n", retry_after_s);
	engine->counters.handshakes_refused++;
	http_answer(exchange, &(struct http_answer){
		.status = 503, .content_type = "application/json", .headers = header,
		.body = bytes_of("{\"success\":false,\"error\":\"no new sessions now\",\"code\":\"unavailable\"}"),
	});
}

/* --- handshakes ---------------------------------------------------------- */

struct session *engine_admit(struct engine *engine, struct http_exchange *exchange, const struct transport *transport)
{
	struct session *session = NULL;
	if (!engine->refuses_handshakes && engine->session_count < engine->settings.max_sessions)
		session = session_new(engine, transport);
	if (!session || make_sid(session) < 0) {
		if (session)
			session_free(session);
		send_away(engine, exchange, RETRY_AFTER_S);
		return NULL;
	}
	if (engine->session_count >= engine->table_size)
		grow_table(engine);
	link_session(engine, session);
	engine->session_count++;
	return session;
}

/* Whether the layer above lets it in; it is answered when not. */
static bool is_welcome(struct engine *engine, struct http_exchange *exchange)
{
	unsigned retry_after_s = 0;
	if (!engine->handler.on_handshake ||
	    engine->handler.on_handshake(engine->handler.data, &http_request(exchange)->info, &retry_after_s))
		return true;
	if (retry_after_s > 0) {
		send_away(engine, exchange, retry_after_s);
	} else {
		engine->counters.handshakes_refused++;
		engine_refuse(engine, exchange, ENGINE_FORBIDDEN);
	}
	return false;
}

/* The parameters of a request that Engine.IO knows, decoded; NULL when absent. */
struct parameters {
	char *transport, *sid, *version, *base64;
};

static bool equals(const char *text, const char *other)
{
	return text && strcmp(text, other) == 0;
}

/* What RFC 6455, 4.2.1 demands, beyond what the HTTP front saw. Answers what does not fulfil it. */
static bool is_good_upgrade(struct engine *engine, struct http_exchange *exchange)
{
	const struct http_request *request = http_request(exchange);
	if (!bytes_equal_text(request->websocket_version, "13")) {
		engine->counters.bad_requests++;
		refuse_upgrade(exchange, 426, "Upgrade Required",
		               "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
		return false;
	}
	if (!websocket_key_is_valid(request->websocket_key) || !http_can_detach(exchange)) {
		engine_refuse(engine, exchange, ENGINE_BAD_REQUEST);
		return false;
	}
	return true;
}

static void serve_handshake(struct engine *engine, struct http_exchange *exchange, const struct parameters *parameters)
{
	const struct http_request *request = http_request(exchange);
	bool wants_websocket = equals(parameters->transport, websocket_transport.name);
	if (request->verb != HTTP_VERB_GET)
		engine_refuse(engine, exchange, ENGINE_BAD_METHOD);
	else if (wants_websocket != request->is_websocket_upgrade)
		engine_refuse(engine, exchange, ENGINE_BAD_REQUEST);
	else if (!is_welcome(engine, exchange))
		return;
	else if (!equals(parameters->version, "4"))
		engine_refuse(engine, exchange, ENGINE_BAD_VERSION);
	else if (!wants_websocket)
		polling_handshake(engine, exchange);
	else if (is_good_upgrade(engine, exchange))
		websocket_handshake(engine, exchange, parameters->base64 != NULL);
}

/* --- requests ------------------------------------------------------------ */

static void serve_session(struct engine *engine, struct http_exchange *exchange, const struct parameters *parameters)
{
	struct session *session = find_session(engine, parameters->sid);
	bool wants_websocket = equals(parameters->transport, websocket_transport.name);
	if (!session) {
		engine_refuse(engine, exchange, ENGINE_UNKNOWN_SID);
	} else if (http_request(exchange)->is_websocket_upgrade) {
		if (!wants_websocket)
			engine_refuse(engine, exchange, ENGINE_BAD_REQUEST);
		else if (is_good_upgrade(engine, exchange))
			upgrade_start(session, exchange, parameters->base64 != NULL);
	} else if (wants_websocket || session->transport != &polling_transport) {
		engine_refuse(engine, exchange, ENGINE_BAD_REQUEST);
	} else {
		polling_serve(session, exchange);
	}
}

static bool has_control_characters(struct bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
			return true;
	return false;
}

static void serve(struct engine *engine, struct http_exchange *exchange, const struct parameters *parameters)
{
	if (!equals(parameters->transport, polling_transport.name) && !equals(parameters->transport, websocket_transport.name))
		engine_refuse(engine, exchange, ENGINE_UNKNOWN_TRANSPORT);
	else if (has_control_characters(http_request(exchange)->info.origin))
		engine_refuse(engine, exchange, ENGINE_BAD_REQUEST);
	else if (parameters->sid && parameters->sid[0])
		serve_session(engine, exchange, parameters);
	else
		serve_handshake(engine, exchange, parameters);
}

void engine_serve(struct engine *engine, struct http_exchange *exchange)
{
	struct bytes query = http_request(exchange)->info.query;
	struct parameters parameters = {
		.transport = request_query_value(query, "transport", NULL),
		.sid = request_query_value(query, "sid", NULL),
		.version = request_query_value(query, "EIO", NULL),
		.base64 = request_query_value(query, "b64", NULL),
	};
	serve(engine, exchange, &parameters);
	free(parameters.transport);
	free(parameters.sid);
	free(parameters.version);
	free(parameters.base64);
}

bool engine_is_meant(const struct http_request *request)
{
	static const char *const names[] = { "EIO", "transport", "sid" };
	if (request->is_websocket_upgrade)
		return true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *value = request_query_value(request->info.query, names[i], NULL);
		free(value);
		if (value)
			return true;
	}
	return false;
}

/* --- time ---------------------------------------------------------------- */

static struct session *session_of(struct deadline *deadline)
{
	return (struct session *)(void *)((char *)deadline - offsetof(struct session, deadline));
}

static void on_ping_due(struct deadline *deadline, void *data)
{
	struct session *session = session_of(deadline);
	(void)data;
	session_ping(session, session->deadline.due_ms);
}

static void on_pong_due(struct deadline *deadline, void *data)
{
	(void)data;
	session_end(session_of(deadline), CLOSE_PING_TIMEOUT, FAREWELL_NOW);
}

static void on_linger_due(struct deadline *deadline, void *data)
{
	(void)data;
	session_finish_lingering(session_of(deadline));
}

/* --- the engine ---------------------------------------------------------- */

static void part_closed(void *data)
{
	struct engine *engine = data;
	if (--engine->open_parts > 0)
		return;
	frame_unref(engine->ping);
	frame_unref(engine->pong_probe);
	free(engine->table);
	buffer_deinit(&engine->scratch);
	if (engine->on_closed)
		engine->on_closed(engine->on_closed_data);
	free(engine);
}

static int init_times(struct engine *engine, struct error *err)
{
	const struct engine_settings *settings = &engine->settings;
	const struct {
		struct deadlines *deadlines;
		uint64_t delay_ms;
		void (*on_due)(struct deadline *deadline, void *data);
	} times[] = {
		{ &engine->pings, settings->ping_interval_ms, on_ping_due },
		{ &engine->pongs, settings->ping_timeout_ms, on_pong_due },
		{ &engine->lingers, settings->close_linger_ms, on_linger_due },
		{ &engine->upgrades, settings->upgrade_timeout_ms, upgrade_on_due },
	};
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		if (deadlines_init(times[i].deadlines, engine->loop, times[i].delay_ms, times[i].on_due, engine, err) < 0)
			return -1;
		engine->open_parts++;
	}
	if (turn_end_init(&engine->turn_end, engine->loop, free_dead, engine, err) < 0)
		return -1;
	engine->open_parts++;
	return 0;
}

struct engine *engine_new(uv_loop_t *loop, struct websockets *websockets, const struct engine_settings *settings,
                          const struct session_handler *handler, struct error *err)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	if (!engine)
		goto no_memory;
	engine->loop = loop;
	engine->websockets = websockets;
	engine->settings = *settings;
	engine->handler = *handler;
	engine->table_size = TABLE_SIZE_FIRST;
	engine->table = calloc(engine->table_size, sizeof(struct session *));
	engine->ping = frame_from_bytes(bytes_of("2"), false);
	engine->pong_probe = frame_from_bytes(bytes_of("3probe"), false);
	if (!engine->table || !engine->ping || !engine->pong_probe)
		goto no_memory;
	if (init_times(engine, err) < 0) /* cannot fail with a loop that exists */
		abort();
	return engine;
no_memory:
	if (engine) {
		free(engine->table);
		frame_unref(engine->ping);
		frame_unref(engine->pong_probe);
		free(engine);
	}
	error_set(err, ERROR_SYSTEM, "no memory");
	return NULL;
}

const struct engine_counters *engine_counters(const struct engine *engine)
{
	return &engine->counters;
}

void engine_refuse_handshakes(struct engine *engine)
{
	engine->refuses_handshakes = true;
}

size_t engine_close_some(struct engine *engine, size_t most, enum close_reason reason)
{
	/* closing changes the table: a chain is walked again after each */
	for (size_t walked = 0; walked < engine->table_size && most > 0 && engine->counters.sessions > 0; walked++) {
		size_t at = engine->close_cursor++ & (engine->table_size - 1);
		struct session *session = engine->table[at];
		while (session && most > 0) {
			if (!session_is_open(session)) {
				session = session->next;
				continue;
			}
			session_close(session, reason);
			most--;
			session = engine->table[at];
		}
		if (most == 0)
			engine->close_cursor--; /* its chain may hold more */
	}
	return engine->counters.sessions;
}

/* Whatever state it is in. */
static void end_at_once(struct session *session)
{
	if (session->state == SESSION_CLOSING) {
		session_finish_lingering(session);
	} else if (session->state == SESSION_OPENING) {
		websocket_close(session->websocket, WEBSOCKET_GOING_AWAY);
		session_set_state(session, SESSION_CLOSED);
		engine_bury(session);
	} else {
		session_end(session, CLOSE_SHUTTING_DOWN, FAREWELL_NOW);
	}
}

void engine_close(struct engine *engine, void (*on_closed)(void *data), void *data)
{
	engine->on_closed = on_closed;
	engine->on_closed_data = data;
	engine->refuses_handshakes = true;
	for (size_t i = 0; i < engine->table_size; i++)
		while (engine->table[i])
			end_at_once(engine->table[i]);
	free_dead(engine);
	deadlines_close(&engine->pings, part_closed, engine);
	deadlines_close(&engine->pongs, part_closed, engine);
	deadlines_close(&engine->lingers, part_closed, engine);
	deadlines_close(&engine->upgrades, part_closed, engine);
	turn_end_close(&engine->turn_end, part_closed, engine);
}
