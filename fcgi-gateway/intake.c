/* intake.c - the thread of FastCGI connections, on epoll. */
#include "intake_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>

enum {
	EVENTS_MAX = 64,
	ACCEPTS_MAX = 64,     /* before the others get their turn */
	TICK_MS = 100,        /* how late a deadline may be noticed */
	STOP_MS = 1000,       /* for the answers that are under way at the end */
};

/* --- serving, on the thread, without the lock --- */

/* SERVED, with a request or with the answer to one. */
static void serve(struct intake *intake, struct connection *connection)
{
	buffer_clear(&intake->records);
	enum intake_service service = intake->server.serve(intake->server.data, connection, &intake->records);
	struct bytes records = buffer_bytes(&intake->records);
	if (service == INTAKE_PUT_OFF) /* and perhaps given back by now */
		return;
	ssize_t sent = -1;
	errno = ECONNABORTED;
	if (service == INTAKE_ANSWERED && records.len && !intake->records.has_failed)
		sent = send(connection->fd, records.data, records.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	int reason = errno;
	pthread_mutex_lock(&intake->lock);
	if (service == INTAKE_FOR_WORKER) {
		connection_set_state(intake, connection, CONNECTION_QUEUED);
		pthread_cond_signal(&intake->ready);
	} else {
		errno = reason;
		connection->answer = NULL;
		connection_go_on(intake, connection, records, sent);
	}
	pthread_mutex_unlock(&intake->lock);
}

/* Those that others are done with. */
static void serve_returned(struct intake *intake)
{
	pthread_mutex_lock(&intake->back_lock);
	struct connection *back = intake->back, *connection, *next;
	intake->back = NULL;
	pthread_mutex_unlock(&intake->back_lock);
	DL_FOREACH_SAFE2(back, connection, next, newer) {
		if (connection->answer) {
			serve(intake, connection);
			continue;
		}
		pthread_mutex_lock(&intake->lock);
		connection_take_answer(intake, connection);
		pthread_mutex_unlock(&intake->lock);
	}
}

/* Requests that are complete. */
static void serve_ready(struct intake *intake)
{
	struct connection *connection;
	pthread_mutex_lock(&intake->lock);
	bool has_server = intake->server.serve, are_several = has_server && intake->lists[CONNECTION_READY] && intake->lists[CONNECTION_READY]->next;
	if (are_several)
		intake->server.batch(intake->server.data, true);
	while ((connection = intake->lists[CONNECTION_READY])) {
		connection_set_state(intake, connection, CONNECTION_SERVED);
		if (!has_server) {
			connection_set_state(intake, connection, CONNECTION_QUEUED);
			pthread_cond_signal(&intake->ready);
			continue;
		}
		pthread_mutex_unlock(&intake->lock);
		serve(intake, connection);
		pthread_mutex_lock(&intake->lock);
	}
	pthread_mutex_unlock(&intake->lock);
	if (are_several)
		intake->server.batch(intake->server.data, false);
}

/* --- from other threads --- */

static void wake(struct intake *intake)
{
	uint64_t one = 1;
	if (write(intake->wake_fd, &one, sizeof(one)) < 0)
		return; /* it wakes every TICK_MS anyway */
}

static void give_back(struct intake *intake, struct connection *connection)
{
	pthread_mutex_lock(&intake->back_lock);
	DL_APPEND2(intake->back, connection, older, newer);
	bool is_asleep = intake->is_asleep;
	intake->is_asleep = false;
	pthread_mutex_unlock(&intake->back_lock);
	if (is_asleep)
		wake(intake);
}

const struct record_reader *connection_request(const struct connection *connection)
{
	return &connection->reader;
}

void *connection_answer(const struct connection *connection)
{
	return connection->answer;
}

void intake_serve_by(struct intake *intake, const struct intake_server *server)
{
	pthread_mutex_lock(&intake->lock);
	intake->server = *server;
	pthread_mutex_unlock(&intake->lock);
}

struct connection *intake_take(struct intake *intake)
{
	struct connection *connection;
	pthread_mutex_lock(&intake->lock);
	while (!(connection = intake->lists[CONNECTION_QUEUED]) && !(intake->is_deaf && !intake->lists[CONNECTION_READY] && !intake->lists[CONNECTION_SERVED]))
		pthread_cond_wait(&intake->ready, &intake->lock);
	if (connection)
		connection_set_state(intake, connection, CONNECTION_SERVED);
	pthread_mutex_unlock(&intake->lock);
	return connection;
}

void intake_resume(struct intake *intake, struct connection *connection, void *answer)
{
	connection->answer = answer;
	give_back(intake, connection);
}

void intake_answer(struct intake *intake, struct connection *connection, struct bytes records)
{
	connection->answer = NULL;
	buffer_add_bytes(&connection->output, records);
	give_back(intake, connection);
}

/* --- accepting; all with the lock held --- */

void intake_listen(struct intake *intake, bool is_wanted)
{
	struct epoll_event event = { .events = is_wanted ? EPOLLIN : 0, .data.ptr = &intake->listen_fd };
	if (intake->is_listening == is_wanted || intake->is_stopping)
		return;
	if (epoll_ctl(intake->epoll_fd, EPOLL_CTL_MOD, intake->listen_fd, &event) == 0)
		intake->is_listening = is_wanted;
}

static void add_connection(struct intake *intake, int fd)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = connection };
	if (!connection || epoll_ctl(intake->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
		log_error("msg=\"FastCGI connection not taken\" error=\"%s\"", strerror(errno));
		free(connection);
		close(fd);
		return;
	}
	connection->fd = fd;
	connection->watched = EPOLLIN;
	connection->reader.max_body = intake->settings.max_body;
	connection->state = CONNECTION_BUSY;
	connection->began_ms = intake->now_ms;
	connection->deadline_ms = connection->began_ms + connection_patience(intake, CONNECTION_BUSY);
	DL_APPEND(intake->lists[CONNECTION_BUSY], connection);
	intake->count++;
	intake->counters.accepted++;
}

