/* status.c - plain HTTP answers about the hub. */
#include "status.h"

#include <inttypes.h>
#include <stdio.h>

#include <roomcast/bytes.h>

static void answer_buffer(struct http_exchange *exchange, unsigned status, const char *type, struct buffer *body)
{
	if (body->has_failed)
		http_answer_error(exchange, 500, "out_of_memory", "no memory for the answer");
	else
		http_answer(exchange, &(struct http_answer){ .status = status, .content_type = type, .body = buffer_bytes(body) });
	buffer_deinit(body);
}

static bool is_read(struct http_exchange *exchange)
{
	enum http_verb verb = http_request(exchange)->verb;
	if (verb == HTTP_VERB_GET || verb == HTTP_VERB_HEAD)
		return true;
	http_answer_not_allowed(exchange, "Allow: GET, HEAD\r\n");
	return false;
}

static struct standing_figures standing_of(const struct hub *hub)
{
	struct standing_figures figures;
	standing_figures(hub->standing, &figures);
	return figures;
}

static const struct walks_figures *walks_of(const struct hub *hub)
{
	static const struct walks_figures none;
	return hub->recovery.walks ? walks_figures(hub->recovery.walks) : &none;
}

static void add_history(struct buffer *body, const struct hub *hub)
{
	struct history_figures figures = history_figures(hub->recovery.history);
	buffer_add_format(body, ",\"history\":{\"events\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"rooms\":%" PRIu64 ",\"bounds\":{\"ageMs\":%" PRId64
	                  ",\"events\":%" PRId64 ",\"bytes\":%" PRId64 "}},\"storedSessions\":%" PRIu64,
	                  figures.events, figures.bytes, figures.rooms, hub->config->history_age, hub->config->history_events,
	                  hub->config->history_bytes, stored_figures(hub->recovery.stored).count);
}

/* Anybody may read this, so it names no endpoint. */
static void add_line(struct buffer *body, const struct hub *hub)
{
	const struct sequence *sequence = subscriber_sequence(hub->subscriber);
	struct standing_figures standing = standing_of(hub);
	char position[PLACE_TEXT_SIZE];
	place_format(sequence->position, position);
	buffer_add_format(body, ",\"gateway\":\"%s\",\"line\":{\"position\":\"%s\",\"lag\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"breaks\":%" PRIu64
	                  ",\"epochs\":%zu,\"history\":%s},\"standing\":{\"grants\":%" PRIu64 ",\"blocks\":%" PRIu64 "}}",
	                  subscriber_state(hub->subscriber), position, sequence_lag(sequence), sequence->counters.lost, sequence->counters.breaks,
	                  sequence->epoch_count, subscriber_has_history(hub->subscriber) ? "true" : "false", standing.grants, standing.blocks);
}

void status_serve(struct http_exchange *exchange, void *data)
{
	const struct hub *hub = data;
	if (!is_read(exchange))
		return;
	struct buffer body = { 0 };
	buffer_add_format(&body, "{\"success\":true,\"message\":\"Socket.IO server status\",\"available\":%s,\"connectedClients\":%" PRIu64 ",\"path\":",
	                  hub->is_draining ? "false" : "true", hub_cluster_clients(hub));
	buffer_add_json_string(&body, bytes_of(hub->config->path));
	buffer_add_text(&body, ",\"hub\":");
	buffer_add_json_string(&body, bytes_of(hub->config->name));
	add_history(&body, hub);
	add_line(&body, hub);
	answer_buffer(exchange, 200, "application/json", &body);
}

void status_health(struct http_exchange *exchange, void *data)
{
	(void)data;
	struct buffer body = { 0 };
	if (!is_read(exchange))
		return;
	buffer_add_text(&body, "{\"healthy\":true}");
	answer_buffer(exchange, 200, "application/json", &body);
}

void status_ready(struct http_exchange *exchange, void *data)
{
	const struct hub *hub = data;
	if (!is_read(exchange))
		return;
	bool is_ready = !hub->is_draining && subscriber_is_ready(hub->subscriber);
	struct buffer body = { 0 };
	buffer_add_format(&body, "{\"ready\":%s,\"draining\":%s,\"gateway\":\"%s\"}", is_ready ? "true" : "false",
	                  hub->is_draining ? "true" : "false", subscriber_state(hub->subscriber));
	answer_buffer(exchange, is_ready ? 200 : 503, "application/json", &body);
}

