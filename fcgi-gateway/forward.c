/* forward.c - requests on their way to the active gateway. */
#include "forward.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <utlist.h>
#include <zmq.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>

#include "forward_message.h"
#include "forward_target.h"

enum {
	WAIT_MAX_MS = 1000,
	RETRY_AFTER_S = 1,
	STOP_MS = 1000,
	ENDPOINTS_SIZE = FORWARD_TARGETS_MAX * (MESSAGE_NAME_MAX + 1),
};

/* One request; lies with the thread that waits for it. */
struct ticket {
	struct ticket *prev, *next;
	struct buffer packed;
	uint64_t counter;
	uint64_t connect_by_ms, answer_by_ms; /* monotonic */
	size_t target;                        /* it was sent there */
	unsigned tried;                       /* a bit for each target that does not handle it */
	struct response *response;
	bool is_done, was_sent;
	pthread_cond_t done;
};

struct forward_counters {
	uint64_t sent, answered, unsent, unknown;
};

struct forward {
	struct forward_settings settings;
	void *context;
	int wake_fd;
	pthread_t thread;

	pthread_mutex_t lock; /* of all below */
	struct ticket *incoming; /* utlist */
	char endpoints[ENDPOINTS_SIZE];
	bool has_new_endpoints, is_stopping, is_ending;
	uint64_t stop_at_ms; /* monotonic; from then on nobody waits for answers */
	uint64_t last_counter;
	struct forward_counters counters;

	/* The thread's own. */
	struct forward_target targets[FORWARD_TARGETS_MAX];
	size_t target_count, preferred;
	unsigned opened; /* targets ever */
	struct ticket *waiting, *sent; /* utlists */
};

/* --- tickets --- */

/* It is the waiter's again, which may be gone at once. */
static void finish(struct forward *forward, struct ticket *ticket, uint64_t *counter)
{
	pthread_mutex_lock(&forward->lock);
	++*counter;
	ticket->was_sent = counter != &forward->counters.unsent;
	ticket->is_done = true;
	pthread_cond_signal(&ticket->done);
	pthread_mutex_unlock(&forward->lock);
}

static void finish_unsent(struct forward *forward, struct ticket *ticket, const char *reason)
{
	DL_DELETE(forward->waiting, ticket);
	response_refuse(ticket->response, REFUSAL_UNAVAILABLE, "%s", reason);
	ticket->response->retry_after_s = RETRY_AFTER_S;
	finish(forward, ticket, &forward->counters.unsent);
}

static void finish_unknown(struct forward *forward, struct ticket *ticket, const char *reason)
{
	static struct log_limit limit;
	DL_DELETE(forward->sent, ticket);
	log_limited(&limit, "msg=\"a forwarded request has no answer\" reason=\"%s\"", reason);
	response_refuse(ticket->response, REFUSAL_OUTCOME_UNKNOWN, "%s: repeat with the same Idempotency-Key", reason);
	finish(forward, ticket, &forward->counters.unknown);
}

static struct ticket *find_sent(struct forward *forward, uint64_t counter, size_t target)
{
	struct ticket *ticket;
	DL_SEARCH_SCALAR(forward->sent, ticket, counter, counter);
	return ticket && ticket->target == target ? ticket : NULL;
}

/* --- targets --- */

static void forget_targets(struct forward *forward)
{
	struct ticket *ticket, *next;
	DL_FOREACH_SAFE(forward->sent, ticket, next)
		finish_unknown(forward, ticket, "the active gateway has moved");
	for (size_t i = 0; i < forward->target_count; i++)
		forward_target_close(&forward->targets[i]);
	forward->target_count = forward->preferred = 0;
	DL_FOREACH(forward->waiting, ticket)
		ticket->tried = 0;
}

