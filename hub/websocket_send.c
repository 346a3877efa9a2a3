/* websocket_send.c - what leaves a WebSocket: shared frames, pongs and the close frame, each in one piece. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "websocket_inside.h"

/* --- the socket ------------------------------------------------------------ */

/* The owner must not hear of it from inside a call of its own: the shut socket's event tells. */
static void set_failed(struct websocket *websocket)
{
	websocket->has_failed = true;
	shutdown(websocket->fd, SHUT_RDWR);
}

void outgoing_watch(struct websocket *websocket, bool is_watched)
{
	if (websocket->is_watched == is_watched)
		return;
	struct epoll_event event = { .events = is_watched ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = websocket };
	websocket->is_watched = is_watched;
	if (epoll_ctl(websocket->all->epoll, EPOLL_CTL_MOD, websocket->fd, &event) < 0)
		set_failed(websocket);
}

/* How many bytes left; less than len: the socket is watched, or has failed. */
static size_t write_bytes(struct websocket *websocket, const unsigned char *bytes, size_t len)
{
	ssize_t sent = send(websocket->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent == (ssize_t)len)
		return len;
	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		set_failed(websocket);
	} else {
		websocket->is_full = true;
		outgoing_watch(websocket, true);
	}
	return sent > 0 ? (size_t)sent : 0;
}

/* --- what waits ------------------------------------------------------------ */

static struct outgoing *need_outgoing(struct websocket *websocket)
{
	if (!websocket->out)
		websocket->out = calloc(1, sizeof(*websocket->out));
	if (websocket->out)
		websocket->out->websocket = websocket;
	return websocket->out;
}

void outgoing_free(struct websocket *websocket)
{
	struct outgoing *out = websocket->out;
	if (!out)
		return;
	deadline_cancel(&out->deadline);
	frame_unref(out->first);
	frame_unref(out->pong);
	frame_unref(out->close);
	free(out);
	websocket->out = NULL;
}

int outgoing_add(struct websocket *websocket, struct bytes wire)
{
	struct frame *frame = need_outgoing(websocket) ? frame_of_wire(wire) : NULL;
	if (!frame)
		return -1;
	websocket->out->first = frame;
	return 0;
}

static size_t write_control(unsigned char wire[2 + WEBSOCKET_CONTROL_MAX], enum websocket_opcode opcode, struct bytes payload)
{
	size_t len = websocket_header_write(wire, opcode, payload.len);
	if (payload.len)
		memcpy(wire + len, payload.data, payload.len);
	return len + payload.len;
}

int outgoing_add_close(struct websocket *websocket, enum websocket_code code)
{
	const char payload[] = { (char)(code >> 8), (char)code };
	unsigned char wire[WEBSOCKET_SERVER_HEADER_MAX + WEBSOCKET_CONTROL_MAX];
	size_t len = write_control(wire, WEBSOCKET_CLOSE, (struct bytes){ payload, code == WEBSOCKET_NO_CODE ? 0 : sizeof(payload) });
	struct outgoing *out = need_outgoing(websocket);
	if (out)
		out->close = frame_of_wire((struct bytes){ (const char *)wire, len });
	return out && out->close ? 0 : -1;
}

/* A frame of which some bytes have left has to go on. */
static void keep_rest(struct websocket *websocket, struct frame *frame, size_t sent)
{
	if (!frame || !need_outgoing(websocket)) {
		set_failed(websocket);
		return;
	}
	websocket->out->first = frame_ref(frame);
	websocket->out->first_sent = sent;
}

void outgoing_pong(struct websocket *websocket, struct bytes payload)
{
	unsigned char wire[WEBSOCKET_SERVER_HEADER_MAX + WEBSOCKET_CONTROL_MAX];
	size_t len = write_control(wire, WEBSOCKET_PONG, payload);
	size_t sent = websocket->out || websocket->has_failed ? 0 : write_bytes(websocket, wire, len);
	if (sent == len || websocket->has_failed)
		return;
	struct frame *frame = frame_of_wire((struct bytes){ (const char *)wire, len });
	if (sent > 0) {
		keep_rest(websocket, frame, sent);
		frame_unref(frame);
	} else if (need_outgoing(websocket)) {
		frame_unref(websocket->out->pong);
		websocket->out->pong = frame;
	} else {
		frame_unref(frame);
	}
}

bool outgoing_is_done(const struct websocket *websocket)
{
	const struct outgoing *out = websocket->out;
	return !out || (!out->first && !out->pong && !out->close);
}