void status_nothing(struct http_exchange *exchange, void *data)
{
	(void)data;
	http_answer_error(exchange, 404, "not_found", "nothing is served at this path");
}

/* --- metrics ----------------------------------------------------------------- */

#define VALUE(function, expression) \
	static uint64_t function(const struct hub *hub) \
	{ \
		return (expression); \
	}

VALUE(clients, hub_clients(hub))
VALUE(cluster_clients, hub_cluster_clients(hub))
VALUE(room_count, rooms_count(&hub->rooms))
VALUE(sessions, engine_counters(hub->engine)->sessions)
VALUE(websocket_sessions, engine_counters(hub->engine)->websocket_sessions)
VALUE(sessions_opened, engine_counters(hub->engine)->sessions_opened)
VALUE(upgrades, engine_counters(hub->engine)->upgrades)
VALUE(handshakes_refused, engine_counters(hub->engine)->handshakes_refused)
VALUE(engine_bad_requests, engine_counters(hub->engine)->bad_requests)
VALUE(packets_in, engine_counters(hub->engine)->packets_in)
VALUE(packets_out, engine_counters(hub->engine)->packets_out)
VALUE(bytes_in, engine_counters(hub->engine)->bytes_in)
VALUE(bytes_out, engine_counters(hub->engine)->bytes_out)
VALUE(websockets_too_big, websockets_counters(hub->websockets)->too_big)
VALUE(websockets_invalid, websockets_counters(hub->websockets)->invalid_text)
VALUE(websockets_broken, websockets_counters(hub->websockets)->broken)
VALUE(connects, hub->counters.connects)
VALUE(connects_authenticated, hub->counters.connects_authenticated)
VALUE(bad_tokens, hub->counters.bad_tokens)
VALUE(commands, hub->counters.commands)
VALUE(unknown_events, hub->counters.unknown_events)
VALUE(rate_exceeded, hub->counters.rate_exceeded)
VALUE(denied, hub->counters.denied)
VALUE(protocol_errors, hub->counters.protocol_errors)
VALUE(http_connections, http_server_counters(hub->http)->connections)
VALUE(http_accepted, http_server_counters(hub->http)->accepted)
VALUE(http_refused, http_server_counters(hub->http)->refused)
VALUE(http_refused_address, http_server_counters(hub->http)->refused_address)
VALUE(http_requests, http_server_counters(hub->http)->requests)
VALUE(http_malformed, http_server_counters(hub->http)->malformed)
VALUE(http_timeouts, http_server_counters(hub->http)->timeouts)
VALUE(http_aborted, http_server_counters(hub->http)->aborted)
VALUE(fanout_events, fanout_counters(hub->fanout)->events)
VALUE(fanout_deliveries, fanout_counters(hub->fanout)->deliveries)
VALUE(fanout_dropped, fanout_counters(hub->fanout)->dropped_volatile)
VALUE(history_events, history_figures(hub->recovery.history).events)
VALUE(history_bytes, history_figures(hub->recovery.history).bytes)
VALUE(history_rooms, history_figures(hub->recovery.history).rooms)
VALUE(history_appended, history_figures(hub->recovery.history).appended)
VALUE(history_dropped, history_figures(hub->recovery.history).dropped)
VALUE(stored_count, stored_figures(hub->recovery.stored).count)
VALUE(stored_bytes, stored_figures(hub->recovery.stored).bytes)
VALUE(stored_dropped, stored_figures(hub->recovery.stored).dropped)
VALUE(tokens_expired, hub->counters.expired)
VALUE(resumed, hub->recovery.counters.resumed)
VALUE(started_behind, hub->recovery.counters.behind)
VALUE(taken_over, hub->recovery.counters.taken_over)
VALUE(pids_malformed, hub->recovery.counters.pids_malformed)
VALUE(pids_forged, hub->recovery.counters.pids_forged)
VALUE(pids_of_others, hub->recovery.counters.pids_of_others)
VALUE(offsets_malformed, hub->recovery.counters.offsets_malformed)
VALUE(offsets_stale, hub->recovery.counters.offsets_stale)
VALUE(offsets_unknown, hub->recovery.counters.offsets_unknown)
VALUE(walks_walking, walks_of(hub)->walking)
VALUE(walks_finished, walks_of(hub)->finished)
VALUE(walks_given, walks_of(hub)->given)
VALUE(walks_replaced, walks_of(hub)->replaced)
VALUE(walks_withheld, walks_of(hub)->withheld)
VALUE(walks_outrun, walks_of(hub)->outrun)
VALUE(walks_never_reached, walks_of(hub)->never_reached)
VALUE(line_following, subscriber_is_following(hub->subscriber))
VALUE(line_ready, subscriber_is_ready(hub->subscriber))
VALUE(line_has_history, subscriber_has_history(hub->subscriber))
VALUE(line_epoch, subscriber_position(hub->subscriber).epoch)
VALUE(line_seq, subscriber_position(hub->subscriber).seq)
VALUE(line_newest_epoch, sequence_newest(subscriber_sequence(hub->subscriber)).epoch)
VALUE(line_newest_seq, sequence_newest(subscriber_sequence(hub->subscriber)).seq)
VALUE(line_lag, sequence_lag(subscriber_sequence(hub->subscriber)))
VALUE(line_held, subscriber_sequence(hub->subscriber)->held_bytes)
VALUE(line_known_epochs, subscriber_sequence(hub->subscriber)->epoch_count)
VALUE(line_epochs, subscriber_sequence(hub->subscriber)->counters.epochs)
VALUE(line_breaks, subscriber_sequence(hub->subscriber)->counters.breaks)
VALUE(line_welcomes, subscriber_counters(hub->subscriber)->welcomes)
VALUE(line_refusals, subscriber_counters(hub->subscriber)->refusals)
VALUE(line_history, subscriber_counters(hub->subscriber)->history)
VALUE(line_gaps, subscriber_sequence(hub->subscriber)->counters.gaps)
VALUE(line_lost, subscriber_sequence(hub->subscriber)->counters.lost)
VALUE(line_duplicates, subscriber_sequence(hub->subscriber)->counters.duplicates)
VALUE(line_asked, subscriber_counters(hub->subscriber)->asked)
VALUE(line_events, subscriber_counters(hub->subscriber)->events)
VALUE(line_volatiles, subscriber_counters(hub->subscriber)->volatiles)
VALUE(line_malformed, subscriber_counters(hub->subscriber)->malformed)
VALUE(line_relayed, subscriber_counters(hub->subscriber)->relayed)
VALUE(line_relays_lost, subscriber_counters(hub->subscriber)->relays_lost)
VALUE(standing_grants, standing_of(hub).grants)
VALUE(standing_blocks, standing_of(hub).blocks)
VALUE(standing_bytes, standing_of(hub).bytes)
VALUE(standing_loads, standing_of(hub).loads)
VALUE(standing_left_out, standing_of(hub).left_out)
VALUE(controls, hub->counters.controls)
VALUE(control_disconnects, hub->counters.control_disconnects)
VALUE(grants_refused, hub->counters.grants_refused)
VALUE(blocked, hub->counters.blocked)

