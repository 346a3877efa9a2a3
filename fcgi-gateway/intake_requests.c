/* intake_requests.c - one FastCGI connection: its states, requests that come in, answers that leave. */
#include "intake_parts.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include <roomcast/log.h>

#define TO(state) (1u << CONNECTION_##state)

static const struct {
	const char *name;
	unsigned next;
} states[CONNECTION_STATE_COUNT] = {
	[CONNECTION_BUSY] = { "busy", TO(BUSY) | TO(IDLE) | TO(READY) },
	[CONNECTION_IDLE] = { "idle", TO(BUSY) | TO(IDLE) | TO(READY) },
	[CONNECTION_READY] = { "ready", TO(SERVED) },
	[CONNECTION_QUEUED] = { "queued", TO(SERVED) },
	[CONNECTION_SERVED] = { "served", TO(BUSY) | TO(IDLE) | TO(READY) | TO(QUEUED) | TO(WRITING) },
	[CONNECTION_WRITING] = { "writing", TO(BUSY) | TO(IDLE) | TO(READY) | TO(WRITING) },
};

/* --- states --- */

uint64_t connection_patience(const struct intake *intake, enum connection_state state)
{
	return state == CONNECTION_IDLE ? intake->settings.idle_ms : intake->settings.progress_ms;
}

void connection_set_state(struct intake *intake, struct connection *connection, enum connection_state state)
{
	assert(states[connection->state].next & 1u << state);
	if (state != connection->state)
		log_debug("msg=\"FastCGI connection\" fd=%d from=%s to=%s", connection->fd, states[connection->state].name, states[state].name);
	DL_DELETE(intake->lists[connection->state], connection);
	connection->state = state;
	connection->deadline_ms = intake->now_ms + connection_patience(intake, state);
	DL_APPEND(intake->lists[state], connection);
}

void connection_close(struct intake *intake, struct connection *connection)
{
	DL_DELETE(intake->lists[connection->state], connection);
	close(connection->fd);
	record_deinit(&connection->reader);
	buffer_deinit(&connection->input);
	buffer_deinit(&connection->output);
	free(connection);
	intake->count--;
	intake_listen(intake, true);
}

void connection_watch(struct intake *intake, struct connection *connection, uint32_t events)
{
	struct epoll_event event = { .events = events | EPOLLRDHUP | EPOLLET, .data.ptr = connection };
	if (connection->watched == events && !connection->is_unread)
		return;
	connection->watched = events;
	connection->is_unread = false;
	if (epoll_ctl(intake->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event) == 0)
		return;
	log_error("msg=\"FastCGI connection cannot be watched\" error=\"%s\"", strerror(errno));
	connection_close(intake, connection);
}

/* --- reading --- */

static bool send_replies(struct connection *connection)
{
	struct buffer *reply = &connection->reader.reply;
	if (!reply->len)
		return true;
	ssize_t sent = send(connection->fd, reply->data, reply->len, MSG_NOSIGNAL | MSG_DONTWAIT);
	bool is_sent = sent == (ssize_t)reply->len;
	buffer_clear(reply);
	return is_sent;
}

