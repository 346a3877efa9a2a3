/* http.c - the server: where it listens, whom it lets in, and its end. */
#include "http.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_connection.h"
#include "listener.h"

const struct http_settings http_settings_default = {
	.max_header = 16 * 1024,
	.max_url = 8 * 1024,
	.max_pipelined = 16,
	.max_connections = 10000,
	.max_per_address = 0,
	.header_timeout_ms = 10000,
	.body_timeout_ms = 60000,
	.idle_timeout_ms = 75000, /* longer than nginx keeps an upstream connection */
	.write_timeout_ms = 30000,
	.linger_timeout_ms = 2000,
};

struct http_listener {
	union http_stream io;
	struct http_server *server;
	struct http_listener *next;
	char *unix_path; /* to be removed */
	unsigned port;
};

void http_server_part_closed(void *data)
{
	struct http_server *server = data;
	if (--server->open_parts > 0)
		return;
	if (server->on_closed)
		server->on_closed(server->on_closed_data);
	free(server);
}

/* --- accepting ----------------------------------------------------------- */

static int identify_peer(struct http_connection *connection)
{
	struct sockaddr_storage name;
	int len = sizeof(name);
	char text[INET6_ADDRSTRLEN];
	if (connection->io.handle.type != UV_TCP)
		return 0;
	if (uv_tcp_getpeername(&connection->io.tcp, (struct sockaddr *)&name, &len) < 0 ||
	    uv_ip_name((const struct sockaddr *)&name, text, sizeof(text)) < 0)
		return -1;
	uv_tcp_nodelay(&connection->io.tcp, 1);
	connection->address = http_address_count(&connection->server->addresses, text);
	return connection->address ? 0 : -1;
}

/* Past a bound: it is told so as far as that costs nothing. */
static void turn_away(struct http_connection *connection, const char *answer)
{
	uv_buf_t text = { .base = (char *)(uintptr_t)answer, .len = strlen(answer) };
	uv_try_write(&connection->io.stream, &text, 1);
	log_limited(&connection->server->refused_log, "msg=\"connection refused\" connections=%llu",
	            (unsigned long long)connection->server->counters.connections);
	http_connection_close(connection);
}

