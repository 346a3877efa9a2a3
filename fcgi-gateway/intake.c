/* intake.c - FastCGI connections on epoll. */
#include "intake.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>

enum {
	READ_SIZE = 64 << 10,
	EVENTS_MAX = 64,
	ACCEPTS_MAX = 64,     /* before the others get their turn */
	TICK_MS = 100,        /* how late a deadline may be noticed */
	STOP_MS = 1000,       /* for the answers that are under way at the end */
};

enum connection_state {
	CONNECTION_BUSY,    /* in the middle of a request, or new */
	CONNECTION_IDLE,    /* between requests */
	CONNECTION_QUEUED,  /* a request waits for a worker */
	CONNECTION_SERVED,  /* with a worker, or put off */
	CONNECTION_RESUMED, /* its answer waits for a worker */
	CONNECTION_WRITING, /* the answer did not fit at once */
	CONNECTION_STATE_COUNT,
};

#define TO(state) (1u << CONNECTION_##state)

static const struct {
	const char *name;
	unsigned next;
} states[CONNECTION_STATE_COUNT] = {
	[CONNECTION_BUSY] = { "busy", TO(BUSY) | TO(IDLE) | TO(QUEUED) },
	[CONNECTION_IDLE] = { "idle", TO(BUSY) | TO(IDLE) | TO(QUEUED) },
	[CONNECTION_QUEUED] = { "queued", TO(SERVED) },
	[CONNECTION_SERVED] = { "served", TO(BUSY) | TO(IDLE) | TO(QUEUED) | TO(WRITING) | TO(RESUMED) },
	[CONNECTION_RESUMED] = { "resumed", TO(SERVED) },
	[CONNECTION_WRITING] = { "writing", TO(BUSY) | TO(IDLE) | TO(QUEUED) | TO(WRITING) },
};

struct connection {
	struct connection *prev, *next; /* in the list of its state */
	int fd;
	enum connection_state state;
	uint64_t deadline_ms;
	uint64_t began_ms;              /* of the request under way */
	struct record_reader reader;
	struct buffer input;            /* what came behind a request that is not answered yet */
	struct buffer output;
	void *answer;                   /* of one that is resumed */
};

struct intake_counters {
	uint64_t accepted, requests, malformed, timed_out, aborted, turned_away;
};

struct intake {
	struct intake_settings settings;
	int listen_fd, epoll_fd, wake_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* of all below, and of every connection that is not with a worker */
	pthread_cond_t ready;
	struct connection *lists[CONNECTION_STATE_COUNT]; /* utlists; each in the order of its deadlines */
	size_t count;
	size_t idle;         /* workers that wait */
	bool is_waking;      /* one was woken, and has not looked yet */
	bool is_listening, is_stopping;
	uint64_t stop_at_ms;
	struct intake_counters counters;
	char scratch[READ_SIZE];
};

/* --- states; all with the lock held --- */

static uint64_t patience(const struct intake *intake, enum connection_state state)
{
	return state == CONNECTION_IDLE ? intake->settings.idle_ms : intake->settings.progress_ms;
}

static void set_state(struct intake *intake, struct connection *connection, enum connection_state state)
{
	assert(states[connection->state].next & 1u << state);
	if (state != connection->state)
		log_debug("msg=\"FastCGI connection\" fd=%d from=%s to=%s", connection->fd, states[connection->state].name, states[state].name);
	DL_DELETE(intake->lists[connection->state], connection);
	connection->state = state;
	connection->deadline_ms = clock_monotonic_ms() + patience(intake, state);
	DL_APPEND(intake->lists[state], connection);
}

static void listen_again(struct intake *intake, bool is_wanted)
{
	struct epoll_event event = { .events = is_wanted ? EPOLLIN : 0, .data.ptr = &intake->listen_fd };
	if (intake->is_listening == is_wanted || intake->is_stopping)
		return;
	if (epoll_ctl(intake->epoll_fd, EPOLL_CTL_MOD, intake->listen_fd, &event) == 0)
		intake->is_listening = is_wanted;
}

