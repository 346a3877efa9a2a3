/* config.c - the hub's option table. */
#include "config.h"

#include <ctype.h>
#include <string.h>

#include <roomcast/curve.h>
#include <roomcast/endpoint.h>
#include <roomcast/log.h>
#include <roomcast/message.h>

#include "cors.h"
#include "recovery.h"

#define PLACE(member) offsetof(struct hub_config, member)

static const struct option_row rows[] = {
	{ "common", "log-level", NULL, OPTION_TEXT, PLACE(log_level), "info", 0, 0, "Least level that is logged: debug, info, warning or error." },
	{ "common", "node-env", "NODE_ENV", OPTION_TEXT, PLACE(node_env), "production", 0, 0,
	  "development lets anonymous clients join every sync room and allows the origin http://localhost:3000; anything else relaxes nothing." },
	{ "common", "line", NULL, OPTION_TEXT, PLACE(line), "ipc:///run/roomcast/line.sock", 1, ENDPOINTS_MAX * MESSAGE_NAME_MAX,
	  "ZeroMQ endpoint where the gateway converses with hubs; of several gateways, separated by commas, the next is tried where one does not answer." },
	{ "common", "curve-secret-key", NULL, OPTION_SECRET, PLACE(curve_secret_key), "", 0, 64,
	  "This host's key for tcp endpoints (roomcast keygen --curve); without it only loopback addresses are connected to." },
	{ "common", "curve-server-key", NULL, OPTION_TEXT, PLACE(curve_server_key), "", 0, 64, "Public key of the gateways." },
	{ "hub", "name", NULL, OPTION_TEXT, PLACE(name), "hub-1", 1, HUB_NAME_MAX,
	  "Name of this hub, of letters, digits, - and _; different for each hub of a gateway. Engine.IO ids start with it." },
	{ "hub", "listen", NULL, OPTION_TEXT, PLACE(listen), "127.0.0.1:3010", 1, 256, "Where the web server finds this hub: host:port or unix:/path." },
	{ "hub", "path", NULL, OPTION_TEXT, PLACE(path), "/api/socket", 1, 256, "Path of the Socket.IO server, as in the client's path option." },
	{ "common", "jwt-secret", "JWT_SECRET", OPTION_SECRET, PLACE(jwt_secret), "", 0, 4096, "Secret that clients' tokens are signed with (HS256)." },
	{ "hub", "origins", "NEXT_PUBLIC_APP_URL", OPTION_TEXT, PLACE(origins), "", 0, 8192,
	  "Web origins whose pages may connect, separated by commas; the hub's own is always allowed." },
	{ "hub", "cookie-name", NULL, OPTION_TEXT, PLACE(cookie_name), "auth-token", 1, 128, "Cookie that may hold the token." },
	{ "hub", "anonymous-types", NULL, OPTION_TEXT, PLACE(anonymous_types), "", 0, 8192,
	  "Entity types that anonymous clients may follow, separated by commas; * for all. In development: all." },
	{ "hub", "token-leeway", NULL, OPTION_DURATION, PLACE(token_leeway), "5s", 0, 600000, "Tolerance for clocks that disagree about a token's exp and nbf." },
	{ "hub", "ping-interval", NULL, OPTION_DURATION, PLACE(ping_interval), "25s", 10, 3600000, "Time between two heartbeats to a client." },
	{ "hub", "ping-timeout", NULL, OPTION_DURATION, PLACE(ping_timeout), "20s", 10, 3600000, "A client that leaves a heartbeat unanswered for so long is closed." },
	{ "hub", "upgrade-timeout", NULL, OPTION_DURATION, PLACE(upgrade_timeout), "10s", 10, 3600000, "Time that an upgrade from polling to WebSocket may take." },
	{ "hub", "connect-timeout", NULL, OPTION_DURATION, PLACE(connect_timeout), "45s", 10, 3600000, "Time after which a session that did not CONNECT is closed." },
	{ "hub", "header-timeout", NULL, OPTION_DURATION, PLACE(header_timeout), "10s", 10, 3600000, "Time that the header of a request may take to arrive." },
	{ "hub", "drain-window", NULL, OPTION_DURATION, PLACE(drain_window), "1500ms", 0, 600000, "After SIGTERM connections are closed spread over this time." },
	{ "hub", "max-payload", NULL, OPTION_SIZE, PLACE(max_payload), "1000000", 1024, 1 << 26, "Largest packet from a client." },
	{ "hub", "max-unsent", NULL, OPTION_SIZE, PLACE(max_unsent), "4M", 4096, INT64_C(1) << 32, "A client with more than this unsent is closed." },
	{ "hub", "max-gap", NULL, OPTION_SIZE, PLACE(max_gap), "16M", 4096, INT64_C(1) << 32, "Events held back while a missing one is fetched." },
	{ "hub", "max-backlog", NULL, OPTION_SIZE, PLACE(max_backlog), "16M", 4096, INT64_C(1) << 32,
	  "Events being delivered; past it the hub reads no further from the gateway." },
	{ "hub", "recovery", NULL, OPTION_TEXT, PLACE(recovery), "auto", 0, 0,
	  "Who is given what it missed while it was away: auto (browsers, and whoever asks with recovery=1 in the query or auth.recovery), on, off." },
	{ "hub", "start-patience", NULL, OPTION_DURATION, PLACE(start_patience), "5s", 0, INT64_C(1) << 40,
	  "A hub that starts refuses clients until the gateway told it what happened before; after so long without an answer it serves them all the same, "
	  "and whoever was away is told that something may be missing." },
	{ "hub", "history-age", NULL, OPTION_DURATION, PLACE(history_age), "1h", 0, INT64_C(1) << 40, "How long events are kept for clients that were away." },
	{ "hub", "history-events", NULL, OPTION_NUMBER, PLACE(history_events), "100000", 0, INT64_C(1) << 30, "How many events are kept at most." },
	{ "hub", "history-bytes", NULL, OPTION_SIZE, PLACE(history_bytes), "64M", 0, INT64_C(1) << 40,
	  "Memory that kept events take at most; an event of 300 bytes takes about 410." },
	{ "hub", "coalesce-types", NULL, OPTION_TEXT, PLACE(coalesce_types), "", 0, 8192,
	  "Entity types, separated by commas, of which an UPDATE replaces the one of the same id before it where that still waits for a slow client; * for all." },
	{ "hub", "coalesce-max", NULL, OPTION_NUMBER, PLACE(coalesce_max), "16", 0, 1000000, "After so many replacements in a row an UPDATE keeps its place." },
	{ "hub", "stored-age", NULL, OPTION_DURATION, PLACE(stored_age), "10m", 0, INT64_C(1) << 40,
	  "How long the rooms and the id of a client that went away are kept; later it starts anew, and still gets what the history has." },
	{ "hub", "stored-sessions", NULL, OPTION_NUMBER, PLACE(stored_sessions), "20000", 0, 10000000, "Of how many clients they are kept at most." },
	{ "hub", "stored-bytes", NULL, OPTION_SIZE, PLACE(stored_bytes), "32M", 0, INT64_C(1) << 40, "Memory that this takes at most." },
	{ "hub", "max-sessions", NULL, OPTION_NUMBER, PLACE(max_sessions), "100000", 1, 10000000, "Clients; past it handshakes are answered 503." },
	{ "hub", "max-connections", NULL, OPTION_NUMBER, PLACE(max_connections), "110000", 1, 10000000, "HTTP connections; past it new ones are answered 503." },
	{ "hub", "max-per-address", NULL, OPTION_NUMBER, PLACE(max_per_address), "0", 0, 10000000,
	  "HTTP connections from one address; 0: no bound. Behind a web server every address is the web server's." },
	{ "hub", "rooms-per-client", NULL, OPTION_NUMBER, PLACE(rooms_per_client), "1000", 1, 1000000, "Rooms that one client may be in." },
	{ "hub", "events-per-second", NULL, OPTION_NUMBER, PLACE(events_per_second), "500", 1, 1000000,
	  "Events that a client may send in a second, ten times that at once; a client past it is closed." },
	{ "hub", "broadcast-chunk", NULL, OPTION_NUMBER, PLACE(broadcast_chunk), "256", 16, 1000000,
	  "Clients that are given an event before other work gets its turn." },
};

