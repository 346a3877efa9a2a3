/* main.c - roomcast-hub: options, signals, the loop. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <uv.h>

#include <roomcast/log.h>
#include <roomcast/notify.h>

#include "config.h"
#include "hub.h"

struct process {
	struct hub hub;
	uv_signal_t terminate, interrupt;
};

static void on_signal(uv_signal_t *signal, int number)
{
	struct process *process = signal->data;
	log_info("msg=\"signal received\" number=%d", number);
	notify_stopping();
	/* Signals alone do not keep a drained hub alive; but they are watched to the end, lest a third one kills it. */
	uv_unref((uv_handle_t *)&process->terminate);
	uv_unref((uv_handle_t *)&process->interrupt);
	hub_drain(&process->hub);
}

static void watch_signal(uv_loop_t *loop, uv_signal_t *signal, int number, struct process *process)
{
	uv_signal_init(loop, signal);
	signal->data = process;
	uv_signal_start(signal, on_signal, number);
}

/* One more signal while we end must not turn a clean end into a death by signal. */
static void block_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int run(const struct hub_config *config)
{
	/* Static, so that what a failed start leaves to the system stays reachable and is not taken for a leak. */
	static struct process process;
	static uv_loop_t loop;
	struct error err;
	uv_loop_init(&loop);
	if (hub_open(&process.hub, &loop, config, &err)) {
		log_error("msg=\"cannot start\" error=\"%s\"", err.text);
		return EXIT_FAILURE;
	}
	watch_signal(&loop, &process.terminate, SIGTERM, &process);
	watch_signal(&loop, &process.interrupt, SIGINT, &process);
	log_info("msg=started name=%s listen=%s path=%s line=%s", config->name, config->listen, config->path, config->line);
	notify_ready();
	uv_run(&loop, UV_RUN_DEFAULT);
	block_signals();
	uv_close((uv_handle_t *)&process.terminate, NULL);
	uv_close((uv_handle_t *)&process.interrupt, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	hub_deinit(&process.hub);
	int left = uv_loop_close(&loop);
	if (left)
		log_error("msg=\"handles left open\" error=\"%s\"", uv_strerror(left));
	log_info("msg=ended");
	return left ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct hub_config config;
	struct error err;
	enum options_result result = options_load(&hub_program, &config, argc, argv, &err);
	if (result == OPTIONS_EXIT)
		return EXIT_SUCCESS;
	if (result == OPTIONS_ERROR) {
		fprintf(stderr, "%s: %s\n", hub_program.name, err.text);
		return EXIT_FAILURE;
	}
	enum log_level level = LOG_LEVEL_INFO;
	if (log_level_parse(config.log_level, &level) == 0)
		log_open(hub_program.name, level);
	int status = run(&config);
	options_deinit(&hub_program, &config);
	return status;
}
