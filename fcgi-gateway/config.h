/* config.h - what the gateway can be told. */
#ifndef ROOMCAST_GATEWAY_CONFIG_H
#define ROOMCAST_GATEWAY_CONFIG_H

#include <stdint.h>

#include <roomcast/options.h>

#include "authorize.h"
#include "zap.h"

struct gateway_config {
	char *role, *listen, *listen_mode, *mount, *state_dir;
	char *events, *line;
	char *curve_secret_key, *curve_server_key, *curve_peers;
	char *api_key, *api_keys_file;
	char *journal, *journal_connection, *journal_schema, *durability;
	bool outbox;
	char *outbox_connection;
	char *log_level;
	int64_t threads, max_connections;
	int64_t max_body, repair_bytes;
	int64_t repair_events;
	int64_t keep_age, keep_bytes, keep_events;
	int64_t idle_timeout, request_timeout, publish_timeout;
};

/* The keys that it names, one way or the other: at least one. now_ms: monotonic. */
int config_add_keys(const struct gateway_config *config, struct authorizer *authorizer, uint64_t now_ms, struct error *err) MUST_CHECK;

const char *config_outbox_connection(const struct gateway_config *config);
/* Keys and peers of tcp endpoints; peers may be NULL. */
int config_load_curve(const struct gateway_config *config, struct curve *curve, struct zap_peers *peers, struct error *err) MUST_CHECK;

extern const struct option_program gateway_program;

#endif
