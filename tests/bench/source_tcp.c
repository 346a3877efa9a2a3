/* source_tcp.c - the sources that write to one TCP connection: lines to servers of ours, HTTP POSTs to the others. */
#include "source.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_answer.h"

struct tcp_source {
	int fd;
	char *target; /* of POSTs; "" for lines */
	const char *api_key;
	struct buffer out, in;
	uint64_t answers;
};

static void close_tcp(void *data)
{
	struct tcp_source *source = data;
	if (source->fd >= 0)
		close(source->fd);
	buffer_deinit(&source->out);
	buffer_deinit(&source->in);
	free(source->target);
	free(source);
}

static int connect_to(struct tcp_source *source, unsigned long port, struct error *err)
{
	int one = 1;
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	source->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (source->fd < 0 || connect(source->fd, (struct sockaddr *)&server, sizeof(server)) ||
	    setsockopt(source->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		return error_set(err, ERROR_SYSTEM, "port %lu: %s", port, strerror(errno));
	return 0;
}

static void *open_tcp(const char *rest, uint32_t servers, struct error *err)
{
	(void)servers;
	char *end;
	unsigned long port = strtoul(rest, &end, 10);
	struct tcp_source *source = calloc(1, sizeof(*source));
	if (source && (source->target = strdup(end))) {
		source->fd = -1;
		source->api_key = getenv("ROOMCAST_API_KEY");
		if (connect_to(source, port, err) == 0)
			return source;
		close_tcp(source);
		return NULL;
	}
	free(source);
	error_set(err, ERROR_SYSTEM, "no memory");
	return NULL;
}

static void add_packet(struct buffer *out, struct bytes object)
{
	buffer_add_text(out, "42[\"data-change\",");
	buffer_add_bytes(out, object);
	buffer_add_char(out, ']');
}

static int publish_line(void *data, uint32_t room, struct bytes object, struct error *err)
{
	struct tcp_source *source = data;
	buffer_add_format(&source->out, "%u ", room);
	add_packet(&source->out, object);
	buffer_add_char(&source->out, '\n');
	return source->out.has_failed ? error_set(err, ERROR_SYSTEM, "no memory") : 0;
}

static int publish_to_gateway(void *data, uint32_t room, struct bytes object, struct error *err)
{
	(void)room; /* stands in the object */
	struct tcp_source *source = data;
	buffer_add_format(&source->out, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n", source->target);
	buffer_add_format(&source->out, "Authorization: Bearer %s\r\nContent-Length: %zu\r\n\r\n", source->api_key ? source->api_key : "", object.len);
	buffer_add_bytes(&source->out, object);
	return source->out.has_failed ? error_set(err, ERROR_SYSTEM, "no memory") : 0;
}

static int publish_to_nchan(void *data, uint32_t room, struct bytes object, struct error *err)
{
	struct tcp_source *source = data;
	size_t len = object.len + strlen("42[\"data-change\",]");
	buffer_add_format(&source->out, "POST %s%u HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n", source->target, room, len);
	add_packet(&source->out, object);
	return source->out.has_failed ? error_set(err, ERROR_SYSTEM, "no memory") : 0;
}

static int flush(void *data, struct error *err)
{
	struct tcp_source *source = data;
	while (source->out.len) {
		ssize_t sent = send(source->fd, source->out.data, source->out.len, MSG_NOSIGNAL);
		if (sent < 0 && errno != EINTR)
			return error_set(err, ERROR_SYSTEM, "the server takes no events: %s", strerror(errno));
		if (sent > 0)
			buffer_consume(&source->out, (size_t)sent);
	}
	return 0;
}

static int take_answers(struct tcp_source *source, struct error *err)
{
	struct http_answer answer;
	ssize_t used;
	while ((used = http_answer_cut(buffer_bytes(&source->in), &answer)) > 0) {
		if (answer.status / 100 != 2)
			return error_set(err, ERROR_DENIED, "a publish was answered %u: %.*s", answer.status, (int)answer.body.len, answer.body.data);
		if (answer.is_last)
			return error_set(err, ERROR_UNAVAILABLE, "the server closes the publishing connection");
		source->answers++;
		buffer_consume(&source->in, (size_t)used);
	}
	return used < 0 ? error_set(err, ERROR_INVALID, "an answer that is no HTTP") : 0;
}

static int turn(void *data, struct error *err)
{
	struct tcp_source *source = data;
	char part[16384];
	ssize_t len;
	while ((len = recv(source->fd, part, sizeof(part), MSG_DONTWAIT)) > 0)
		buffer_add(&source->in, part, (size_t)len);
	if (len == 0)
		return error_set(err, ERROR_UNAVAILABLE, "the server closed the publishing connection");
	return take_answers(source, err);
}

static bool is_ready(const void *data)
{
	(void)data;
	return true;
}

const struct source_kind source_control = { "control", open_tcp, close_tcp, publish_line, flush, turn, is_ready };
const struct source_kind source_gateway = { "gateway", open_tcp, close_tcp, publish_to_gateway, flush, turn, is_ready };
const struct source_kind source_nchan = { "nchan", open_tcp, close_tcp, publish_to_nchan, flush, turn, is_ready };