/* The next one becomes the first. */
static struct frame *first_of(struct outgoing *out)
{
	struct frame **next = out->pong ? &out->pong : &out->close;
	if (!out->first) {
		out->first = *next;
		out->first_sent = 0;
		*next = NULL;
	}
	return out->first;
}

bool outgoing_flush(struct websocket *websocket)
{
	struct outgoing *out = websocket->out;
	struct frame *frame;
	while (out && (frame = first_of(out)) != NULL) {
		if (websocket->has_failed)
			return false;
		size_t len = frame_wire_len(frame) - out->first_sent;
		size_t sent = write_bytes(websocket, frame->wire + out->first_sent, len);
		out->first_sent += sent;
		if (sent < len)
			return false;
		out->first = NULL;
		frame_unref(frame);
	}
	if (out && !deadline_is_set(&out->deadline))
		outgoing_free(websocket);
	return !websocket->has_failed;
}

/* Puts frames behind what waits first: one write, where each alone would be one. Returns how many. */
static size_t join(struct websocket *websocket, struct frame *const *frames, size_t count)
{
	struct frame *first = websocket->out->first, *joined = NULL;
	struct buffer wire = { 0 };
	buffer_add(&wire, first->wire, frame_wire_len(first));
	for (size_t i = 0; i < count; i++)
		buffer_add(&wire, frames[i]->wire, frame_wire_len(frames[i]));
	if (!wire.has_failed)
		joined = frame_of_wire(buffer_bytes(&wire));
	buffer_deinit(&wire);
	if (!joined) {
		set_failed(websocket);
		return 0;
	}
	frame_unref(first);
	websocket->out->first = joined;
	return count;
}

/* --- shared frames ----------------------------------------------------------- */

bool websocket_is_writable(const struct websocket *websocket)
{
	return websocket->state == WEBSOCKET_OPEN && (!websocket->out || websocket->is_opening) && !websocket->is_full && !websocket->has_failed;
}

void gathered_forget(struct gathered *gathered)
{
	while (gathered->count)
		frame_unref(gathered->frames[--gathered->count]);
	gathered->len = 0;
}

/* Puts the first frames together; returns how many. */
static size_t gather(struct gathered *gathered, struct frame *const *frames, size_t count)
{
	if (gathered->count && count >= gathered->count && memcmp(frames, gathered->frames, gathered->count * sizeof(*frames)) == 0)
		return gathered->count;
	gathered_forget(gathered);
	for (size_t i = 0; i < count && i < GATHER_FRAMES_MAX && gathered->len + frame_wire_len(frames[i]) <= GATHER_MAX; i++) {
		memcpy(gathered->bytes + gathered->len, frames[i]->wire, frame_wire_len(frames[i]));
		gathered->len += frame_wire_len(frames[i]);
		gathered->frames[gathered->count++] = frame_ref(frames[i]);
	}
	return gathered->count;
}

/* Of frames that were written together so many bytes have left. Returns how many frames are taken: what has not begun is not. */
static size_t account(struct websocket *websocket, struct frame *const *frames, size_t sent)
{
	size_t taken = 0;
	while (sent > 0 && sent >= frame_wire_len(frames[taken]))
		sent -= frame_wire_len(frames[taken++]);
	if (sent > 0)
		keep_rest(websocket, frames[taken++], sent);
	return taken;
}

/* One write of the first frames; returns how many were taken. */
static size_t write_some(struct websocket *websocket, struct frame *const *frames, size_t count)
{
	struct gathered *gathered = &websocket->all->gathered;
	size_t together = count > 1 ? gather(gathered, frames, count) : 0;
	if (together > 1) {
		size_t sent = write_bytes(websocket, gathered->bytes, gathered->len);
		return sent == gathered->len ? together : account(websocket, frames, sent);
	}
	size_t len = frame_wire_len(frames[0]), sent = write_bytes(websocket, frames[0]->wire, len);
	return sent == len ? 1 : account(websocket, frames, sent);
}

size_t websocket_write(struct websocket *websocket, struct frame *const *frames, size_t count)
{
	size_t taken = websocket->is_opening && websocket->state == WEBSOCKET_OPEN ? join(websocket, frames, count) : 0;
	while (taken < count && websocket_is_writable(websocket) && !websocket->is_opening)
		taken += write_some(websocket, frames + taken, count - taken);
	if (taken < count && websocket->state == WEBSOCKET_OPEN)
		websocket->wants_to_write = true;
	return taken;
}
