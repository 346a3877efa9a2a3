/* server.c - the conformance program: Engine.IO at /engine.io/, Socket.IO at /socket.io/, with the times and bounds that suites expect.
 *
 *   server [--port=N] [--listen=ADDRESS] [--ping-interval=MS] [--ping-timeout=MS] [--upgrade-timeout=MS] [--verbose]
 *
 * Prints `listening on port N` when it is ready; SIGTERM or SIGINT end it. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include <uv.h>

#include <roomcast/log.h>

#include "cors.h"
#include "engine.h"
#include "engineio_app.h"
#include "http.h"
#include "socketio_app.h"
#include "websocket.h"

struct server {
	uv_loop_t loop;
	uv_signal_t terminate, interrupt;
	struct cors *cors;
	struct websockets *websockets;
	struct engine *engineio, *socketio; /* the second carries the application below */
	struct socketio *application;
	struct http_server *http;
	struct http_route routes[2];
	const char *address;
	bool is_stopping;
};

static struct engine_settings settings = {
	.hub_name = "test",
	.ping_interval_ms = 300,
	.ping_timeout_ms = 200,
	.upgrade_timeout_ms = 10000,
	.close_linger_ms = 30000,
	.max_payload = 1000000,
	.max_unsent = 16 * 1024 * 1024,
	.max_sessions = 10000,
};

enum { CONNECT_TIMEOUT_MS = 1000 };

static void on_request(struct http_exchange *exchange, void *data)
{
	engine_serve(data, exchange);
}

static void on_socketio_closed(void *data)
{
	struct server *server = data;
	socketio_close(server->application, NULL, NULL);
}

static void stop(struct server *server)
{
	if (server->is_stopping)
		return;
	server->is_stopping = true;
	engine_close(server->engineio, NULL, NULL);
	engine_close(server->socketio, on_socketio_closed, server);
	http_server_close(server->http, NULL, NULL);
	websockets_close(server->websockets);
	uv_close((uv_handle_t *)&server->terminate, NULL);
	uv_close((uv_handle_t *)&server->interrupt, NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
	(void)number;
	stop(handle->data);
}

static void watch_signal(struct server *server, uv_signal_t *handle, int number)
{
	uv_signal_init(&server->loop, handle);
	handle->data = server;
	uv_signal_start(handle, on_signal, number);
}

static int start(struct server *server, struct error *err)
{
	server->cors = cors_new("*", err);
	server->websockets = server->cors ? websockets_new(&server->loop, err) : NULL;
	if (!server->websockets)
		return -1;
	server->engineio = engine_new(&server->loop, server->websockets, &settings, &engineio_app, err);
	server->application = server->engineio ? socketio_app_new(&server->loop, CONNECT_TIMEOUT_MS, err) : NULL;
	if (!server->application)
		return -1;
	struct session_handler handler = socketio_session_handler(server->application, NULL);
	server->socketio = engine_new(&server->loop, server->websockets, &settings, &handler, err);
	if (!server->socketio)
		return -1;
	server->routes[0] = (struct http_route){ "/engine.io", server->cors, on_request, server->engineio };
	server->routes[1] = (struct http_route){ "/socket.io", server->cors, on_request, server->socketio };
	server->http = http_server_new(&server->loop, &http_settings_default, server->routes,
	                               sizeof(server->routes) / sizeof(server->routes[0]), err);
	return server->http ? http_server_listen(server->http, server->address, err) : -1;
}

static const struct option options[] = {
	{ "port", required_argument, NULL, 'p' },
	{ "listen", required_argument, NULL, 'l' },
	{ "ping-interval", required_argument, NULL, 'i' },
	{ "ping-timeout", required_argument, NULL, 't' },
	{ "upgrade-timeout", required_argument, NULL, 'u' },
	{ "verbose", no_argument, NULL, 'v' },
	{ NULL, 0, NULL, 0 },
};

static void read_options(struct server *server, int argc, char **argv)
{
	static char address[64] = "127.0.0.1:3000";
	int option;
	server->address = address;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'p')
			snprintf(address, sizeof(address), "127.0.0.1:%s", optarg);
		else if (option == 'l')
			server->address = optarg;
		else if (option == 'i')
			settings.ping_interval_ms = strtoull(optarg, NULL, 10);
		else if (option == 't')
			settings.ping_timeout_ms = strtoull(optarg, NULL, 10);
		else if (option == 'u')
			settings.upgrade_timeout_ms = strtoull(optarg, NULL, 10);
		else if (option == 'v')
			log_open("conformance", LOG_LEVEL_DEBUG);
		else
			exit(2);
	}
}

int main(int argc, char **argv)
{
	static struct server server;
	struct error err = { 0 };
	log_open("conformance", LOG_LEVEL_INFO);
	read_options(&server, argc, argv);
	uv_loop_init(&server.loop);
	if (start(&server, &err) < 0) {
		fprintf(stderr, "server: %s\n", err.text);
		return EXIT_FAILURE;
	}
	watch_signal(&server, &server.terminate, SIGTERM);
	watch_signal(&server, &server.interrupt, SIGINT);
	printf("listening on port %u\n", http_server_port(server.http));
	fflush(stdout);
	uv_run(&server.loop, UV_RUN_DEFAULT);
	websockets_free(server.websockets);
	cors_free(server.cors);
	int status = uv_loop_close(&server.loop);
	if (status < 0)
		fprintf(stderr, "server: %s\n", uv_strerror(status));
	return status < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
