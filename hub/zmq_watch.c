/* zmq_watch.c - ZeroMQ sockets on libuv. */
#include "zmq_watch.h"

#include <errno.h>
#include <sched.h>
#include <zmq.h>

enum { ROUND_MAX = 512 }; /* messages */

/* Reads one message, whole. Returns false when none waits. */
static bool read_one(struct zmq_watch *watch)
{
	zmq_msg_t message;
	zmq_msg_init(&message);
	bool has_message = zmq_msg_recv(&message, watch->socket, ZMQ_DONTWAIT) >= 0;
	if (has_message && !zmq_msg_more(&message)) {
		watch->on_message(watch->data, (struct bytes){ zmq_msg_data(&message), zmq_msg_size(&message) });
	} else if (has_message) {
		while (zmq_msg_more(&message) && zmq_msg_recv(&message, watch->socket, ZMQ_DONTWAIT) >= 0)
			continue;
		watch->on_malformed(watch->data);
	}
	zmq_msg_close(&message);
	return has_message;
}

static void on_rest(uv_idle_t *rest)
{
	zmq_watch_poll(rest->data);
}

/* Messages of one burst come in pieces: ZeroMQ's thread passes on what it reads 8 kB at a time. Its core may be ours. */
static bool read_one_patiently(struct zmq_watch *watch)
{
	uint64_t patience = watch->patience_ns ? watch->patience_ns(watch->data) : 0, start = patience ? uv_hrtime() : 0;
	while (patience && uv_hrtime() - start < patience) {
		sched_yield();
		if (read_one(watch))
			return true;
	}
	return false;
}

void zmq_watch_poll(struct zmq_watch *watch)
{
	if (watch->is_reading || watch->closing)
		return;
	watch->is_reading = true;
	int read = 0;
	bool is_full = false;
	while (read < ROUND_MAX && !watch->closing) {
		is_full = watch->is_full && watch->is_full(watch->data);
		if (is_full || (!read_one(watch) && (!read || !read_one_patiently(watch))))
			break;
		read++;
	}
	watch->is_reading = false;
	if (watch->closing)
		return;
	if (read && watch->on_round)
		watch->on_round(watch->data);
	if (watch->closing)
		return;
	if (is_full || read == ROUND_MAX)
		uv_idle_start(&watch->rest, on_rest);
	else
		uv_idle_stop(&watch->rest);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	zmq_watch_poll(poll->data);
}

int zmq_watch_start(struct zmq_watch *watch, uv_loop_t *loop, void *socket, struct error *err)
{
	int fd;
	size_t size = sizeof(fd);
	if (zmq_getsockopt(socket, ZMQ_FD, &fd, &size))
		return error_set(err, ERROR_SYSTEM, "zmq: %s", zmq_strerror(errno));
	int status = uv_poll_init(loop, &watch->poll, fd);
	if (status)
		return error_set(err, ERROR_SYSTEM, "poll: %s", uv_strerror(status));
	uv_idle_init(loop, &watch->rest);
	watch->socket = socket;
	watch->poll.data = watch;
	watch->rest.data = watch;
	uv_poll_start(&watch->poll, UV_READABLE, on_poll);
	zmq_watch_poll(watch);
	return 0;
}

int zmq_watch_send(struct zmq_watch *watch, struct bytes message)
{
	int sent = zmq_send(watch->socket, message.data, message.len, ZMQ_DONTWAIT);
	/* The send may have eaten the edge. Not read here, where the caller may be in the middle of something. */
	uv_idle_start(&watch->rest, on_rest);
	return sent < 0 ? -1 : 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct zmq_watch *watch = handle->data;
	if (--watch->closing == 0) {
		zmq_close(watch->socket);
		watch->on_closed(watch->data);
	}
}

void zmq_watch_close(struct zmq_watch *watch, void (*on_closed)(void *data))
{
	watch->on_closed = on_closed;
	watch->closing = 2;
	uv_close((uv_handle_t *)&watch->poll, on_handle_closed);
	uv_close((uv_handle_t *)&watch->rest, on_handle_closed);
}
