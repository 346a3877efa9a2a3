/* config.h - what can be configured in the hub: the struct, and its table of options. */
#ifndef ROOMCAST_HUB_CONFIG_H
#define ROOMCAST_HUB_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include <roomcast/bytes.h>
#include <roomcast/options.h>

/* Times in milliseconds, sizes in bytes; see the table for the meaning of each. */
struct hub_config {
	char *log_level;
	char *node_env;
	char *line;
	char *curve_secret_key, *curve_server_key;
	char *name;
	char *listen;
	char *path;
	char *jwt_secret;
	char *origins;
	char *cookie_name;
	char *anonymous_types;
	char *recovery;
	char *coalesce_types;
	int64_t token_leeway;
	int64_t ping_interval, ping_timeout, upgrade_timeout, connect_timeout, header_timeout, drain_window;
	int64_t max_payload, max_unsent, max_gap, max_backlog;
	int64_t start_patience;
	int64_t history_age, history_events, history_bytes;
	int64_t coalesce_max;
	int64_t stored_age, stored_sessions, stored_bytes;
	int64_t max_sessions, max_connections, max_per_address;
	int64_t rooms_per_client, events_per_second, broadcast_chunk;
};

extern const struct option_program hub_program;

/* NODE_ENV=development relaxes: anonymous clients may join every sync room, and there is a default origin. */
bool hub_config_is_development(const struct hub_config *config);
/* The configured origins, or the default of development; "" when there are none. */
const char *hub_config_origins(const struct hub_config *config);

/* Whether an option's list, separated by commas, has the item; `*` stands for everything. */
bool hub_config_list_has(const char *list, struct bytes item);

#endif
