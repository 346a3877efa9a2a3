/* sequencer_queue.c - from submissions to results. */
#include "sequencer_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <utlist.h>

#include <roomcast/clock.h>

enum { TICKS = 16 }; /* looks at the clock within a time limit */

struct timespec sequencer_deadline(uint64_t ms)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	uint64_t ns = (uint64_t)at.tv_nsec + ms % 1000 * 1000000;
	at.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
	at.tv_nsec = (long)(ns % 1000000000);
	return at;
}

void sequencer_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attributes);
	pthread_condattr_destroy(&attributes);
}

void sequencer_ticket_free(struct ticket *ticket)
{
	submission_deinit(&ticket->submission);
	submission_result_deinit(&ticket->result);
	pthread_cond_destroy(&ticket->done);
	free(ticket);
}

void sequencer_no_writer(const struct sequencer *sequencer, struct error *err)
{
	error_set(err, ERROR_UNAVAILABLE, "nothing can be stored now: %.200s", sequencer->reason[0] ? sequencer->reason : "the journal is being opened");
}

static struct ticket *ticket_new(struct submission *submission)
{
	struct ticket *ticket = calloc(1, sizeof(*ticket));
	if (!ticket)
		return NULL;
	ticket->submission = *submission;
	*submission = (struct submission){ 0 };
	ticket->cost = sizeof(*ticket) + submission_size(&ticket->submission);
	sequencer_cond_init(&ticket->done);
	return ticket;
}

/* Called with the lock held. */
static enum submission_outcome enqueue(struct sequencer *sequencer, struct ticket *ticket, struct error *err)
{
	const struct sequencer_settings *settings = &sequencer->settings;
	uint64_t busy_ms = sequencer->busy_since_ms ? clock_monotonic_ms() - sequencer->busy_since_ms : 0;
	size_t events = sequencer->waiting_events + ticket->submission.count;
	enum submission_outcome outcome = SUBMISSION_REFUSED;
	if (sequencer->is_stopping) {
		error_set(err, ERROR_UNAVAILABLE, "shutting down");
	} else if (sequencer->state != SEQUENCER_ACTIVE && sequencer->state != SEQUENCER_OPENING) {
		sequencer_no_writer(sequencer, err);
	} else if (busy_ms > settings->stall_ms) {
		error_set(err, ERROR_UNAVAILABLE, "the journal has not answered for %" PRIu64 " ms", busy_ms);
	} else if (sequencer->waiting && (events > settings->queue_events || sequencer->waiting_bytes + ticket->cost > settings->queue_bytes)) {
		error_set(err, ERROR_TOO_LARGE, "%zu events wait to be stored already", sequencer->waiting_events);
		outcome = SUBMISSION_OVERLOADED;
	} else {
		DL_APPEND(sequencer->waiting, ticket);
		sequencer->waiting_events = events;
		sequencer->waiting_bytes += ticket->cost;
		return SUBMISSION_STORED;
	}
	return outcome;
}

/* Called with the lock held, when the time is up: one that was not begun can still be taken back. */
static enum submission_outcome give_up(struct sequencer *sequencer, struct ticket *ticket, struct error *err)
{
	uint64_t timeout_ms = sequencer->settings.timeout_ms;
	if (ticket->is_started) {
		ticket->is_abandoned = true;
		error_set(err, ERROR_UNAVAILABLE, "not known whether it was stored: no answer from the journal within %" PRIu64 " ms", timeout_ms);
		return SUBMISSION_UNKNOWN;
	}
	DL_DELETE(sequencer->waiting, ticket);
	sequencer->waiting_events -= ticket->submission.count;
	sequencer->waiting_bytes -= ticket->cost;
	error_set(err, ERROR_UNAVAILABLE, "the journal did not get to it within %" PRIu64 " ms", timeout_ms);
	return SUBMISSION_REFUSED;
}

/* Called with the lock held: until all are done or the time is up. */
static void wait_for(struct sequencer *sequencer, struct ticket *const *tickets, size_t count)
{
	struct timespec deadline = sequencer_deadline(sequencer->settings.timeout_ms);
	int waited = 0;
	for (size_t i = 0; i < count; i++)
		while (!tickets[i]->is_done && waited != ETIMEDOUT)
			waited = pthread_cond_timedwait(&tickets[i]->done, &sequencer->lock, &deadline);
}

/* Called with the lock held, which it keeps: none is begun behind one that is given up. */
static void take_results(struct sequencer *sequencer, struct ticket *const *tickets, struct submission_result *results, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (tickets[i]->is_done) {
			results[i] = tickets[i]->result;
			tickets[i]->result = (struct submission_result){ 0 };
		} else {
			results[i].outcome = give_up(sequencer, tickets[i], &results[i].err);
		}
	}
}