static void connection_close(struct intake *intake, struct connection *connection)
{
	DL_DELETE(intake->lists[connection->state], connection);
	close(connection->fd);
	record_deinit(&connection->reader);
	buffer_deinit(&connection->input);
	buffer_deinit(&connection->output);
	free(connection);
	intake->count--;
	listen_again(intake, true);
}

/* For one event; then it must be armed again. */
static void arm(struct intake *intake, struct connection *connection, uint32_t events)
{
	struct epoll_event event = { .events = events | EPOLLONESHOT, .data.ptr = connection };
	if (epoll_ctl(intake->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event) == 0)
		return;
	log_error("msg=\"FastCGI connection cannot be watched\" error=\"%s\"", strerror(errno));
	connection_close(intake, connection);
}

/* --- reading; all with the lock held --- */

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
	uint64_t now_ms = clock_monotonic_ms();
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
		set_state(intake, connection, CONNECTION_QUEUED);
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
	set_state(intake, connection, is_between ? CONNECTION_IDLE : CONNECTION_BUSY);
	arm(intake, connection, EPOLLIN);
}

static void on_readable(struct intake *intake, struct connection *connection)
{
	ssize_t len = recv(connection->fd, intake->scratch, sizeof(intake->scratch), MSG_DONTWAIT);
	if (len > 0) {
		advance(intake, connection, (struct bytes){ intake->scratch, (size_t)len });
	} else if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
		arm(intake, connection, EPOLLIN);
	} else {
		if (connection->state == CONNECTION_BUSY && connection->reader.stage != RECORD_STAGE_DRAIN)
			intake->counters.aborted++;
		connection_close(intake, connection);
	}
}

/* --- answering --- */

/* With the lock held; the whole answer has left. */
static void answered(struct intake *intake, struct connection *connection)
{
	record_next(&connection->reader);
	buffer_clear(&connection->output);
	if (connection->reader.stage == RECORD_STAGE_IDLE && !connection->reader.keep_connection) {
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

/* With the lock held. sent: of rest, or -1 as send left it in errno. */
static void continue_answer(struct intake *intake, struct connection *connection, struct bytes rest, ssize_t sent)
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
	set_state(intake, connection, CONNECTION_WRITING);
	if (connection->output.has_failed)
		connection_close(intake, connection);
	else
		arm(intake, connection, EPOLLOUT);
}

static void on_writable(struct intake *intake, struct connection *connection)
{
	struct bytes rest = buffer_bytes(&connection->output);
	continue_answer(intake, connection, rest, send(connection->fd, rest.data, rest.len, MSG_NOSIGNAL | MSG_DONTWAIT));
}

const struct record_reader *connection_request(const struct connection *connection)
{
	return &connection->reader;
}

void *connection_answer(const struct connection *connection)
{
	return connection->answer;
}

/* With the lock held. Answers come first: somebody waits longer for them. */
static struct connection *next_work(const struct intake *intake)
{
	return intake->lists[CONNECTION_RESUMED] ? intake->lists[CONNECTION_RESUMED] : intake->lists[CONNECTION_QUEUED];
}

/* Gives the lock back. One worker is woken at a time, and wakes the next when there is more than it can take: those that work already may be
 * through with all of it before another has begun. */
static void unlock_and_wake(struct intake *intake)
{
	bool wakes = next_work(intake) && intake->idle && !intake->is_waking;
	intake->is_waking = intake->is_waking || wakes;
	pthread_mutex_unlock(&intake->lock);
	if (wakes)
		pthread_cond_signal(&intake->ready);
}

struct connection *intake_take(struct intake *intake)
{
	struct connection *connection;
	pthread_mutex_lock(&intake->lock);
	while (!(connection = next_work(intake)) && !(intake->is_stopping && !intake->lists[CONNECTION_SERVED])) {
		intake->idle++;
		pthread_cond_wait(&intake->ready, &intake->lock);
		intake->idle--;
		intake->is_waking = false;
	}
	if (connection)
		set_state(intake, connection, CONNECTION_SERVED);
	else
		pthread_cond_broadcast(&intake->ready); /* the end, for all */
	unlock_and_wake(intake);
	return connection;
}

void intake_resume(struct intake *intake, struct connection *connection, void *answer)
{
	pthread_mutex_lock(&intake->lock);
	connection->answer = answer;
	set_state(intake, connection, CONNECTION_RESUMED);
	unlock_and_wake(intake);
}

void intake_answer(struct intake *intake, struct connection *connection, struct bytes records)
{
	ssize_t sent = records.len ? send(connection->fd, records.data, records.len, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
	int reason = records.len ? errno : ECONNABORTED;
	pthread_mutex_lock(&intake->lock);
	connection->answer = NULL;
	errno = reason;
	continue_answer(intake, connection, records, sent);
	if (intake->is_stopping)
		pthread_cond_broadcast(&intake->ready);
	unlock_and_wake(intake);
}

/* --- accepting; all with the lock held --- */

static void add_connection(struct intake *intake, int fd)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.ptr = connection };
	if (!connection || epoll_ctl(intake->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
		log_error("msg=\"FastCGI connection not taken\" error=\"%s\"", strerror(errno));
		free(connection);
		close(fd);
		return;
	}
	connection->fd = fd;
	connection->reader.max_body = intake->settings.max_body;
	connection->state = CONNECTION_BUSY;
	connection->began_ms = clock_monotonic_ms();
	connection->deadline_ms = connection->began_ms + patience(intake, CONNECTION_BUSY);
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
			listen_again(intake, false); /* until one is closed */
			return;
		}
		int fd = accept4(intake->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			add_connection(intake, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			log_limited(&limit, "msg=\"FastCGI connection not accepted\" error=\"%s\"", strerror(errno));
			listen_again(intake, false); /* until the next tick */
		}
		return;
	}
}

