/* hub.c - puts the parts of a hub together, and takes them apart again. */
#include "hub.h"

#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "members.h"
#include "status.h"

enum { CLOSE_LINGER = 30000, DRAIN_STEP = 50 }; /* milliseconds */

static void serve_engine(struct http_exchange *exchange, void *data)
{
	struct hub *hub = data;
	if (engine_is_meant(http_request(exchange)))
		engine_serve(hub->engine, exchange);
	else
		status_serve(exchange, hub);
}

/* --- what the parts ask the hub ---------------------------------------------- */

static void on_line_event(void *data, struct event *event, bool is_history)
{
	struct hub *hub = data;
	if (event->message.kind == MESSAGE_CONTROL)
		control_apply(hub, &event->message, is_history);
	if (event->message.kind == MESSAGE_EVENT)
		recovery_on_event(hub, event);
	if (event->message.kind == MESSAGE_CONTROL || is_history)
		event_unref(event);
	else
		fanout_publish(hub->fanout, event);
}

static bool on_line_standing(void *data, const struct message *standing)
{
	return control_on_standing(data, standing);
}

static void on_line_loss(void *data)
{
	control_on_loss(data);
	recovery_on_loss(data);
}

static void on_line_round(void *data)
{
	struct hub *hub = data;
	control_settle(hub);
	fanout_run(hub->fanout);
	recovery_on_round(hub);
	arrivals_try(&hub->arrivals);
}

/* Before it is ready this hub would owe its clients what it does not have. */
static bool on_handshake(void *data, const struct request_info *request, unsigned *retry_after_s)
{
	const struct hub *hub = data;
	(void)request;
	*retry_after_s = 1;
	return subscriber_is_ready(hub->subscriber);
}

static uint64_t on_line_patience(void *data)
{
	struct hub *hub = data;
	return fanout_patience_ns(hub->fanout);
}

static bool on_line_is_full(void *data)
{
	struct hub *hub = data;
	return fanout_is_full(hub->fanout);
}

static struct place on_newest(void *data)
{
	const struct hub *hub = data;
	return subscriber_position(hub->subscriber);
}

static uint64_t on_line_clients(void *data)
{
	return hub_clients(data);
}

static uint64_t on_line_rooms(void *data)
{
	struct hub *hub = data;
	return rooms_count(&hub->rooms);
}

uint64_t hub_clients(const struct hub *hub)
{
	return HASH_COUNT(hub->members);
}

uint64_t hub_cluster_clients(const struct hub *hub)
{
	return hub_clients(hub) + subscriber_other_clients(hub->subscriber);
}

/* --- opening ----------------------------------------------------------------- */

static int open_audience(struct hub *hub, struct error *err)
{
	const struct hub_config *config = hub->config;
	if (rooms_init(&hub->rooms, err))
		return -1;
	hub->fanout = fanout_new(hub->loop, &hub->rooms, &(struct fanout_settings){
		.chunk = (uint32_t)config->broadcast_chunk,
		.backlog_max = (size_t)config->max_backlog,
		.send = members_send,
		.send_together = members_send_together,
		.prefetch = members_prefetch,
		.is_writable = members_is_writable,
		.withdraw = members_withdraw,
		.find_by_sid = members_find_by_sid,
		.newest = on_newest,
		.data = hub,
	}, err);
	if (!hub->fanout || recovery_open(hub, err) || members_open(hub, err))
		return -1;
	hub->standing = standing_new(0, 0);
	if (!hub->standing)
		return error_set(err, ERROR_SYSTEM, "no memory");
	if (curve_load(config->curve_secret_key, config->curve_server_key, &hub->curve, err))
		return -1;
	hub->subscriber = subscriber_new(hub->loop, &(struct subscriber_settings){
		.hub_name = config->name,
		.line = config->line,
		.curve = &hub->curve,
		.held_max = (size_t)config->max_gap,
		.start_patience_ms = (uint64_t)config->start_patience,
		.window_ms = hub->recovery.mode == RECOVERY_OFF ? 0 : (uint64_t)config->history_age,
		.window_events = (uint64_t)config->history_events,
		.window_bytes = (uint64_t)config->history_bytes,
		.on_event = on_line_event,
		.on_standing = on_line_standing,
		.on_loss = on_line_loss,
		.on_round = on_line_round,
		.is_full = on_line_is_full,
		.patience_ns = on_line_patience,
		.clients = on_line_clients,
		.rooms = on_line_rooms,
		.data = hub,
	}, err);
	return hub->subscriber ? 0 : -1;
}