/* Called with the lock held: how many of the first wait now. The others have their results. */
static size_t enqueue_all(struct sequencer *sequencer, struct ticket *const *tickets, struct submission_result *results, size_t count)
{
	uint64_t chain = count > 1 ? ++sequencer->chains : 0;
	size_t queued = 0;
	for (size_t i = 0; i < count; i++) {
		if (!tickets[i]) {
			error_set(&results[i].err, ERROR_UNAVAILABLE, "out of memory");
			results[i].outcome = SUBMISSION_REFUSED;
		} else if (queued < i) {
			results[i].outcome = results[i - 1].outcome;
			results[i].err = results[i - 1].err;
		} else {
			tickets[i]->chain = chain;
			results[i].outcome = enqueue(sequencer, tickets[i], &results[i].err);
			queued += results[i].outcome == SUBMISSION_STORED;
		}
	}
	return queued;
}

static void submit(struct sequencer *sequencer, struct ticket **tickets, struct submission_result *results, size_t count)
{
	pthread_mutex_lock(&sequencer->lock);
	size_t queued = enqueue_all(sequencer, tickets, results, count);
	pthread_cond_signal(&sequencer->work);
	wait_for(sequencer, tickets, queued);
	take_results(sequencer, tickets, results, queued);
	for (size_t i = 0; i < count; i++)
		if (tickets[i] && tickets[i]->is_abandoned)
			tickets[i] = NULL; /* the sequencer's by now */
	pthread_mutex_unlock(&sequencer->lock);
	for (size_t i = 0; i < count; i++)
		if (tickets[i])
			sequencer_ticket_free(tickets[i]);
}

static struct ticket *ticket_of(struct submission *submission)
{
	struct ticket *ticket = ticket_new(submission);
	if (!ticket)
		submission_deinit(submission);
	return ticket;
}

void sequencer_submit(struct sequencer *sequencer, struct submission *submission, struct submission_result *result)
{
	struct ticket *ticket = ticket_of(submission);
	submit(sequencer, &ticket, result, 1);
}

void sequencer_submit_all(struct sequencer *sequencer, struct submission *submissions, struct submission_result *results, size_t count)
{
	struct ticket **tickets = calloc(count, sizeof(*tickets));
	for (size_t i = 0; i < count; i++) {
		if (tickets) {
			tickets[i] = ticket_of(&submissions[i]);
			continue;
		}
		submission_deinit(&submissions[i]);
		error_set(&results[i].err, ERROR_UNAVAILABLE, "out of memory");
		results[i].outcome = SUBMISSION_REFUSED;
	}
	if (tickets)
		submit(sequencer, tickets, results, count);
	free(tickets);
}

/* --- those who do not wait --- */

void sequencer_start(struct sequencer *sequencer, struct submission *submission, submission_done *on_result, void *data)
{
	struct submission_result refused = { .outcome = SUBMISSION_REFUSED };
	struct ticket *ticket = ticket_of(submission);
	if (!ticket) {
		error_set(&refused.err, ERROR_UNAVAILABLE, "out of memory");
		on_result(data, &refused);
		return;
	}
	ticket->on_result = on_result;
	ticket->data = data;
	ticket->give_up_ms = clock_monotonic_ms() + sequencer->settings.timeout_ms;
	pthread_mutex_lock(&sequencer->lock);
	refused.outcome = enqueue(sequencer, ticket, &refused.err);
	bool is_queued = refused.outcome == SUBMISSION_STORED;
	if (is_queued)
		DL_APPEND2(sequencer->late, ticket, older, newer);
	bool is_held = sequencer->holds;
	pthread_mutex_unlock(&sequencer->lock);
	if (is_queued) {
		if (!is_held)
			pthread_cond_signal(&sequencer->work);
		return;
	}
	sequencer_ticket_free(ticket);
	on_result(data, &refused);
}

void sequencer_hold(struct sequencer *sequencer, bool is_held)
{
	pthread_mutex_lock(&sequencer->lock);
	sequencer->holds += is_held ? 1 : (size_t)-1;
	bool is_over = !sequencer->holds && sequencer->waiting;
	pthread_mutex_unlock(&sequencer->lock);
	if (is_over)
		pthread_cond_signal(&sequencer->work);
}

/* Called with the lock held, which it gives up while it tells. */
static void give_up_late(struct sequencer *sequencer, struct ticket *ticket)
{
	struct submission_result result = { 0 };
	submission_done *on_result = ticket->on_result;
	void *data = ticket->data;
	DL_DELETE2(sequencer->late, ticket, older, newer);
	result.outcome = give_up(sequencer, ticket, &result.err);
	bool is_ours = !ticket->is_abandoned;
	pthread_mutex_unlock(&sequencer->lock);
	if (is_ours)
		sequencer_ticket_free(ticket);
	on_result(data, &result);
	pthread_mutex_lock(&sequencer->lock);
}

void *sequencer_watch(void *data)
{
	struct sequencer *sequencer = data;
	uint64_t tick_ms = sequencer->settings.timeout_ms / TICKS + 1;
	pthread_mutex_lock(&sequencer->lock);
	while (!sequencer->is_over) {
		struct timespec deadline = sequencer_deadline(tick_ms);
		pthread_cond_timedwait(&sequencer->watching, &sequencer->lock, &deadline);
		while (sequencer->late && sequencer->late->give_up_ms <= clock_monotonic_ms())
			give_up_late(sequencer, sequencer->late);
	}
	pthread_mutex_unlock(&sequencer->lock);
	return NULL;
}