/* --- the thread --- */

static void expire(struct intake *intake, enum connection_state state, uint64_t now_ms)
{
	static struct log_limit limit;
	struct connection *connection;
	while ((connection = intake->lists[state]) && connection->deadline_ms <= now_ms) {
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
		on_writable(intake, connection);
	else
		on_readable(intake, connection);
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

/* At the end only what is owed keeps us. */
static bool is_over(struct intake *intake, uint64_t now_ms)
{
	if (!intake->is_stopping)
		return false;
	bool is_owed = next_work(intake) || intake->lists[CONNECTION_SERVED] || intake->lists[CONNECTION_WRITING];
	return !is_owed || now_ms >= intake->stop_at_ms;
}

static void *run(void *data)
{
	struct intake *intake = data;
	struct epoll_event events[EVENTS_MAX];
	for (bool is_ending = false; !is_ending;) {
		int count = epoll_wait(intake->epoll_fd, events, EVENTS_MAX, TICK_MS);
		pthread_mutex_lock(&intake->lock);
		uint64_t now_ms = clock_monotonic_ms();
		on_events(intake, events, count);
		expire(intake, CONNECTION_BUSY, now_ms);
		expire(intake, CONNECTION_IDLE, now_ms);
		expire(intake, CONNECTION_WRITING, now_ms);
		if (count == 0)
			listen_again(intake, intake->count < intake->settings.max_connections);
		is_ending = is_over(intake, now_ms);
		unlock_and_wake(intake);
	}
	return NULL;
}

/* --- begin and end --- */

static void wake(struct intake *intake)
{
	uint64_t one = 1;
	if (write(intake->wake_fd, &one, sizeof(one)) < 0)
		return; /* it wakes every TICK_MS anyway */
}

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
	pthread_mutex_destroy(&intake->lock);
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
	pthread_mutex_init(&intake->lock, NULL);
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
