/* main.c - roomcast-gateway: options, the order of beginning and ending, signals. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>
#include <roomcast/notify.h>

#include "carrier.h"
#include "config.h"
#include "front_end.h"
#include "gateway.h"
#include "retention.h"
#include "role.h"

enum {
	HEARTBEAT_MS = 500, SILENCE_MS = 3000,
	QUEUE_EVENTS = 10000, GROUP_EVENTS = 256, RETRY_MS = 250, CHECK_MS = 1000, OPEN_MS = 5000,
	QUEUE_BYTES = 64 << 20, LINE_QUEUE_BYTES = 32 << 20,
	CHUNK_EVENTS = 256, CHUNK_BYTES = 1 << 20,
	INBOUND_MORE = 1 << 20, /* of a message on the line, besides a request's body */
	WEAK_KEY = 16, /* bytes; a shorter key deserves a word */
};

/* In the order in which they begin; they end in reverse. */
struct process {
	struct carrier carrier;
	struct authorizer authorizer;
	struct gateway gateway;
	struct retention *retention;
	struct curve curve;
	struct zap_peers peers;
	struct front_end front_end; /* instead of all of these */
};

static void handle(void *data, const struct request *request, struct response *response)
{
	gateway_handle(data, request, response);
}

static bool handle_at_once(void *data, const struct request *request, struct response *response)
{
	return gateway_handle_at_once(data, request, response);
}

static void batch(void *data, bool has_begun)
{
	struct gateway *gateway = data;
	sequencer_hold(gateway->sequencer, has_begun);
}

/* Of the threads, so many may do what takes long. */
static size_t quarter(int64_t threads)
{
	return threads < 4 ? 1 : (size_t)threads / 4;
}

/* --- the sequencer's sink --- */

static void activate(void *data, uint64_t epoch)
{
	struct gateway *gateway = data;
	line_activate(gateway->line, epoch);
}

/* What waits to be handed on is handled here. */
static void opened(void *data)
{
	struct gateway *gateway = data;
	forward_set_target(gateway->forward, "");
}

static void deactivate(void *data)
{
	struct gateway *gateway = data;
	line_deactivate(gateway->line);
}

static void read_on(void *data, struct place last)
{
	struct gateway *gateway = data;
	line_read_on(gateway->line, last);
	forward_set_target(gateway->forward, "");
}

/* What comes here is handed on to whoever is active, if that is somebody else. */
static void stand_by(void *data)
{
	struct gateway *gateway = data;
	struct error err = { 0 };
	char endpoint[MESSAGE_NAME_MAX + 1] = "";
	if (gateway->journal->operations->find_active(gateway->journal, endpoint, sizeof(endpoint), &err)
	    || strcmp(endpoint, gateway->line_endpoint) == 0)
		endpoint[0] = '\0';
	line_deactivate(gateway->line);
	forward_set_target(gateway->forward, endpoint);
}

static void publish(void *data, uint64_t epoch, uint64_t seq, struct bytes packed)
{
	struct gateway *gateway = data;
	line_publish(gateway->line, epoch, seq, packed);
}

static void end_group(void *data)
{
	struct gateway *gateway = data;
	line_flush(gateway->line);
}

/* --- begin and end --- */

static int open_journal(struct gateway *gateway, const struct gateway_config *config, struct error *err)
{
	bool is_off = strcmp(config->journal, "off") == 0;
	struct journal_settings settings = {
		.durability = strcmp(config->durability, "full") == 0 ? DURABILITY_FULL : DURABILITY_NORMAL,
		.retention = {
			.age_ms = is_off ? 0 : (uint64_t)config->keep_age,
			.bytes = (uint64_t)(is_off ? config->repair_bytes : config->keep_bytes),
			.events = (uint64_t)(is_off ? config->repair_events : config->keep_events),
		},
		.state_dir = config->state_dir, .connection = config->journal_connection, .schema = config->journal_schema,
	};
	gateway->journal = journal_new(config->journal, &settings, err);
	return gateway->journal ? 0 : -1;
}