/* A connection at rest gives way to a new one. */
static bool has_place(struct intake *intake)
{
	static struct log_limit limit;
	if (intake->count < intake->settings.max_connections)
		return true;
	intake->counters.turned_away++;
	log_limited(&limit, "msg=\"FastCGI connections run out\" open=%zu", intake->count);
	if (!intake->lists[CONNECTION_IDLE])
		return false;
	connection_close(intake, intake->lists[CONNECTION_IDLE]);
	return true;
}

static void on_acceptable(struct intake *intake)
{
	static struct log_limit limit;
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		if (!has_place(intake)) {
			intake_listen(intake, false); /* until one is closed */
			return;
		}
		int fd = accept4(intake->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			add_connection(intake, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			log_limited(&limit, "msg=\"FastCGI connection not accepted\" error=\"%s\"", strerror(errno));
			intake_listen(intake, false); /* until the next tick */
		}
		return;
	}
}

/* --- the thread --- */

static void expire(struct intake *intake, enum connection_state state)
{
	static struct log_limit limit;
	struct connection *connection;
	while ((connection = intake->lists[state]) && connection->deadline_ms <= intake->now_ms) {
		if (state != CONNECTION_IDLE) {
			intake->counters.timed_out++;
			log_limited(&limit, "msg=\"FastCGI connection closed\" reason=\"silent in the middle of a request\"");
		}
		connection_close(intake, connection);
	}
}

static void on_event(struct intake *intake, const struct epoll_event *event)
{
	struct connection *connection = event->data.ptr;
	if (connection->state == CONNECTION_WRITING)
		connection_write(intake, connection);
	else if (connection->state == CONNECTION_BUSY || connection->state == CONNECTION_IDLE)
		connection_read(intake, connection, event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	else
		connection->is_unread = true; /* it is not heard before it is answered */
}

/* New ones last: making room for them may close one that has its event in this very batch. */
static void on_events(struct intake *intake, const struct epoll_event *events, int count)
{
	bool is_acceptable = false;
	uint64_t times;
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr == &intake->listen_fd)
			is_acceptable = true;
		else if (events[i].data.ptr != &intake->wake_fd)
			on_event(intake, &events[i]);
		else if (read(intake->wake_fd, &times, sizeof(times)) < 0)
			log_debug("msg=\"intake woken for nothing\"");
	}
	if (is_acceptable && !intake->is_stopping)
		on_acceptable(intake);
}

/* The end comes in steps: what is owed is given for a while, then no request is read any more, then workers leave, then we do. */
static bool is_over(struct intake *intake)
{
	struct connection **lists = intake->lists;
	bool is_late = intake->now_ms >= intake->stop_at_ms;
	if (!intake->is_stopping)
		return false;
	bool is_owed = lists[CONNECTION_READY] || lists[CONNECTION_QUEUED] || lists[CONNECTION_SERVED];
	intake->is_deaf = intake->is_deaf || is_late || (!is_owed && !lists[CONNECTION_WRITING]);
	while (intake->is_deaf && (lists[CONNECTION_BUSY] || lists[CONNECTION_IDLE]))
		connection_close(intake, lists[CONNECTION_BUSY] ? lists[CONNECTION_BUSY] : lists[CONNECTION_IDLE]);
	pthread_cond_broadcast(&intake->ready);
	return intake->is_deaf && intake->is_freed && !lists[CONNECTION_SERVED] && (!lists[CONNECTION_WRITING] || is_late);
}

/* How long to wait for events: not at all when somebody has given something back. */
static int patience_for_events(struct intake *intake)
{
	pthread_mutex_lock(&intake->back_lock);
	bool is_asleep = intake->is_asleep = !intake->back;
	pthread_mutex_unlock(&intake->back_lock);
	return is_asleep ? TICK_MS : 0;
}