static void open_targets(struct forward *forward, const char *endpoints)
{
	forget_targets(forward);
	while (*endpoints && forward->target_count < FORWARD_TARGETS_MAX) {
		endpoints += strspn(endpoints, ", ");
		struct bytes endpoint = { endpoints, strcspn(endpoints, ", ") };
		struct error err = { 0 };
		if (endpoint.len && forward_target_open(&forward->targets[forward->target_count], forward->context, endpoint, ++forward->opened,
		                                         forward->settings.curve, &err) == 0)
			forward->target_count++;
		else if (endpoint.len)
			log_error("msg=\"cannot forward there\" error=\"%s\"", err.text);
		endpoints += endpoint.len;
	}
}

/* --- out --- */

/* Whether it left, to the preferred target first. */
static bool send_somewhere(struct forward *forward, struct ticket *ticket)
{
	for (size_t i = 0; i < forward->target_count; i++) {
		size_t target = (forward->preferred + i) % forward->target_count;
		if (ticket->tried & 1u << target || !forward_target_send(&forward->targets[target], buffer_bytes(&ticket->packed)))
			continue;
		ticket->target = target;
		DL_DELETE(forward->waiting, ticket);
		DL_APPEND(forward->sent, ticket);
		return true;
	}
	return false;
}

static void send_waiting(struct forward *forward, bool is_stopping)
{
	uint64_t now_ms = clock_monotonic_ms(), sent = 0;
	unsigned all = (1u << forward->target_count) - 1;
	struct ticket *ticket, *next;
	DL_FOREACH_SAFE(forward->waiting, ticket, next) {
		if (is_stopping)
			finish_unsent(forward, ticket, "shutting down");
		else if (send_somewhere(forward, ticket))
			sent++;
		else if (!forward->target_count)
			finish_unsent(forward, ticket, "no active gateway is known");
		else if (ticket->tried == all)
			finish_unsent(forward, ticket, "no gateway is active now");
		else if (now_ms >= ticket->connect_by_ms)
			finish_unsent(forward, ticket, "the active gateway does not answer");
	}
	pthread_mutex_lock(&forward->lock);
	forward->counters.sent += sent;
	pthread_mutex_unlock(&forward->lock);
}

static void expire_sent(struct forward *forward, uint64_t stop_at_ms)
{
	uint64_t now_ms = clock_monotonic_ms();
	struct ticket *ticket, *next;
	DL_FOREACH_SAFE(forward->sent, ticket, next)
		if (now_ms >= ticket->answer_by_ms || now_ms >= stop_at_ms)
			finish_unknown(forward, ticket, "the active gateway did not answer in time");
}

/* --- in --- */

static void on_answer(struct forward *forward, size_t target, const struct message *message)
{
	struct ticket *ticket = find_sent(forward, message->counter, target);
	if (!ticket)
		return; /* nobody waits for it any more */
	if (message->reason.len) {
		ticket->tried |= 1u << target;
		DL_DELETE(forward->sent, ticket);
		DL_APPEND(forward->waiting, ticket);
		return;
	}
	forward->preferred = target;
	if (forward_read_response(message, ticket->response)) {
		finish_unknown(forward, ticket, "the active gateway's answer cannot be read");
		return;
	}
	DL_DELETE(forward->sent, ticket);
	finish(forward, ticket, &forward->counters.answered);
}

static void receive(struct forward *forward, size_t target)
{
	static struct log_limit limit;
	zmq_msg_t part;
	zmq_msg_init(&part);
	while (zmq_msg_recv(&part, forward->targets[target].socket, ZMQ_DONTWAIT) >= 0) {
		struct message message;
		struct error err = { 0 };
		if (message_unpack((struct bytes){ zmq_msg_data(&part), zmq_msg_size(&part) }, &message, &err)) {
			log_limited(&limit, "msg=\"unreadable answer dropped\" endpoint=%s error=\"%s\"", forward->targets[target].endpoint, err.text);
			continue;
		}
		if (message.kind == MESSAGE_ANSWER)
			on_answer(forward, target, &message);
		message_deinit(&message);
	}
	zmq_msg_close(&part);
}

