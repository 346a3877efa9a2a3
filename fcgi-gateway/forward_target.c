/* forward_target.c - DEALER to an active gateway's ROUTER. */
#include "forward_target.h"

#include <errno.h>
#include <stdio.h>

#include <zmq.h>

enum {
	ANSWER_MAX = MESSAGE_BODY_MAX + (1 << 20), /* bytes */
	HIGH_WATER = 1000,             /* messages */
	RECONNECT_MS = 20,
	RECONNECT_MAX_MS = 250,
	PEER_HEARTBEAT_MS = 500,       /* ZMTP's own: notices a stopped or unreachable gateway */
	PEER_TIMEOUT_MS = 2000,
	HANDSHAKE_MS = 2000,
};

static int set_options(void *socket)
{
	static const int64_t answer_max = ANSWER_MAX;
	static const struct { int name, value; } options[] = {
		{ ZMQ_LINGER, 0 }, { ZMQ_IMMEDIATE, 1 }, { ZMQ_SNDHWM, HIGH_WATER }, { ZMQ_RCVHWM, HIGH_WATER }, { ZMQ_RECONNECT_IVL, RECONNECT_MS },
		{ ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS }, { ZMQ_HEARTBEAT_IVL, PEER_HEARTBEAT_MS }, { ZMQ_HEARTBEAT_TIMEOUT, PEER_TIMEOUT_MS },
		{ ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS }, { ZMQ_IPV6, 1 },
	};
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (zmq_setsockopt(socket, options[i].name, &options[i].value, sizeof(options[i].value)))
			return -1;
	return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &answer_max, sizeof(answer_max));
}

static int watch(struct forward_target *target, void *context, unsigned number)
{
	char place[64];
	snprintf(place, sizeof(place), "inproc://forward-%u", number);
	if (zmq_socket_monitor(target->socket, place, ZMQ_EVENT_DISCONNECTED))
		return -1;
	target->monitor = zmq_socket(context, ZMQ_PAIR);
	return target->monitor ? zmq_connect(target->monitor, place) : -1;
}

int forward_target_open(struct forward_target *target, void *context, struct bytes endpoint, unsigned number, const struct curve *curve,
                        struct error *err)
{
	*target = (struct forward_target){ .socket = NULL };
	if (endpoint.len > MESSAGE_NAME_MAX)
		return error_set(err, ERROR_INVALID, "an endpoint of %zu bytes", endpoint.len);
	memcpy(target->endpoint, endpoint.data, endpoint.len);
	target->socket = zmq_socket(context, ZMQ_DEALER);
	if (target->socket && set_options(target->socket) == 0 && watch(target, context, number) == 0
	    && (!curve || curve_connect(curve, target->socket, target->endpoint) == 0) && zmq_connect(target->socket, target->endpoint) == 0)
		return 0;
	error_set(err, ERROR_SYSTEM, "%s: %s", target->endpoint, zmq_strerror(errno));
	forward_target_close(target);
	return -1;
}

void forward_target_close(struct forward_target *target)
{
	if (target->monitor) {
		zmq_socket_monitor(target->socket, NULL, 0);
		zmq_close(target->monitor);
	}
	if (target->socket)
		zmq_close(target->socket);
	*target = (struct forward_target){ .socket = NULL };
}

bool forward_target_send(struct forward_target *target, struct bytes packed)
{
	return zmq_send(target->socket, packed.data, packed.len, ZMQ_DONTWAIT) >= 0;
}

/* Only the one event was asked for; each comes as two parts that say nothing new. */
bool forward_target_has_broken(struct forward_target *target)
{
	bool has_broken = false;
	char part[1];
	while (zmq_recv(target->monitor, part, sizeof(part), ZMQ_DONTWAIT) >= 0)
		has_broken = true;
	return has_broken;
}
