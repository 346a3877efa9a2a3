/* main.c - roomcast-gateway: options, the order of beginning and ending, signals. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>
#include <roomcast/notify.h>

#include "config.h"
#include "fcgi.h"
#include "gateway.h"
#include "intake.h"
#include "listener.h"

enum {
	HEARTBEAT_MS = 500, SILENCE_MS = 3000,
	QUEUE_EVENTS = 10000, GROUP_EVENTS = 256,
	QUEUE_BYTES = 64 << 20, LINE_QUEUE_BYTES = 32 << 20,
	CHUNK_EVENTS = 256, CHUNK_BYTES = 4 << 20,
	INBOUND_MORE = 1 << 20, /* of a message on the line, besides a request's body */
	WEAK_KEY = 16, /* bytes; a shorter key deserves a word */
};

/* In the order in which they begin; they end in reverse. */
struct process {
	struct listener listener;
	struct authorizer authorizer;
	struct gateway gateway;
	struct intake *intake;
	struct fcgi *fcgi;
};

static void handle(void *data, const struct request *request, struct response *response)
{
	gateway_handle(data, request, response);
}

static int open_journal(struct process *process, const struct gateway_config *config, struct journal_writer **writer, struct error *err)
{
	struct journal_settings settings = {
		.retention = { .bytes = (uint64_t)config->repair_bytes, .events = (uint64_t)config->repair_events },
		.state_dir = config->state_dir,
	};
	struct journal *journal = process->gateway.journal = journal_new("off", &settings, err);
	return journal ? journal->operations->open_writer(journal, clock_wall_ms() / 1000, config->line, writer, err) : -1;
}

static int open_publishing(struct process *process, const struct gateway_config *config, struct error *err)
{
	struct gateway *gateway = &process->gateway;
	struct journal_writer *writer;
	if (open_journal(process, config, &writer, err))
		return -1;
	struct line_settings line = {
		.events_endpoint = config->events, .line_endpoint = config->line, .heartbeat_ms = HEARTBEAT_MS, .silence_ms = SILENCE_MS,
		.queue_bytes = LINE_QUEUE_BYTES, .chunk = { CHUNK_EVENTS, CHUNK_BYTES },
		.inbound_max = (size_t)config->max_body + INBOUND_MORE,
	};
	struct sequencer_settings sequencer = {
		.queue_events = QUEUE_EVENTS, .queue_bytes = QUEUE_BYTES, .group_events = GROUP_EVENTS,
		.timeout_ms = (uint64_t)config->publish_timeout, .wall_ms = clock_wall_ms,
	};
	gateway->line = line_new(gateway->journal, &line, err);
	if (!gateway->line) {
		writer->operations->close(writer);
		return -1;
	}
	line_activate(gateway->line, writer->last.epoch);
	gateway->sequencer = sequencer_new(writer, &sequencer, (struct sequencer_sink){ line_publish, gateway->line }, err);
	return gateway->sequencer ? 0 : -1;
}

static int open_requests(struct process *process, const struct gateway_config *config, struct error *err)
{
	struct intake_settings intake = {
		.max_connections = (size_t)config->max_connections, .max_body = (size_t)config->max_body,
		.progress_ms = (uint64_t)config->request_timeout, .request_ms = 6 * (uint64_t)config->request_timeout,
		.idle_ms = (uint64_t)config->idle_timeout,
	};
	struct fcgi_settings fcgi = { .threads = (size_t)config->threads, .mount = config->mount, .handle = handle, .data = &process->gateway };
	process->intake = intake_new(process->listener.fd, &intake, err);
	if (!process->intake)
		return -1;
	process->gateway.carrier = process->intake;
	process->gateway.carrier_status = intake_add_status;
	process->fcgi = fcgi_new(process->intake, &fcgi, err);
	return process->fcgi ? 0 : -1;
}

static int begin(struct process *process, const struct gateway_config *config, struct error *err)
{
	struct bytes key = bytes_of(config->api_key);
	if (key.len < WEAK_KEY)
		log_warning("msg=\"the API key is short\" bytes=%zu", key.len);
	if (authorizer_add(&process->authorizer, "default", key, SCOPE_ALL, err)
	    || listener_open(config->listen, config->listen_mode, &process->listener, err)
	    || open_publishing(process, config, err) || open_requests(process, config, err))
		return -1;
	return 0;
}

/* What was begun: requests under way are answered, what was answered is sent. */
static void end(struct process *process)
{
	if (process->intake)
		intake_stop(process->intake);
	fcgi_free(process->fcgi);
	intake_free(process->intake);
	sequencer_free(process->gateway.sequencer);
	line_free(process->gateway.line);
	journal_close(process->gateway.journal);
	listener_close(&process->listener);
	counters_deinit(&process->gateway.counters);
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

static int run(const struct gateway_config *config)
{
	struct process process = {
		.listener.fd = -1,
		.gateway = { .max_body = (size_t)config->max_body, .started_ms = clock_monotonic_ms() },
	};
	struct error err = { 0 };
	sigset_t signals;
	int number = 0;
	hold_signals(&signals);
	umask(0077);
	process.gateway.authorizer = &process.authorizer;
	counters_init(&process.gateway.counters);
	int result = begin(&process, config, &err);
	if (result) {
		log_error("msg=\"cannot start\" error=\"%s\"", err.text);
	} else {
		struct sequencer_figures sequencer;
		sequencer_figures(process.gateway.sequencer, &sequencer);
		log_info("msg=started listen=%s mount=%s epoch=%llu events=%s line=%s", config->listen[0] ? config->listen : "inherited", config->mount,
		         (unsigned long long)sequencer.epoch, config->events, config->line);
		notify_ready();
		while (sigwait(&signals, &number))
			continue;
		log_info("msg=\"signal received\" number=%d", number);
		notify_stopping();
	}
	end(&process);
	if (result == 0)
		log_info("msg=ended");
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* A CGI script's answer, so that whoever configured it sees more than an empty page. */
static int refuse_cgi(void)
{
	fputs("roomcast-gateway: started as a CGI program; it must run as a FastCGI server (--listen=/path/to/socket)\n", stderr);
	puts("Status: 503 Service Unavailable\r\nContent-Type: application/json\r\n\r\n"
	     "{\"success\":false,\"error\":\"the gateway must run as a FastCGI server\",\"code\":\"unavailable\"}");
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct gateway_config config;
	struct error err;
	if (getenv("GATEWAY_INTERFACE") && getenv("REQUEST_METHOD"))
		return refuse_cgi();
	enum options_result result = options_load(&gateway_program, &config, argc, argv, &err);
	if (result == OPTIONS_EXIT)
		return EXIT_SUCCESS;
	if (result == OPTIONS_ERROR) {
		fprintf(stderr, "%s: %s\n", gateway_program.name, err.text);
		return EXIT_FAILURE;
	}
	enum log_level level = LOG_LEVEL_INFO;
	if (log_level_parse(config.log_level, &level) == 0)
		log_open(gateway_program.name, level);
	int status = run(&config);
	options_deinit(&gateway_program, &config);
	return status;
}
