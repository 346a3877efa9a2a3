/* line_sockets.c - the line's sockets. */
#include "line_parts.h"

#include <errno.h>

#include <roomcast/log.h>

#include "socket_path.h"

enum {
	PUB_HIGH_WATER = 4096,         /* messages a hub, none larger than LINE_PUB_MAX; what is dropped past it is repaired */
	ROUTER_HIGH_WATER = 1000,
	PEER_HEARTBEAT_MS = 1000,      /* ZMTP's own: notices a stopped or unreachable peer */
	PEER_TIMEOUT_MS = 3000,
	HANDSHAKE_MS = 5000,
	LINGER_MS = 300,               /* at the end: what was answered as published should leave */
};


struct socket_option {
	int name, value;
};

static void *open_socket(struct line *line, int type, const char *endpoint, const struct socket_option *options, size_t option_count, struct error *err)
{
	/* Bound to the listener with the socket, so set before it; without it libzmq allocates whatever length a stranger names. */
	const int64_t inbound_max = (int64_t)line->settings.inbound_max;
	if (socket_path_clear_endpoint(endpoint, err))
		return NULL;
	void *socket = zmq_socket(line->context, type);
	if (socket && zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &inbound_max, sizeof(inbound_max))) {
		zmq_close(socket);
		socket = NULL;
	}
	for (size_t i = 0; socket && i < option_count; i++) {
		if (zmq_setsockopt(socket, options[i].name, &options[i].value, sizeof(options[i].value)) == 0)
			continue;
		zmq_close(socket);
		socket = NULL;
	}
	if (socket && line->settings.curve && curve_serve(line->settings.curve, socket, endpoint)) {
		zmq_close(socket);
		socket = NULL;
	}
	if (socket && zmq_bind(socket, endpoint) == 0)
		return socket;
	error_set(err, ERROR_SYSTEM, "%s: %s", endpoint, zmq_strerror(errno));
	if (socket)
		zmq_close(socket);
	return NULL;
}

/* Tells when connections of the socket end, and what spoke no ZeroMQ: libzmq drops that without a word. */
static int open_monitor(struct line *line, void **out, void *socket, const char *endpoint)
{
	static const int events = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL;
	*out = zmq_socket(line->context, ZMQ_PAIR);
	return !*out || zmq_socket_monitor(socket, endpoint, events) || zmq_connect(*out, endpoint) ? -1 : 0;
}

int line_open_sockets(struct line *line, struct error *err)
{
	static const struct socket_option publisher_options[] = {
		{ ZMQ_LINGER, LINGER_MS }, { ZMQ_SNDHWM, PUB_HIGH_WATER }, { ZMQ_HEARTBEAT_IVL, PEER_HEARTBEAT_MS },
		{ ZMQ_HEARTBEAT_TIMEOUT, PEER_TIMEOUT_MS }, { ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS }, { ZMQ_IPV6, 1 },
	};
	static const struct socket_option router_options[] = {
		{ ZMQ_LINGER, 0 }, { ZMQ_SNDHWM, ROUTER_HIGH_WATER }, { ZMQ_RCVHWM, ROUTER_HIGH_WATER }, { ZMQ_ROUTER_MANDATORY, 1 },
		{ ZMQ_HEARTBEAT_IVL, PEER_HEARTBEAT_MS }, { ZMQ_HEARTBEAT_TIMEOUT, PEER_TIMEOUT_MS }, { ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS },
		{ ZMQ_IPV6, 1 },
	};
	size_t size = sizeof(line->endpoint);
	line->context = zmq_ctx_new();
	if (!line->context)
		return error_set(err, ERROR_SYSTEM, "ZeroMQ: %s", zmq_strerror(errno));
	if (line->settings.curve && line->settings.curve->is_on) {
		line->zap = zap_new(line->context, line->settings.peers, err);
		if (!line->zap)
			return -1;
	}
	line->publisher = open_socket(line, ZMQ_PUB, line->settings.events_endpoint, publisher_options,
	                              sizeof(publisher_options) / sizeof(publisher_options[0]), err);
	if (!line->publisher)
		return -1;
	line->router = open_socket(line, ZMQ_ROUTER, line->settings.line_endpoint, router_options,
	                           sizeof(router_options) / sizeof(router_options[0]), err);
	if (!line->router)
		return -1;
	if (zmq_getsockopt(line->publisher, ZMQ_LAST_ENDPOINT, line->endpoint, &size)
	    || open_monitor(line, &line->router_monitor, line->router, "inproc://router-monitor")
	    || open_monitor(line, &line->publisher_monitor, line->publisher, "inproc://publisher-monitor"))
		return error_set(err, ERROR_SYSTEM, "ZeroMQ: %s", zmq_strerror(errno));
	return 0;
}