static int open_line(struct process *process, const struct gateway_config *config, struct error *err)
{
	struct gateway *gateway = &process->gateway;
	struct forward_settings forward = front_end_forward_settings(config, &process->curve);
	struct line_settings line = {
		.events_endpoint = config->events, .line_endpoint = config->line, .heartbeat_ms = HEARTBEAT_MS, .silence_ms = SILENCE_MS,
		.queue_bytes = LINE_QUEUE_BYTES, .chunk = { CHUNK_EVENTS, CHUNK_BYTES }, .inbound_max = (size_t)config->max_body + INBOUND_MORE,
		.curve = &process->curve, .peers = &process->peers,
	};
	if (config_load_curve(config, &process->curve, &process->peers, err))
		return -1;
	gateway->forward = forward_new(&forward, err);
	gateway->line = gateway->forward ? line_new(gateway->journal, &line, err) : NULL;
	return gateway->line ? 0 : -1;
}

static int open_publishing(struct process *process, const struct gateway_config *config, struct error *err)
{
	struct gateway *gateway = &process->gateway;
	struct sequencer_settings settings = {
		.queue_events = QUEUE_EVENTS, .queue_bytes = QUEUE_BYTES, .group_events = GROUP_EVENTS, .timeout_ms = (uint64_t)config->publish_timeout,
		.stall_ms = (uint64_t)config->publish_timeout / 2, .retry_ms = RETRY_MS, .check_ms = CHECK_MS, .line_endpoint = config->line, .wall_ms = clock_wall_ms,
	};
	struct sequencer_sink sink = {
		.activate = activate, .opened = opened, .deactivate = deactivate, .read_on = read_on, .stand_by = stand_by, .publish = publish, .end_group = end_group, .data = gateway,
	};
	gateway->line_endpoint = config->line;
	if (open_journal(gateway, config, err) || open_line(process, config, err))
		return -1;
	gateway->readers = readers_new(gateway->journal, quarter(config->threads), err);
	gateway->sequencer = gateway->readers ? sequencer_new(gateway->journal, &settings, sink, err) : NULL;
	if (!gateway->sequencer)
		return -1;
	sequencer_wait_opened(gateway->sequencer, OPEN_MS);
	if (config->outbox)
		gateway->outbox = outbox_new(gateway, config_outbox_connection(config), err);
	return config->outbox && !gateway->outbox ? -1 : 0;
}

/* Front ends' requests have threads of their own, so that neither kind waits for the other. */
static int open_requests(struct process *process, const struct gateway_config *config, struct error *err)
{
	struct gateway *gateway = &process->gateway;
	gateway->carrier = &process->carrier;
	gateway->carrier_status = carrier_add_status;
	const struct fcgi_settings handlers = { .handle = handle, .handle_at_once = handle_at_once, .batch = batch, .data = gateway };
	return carrier_start(&process->carrier, config, &handlers, err)
	    || line_serve(gateway->line, (size_t)config->threads, handle, gateway, err) ? -1 : 0;
}

static int begin(struct process *process, const struct gateway_config *config, struct error *err)
{
	struct bytes key = bytes_of(config->api_key);
	if (key.len && key.len < WEAK_KEY)
		log_warning("msg=\"the API key is short\" bytes=%zu", key.len);
	if (config_add_keys(config, &process->authorizer, clock_monotonic_ms(), err)
	    || carrier_open(&process->carrier, config, err)
	    || open_publishing(process, config, err) || open_requests(process, config, err))
		return -1;
	process->retention = retention_new(process->gateway.journal, err);
	return process->retention ? 0 : -1;
}

