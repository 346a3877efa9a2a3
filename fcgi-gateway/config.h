/* config.h - what the gateway can be told. */
#ifndef ROOMCAST_GATEWAY_CONFIG_H
#define ROOMCAST_GATEWAY_CONFIG_H

#include <stdint.h>

#include <roomcast/options.h>

struct gateway_config {
	char *role, *listen, *listen_mode, *mount, *state_dir;
	char *events, *line;
	char *api_key;
	char *log_level;
	int64_t threads, max_connections;
	int64_t max_body, repair_bytes;
	int64_t repair_events;
	int64_t idle_timeout, request_timeout, publish_timeout;
};

extern const struct option_program gateway_program;

#endif
