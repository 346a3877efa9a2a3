/* config.c - the gateway's option table. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include <roomcast/endpoint.h>
#include <roomcast/log.h>

#include "api_keys.h"
#include "role.h"

#define AT(member) offsetof(struct gateway_config, member)

static const struct option_row rows[] = {
	{ "common", "log-level", NULL, OPTION_TEXT, AT(log_level), "info", 0, 0, "debug, info, warning or error." },
	{ "gateway", "role", NULL, OPTION_TEXT, AT(role), "auto", 0, 0,
	  "gateway, front-end (hands requests on to the gateway at `line`) or auto: a front end when a web server starts it (CGI, mod_fcgid)." },
	{ "gateway", "listen", "ROOMCAST_GATEWAY_LISTEN", OPTION_TEXT, AT(listen), "", 0, 0,
	  "FastCGI socket: a path, or address:port; empty takes the one that systemd or spawn-fcgi passes on." },
	{ "gateway", "listen-mode", NULL, OPTION_TEXT, AT(listen_mode), "0660", 0, 0, "Permissions of the FastCGI socket's file, octal." },
	{ "gateway", "mount", NULL, OPTION_TEXT, AT(mount), "/api/broadcast", 0, 0, "Path under which the web server publishes the gateway." },
	{ "gateway", "state-dir", NULL, OPTION_TEXT, AT(state_dir), "/var/lib/roomcast", 1, 4000, "Directory of the SQLite journal; one gateway at a time, another waits for it." },
	{ "gateway", "events", NULL, OPTION_TEXT, AT(events), "ipc:///run/roomcast/events.sock", 0, 0, "Endpoint on which events are published to the hubs." },
	{ "common", "line", NULL, OPTION_TEXT, AT(line), "ipc:///run/roomcast/line.sock", 0, 0, "Endpoint on which hubs say hello; a front end's: where the gateway's is, or several, comma-separated, of which one is active." },
	{ "common", "curve-secret-key", NULL, OPTION_SECRET, AT(curve_secret_key), "", 0, 64,
	  "This host's key for tcp endpoints (roomcast keygen --curve); without it only loopback addresses are opened." },
	{ "common", "curve-server-key", NULL, OPTION_TEXT, AT(curve_server_key), "", 0, 64,
	  "Public key of the gateways, for whoever connects to one; a gateway's own if not given: all gateways may share a key." },
	{ "gateway", "curve-peers", NULL, OPTION_TEXT, AT(curve_peers), "", 0, 4000,
	  "File of who may connect by tcp, hubs, front ends and other gateways: lines of `name = public key`." },
	{ "gateway", "api-key", NULL, OPTION_SECRET, AT(api_key), "", 0, 512, "Key that backends give as Authorization: Bearer; it may everything." },
	{ "gateway", "api-keys-file", NULL, OPTION_TEXT, AT(api_keys_file), "", 0, 4000, "File of further keys, each with a name and what it may (roomcast keygen makes them)." },
	{ "gateway", "journal", NULL, OPTION_TEXT, AT(journal), "sqlite", 0, 0,
	  "Where events are kept: sqlite (a file in state-dir), postgres, or off (in memory, for this process's life)." },
	{ "gateway", "journal-connection", NULL, OPTION_SECRET, AT(journal_connection), "", 0, 4000, "With journal=postgres: libpq's connection string." },
	{ "gateway", "journal-schema", NULL, OPTION_TEXT, AT(journal_schema), "roomcast", 1, 63, "With journal=postgres: the schema of its tables." },
	{ "gateway", "durability", NULL, OPTION_TEXT, AT(durability), "normal", 0, 0,
	  "What a 2xx outlives: normal, a crash of the process; full, the machine's loss of power too." },
	{ "gateway", "keep-age", NULL, OPTION_DURATION, AT(keep_age), "7d", 0, INT64_C(10) * 365 * 86400000, "How long events are kept; 0: without end." },
	{ "gateway", "keep-bytes", NULL, OPTION_SIZE, AT(keep_bytes), "4G", 0, INT64_C(1) << 50, "How many bytes of events are kept; 0: without bound." },
	{ "gateway", "keep-events", NULL, OPTION_NUMBER, AT(keep_events), "0", 0, INT64_MAX, "How many events are kept; 0: without bound." },
	{ "gateway", "outbox", NULL, OPTION_BOOL, AT(outbox), "no", 0, 0, "Publish what applications put into the table roomcast_outbox (sql/outbox.sql)." },
	{ "gateway", "outbox-connection", NULL, OPTION_SECRET, AT(outbox_connection), "", 0, 4000, "libpq's connection string to the database of that table; the journal's when it is empty." },
	{ "gateway", "threads", NULL, OPTION_NUMBER, AT(threads), "16", 1, 256, "Requests that may wait for something at once: for the journal to be read, for hubs, for another gateway." },
	{ "gateway", "max-connections", NULL, OPTION_NUMBER, AT(max_connections), "512", 1, 16384, "FastCGI connections open at once." },
	{ "gateway", "max-body", NULL, OPTION_SIZE, AT(max_body), "1M", 1024, 16 << 20, "Largest request body." },
	{ "gateway", "idle-timeout", NULL, OPTION_DURATION, AT(idle_timeout), "60s", 100, 86400000, "How long a FastCGI connection may rest between requests." },
	{ "gateway", "request-timeout", NULL, OPTION_DURATION, AT(request_timeout), "10s", 100, 3600000,
	  "How long a FastCGI peer may be silent in the middle of a request; six times as long for all of it." },
	{ "gateway", "publish-timeout", NULL, OPTION_DURATION, AT(publish_timeout), "10s", 100, 600000, "How long a publish waits to be stored." },
	{ "gateway", "repair-events", NULL, OPTION_NUMBER, AT(repair_events), "65536", 1, 1 << 24, "With journal=off: events that are kept." },
	{ "gateway", "repair-bytes", NULL, OPTION_SIZE, AT(repair_bytes), "64M", 1 << 20, INT64_C(1) << 36, "With journal=off: bytes of these at most." },
};

int config_add_keys(const struct gateway_config *config, struct authorizer *authorizer, uint64_t now_ms, struct error *err)
{
	if (!config->api_key[0] && !config->api_keys_file[0])
		return error_set(err, ERROR_INVALID, "api-key: without one (ROOMCAST_API_KEY) and without api-keys-file nobody could publish");
	if (config->api_key[0] && authorizer_add_secret(authorizer, "default", bytes_of(config->api_key), SCOPE_ALL, err))
		return error_context(err, "api-key");
	if (config->api_keys_file[0] && api_keys_load(authorizer, config->api_keys_file, now_ms, err))
		return error_context(err, "api-keys-file");
	if (!authorizer->count)
		return error_set(err, ERROR_INVALID, "api-keys-file: %s holds no key", config->api_keys_file);
	return 0;
}

const char *config_outbox_connection(const struct gateway_config *config)
{
	return config->outbox_connection[0] ? config->outbox_connection : config->journal_connection;
}

int config_load_curve(const struct gateway_config *config, struct curve *curve, struct zap_peers *peers, struct error *err)
{
	if (curve_load(config->curve_secret_key, config->curve_server_key, curve, err))
		return -1;
	if (!peers || !config->curve_peers[0])
		return 0;
	if (!curve->is_on)
		return error_set(err, ERROR_INVALID, "curve-peers without curve-secret-key");
	/* Gateways that share a key forward to each other. */
	return zap_peers_add(peers, "gateway", curve->public_key, err) || zap_peers_load(peers, config->curve_peers, err)
	    ? error_context(err, "curve-peers") : 0;
}