/* What was begun: requests under way are answered, what was answered is sent. */
static void end(struct process *process)
{
	carrier_stop(&process->carrier);
	if (process->gateway.forward)
		forward_stop(process->gateway.forward);
	if (process->gateway.line)
		line_stop_serving(process->gateway.line);
	carrier_close(&process->carrier);
	outbox_free(process->gateway.outbox);
	retention_free(process->retention);
	sequencer_free(process->gateway.sequencer);
	line_free(process->gateway.line);
	forward_free(process->gateway.forward);
	readers_free(process->gateway.readers);
	journal_close(process->gateway.journal);
	counters_deinit(&process->gateway.counters);
	authorizer_deinit(&process->authorizer);
	curve_forget(&process->curve);
}

/* Threads inherit the mask: signals come to sigwait alone. */
static void hold_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int begin_role(struct process *process, const struct gateway_config *config, enum role role, struct error *err)
{
	if (role == ROLE_FRONT_END) {
		int result = front_end_begin(&process->front_end, config, err);
		if (result == 0)
			log_info("msg=started role=front-end line=%s", config->line);
		return result;
	}
	int result = begin(process, config, err);
	if (result == 0)
		log_info("msg=started listen=%s mount=%s journal=%s role=%s events=%s line=%s", config->listen[0] ? config->listen : "inherited", config->mount,
		         config->journal, sequencer_is_active(process->gateway.sequencer) ? "active" : "standby", config->events, config->line);
	return result;
}

static void end_role(struct process *process, enum role role)
{
	if (role == ROLE_FRONT_END)
		front_end_end(&process->front_end);
	else
		end(process);
}

static int run(const struct gateway_config *config, enum role role)
{
	struct process process = {
		.carrier.listener.fd = -1, .front_end.carrier.listener.fd = -1,
		.gateway = { .max_body = (size_t)config->max_body, .confirm_max = quarter(config->threads), .started_ms = clock_monotonic_ms() },
	};
	struct error err = { 0 };
	sigset_t signals;
	int number = 0;
	hold_signals(&signals);
	umask(0077);
	process.gateway.authorizer = &process.authorizer;
	counters_init(&process.gateway.counters);
	int result = begin_role(&process, config, role, &err);
	if (result) {
		log_error("msg=\"cannot start\" error=\"%s\"", err.text);
	} else {
		notify_ready();
		while (sigwait(&signals, &number))
			continue;
		log_info("msg=\"signal received\" number=%d", number);
		notify_stopping();
	}
	end_role(&process, role);
	if (result == 0)
		log_info("msg=ended");
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void set_log(const struct gateway_config *config)
{
	enum log_level level = LOG_LEVEL_INFO;
	if (log_level_parse(config->log_level, &level) == 0)
		log_open(gateway_program.name, level);
}

/* RFC 3875, 4.4: a query without "=" comes as arguments. Those are a stranger's, never options. */
static int run_cgi(char **argv)
{
	struct gateway_config config;
	struct error err;
	if (options_load(&gateway_program, &config, 1, argv, &err) != OPTIONS_RUN)
		return front_end_refuse_cgi(err.text);
	set_log(&config);
	signal(SIGPIPE, SIG_IGN);
	int status = front_end_run_cgi(&config);
	options_deinit(&gateway_program, &config);
	return status;
}

int main(int argc, char **argv)
{
	struct gateway_config config;
	struct error err = { 0 };
	enum role role = ROLE_GATEWAY;
	if (role_choose("gateway", false, &role, &err) == 0 && role == ROLE_CGI)
		return run_cgi(argv);
	enum options_result result = options_load(&gateway_program, &config, argc, argv, &err);
	if (result == OPTIONS_EXIT)
		return EXIT_SUCCESS;
	if (result == OPTIONS_ERROR || role_choose(config.role, config.listen[0], &role, &err)) {
		fprintf(stderr, "%s: %s\n", gateway_program.name, err.text);
		return EXIT_FAILURE;
	}
	set_log(&config);
	int status = run(&config, role);
	options_deinit(&gateway_program, &config);
	return status;
}