/* Whether a connection ended among what the monitor tells; an event has two parts: what, and where. */
static bool hear_monitor(struct line *line, void *monitor)
{
	static struct log_limit limit;
	bool has_ended = false;
	zmq_msg_t part;
	zmq_msg_init(&part);
	while (zmq_msg_recv(&part, monitor, ZMQ_DONTWAIT) >= 0) {
		uint16_t event = 0;
		if (!zmq_msg_more(&part) || zmq_msg_size(&part) < sizeof(event))
			continue;
		memcpy(&event, zmq_msg_data(&part), sizeof(event));
		has_ended = has_ended || event == ZMQ_EVENT_DISCONNECTED;
		if (event == ZMQ_EVENT_DISCONNECTED)
			continue;
		line_count(line, LINE_BROKEN_HANDSHAKES);
		log_limited(&limit, "msg=\"connection closed\" reason=\"no ZeroMQ handshake\"");
	}
	zmq_msg_close(&part);
	return has_ended;
}

bool line_hears_departure(struct line *line)
{
	(void)hear_monitor(line, line->publisher_monitor);
	return hear_monitor(line, line->router_monitor);
}

/* The monitor ends first: libzmq would leak what it tells to a monitor that nobody reads any more. */
static void close_monitored(void *socket, void *monitor)
{
	if (!socket)
		return;
	zmq_socket_monitor(socket, NULL, 0);
	if (monitor)
		zmq_close(monitor);
	zmq_close(socket);
}

void line_close_sockets(struct line *line)
{
	close_monitored(line->publisher, line->publisher_monitor);
	close_monitored(line->router, line->router_monitor);
	if (line->context)
		zmq_ctx_shutdown(line->context);
	zap_free(line->zap);
	if (line->context)
		zmq_ctx_term(line->context);
}

enum delivery line_send_packed(struct line *line, const struct routing_id *to, struct bytes packed)
{
	if (zmq_send(line->router, to->data, to->len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
		return errno == EAGAIN ? DELIVERY_FULL : DELIVERY_GONE;
	return zmq_send(line->router, packed.data, packed.len, ZMQ_DONTWAIT) < 0 ? DELIVERY_GONE : DELIVERED;
}

enum delivery line_send(struct line *line, const struct routing_id *to, const struct message *message)
{
	static struct log_limit limit;
	struct buffer packed = { 0 };
	struct error err = { 0 };
	enum delivery delivery = DELIVERY_FULL;
	if (message_pack(message, &packed, &err))
		log_limited(&limit, "msg=\"message not sent\" error=\"%s\"", err.text);
	else
		delivery = line_send_packed(line, to, buffer_bytes(&packed));
	buffer_deinit(&packed);
	return delivery;
}

bool line_receive(struct line *line, struct routing_id *from, zmq_msg_t *content, bool *is_whole)
{
	int len = zmq_recv(line->router, from->data, sizeof(from->data), ZMQ_DONTWAIT);
	if (len < 0)
		return false;
	from->len = (size_t)len;
	size_t parts = 1;
	int has_more = 0;
	size_t size = sizeof(has_more);
	zmq_getsockopt(line->router, ZMQ_RCVMORE, &has_more, &size);
	while (has_more && zmq_msg_recv(content, line->router, ZMQ_DONTWAIT) >= 0) {
		parts++;
		has_more = zmq_msg_more(content);
	}
	*is_whole = parts == 2 && from->len <= sizeof(from->data);
	return true;
}