/* Goes on with bytes that came: to a worker, back to waiting, or to its end. */
static void advance(struct intake *intake, struct connection *connection, struct bytes input)
{
	static struct log_limit limit;
	struct error err = { 0 };
	uint64_t now_ms = intake->now_ms;
	if (connection->state == CONNECTION_IDLE || connection->reader.stage == RECORD_STAGE_IDLE)
		connection->began_ms = now_ms;
	enum record_result result = record_feed(&connection->reader, &input, &err);
	if (result != RECORD_MALFORMED && !send_replies(connection)) {
		result = RECORD_MALFORMED;
		error_set(&err, ERROR_INVALID, "the peer does not read");
	}
	if (result == RECORD_MALFORMED) {
		intake->counters.malformed++;
		log_limited(&limit, "msg=\"FastCGI connection closed\" reason=\"%s\"", err.text);
		connection_close(intake, connection);
		return;
	}
	if (result == RECORD_REQUEST) {
		intake->counters.requests++;
		buffer_add_bytes(&connection->input, input);
		connection_set_state(intake, connection, CONNECTION_READY);
		return;
	}
	bool is_between = connection->reader.stage == RECORD_STAGE_IDLE && connection->reader.header_len == 0;
	if (is_between && !connection->reader.keep_connection && connection->reader.request_id) {
		connection_close(intake, connection); /* drained */
		return;
	}
	if (now_ms - connection->began_ms > intake->settings.request_ms) {
		intake->counters.timed_out++;
		log_limited(&limit, "msg=\"FastCGI connection closed\" reason=\"a request took longer than %" PRIu64 " ms\"", intake->settings.request_ms);
		connection_close(intake, connection);
		return;
	}
	connection_set_state(intake, connection, is_between ? CONNECTION_IDLE : CONNECTION_BUSY);
	connection_watch(intake, connection, EPOLLIN);
}

void connection_read(struct intake *intake, struct connection *connection, bool has_ended)
{
	ssize_t len = recv(connection->fd, intake->scratch, sizeof(intake->scratch), MSG_DONTWAIT);
	if (has_ended || len == (ssize_t)sizeof(intake->scratch)) /* epoll tells it once */
		connection->is_unread = true;
	if (len > 0) {
		advance(intake, connection, (struct bytes){ intake->scratch, (size_t)len });
	} else if (len == 0 || (errno != EAGAIN && errno != EINTR)) {
		if (connection->state == CONNECTION_BUSY && connection->reader.stage != RECORD_STAGE_DRAIN)
			intake->counters.aborted++;
		connection_close(intake, connection);
	}
}

/* --- answering --- */

/* The whole answer has left. */
static void answered(struct intake *intake, struct connection *connection)
{
	record_next(&connection->reader);
	buffer_clear(&connection->output);
	if (intake->is_deaf || (connection->reader.stage == RECORD_STAGE_IDLE && !connection->reader.keep_connection)) {
		connection_close(intake, connection);
		return;
	}
	/* nginx stops sending the body when an answer comes, and waits for the answer's end of file. */
	if (!connection->reader.keep_connection && shutdown(connection->fd, SHUT_WR))
		log_debug("msg=\"FastCGI connection not shut down\" error=\"%s\"", strerror(errno));
	struct buffer input = connection->input;
	connection->input = (struct buffer){ 0 };
	advance(intake, connection, buffer_bytes(&input));
	buffer_deinit(&input);
}

void connection_go_on(struct intake *intake, struct connection *connection, struct bytes rest, ssize_t sent)
{
	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		intake->counters.aborted++;
		connection_close(intake, connection);
		return;
	}
	size_t left = sent > 0 ? (size_t)sent : 0;
	if (left == rest.len) {
		answered(intake, connection);
		return;
	}
	if (connection->state == CONNECTION_WRITING)
		buffer_consume(&connection->output, left);
	else
		buffer_add(&connection->output, rest.data + left, rest.len - left);
	connection_set_state(intake, connection, CONNECTION_WRITING);
	if (connection->output.has_failed)
		connection_close(intake, connection);
	else
		connection_watch(intake, connection, EPOLLOUT);
}

void connection_write(struct intake *intake, struct connection *connection)
{
	struct bytes rest = buffer_bytes(&connection->output);
	connection_go_on(intake, connection, rest, send(connection->fd, rest.data, rest.len, MSG_NOSIGNAL | MSG_DONTWAIT));
}

void connection_take_answer(struct intake *intake, struct connection *connection)
{
	if (!connection->output.len || connection->output.has_failed) {
		intake->counters.aborted++;
		connection_close(intake, connection);
		return;
	}
	connection_set_state(intake, connection, CONNECTION_WRITING);
	connection_write(intake, connection);
}