static const struct {
	const char *name, *type, *help;
	uint64_t (*value)(const struct hub *hub);
} metrics[] = {
	{ "clients", "gauge", "Connected Socket.IO clients of this hub.", clients },
	{ "cluster_clients", "gauge", "Connected Socket.IO clients of all live hubs.", cluster_clients },
	{ "rooms", "gauge", "Rooms with a member on this hub.", room_count },
	{ "sessions", "gauge", "Open Engine.IO sessions.", sessions },
	{ "websocket_sessions", "gauge", "Open Engine.IO sessions on WebSocket.", websocket_sessions },
	{ "sessions_opened_total", "counter", "Engine.IO handshakes that were accepted.", sessions_opened },
	{ "upgrades_total", "counter", "Sessions that went from polling to WebSocket.", upgrades },
	{ "handshakes_refused_total", "counter", "Engine.IO handshakes that were refused.", handshakes_refused },
	{ "engine_bad_requests_total", "counter", "Other Engine.IO requests answered with an error.", engine_bad_requests },
	{ "packets_received_total", "counter", "Engine.IO packets from clients.", packets_in },
	{ "packets_sent_total", "counter", "Engine.IO packets to clients.", packets_out },
	{ "received_bytes_total", "counter", "Bytes of packets from clients.", bytes_in },
	{ "sent_bytes_total", "counter", "Bytes of packets to clients.", bytes_out },
	{ "websocket_too_big_total", "counter", "WebSocket messages past the bound.", websockets_too_big },
	{ "websocket_invalid_total", "counter", "WebSocket texts that were not UTF-8.", websockets_invalid },
	{ "websocket_broken_total", "counter", "WebSockets closed for a frame that breaks RFC 6455.", websockets_broken },
	{ "connects_total", "counter", "Socket.IO CONNECTs accepted.", connects },
	{ "connects_authenticated_total", "counter", "Those with a good token.", connects_authenticated },
	{ "bad_tokens_total", "counter", "Those with a token that was refused: anonymous.", bad_tokens },
	{ "commands_total", "counter", "Events from clients that the hub knows.", commands },
	{ "unknown_events_total", "counter", "Events from clients that it does not know.", unknown_events },
	{ "rate_exceeded_total", "counter", "Clients closed for sending too many events.", rate_exceeded },
	{ "denied_total", "counter", "Requests of clients that were denied.", denied },
	{ "protocol_errors_total", "counter", "Sessions closed for a malformed Socket.IO packet.", protocol_errors },
	{ "http_connections", "gauge", "Open HTTP connections.", http_connections },
	{ "http_accepted_total", "counter", "HTTP connections accepted.", http_accepted },
	{ "http_refused_total", "counter", "HTTP connections past the bound.", http_refused },
	{ "http_refused_address_total", "counter", "HTTP connections past the bound of one address.", http_refused_address },
	{ "http_requests_total", "counter", "HTTP requests.", http_requests },
	{ "http_malformed_total", "counter", "Requests that broke HTTP or a bound.", http_malformed },
	{ "http_timeouts_total", "counter", "HTTP connections cut for being slow.", http_timeouts },
	{ "http_aborted_total", "counter", "Requests whose client left before the answer.", http_aborted },
	{ "events_total", "counter", "Events that were given out.", fanout_events },
	{ "deliveries_total", "counter", "Events times clients that got them.", fanout_deliveries },
	{ "volatile_dropped_total", "counter", "Volatile events not given to a client that was not ready.", fanout_dropped },
	{ "history_events", "gauge", "Events kept for clients that were away.", history_events },
	{ "history_bytes", "gauge", "Memory that they take.", history_bytes },
	{ "history_rooms", "gauge", "Rooms that they are for.", history_rooms },
	{ "history_appended_total", "counter", "Events that were kept.", history_appended },
	{ "history_dropped_total", "counter", "Those that are gone, for age, count or bytes.", history_dropped },
	{ "stored_sessions", "gauge", "Sessions of clients that went away and may come back.", stored_count },
	{ "stored_bytes", "gauge", "Memory that they take.", stored_bytes },
	{ "stored_dropped_total", "counter", "Those that nobody came back for in time, or that a publisher ended.", stored_dropped },
	{ "tokens_expired_total", "counter", "Clients closed because their token expired.", tokens_expired },
	{ "recovery_resumed_total", "counter", "Sessions that went on after their client was away.", resumed },
	{ "recovery_behind_total", "counter", "Sessions that were new here and got what their client missed.", started_behind },
	{ "recovery_taken_over_total", "counter", "Connections closed because their client came back over another.", taken_over },
	{ "recovery_pids_malformed_total", "counter", "Shown pids that were none.", pids_malformed },
	{ "recovery_pids_forged_total", "counter", "Shown pids with a bad signature.", pids_forged },
	{ "recovery_pids_of_others_total", "counter", "Shown pids of another user.", pids_of_others },
	{ "recovery_offsets_malformed_total", "counter", "Shown offsets that were none.", offsets_malformed },
	{ "recovery_offsets_stale_total", "counter", "Shown offsets that the history does not reach back to.", offsets_stale },
	{ "recovery_offsets_unknown_total", "counter", "Shown offsets past the end of the log, as far as this hub knows it.", offsets_unknown },
	{ "walks", "gauge", "Clients that are being given what they missed.", walks_walking },
	{ "walks_finished_total", "counter", "Those that went live after it.", walks_finished },
	{ "walks_events_total", "counter", "Events that they were given.", walks_given },
	{ "walks_replaced_total", "counter", "Events that a later one replaced before they were given.", walks_replaced },
	{ "walks_withheld_total", "counter", "Events that nobody can tell whether they are for a client.", walks_withheld },
	{ "walks_outrun_total", "counter", "Clients closed because the history no longer had what they missed.", walks_outrun },
	{ "walks_never_reached_total", "counter", "Clients whose offset this hub did not get to in time.", walks_never_reached },
	{ "line_following", "gauge", "1 while the gateway is followed.", line_following },
	{ "line_ready", "gauge", "1 when the hub has what it needs to serve, or waited for it in vain.", line_ready },
	{ "line_has_history", "gauge", "1 when the history window asked for at the start is here.", line_has_history },
	{ "line_epoch", "gauge", "The epoch of the position: everything up to it was delivered or given up.", line_epoch },
	{ "line_seq", "gauge", "The sequence number of the position.", line_seq },
	{ "line_newest_epoch", "gauge", "The epoch of the newest event known to exist.", line_newest_epoch },
	{ "line_newest_seq", "gauge", "Its sequence number.", line_newest_seq },
	{ "line_lag_events", "gauge", "Events known to exist but not delivered yet.", line_lag },
	{ "line_held_bytes", "gauge", "Events held back behind missing ones.", line_held },
	{ "line_known_epochs", "gauge", "Epochs that the gateway named.", line_known_epochs },
	{ "line_epochs_total", "counter", "Epochs that were begun here.", line_epochs },
	{ "line_breaks_total", "counter", "Times that the journal was not the one followed before.", line_breaks },
	{ "line_welcomes_total", "counter", "Greetings that a gateway answered.", line_welcomes },
	{ "line_refusals_total", "counter", "Refusals by a gateway.", line_refusals },
	{ "line_history_total", "counter", "Events loaded for the history only.", line_history },
	{ "line_gaps_total", "counter", "Times that events were found missing.", line_gaps },
	{ "line_lost_total", "counter", "Events that the journal no longer had.", line_lost },
	{ "line_duplicates_total", "counter", "Events that came twice and were dropped.", line_duplicates },
	{ "line_asks_total", "counter", "Times that missing events were asked for.", line_asked },
	{ "line_events_total", "counter", "Journaled events received in order.", line_events },
	{ "line_volatiles_total", "counter", "Volatile events received.", line_volatiles },
	{ "line_malformed_total", "counter", "Messages on the line that were dropped.", line_malformed },
	{ "line_relayed_total", "counter", "Events passed on to other hubs.", line_relayed },
	{ "line_relays_lost_total", "counter", "Events that could not be passed on.", line_relays_lost },
	{ "standing_grants", "gauge", "Rooms granted to users.", standing_grants },
	{ "standing_blocks", "gauge", "Users that are kept out.", standing_blocks },
	{ "standing_bytes", "gauge", "Memory of grants and blocks.", standing_bytes },
	{ "standing_loads_total", "counter", "Times that all grants and blocks were loaded.", standing_loads },
	{ "standing_left_out_total", "counter", "Grants and blocks left out, past the bound or malformed.", standing_left_out },
	{ "controls_total", "counter", "Joins, leaves and disconnects by publishers.", controls },
	{ "control_disconnects_total", "counter", "Clients disconnected by publishers.", control_disconnects },
	{ "grants_refused_total", "counter", "Rooms not joined for a client, past the bound.", grants_refused },
	{ "blocked_total", "counter", "CONNECTs refused because the user is kept out.", blocked },
};

void status_metrics(struct http_exchange *exchange, void *data)
{
	const struct hub *hub = data;
	if (!is_read(exchange))
		return;
	struct buffer body = { 0 };
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		buffer_add_format(&body, "# HELP roomcast_hub_%s %s\n# TYPE roomcast_hub_%s %s\nroomcast_hub_%s %" PRIu64 "\n", metrics[i].name,
		                  metrics[i].help, metrics[i].name, metrics[i].type, metrics[i].name, metrics[i].value(hub));
	buffer_add_text(&body, "# HELP roomcast_hub_closed_total Sessions closed, by reason.\n# TYPE roomcast_hub_closed_total counter\n");
	for (int reason = 0; reason < CLOSE_REASON_COUNT; reason++)
		buffer_add_format(&body, "roomcast_hub_closed_total{reason=\"%s\"} %" PRIu64 "\n", close_reason_name((enum close_reason)reason),
		                  engine_counters(hub->engine)->closed[reason]);
	answer_buffer(exchange, 200, "text/plain; version=0.0.4", &body);
}