static int check_curve(const struct gateway_config *config, enum role role, struct error *err)
{
	struct zap_peers *peers = calloc(1, sizeof(*peers));
	struct curve curve = { .is_on = false };
	int result = peers ? config_load_curve(config, &curve, peers, err) : error_set(err, ERROR_SYSTEM, "no memory");
	if (result == 0 && curve.is_on && role == ROLE_GATEWAY && !config->curve_peers[0])
		result = error_set(err, ERROR_INVALID, "curve-peers: with a curve-secret-key it must say who may connect");
	if (result == 0 && curve.is_on && role != ROLE_GATEWAY && !config->curve_server_key[0])
		result = error_set(err, ERROR_INVALID, "curve-server-key: with a curve-secret-key it must say whom to trust");
	curve_forget(&curve);
	free(peers);
	return result;
}

static int check_endpoint(const char *name, const char *endpoint, bool is_secured, struct error *err)
{
	return endpoint_check(endpoint, is_secured, err) ? error_context(err, "%s", name) : 0;
}

static int check_word(const char *name, const char *value, const char *const *words, struct error *err)
{
	struct buffer list = { 0 };
	for (const char *const *word = words; *word; word++) {
		if (strcmp(value, *word) == 0) {
			buffer_deinit(&list);
			return 0;
		}
		buffer_add_format(&list, "%s%s", list.len ? ", " : "", *word);
	}
	error_set(err, ERROR_INVALID, "%s: \"%.60s\" is none of %s", name, value, list.has_failed ? "those it may be" : list.data);
	buffer_deinit(&list);
	return -1;
}