static void welcome(struct http_connection *connection)
{
	struct http_server *server = connection->server;
	const struct http_settings *settings = &server->settings;
	server->counters.accepted++;
	if (identify_peer(connection) < 0) {
		http_connection_close(connection);
	} else if (settings->max_connections && server->counters.connections > settings->max_connections) {
		server->counters.refused++;
		turn_away(connection, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n");
	} else if (settings->max_per_address && connection->address && connection->address->connections > settings->max_per_address) {
		server->counters.refused_address++;
		turn_away(connection, "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	} else if (http_connection_start(connection) < 0) {
		http_connection_close(connection);
	}
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct http_listener *listener = stream->data;
	struct http_connection *connection = status == 0 ? http_connection_new(listener->server, stream->type == UV_TCP) : NULL;
	if (!connection)
		return;
	if (uv_accept(stream, &connection->io.stream) < 0)
		http_connection_close(connection);
	else
		welcome(connection);
}

int http_server_take(struct http_server *server, int fd, struct error *err)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	struct http_connection *connection = NULL;
	if (getsockname(fd, (struct sockaddr *)&name, &len) == 0)
		connection = http_connection_new(server, name.ss_family != AF_UNIX);
	if (!connection) {
		close(fd);
		return error_set(err, ERROR_SYSTEM, "not a socket, or no memory");
	}
	int status = name.ss_family == AF_UNIX ? uv_pipe_open(&connection->io.pipe, fd) : uv_tcp_open(&connection->io.tcp, fd);
	if (status < 0) {
		close(fd);
		http_connection_close(connection);
		return error_set(err, ERROR_SYSTEM, "cannot serve this socket: %s", uv_strerror(status));
	}
	welcome(connection);
	return 0;
}

/* --- the server ---------------------------------------------------------- */

static int init_waits(struct http_server *server, struct error *err)
{
	const struct http_settings *settings = &server->settings;
	const uint64_t delays[HTTP_WAIT_COUNT] = {
		[HTTP_WAIT_HEADER] = settings->header_timeout_ms,
		[HTTP_WAIT_BODY] = settings->body_timeout_ms,
		[HTTP_WAIT_IDLE] = settings->idle_timeout_ms,
		[HTTP_WAIT_WRITE] = settings->write_timeout_ms,
		[HTTP_WAIT_LINGER] = settings->linger_timeout_ms,
	};
	for (int i = 0; i < HTTP_WAIT_COUNT; i++) {
		if (deadlines_init(&server->waits[i], server->loop, delays[i], http_connection_on_due, server, err) < 0)
			return -1;
		server->open_parts++;
	}
	return 0;
}

struct http_server *http_server_new(uv_loop_t *loop, const struct http_settings *settings,
                                    const struct http_route *routes, size_t route_count, struct error *err)
{
	struct http_server *server = calloc(1, sizeof(*server));
	if (!server) {
		error_set(err, ERROR_SYSTEM, "no memory");
		return NULL;
	}
	server->loop = loop;
	server->settings = *settings;
	server->bounds = (struct http_parse_bounds){ .max_header = settings->max_header, .max_url = settings->max_url };
	server->routes = routes;
	server->route_count = route_count;
	signal(SIGPIPE, SIG_IGN);
	/* neither fails with libuv on Linux once the loop exists */
	if (init_waits(server, err) < 0 || turn_end_init(&server->turn_end, loop, http_connection_do_all_put_off, server, err) < 0) {
		free(server);
		return NULL;
	}
	server->open_parts++;
	return server;
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct http_listener *listener = handle->data;
	struct http_server *server = listener->server;
	free(listener->unix_path);
	free(listener);
	http_server_part_closed(server);
}

static int start_listener(struct http_listener *listener, int fd, struct error *err)
{
	struct sockaddr_storage name;
	int len = sizeof(name);
	int status = listener->unix_path ? uv_pipe_open(&listener->io.pipe, fd) : uv_tcp_open(&listener->io.tcp, fd);
	if (status < 0) {
		close(fd);
		return error_set(err, ERROR_SYSTEM, "%s", uv_strerror(status));
	}
	status = uv_listen(&listener->io.stream, LISTENER_BACKLOG, on_connection);
	if (status < 0)
		return error_set(err, ERROR_SYSTEM, "listen: %s", uv_strerror(status));
	if (!listener->unix_path && uv_tcp_getsockname(&listener->io.tcp, (struct sockaddr *)&name, &len) == 0)
		listener->port = ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&name)->sin6_port
		                                                  : ((struct sockaddr_in *)(void *)&name)->sin_port);
	return 0;
}

int http_server_listen(struct http_server *server, const char *address, struct error *err)
{
	const char *path = listener_unix_path(address);
	int fd = listener_open(address, err);
	if (fd < 0)
		return -1;
	struct http_listener *listener = calloc(1, sizeof(*listener));
	if (!listener || (path && !(listener->unix_path = strdup(path)))) {
		free(listener);
		close(fd);
		return error_set(err, ERROR_SYSTEM, "no memory");
	}
	listener->server = server;
	if (path)
		uv_pipe_init(server->loop, &listener->io.pipe, 0);
	else
		uv_tcp_init(server->loop, &listener->io.tcp);
	listener->io.handle.data = listener;
	server->open_parts++;
	if (start_listener(listener, fd, err) < 0) {
		uv_close(&listener->io.handle, on_listener_closed);
		return error_context(err, "%s", address);
	}
	struct http_listener **end = &server->listeners;
	while (*end)
		end = &(*end)->next;
	*end = listener;
	return 0;
}

unsigned http_server_port(const struct http_server *server)
{
	for (const struct http_listener *listener = server->listeners; listener; listener = listener->next)
		if (listener->port)
			return listener->port;
	return 0;
}

const struct http_counters *http_server_counters(const struct http_server *server)
{
	return &server->counters;
}

void http_server_stop_listening(struct http_server *server)
{
	while (server->listeners) {
		struct http_listener *listener = server->listeners;
		server->listeners = listener->next;
		if (listener->unix_path)
			unlink(listener->unix_path);
		uv_close(&listener->io.handle, on_listener_closed);
	}
}

void http_server_close(struct http_server *server, void (*on_closed)(void *data), void *data)
{
	server->on_closed = on_closed;
	server->on_closed_data = data;
	http_server_stop_listening(server);
	while (server->connections)
		http_connection_close(server->connections);
	http_connection_do_all_put_off(server);
	for (int i = 0; i < HTTP_WAIT_COUNT; i++)
		deadlines_close(&server->waits[i], http_server_part_closed, server);
	turn_end_close(&server->turn_end, http_server_part_closed, server);
}
