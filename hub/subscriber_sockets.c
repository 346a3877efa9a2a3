/* subscriber_sockets.c - the subscriber's two ZeroMQ sockets, and what they are connected to. */
#include "subscriber_inside.h"

#include <errno.h>

#include <zmq.h>

enum { RECEIVE_MESSAGES_MAX = 50000, LINE_MESSAGES_MAX = 10000 };

static int set_number(void *socket, int option, int value)
{
	return zmq_setsockopt(socket, option, &value, sizeof(value));
}

static void *open_socket(void *context, int type, int messages_max, struct error *err)
{
	void *socket = zmq_socket(context, type);
	int64_t size_max = MESSAGE_BODY_MAX + (1 << 20);
	if (!socket || set_number(socket, ZMQ_LINGER, 0) || set_number(socket, ZMQ_IMMEDIATE, 1) ||
	    set_number(socket, ZMQ_RCVHWM, messages_max) || set_number(socket, ZMQ_SNDHWM, messages_max) ||
	    set_number(socket, ZMQ_RECONNECT_IVL, 50) || set_number(socket, ZMQ_RECONNECT_IVL_MAX, 250) ||
	    set_number(socket, ZMQ_HEARTBEAT_IVL, 1000) || set_number(socket, ZMQ_HEARTBEAT_TIMEOUT, 5000) ||
	    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &size_max, sizeof(size_max)) ||
	    (type == ZMQ_SUB && zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0))) {
		error_set(err, ERROR_SYSTEM, "zmq: %s", zmq_strerror(errno));
		if (socket)
			zmq_close(socket);
		return NULL;
	}
	return socket;
}

static int connect_socket(const struct subscriber *subscriber, void *socket, const char *endpoint)
{
	const struct curve *curve = subscriber->settings.curve;
	return (curve && curve_connect(curve, socket, endpoint)) || zmq_connect(socket, endpoint) ? -1 : 0;
}

static const char *line_endpoint(const struct subscriber *subscriber)
{
	return subscriber->endpoints[subscriber->endpoint].data;
}

static int open_monitor(struct subscriber *subscriber, void *line)
{
	static const char place[] = "inproc://line-monitor";
	if (zmq_socket_monitor(line, place, ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED))
		return -1;
	subscriber->line_monitor = zmq_socket(subscriber->context, ZMQ_PAIR);
	return subscriber->line_monitor ? zmq_connect(subscriber->line_monitor, place) : -1;
}

void subscriber_close_monitor(struct subscriber *subscriber, void *line)
{
	if (!subscriber->line_monitor)
		return;
	zmq_socket_monitor(line, NULL, 0);
	zmq_close(subscriber->line_monitor);
	subscriber->line_monitor = NULL;
}

/* Each event comes as two parts that say nothing new. */
bool subscriber_hears_break(struct subscriber *subscriber)
{
	bool hears_break = false;
	char part[1];
	while (zmq_recv(subscriber->line_monitor, part, sizeof(part), ZMQ_DONTWAIT) >= 0)
		hears_break = true;
	return hears_break;
}

int subscriber_open_sockets(struct subscriber *subscriber, void **events, void **line, struct error *err)
{
	*events = open_socket(subscriber->context, ZMQ_SUB, RECEIVE_MESSAGES_MAX, err);
	*line = *events ? open_socket(subscriber->context, ZMQ_DEALER, LINE_MESSAGES_MAX, err) : NULL;
	if (*line && open_monitor(subscriber, *line) == 0 && connect_socket(subscriber, *line, line_endpoint(subscriber)) == 0)
		return 0;
	if (*line) {
		error_set(err, ERROR_INVALID, "line %s: %s", line_endpoint(subscriber), zmq_strerror(errno));
		subscriber_close_monitor(subscriber, *line);
		zmq_close(*line);
	}
	if (*events)
		zmq_close(*events);
	return -1;
}

int subscriber_connect_events(struct subscriber *subscriber, struct bytes endpoint, struct error *err)
{
	char text[MESSAGE_NAME_MAX + 1];
	if (bytes_equal_text(endpoint, subscriber->events_endpoint))
		return 0;
	memcpy(text, endpoint.data, endpoint.len);
	text[endpoint.len] = '\0';
	if (endpoint_check(text, subscriber->settings.curve && subscriber->settings.curve->is_on, err))
		return error_context(err, "events");
	if (subscriber->events_endpoint[0])
		zmq_disconnect(subscriber->events.socket, subscriber->events_endpoint);
	subscriber->events_endpoint[0] = '\0';
	if (connect_socket(subscriber, subscriber->events.socket, text))
		return error_set(err, ERROR_SYSTEM, "events %s: %s", text, zmq_strerror(errno));
	memcpy(subscriber->events_endpoint, text, endpoint.len + 1);
	return 0;
}

void subscriber_next_endpoint(struct subscriber *subscriber, uint64_t now)
{
	zmq_disconnect(subscriber->line.socket, line_endpoint(subscriber));
	(void)subscriber_hears_break(subscriber); /* of the one before */
	subscriber->endpoint = (subscriber->endpoint + 1) % subscriber->endpoint_count;
	subscriber->endpoint_at = now;
	subscriber->hello_at = 0;
	subscriber->is_refused = false;
	if (connect_socket(subscriber, subscriber->line.socket, line_endpoint(subscriber)))
		log_error("msg=\"cannot connect the line\" line=%s error=\"%s\"", line_endpoint(subscriber), zmq_strerror(errno));
}