static int check_keys(const struct gateway_config *config, struct error *err)
{
	struct authorizer *authorizer = calloc(1, sizeof(*authorizer));
	int result = authorizer ? config_add_keys(config, authorizer, 0, err) : error_set(err, ERROR_SYSTEM, "no memory");
	if (authorizer)
		authorizer_deinit(authorizer);
	free(authorizer);
	return result;
}

static int check(const void *data, struct error *err)
{
	const struct gateway_config *config = data;
	enum log_level level;
	enum role role;
	size_t len = strlen(config->mount);
	if (log_level_parse(config->log_level, &level))
		return error_set(err, ERROR_INVALID, "log-level: \"%s\" is not debug, info, warning or error", config->log_level);
	if (len && (config->mount[0] != '/' || config->mount[len - 1] == '/'))
		return error_set(err, ERROR_INVALID, "mount: \"%s\" must begin with a slash and not end with one", config->mount);
	if (role_choose(config->role, config->listen[0], &role, err))
		return -1;
	if (check_curve(config, role, err))
		return -1;
	if (role != ROLE_GATEWAY)
		return endpoint_check_list(config->line, config->curve_secret_key[0], err) ? error_context(err, "line") : 0;
	if (check_word("journal", config->journal, (const char *const[]){ "sqlite", "postgres", "off", NULL }, err)
	    || check_word("durability", config->durability, (const char *const[]){ "normal", "full", NULL }, err) || check_keys(config, err))
		return -1;
	if (strcmp(config->journal, "postgres") == 0 && !config->journal_connection[0])
		return error_set(err, ERROR_INVALID, "journal-connection: journal=postgres needs one");
	if (config->outbox && !config_outbox_connection(config)[0])
		return error_set(err, ERROR_INVALID, "outbox-connection: outbox needs one, or a journal-connection");
	if (strcmp(config->events, config->line) == 0)
		return error_set(err, ERROR_INVALID, "events and line must be two endpoints");
	bool is_secured = config->curve_secret_key[0];
	return check_endpoint("events", config->events, is_secured, err) || check_endpoint("line", config->line, is_secured, err) ? -1 : 0;
}

const struct option_program gateway_program = {
	.name = "roomcast-gateway",
	.section = "gateway",
	.purpose = "Takes events from backends over FastCGI and publishes them to the hubs.",
	.rows = rows,
	.row_count = sizeof(rows) / sizeof(rows[0]),
	.config_size = sizeof(struct gateway_config),
	.check = check,
};