static void be_awake(struct intake *intake)
{
	pthread_mutex_lock(&intake->back_lock);
	intake->is_asleep = false;
	pthread_mutex_unlock(&intake->back_lock);
}

static void *run(void *data)
{
	struct intake *intake = data;
	struct epoll_event events[EVENTS_MAX];
	bool were_several = false;
	pthread_setname_np(pthread_self(), "intake");
	for (bool is_ending = false; !is_ending;) {
		if (were_several)
			sched_yield();
		int count = epoll_wait(intake->epoll_fd, events, EVENTS_MAX, patience_for_events(intake));
		were_several = count > 1;
		be_awake(intake);
		pthread_mutex_lock(&intake->lock);
		intake->now_ms = clock_monotonic_ms();
		on_events(intake, events, count);
		expire(intake, CONNECTION_BUSY);
		expire(intake, CONNECTION_IDLE);
		expire(intake, CONNECTION_WRITING);
		if (count == 0)
			intake_listen(intake, intake->count < intake->settings.max_connections);
		pthread_mutex_unlock(&intake->lock);
		serve_returned(intake);
		serve_ready(intake);
		pthread_mutex_lock(&intake->lock);
		is_ending = is_over(intake);
		pthread_mutex_unlock(&intake->lock);
	}
	return NULL;
}

/* --- begin and end --- */

static void release(struct intake *intake)
{
	for (int i = 0; i < CONNECTION_STATE_COUNT; i++)
		while (intake->lists[i])
			connection_close(intake, intake->lists[i]);
	if (intake->epoll_fd >= 0)
		close(intake->epoll_fd);
	if (intake->wake_fd >= 0)
		close(intake->wake_fd);
	pthread_cond_destroy(&intake->ready);
	pthread_mutex_destroy(&intake->back_lock);
	pthread_mutex_destroy(&intake->lock);
	buffer_deinit(&intake->records);
	free(intake);
}

struct intake *intake_new(int listen_fd, const struct intake_settings *settings, struct error *err)
{
	struct intake *intake = calloc(1, sizeof(*intake));
	if (!intake) {
		error_set(err, ERROR_SYSTEM, "no memory for the intake");
		return NULL;
	}
	intake->settings = *settings;
	intake->listen_fd = listen_fd;
	intake->is_listening = true;
	intake->now_ms = clock_monotonic_ms();
	pthread_mutex_init(&intake->lock, NULL);
	pthread_mutex_init(&intake->back_lock, NULL);
	pthread_cond_init(&intake->ready, NULL);
	intake->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	intake->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event listening = { .events = EPOLLIN, .data.ptr = &intake->listen_fd };
	struct epoll_event waking = { .events = EPOLLIN, .data.ptr = &intake->wake_fd };
	if (intake->epoll_fd < 0 || intake->wake_fd < 0 || epoll_ctl(intake->epoll_fd, EPOLL_CTL_ADD, listen_fd, &listening)
	    || epoll_ctl(intake->epoll_fd, EPOLL_CTL_ADD, intake->wake_fd, &waking)) {
		error_set(err, ERROR_SYSTEM, "intake: %s", strerror(errno));
	} else {
		int failure = pthread_create(&intake->thread, NULL, run, intake);
		if (failure == 0)
			return intake;
		error_set(err, ERROR_SYSTEM, "intake thread: %s", strerror(failure));
	}
	intake->is_stopping = true; /* release must not listen again */
	release(intake);
	return NULL;
}

void intake_stop(struct intake *intake)
{
	pthread_mutex_lock(&intake->lock);
	intake->is_stopping = true;
	intake->stop_at_ms = clock_monotonic_ms() + STOP_MS;
	epoll_ctl(intake->epoll_fd, EPOLL_CTL_DEL, intake->listen_fd, NULL);
	pthread_cond_broadcast(&intake->ready);
	pthread_mutex_unlock(&intake->lock);
	wake(intake);
}

void intake_free(struct intake *intake)
{
	if (!intake)
		return;
	pthread_mutex_lock(&intake->lock);
	intake->is_freed = true;
	pthread_mutex_unlock(&intake->lock);
	wake(intake);
	pthread_join(intake->thread, NULL);
	release(intake);
}

void intake_add_status(void *data, struct buffer *out)
{
	struct intake *intake = data;
	pthread_mutex_lock(&intake->lock);
	struct intake_counters counters = intake->counters;
	size_t count = intake->count;
	pthread_mutex_unlock(&intake->lock);
	buffer_add_format(out, "\"fastcgi\":{\"connections\":%zu,\"accepted\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"malformed\":%" PRIu64
	                  ",\"timedOut\":%" PRIu64 ",\"aborted\":%" PRIu64 ",\"turnedAway\":%" PRIu64 "},", count, counters.accepted,
	                  counters.requests, counters.malformed, counters.timed_out, counters.aborted, counters.turned_away);
}