/* Answers that came are taken before a connection's end is. */
static void receive_all(struct forward *forward)
{
	struct ticket *ticket, *next;
	for (size_t i = 0; i < forward->target_count; i++) {
		bool has_broken = forward_target_has_broken(&forward->targets[i]);
		receive(forward, i);
		if (!has_broken)
			continue;
		DL_FOREACH_SAFE(forward->sent, ticket, next)
			if (ticket->target == i)
				finish_unknown(forward, ticket, "the connection to the active gateway ended before its answer");
	}
}

/* --- the thread --- */

static uint64_t next_deadline(const struct forward *forward)
{
	const struct ticket *ticket;
	uint64_t at_ms = UINT64_MAX;
	DL_FOREACH(forward->waiting, ticket)
		at_ms = ticket->connect_by_ms < at_ms ? ticket->connect_by_ms : at_ms;
	DL_FOREACH(forward->sent, ticket)
		at_ms = ticket->answer_by_ms < at_ms ? ticket->answer_by_ms : at_ms;
	return at_ms;
}

static void wait_for_work(struct forward *forward, uint64_t stop_at_ms)
{
	zmq_pollitem_t items[1 + 2 * FORWARD_TARGETS_MAX] = { { .fd = forward->wake_fd, .events = ZMQ_POLLIN } };
	unsigned untried = 0;
	const struct ticket *ticket;
	uint64_t now_ms = clock_monotonic_ms(), at_ms = next_deadline(forward), times;
	if (forward->sent && stop_at_ms < at_ms)
		at_ms = stop_at_ms;
	long wait_ms = at_ms <= now_ms ? 0 : at_ms - now_ms < WAIT_MAX_MS ? (long)(at_ms - now_ms) : WAIT_MAX_MS;
	DL_FOREACH(forward->waiting, ticket)
		untried |= ~ticket->tried;
	int count = 1;
	for (size_t i = 0; i < forward->target_count; i++) {
		short events = ZMQ_POLLIN | (untried & 1u << i ? ZMQ_POLLOUT : 0);
		items[count++] = (zmq_pollitem_t){ .socket = forward->targets[i].socket, .events = events };
		items[count++] = (zmq_pollitem_t){ .socket = forward->targets[i].monitor, .events = ZMQ_POLLIN };
	}
	zmq_poll(items, count, wait_ms);
	if (items[0].revents && read(forward->wake_fd, &times, sizeof(times)) < 0 && errno != EAGAIN)
		log_error("msg=\"forwarding cannot be woken\" error=\"%s\"", strerror(errno));
}

/* What other threads handed over. False at the end. */
static bool take_over(struct forward *forward, bool *is_stopping, uint64_t *stop_at_ms)
{
	char endpoints[ENDPOINTS_SIZE];
	pthread_mutex_lock(&forward->lock);
	bool has_new_endpoints = forward->has_new_endpoints, is_ending = forward->is_ending;
	*is_stopping = forward->is_stopping;
	*stop_at_ms = forward->is_stopping ? forward->stop_at_ms : UINT64_MAX;
	if (has_new_endpoints)
		memcpy(endpoints, forward->endpoints, sizeof(endpoints));
	forward->has_new_endpoints = false;
	DL_CONCAT(forward->waiting, forward->incoming);
	forward->incoming = NULL;
	pthread_mutex_unlock(&forward->lock);
	if (has_new_endpoints)
		open_targets(forward, endpoints);
	return !is_ending;
}

static void *run(void *data)
{
	struct forward *forward = data;
	bool is_stopping;
	uint64_t stop_at_ms;
	while (take_over(forward, &is_stopping, &stop_at_ms)) {
		send_waiting(forward, is_stopping);
		wait_for_work(forward, stop_at_ms);
		receive_all(forward);
		expire_sent(forward, stop_at_ms);
	}
	forget_targets(forward);
	return NULL;
}

/* --- other threads --- */

static void wake(struct forward *forward)
{
	uint64_t one = 1;
	if (write(forward->wake_fd, &one, sizeof(one)) < 0)
		return; /* already awake as can be */
}