static int open_engine(struct hub *hub, struct error *err)
{
	const struct hub_config *config = hub->config;
	struct socketio_handler handler = members_handler(hub);
	hub->socketio = socketio_new(hub->loop, &(struct socketio_settings){ .connect_timeout_ms = (uint64_t)config->connect_timeout },
	                             &handler, err);
	if (!hub->socketio)
		return -1;
	hub->websockets = websockets_new(hub->loop, err);
	if (!hub->websockets)
		return -1;
	struct session_handler session_handler = socketio_session_handler(hub->socketio, on_handshake);
	hub->engine = engine_new(hub->loop, hub->websockets, &(struct engine_settings){
		.hub_name = config->name,
		.ping_interval_ms = (uint64_t)config->ping_interval,
		.ping_timeout_ms = (uint64_t)config->ping_timeout,
		.upgrade_timeout_ms = (uint64_t)config->upgrade_timeout,
		.close_linger_ms = CLOSE_LINGER,
		.max_payload = (size_t)config->max_payload,
		.max_unsent = (size_t)config->max_unsent,
		.max_sessions = (size_t)config->max_sessions,
	}, &session_handler, err);
	return hub->engine ? 0 : -1;
}

static int open_http(struct hub *hub, struct error *err)
{
	const struct hub_config *config = hub->config;
	hub->routes[0] = (struct http_route){ config->path, hub->cors, serve_engine, hub };
	hub->routes[1] = (struct http_route){ "/healthz", NULL, status_health, hub };
	hub->routes[2] = (struct http_route){ "/readyz", NULL, status_ready, hub };
	hub->routes[3] = (struct http_route){ "/metrics", NULL, status_metrics, hub };
	hub->routes[4] = (struct http_route){ "/", NULL, status_nothing, hub };
	struct http_settings settings = http_settings_default;
	settings.max_connections = (unsigned)config->max_connections;
	settings.max_per_address = (unsigned)config->max_per_address;
	settings.header_timeout_ms = (uint64_t)config->header_timeout;
	hub->http = http_server_new(hub->loop, &settings, hub->routes, HUB_ROUTES, err);
	if (!hub->http)
		return -1;
	return http_server_listen(hub->http, config->listen, err);
}

int hub_open(struct hub *hub, uv_loop_t *loop, const struct hub_config *config, struct error *err)
{
	*hub = (struct hub){ .config = config, .loop = loop };
	uv_timer_init(loop, &hub->drain);
	hub->drain.data = hub;
	hub->cors = cors_new(hub_config_origins(config), err);
	if (!hub->cors)
		return -1;
	hub->authentication = (struct authentication){
		.secret = bytes_of(config->jwt_secret),
		.cookie_name = config->cookie_name,
		.cors = hub->cors,
		.leeway_s = (unsigned)(config->token_leeway / 1000),
	};
	return open_audience(hub, err) || open_engine(hub, err) || open_http(hub, err) ? -1 : 0;
}

/* --- closing: the layers from the outside in, each when the one before is gone -- */

static void on_subscriber_closed(void *data)
{
	struct hub *hub = data;
	websockets_close(hub->websockets);
}

static void on_fanout_closed(void *data)
{
	struct hub *hub = data;
	subscriber_close(hub->subscriber, on_subscriber_closed, hub);
}

static void on_recovery_closed(void *data)
{
	struct hub *hub = data;
	fanout_close(hub->fanout, on_fanout_closed, hub);
}

static void on_members_closed(void *data)
{
	struct hub *hub = data;
	recovery_close(hub, on_recovery_closed, hub);
}

static void on_socketio_closed(void *data)
{
	struct hub *hub = data;
	members_close(hub, on_members_closed, hub);
}

static void on_engine_closed(void *data)
{
	struct hub *hub = data;
	socketio_close(hub->socketio, on_socketio_closed, hub);
}

static void on_http_closed(void *data)
{
	struct hub *hub = data;
	engine_close(hub->engine, on_engine_closed, hub);
}

static void close_all(struct hub *hub)
{
	if (hub->is_closing)
		return;
	hub->is_closing = true;
	uv_close((uv_handle_t *)&hub->drain, NULL);
	log_info("msg=closing clients=%llu", (unsigned long long)hub_clients(hub));
	http_server_close(hub->http, on_http_closed, hub);
}

static void on_drain_step(uv_timer_t *timer)
{
	struct hub *hub = timer->data;
	size_t left = engine_close_some(hub->engine, hub->drain_step, CLOSE_SHUTTING_DOWN);
	if (!left || uv_now(hub->loop) >= hub->drain_until)
		close_all(hub);
}

void hub_drain(struct hub *hub)
{
	if (hub->is_draining) {
		close_all(hub);
		return;
	}
	hub->is_draining = true;
	engine_refuse_handshakes(hub->engine);
	uint64_t window = (uint64_t)hub->config->drain_window, steps = window / DRAIN_STEP + 1;
	hub->drain_step = (size_t)(engine_counters(hub->engine)->sessions / steps + 1);
	hub->drain_until = uv_now(hub->loop) + window;
	log_info("msg=draining sessions=%llu window_ms=%llu", (unsigned long long)engine_counters(hub->engine)->sessions,
	         (unsigned long long)window);
	uv_timer_start(&hub->drain, on_drain_step, 0, DRAIN_STEP);
}

void hub_deinit(struct hub *hub)
{
	websockets_free(hub->websockets);
	standing_free(hub->standing);
	recovery_deinit(hub);
	rooms_deinit(&hub->rooms);
	cors_free(hub->cors);
}