/* Says what is wrong with a name of a hub, which stands in ids and in the web server's maps. */
static int check_name(const char *name, struct error *err)
{
	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
			return error_set(err, ERROR_INVALID, "name \"%s\": only letters, digits, - and _ are allowed", name);
	return *name ? 0 : error_set(err, ERROR_INVALID, "name must not be empty");
}

static int check_origins(const struct hub_config *config, struct error *err)
{
	struct cors *cors = cors_new(hub_config_origins(config), err);
	if (!cors)
		return error_context(err, "origins");
	cors_free(cors);
	return 0;
}

static int check_line(const struct hub_config *config, struct error *err)
{
	struct curve curve;
	if (curve_load(config->curve_secret_key, config->curve_server_key, &curve, err))
		return -1;
	bool is_secured = curve.is_on;
	curve_forget(&curve);
	if (is_secured && !config->curve_server_key[0])
		return error_set(err, ERROR_INVALID, "curve-server-key: with a curve-secret-key it must say which gateways to trust");
	return endpoint_check_list(config->line, is_secured, err) ? error_context(err, "line") : 0;
}

static int check(const void *data, struct error *err)
{
	const struct hub_config *config = data;
	enum log_level level;
	if (log_level_parse(config->log_level, &level))
		return error_set(err, ERROR_INVALID, "log-level \"%.60s\" is none of debug, info, warning, error", config->log_level);
	if (check_name(config->name, err) || check_origins(config, err))
		return -1;
	if (config->path[0] != '/')
		return error_set(err, ERROR_INVALID, "path \"%s\" does not start with /", config->path);
	enum recovery_mode mode;
	if (recovery_mode_parse(config->recovery, &mode))
		return error_set(err, ERROR_INVALID, "recovery \"%.60s\" is none of auto, on, off", config->recovery);
	if (!*config->jwt_secret && !hub_config_is_development(config))
		return error_set(err, ERROR_INVALID, "no secret for tokens: set JWT_SECRET (NODE_ENV is not development, so nobody may be let in unchecked)");
	return check_line(config, err);
}

const struct option_program hub_program = {
	.name = "roomcast-hub",
	.section = "hub",
	.purpose = "holds the browsers' connections and rooms, and pushes events to them",
	.rows = rows,
	.row_count = sizeof(rows) / sizeof(rows[0]),
	.config_size = sizeof(struct hub_config),
	.check = check,
};

bool hub_config_is_development(const struct hub_config *config)
{
	return strcmp(config->node_env, "development") == 0;
}

const char *hub_config_origins(const struct hub_config *config)
{
	return !*config->origins && hub_config_is_development(config) ? "http://localhost:3000" : config->origins;
}

bool hub_config_list_has(const char *list, struct bytes item)
{
	while (*list) {
		size_t len = strcspn(list, ",");
		struct bytes each = { list, len };
		while (each.len && each.data[0] == ' ')
			each.data++, each.len--;
		while (each.len && each.data[each.len - 1] == ' ')
			each.len--;
		if (bytes_equal_text(each, "*") || bytes_equal(each, item))
			return true;
		list += len + (list[len] == ',');
	}
	return false;
}