void forward_set_target(struct forward *forward, const char *endpoints)
{
	pthread_mutex_lock(&forward->lock);
	bool is_new = strncmp(forward->endpoints, endpoints, sizeof(forward->endpoints) - 1) != 0;
	if (is_new) {
		snprintf(forward->endpoints, sizeof(forward->endpoints), "%s", endpoints);
		forward->has_new_endpoints = true;
		wake(forward);
	}
	pthread_mutex_unlock(&forward->lock);
}

bool forward_has_target(struct forward *forward)
{
	pthread_mutex_lock(&forward->lock);
	bool has_target = forward->endpoints[0];
	pthread_mutex_unlock(&forward->lock);
	return has_target;
}

static void wait_for_answer(struct forward *forward, struct ticket *ticket)
{
	pthread_cond_init(&ticket->done, NULL);
	pthread_mutex_lock(&forward->lock);
	DL_APPEND(forward->incoming, ticket);
	wake(forward);
	while (!ticket->is_done)
		pthread_cond_wait(&ticket->done, &forward->lock);
	pthread_mutex_unlock(&forward->lock);
	pthread_cond_destroy(&ticket->done);
}

bool forward_request(struct forward *forward, const struct request *request, struct response *response)
{
	uint64_t now_ms = clock_monotonic_ms();
	struct ticket ticket = {
		.connect_by_ms = now_ms + forward->settings.connect_ms, .answer_by_ms = now_ms + forward->settings.answer_ms, .response = response,
	};
	struct error err = { 0 };
	pthread_mutex_lock(&forward->lock);
	ticket.counter = ++forward->last_counter;
	pthread_mutex_unlock(&forward->lock);
	if (forward_pack_request(request, ticket.counter, clock_wall_ms() + forward->settings.answer_ms, &ticket.packed, &err))
		response_refuse(response, REFUSAL_UNAVAILABLE, "the request cannot be forwarded: %s", err.text);
	else
		wait_for_answer(forward, &ticket);
	buffer_deinit(&ticket.packed);
	return ticket.was_sent;
}

void forward_add_status(void *data, struct buffer *out)
{
	struct forward *forward = data;
	pthread_mutex_lock(&forward->lock);
	struct forward_counters counters = forward->counters;
	pthread_mutex_unlock(&forward->lock);
	buffer_add_format(out, "\"forward\":{\"sent\":%" PRIu64 ",\"answered\":%" PRIu64 ",\"unsent\":%" PRIu64 ",\"unknown\":%" PRIu64 "},",
	                  counters.sent, counters.answered, counters.unsent, counters.unknown);
}

/* --- begin and end --- */

static void release(struct forward *forward)
{
	if (forward->context)
		zmq_ctx_term(forward->context);
	if (forward->wake_fd >= 0)
		close(forward->wake_fd);
	pthread_mutex_destroy(&forward->lock);
	free(forward);
}

struct forward *forward_new(const struct forward_settings *settings, struct error *err)
{
	struct forward *forward = calloc(1, sizeof(*forward));
	if (!forward) {
		error_set(err, ERROR_SYSTEM, "no memory to forward");
		return NULL;
	}
	forward->settings = *settings;
	pthread_mutex_init(&forward->lock, NULL);
	forward->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	forward->context = zmq_ctx_new();
	if (forward->wake_fd < 0 || !forward->context) {
		error_set(err, ERROR_SYSTEM, "forwarding: %s", strerror(errno));
	} else {
		int failure = pthread_create(&forward->thread, NULL, run, forward);
		if (failure == 0)
			return forward;
		error_set(err, ERROR_SYSTEM, "forwarding thread: %s", strerror(failure));
	}
	release(forward);
	return NULL;
}

void forward_stop(struct forward *forward)
{
	pthread_mutex_lock(&forward->lock);
	forward->is_stopping = true;
	forward->stop_at_ms = clock_monotonic_ms() + STOP_MS;
	wake(forward);
	pthread_mutex_unlock(&forward->lock);
}

void forward_free(struct forward *forward)
{
	if (!forward)
		return;
	pthread_mutex_lock(&forward->lock);
	forward->is_ending = true;
	wake(forward);
	pthread_mutex_unlock(&forward->lock);
	pthread_join(forward->thread, NULL);
	release(forward);
}
