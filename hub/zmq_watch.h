/* zmq_watch.h - a ZeroMQ socket on the libuv loop.
 *
 * ZMQ_FD is edge-triggered and moves on sends too, so everything waiting is read at every wake-up, after every send and at
 * zmq_watch_poll. A round is bounded; what is left is read in the next turn of the loop. */
#ifndef ROOMCAST_HUB_ZMQ_WATCH_H
#define ROOMCAST_HUB_ZMQ_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

struct zmq_watch {
	void *socket;
	uv_poll_t poll;
	uv_idle_t rest;      /* runs while messages are known to wait */
	bool is_reading;
	int closing;
	void (*on_message)(void *data, struct bytes message); /* single-part messages only */
	void (*on_malformed)(void *data);                     /* several parts: dropped */
	void (*on_round)(void *data);                         /* after the messages of a round; may be NULL */
	bool (*is_full)(void *data);                          /* true: read on in a later turn; may be NULL */
	uint64_t (*patience_ns)(void *data);                  /* how long a round may wait for one more message; may be NULL */
	void (*on_closed)(void *data);
	void *data;
};

/* The callbacks and data are set before; socket stays the caller's until zmq_watch_close, which closes it. */
int zmq_watch_start(struct zmq_watch *watch, uv_loop_t *loop, void *socket, struct error *err) MUST_CHECK;
void zmq_watch_poll(struct zmq_watch *watch);
/* -1 when the socket does not take it now (nobody connected, or full). */
int zmq_watch_send(struct zmq_watch *watch, struct bytes message) MUST_CHECK;
void zmq_watch_close(struct zmq_watch *watch, void (*on_closed)(void *data));

#endif
