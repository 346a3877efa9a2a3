/* sequencer.c - the writer's life, groups, and those who wait for them. */
#include "sequencer.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <utlist.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>

#include "judge.h"

/* A wall clock that is set back by less than this does not put an event before the one in front of it. */
enum { CLOCK_SLACK_MS = 1000 };

/* Owned by the queue, then by the group, then by whoever waits; by the sequencer when the waiter has gone. */
struct ticket {
	struct ticket *prev, *next;
	struct submission submission;
	struct submission_result result;
	size_t cost;
	uint64_t chain; /* of those that keep their order among themselves; 0: it is alone */
	bool is_started, is_done, is_abandoned;
	pthread_cond_t done;
};

struct sequencer {
	struct journal *journal;
	struct sequencer_settings settings;
	struct sequencer_sink sink;
	pthread_t thread;
	atomic_bool is_active;

	/* The thread's own. */
	struct journal_writer *writer; /* NULL: there is none */
	struct place last;             /* committed */
	uint64_t last_ms;              /* wall clock of the last group */
	uint64_t broken_chain;         /* one of it was refused: so is what comes behind */

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t work;
	pthread_cond_t opened;
	struct ticket *waiting; /* utlist, oldest first */
	size_t waiting_events, waiting_bytes;
	bool is_stopping;
	enum sequencer_state state;
	char reason[256];
	uint64_t busy_since_ms; /* monotonic; 0: no group is under way */
	struct place shown;     /* last, for others to see */
	uint64_t stored, failed, groups, chains;
};

const char *sequencer_state_name(enum sequencer_state state)
{
	static const char *const names[] = {
		[SEQUENCER_OPENING] = "opening", [SEQUENCER_ACTIVE] = "active", [SEQUENCER_STANDBY] = "standby", [SEQUENCER_FAILED] = "failed",
	};
	return names[state];
}

static void ticket_free(struct ticket *ticket)
{
	submission_deinit(&ticket->submission);
	submission_result_deinit(&ticket->result);
	pthread_cond_destroy(&ticket->done);
	free(ticket);
}

static void refuse(struct ticket *ticket, enum submission_outcome outcome, const struct error *err)
{
	ticket->result.outcome = outcome;
	ticket->result.err = *err;
}

/* --- a group --- */

/* Called with the lock held. */
static struct ticket *take_group(struct sequencer *sequencer)
{
	struct ticket *group = NULL, *ticket;
	for (size_t events = 0; events < sequencer->settings.group_events && (ticket = sequencer->waiting);) {
		DL_DELETE(sequencer->waiting, ticket);
		sequencer->waiting_events -= ticket->submission.count;
		sequencer->waiting_bytes -= ticket->cost;
		ticket->is_started = true;
		events += ticket->submission.count;
		DL_APPEND(group, ticket);
	}
	sequencer->busy_since_ms = clock_monotonic_ms();
	return group;
}

static uint64_t group_time(struct sequencer *sequencer)
{
	uint64_t now_ms = sequencer->settings.wall_ms();
	if (now_ms < sequencer->last_ms && sequencer->last_ms - now_ms < CLOCK_SLACK_MS)
		now_ms = sequencer->last_ms;
	sequencer->last_ms = now_ms;
	return now_ms;
}

/* What waited behind one of its chain that was not stored. */
static bool is_behind_a_failure(const struct sequencer *sequencer, struct ticket *ticket)
{
	struct error err;
	if (!ticket->chain || ticket->chain != sequencer->broken_chain)
		return false;
	error_set(&err, ERROR_UNAVAILABLE, "the one in front of it was not stored");
	refuse(ticket, SUBMISSION_REFUSED, &err);
	return true;
}

/* Inside a begun group. *has_stored: there is something to commit. -1: the writer is lost. err is also the last failure that was not its
 * submission's own fault. */
static int judge_group(struct sequencer *sequencer, struct ticket *group, struct place *last, bool *has_stored, struct error *err)
{
	struct journal_writer *writer = sequencer->writer;
	uint64_t now_ms = group_time(sequencer);
	struct ticket *ticket;
	struct error failure;
	DL_FOREACH(group, ticket)
		judge_expect(writer, &ticket->submission);
	DL_FOREACH(group, ticket) {
		if (is_behind_a_failure(sequencer, ticket))
			continue;
		if (judge_submission(writer, &ticket->submission, now_ms, last, &ticket->result, &failure) == 0) {
			*has_stored = *has_stored || ticket->result.outcome == SUBMISSION_STORED;
			continue;
		}
		bool can_never_be = failure.code == ERROR_INVALID || failure.code == ERROR_TOO_LARGE;
		refuse(ticket, can_never_be ? SUBMISSION_INVALID : SUBMISSION_REFUSED, &failure);
		if (!can_never_be) {
			*err = failure;
			sequencer->broken_chain = ticket->chain;
		}
		if (writer->operations->is_lost(writer))
			return -1;
	}
	return 0;
}

/* *last is what is committed when JOURNAL_STORED is returned. */
static enum journal_outcome store_group(struct sequencer *sequencer, struct ticket *group, struct place *last, struct error *err)
{
	struct journal_writer *writer = sequencer->writer;
	const struct journal_writer_operations *operations = writer->operations;
	bool has_stored = false;
	if (operations->begin(writer, err))
		return JOURNAL_NOT_STORED;
	if (judge_group(sequencer, group, last, &has_stored, err)) {
		operations->rollback(writer);
		return JOURNAL_NOT_STORED;
	}
	if (has_stored)
		return operations->commit(writer, err);
	operations->rollback(writer);
	return JOURNAL_STORED;
}

/* The group is not known to be stored: what each of its submissions is told. Judgements by what this group had stored do not stand. */
static void fail_group(struct sequencer *sequencer, struct ticket *group, enum journal_outcome outcome, const struct error *err)
{
	struct ticket *ticket;
	DL_FOREACH(group, ticket) {
		if (ticket->chain)
			sequencer->broken_chain = ticket->chain;
		enum submission_outcome judged = ticket->result.outcome;
		bool is_failed = judged == SUBMISSION_REFUSED || judged == SUBMISSION_INVALID;
		bool may_be_stored = outcome == JOURNAL_UNKNOWN && (judged == SUBMISSION_STORED || judged == SUBMISSION_REPEATED);
		if (!is_failed || !ticket->result.err.text[0])
			refuse(ticket, may_be_stored ? SUBMISSION_UNKNOWN : SUBMISSION_REFUSED, err);
	}
}

static void publish_ticket(struct sequencer *sequencer, const struct ticket *ticket)
{
	const struct submission *submission = &ticket->submission;
	uint64_t first = ticket->result.place.seq - submission->count + 1;
	for (size_t i = 0; i < submission->count; i++)
		sequencer->sink.publish(sequencer->sink.data, ticket->result.place.epoch, first + i, submission_packed(submission, i));
}

/* True when the writer is still good. */
static bool publish_group(struct sequencer *sequencer, struct ticket *group, struct error *err)
{
	struct place last = sequencer->last;
	struct ticket *ticket;
	/* Until it is judged. */
	DL_FOREACH(group, ticket)
		refuse(ticket, SUBMISSION_REFUSED, &(struct error){ ERROR_NONE, "" });
	enum journal_outcome outcome = store_group(sequencer, group, &last, err);
	if (outcome != JOURNAL_STORED) {
		fail_group(sequencer, group, outcome, err);
		return outcome != JOURNAL_UNKNOWN && !sequencer->writer->operations->is_lost(sequencer->writer);
	}
	sequencer->last = last;
	DL_FOREACH(group, ticket) {
		if (ticket->result.outcome == SUBMISSION_STORED)
			publish_ticket(sequencer, ticket);
	}
	return true;
}

/* Called with the lock held. */
static void answer(struct sequencer *sequencer, struct ticket *ticket)
{
	static const bool is_failure[] = {
		[SUBMISSION_INVALID] = true, [SUBMISSION_OVERLOADED] = true, [SUBMISSION_REFUSED] = true, [SUBMISSION_UNKNOWN] = true,
	};
	if (ticket->result.outcome == SUBMISSION_STORED)
		sequencer->stored += ticket->submission.count;
	else if (is_failure[ticket->result.outcome])
		sequencer->failed += ticket->submission.count;
	ticket->is_done = true;
	if (ticket->is_abandoned)
		ticket_free(ticket);
	else
		pthread_cond_signal(&ticket->done);
}

/* Called with the lock held. */
static void answer_group(struct sequencer *sequencer, struct ticket *group)
{
	struct ticket *ticket, *next;
	DL_FOREACH_SAFE(group, ticket, next) {
		DL_DELETE(group, ticket);
		answer(sequencer, ticket);
	}
	sequencer->shown = sequencer->last;
	sequencer->busy_since_ms = 0;
}

/* --- the writer's life. All are called with the lock held, which they give up while they are busy. --- */

static void set_reason(struct sequencer *sequencer, const char *reason)
{
	snprintf(sequencer->reason, sizeof(sequencer->reason), "%s", reason);
}

static void open_writer(struct sequencer *sequencer)
{
	struct journal *journal = sequencer->journal;
	struct journal_writer *writer = NULL;
	struct error err = { 0 };
	pthread_mutex_unlock(&sequencer->lock);
	int result = journal->operations->open_writer(journal, sequencer->settings.wall_ms() / 1000, sequencer->settings.line_endpoint, &writer, &err);
	if (result == 0) {
		log_info("msg=\"journal is open\" journal=%s epoch=%" PRIu64, journal->operations->name, writer->last.epoch);
		sequencer->sink.activate(sequencer->sink.data, writer->last.epoch);
	} else {
		sequencer->sink.stand_by(sequencer->sink.data);
	}
	pthread_mutex_lock(&sequencer->lock);
	if (result == 0) {
		sequencer->writer = writer;
		sequencer->last = sequencer->shown = writer->last;
		sequencer->state = SEQUENCER_ACTIVE;
		set_reason(sequencer, "");
	} else {
		if (strcmp(sequencer->reason, err.text) != 0)
			log_warning("msg=\"journal cannot be opened\" journal=%s error=\"%s\"", journal->operations->name, err.text);
		sequencer->state = err.code == ERROR_UNAVAILABLE ? SEQUENCER_STANDBY : SEQUENCER_FAILED;
		set_reason(sequencer, err.text);
	}
	atomic_store(&sequencer->is_active, result == 0);
	pthread_cond_broadcast(&sequencer->opened);
}

static void lose_writer(struct sequencer *sequencer, const struct error *err)
{
	struct journal_writer *writer = sequencer->writer;
	sequencer->writer = NULL;
	sequencer->state = SEQUENCER_STANDBY;
	set_reason(sequencer, err->text);
	atomic_store(&sequencer->is_active, false);
	pthread_mutex_unlock(&sequencer->lock);
	log_warning("msg=\"journal is lost\" journal=%s error=\"%s\"", sequencer->journal->operations->name, err->text);
	sequencer->sink.deactivate(sequencer->sink.data);
	writer->operations->close(writer);
	pthread_mutex_lock(&sequencer->lock);
}

static struct timespec deadline_after(uint64_t ms)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	uint64_t ns = (uint64_t)at.tv_nsec + ms % 1000 * 1000000;
	at.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
	at.tv_nsec = (long)(ns % 1000000000);
	return at;
}

static void no_writer(const struct sequencer *sequencer, struct error *err)
{
	error_set(err, ERROR_UNAVAILABLE, "nothing can be stored now: %.200s", sequencer->reason[0] ? sequencer->reason : "the journal is being opened");
}

/* Refuses what waits, and waits for the time to try again. */
static void be_without_writer(struct sequencer *sequencer)
{
	struct ticket *ticket, *next;
	struct error err;
	no_writer(sequencer, &err);
	DL_FOREACH_SAFE(sequencer->waiting, ticket, next) {
		DL_DELETE(sequencer->waiting, ticket);
		refuse(ticket, SUBMISSION_REFUSED, &err);
		answer(sequencer, ticket);
	}
	sequencer->waiting_events = sequencer->waiting_bytes = 0;
	struct timespec deadline = deadline_after(sequencer->settings.retry_ms);
	int waited = 0;
	while (!sequencer->is_stopping && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&sequencer->work, &sequencer->lock, &deadline);
}

static void serve_group(struct sequencer *sequencer, struct ticket *group)
{
	static struct log_limit limit;
	struct error err = { 0 };
	pthread_mutex_unlock(&sequencer->lock);
	bool is_good = publish_group(sequencer, group, &err);
	if (err.code)
		log_limited(&limit, "msg=\"not stored\" journal=%s error=\"%s\"", sequencer->journal->operations->name, err.text);
	pthread_mutex_lock(&sequencer->lock);
	sequencer->groups++;
	set_reason(sequencer, err.text);
	answer_group(sequencer, group);
	if (!is_good)
		lose_writer(sequencer, &err);
}

/* A writer that nobody uses: its lock may be somebody else's by now. */
static void check_writer(struct sequencer *sequencer)
{
	struct journal_writer *writer = sequencer->writer;
	struct error err = { 0 };
	sequencer->busy_since_ms = clock_monotonic_ms();
	pthread_mutex_unlock(&sequencer->lock);
	bool is_good = writer->operations->begin(writer, &err) == 0;
	if (is_good)
		writer->operations->rollback(writer);
	bool is_lost = !is_good && writer->operations->is_lost(writer);
	pthread_mutex_lock(&sequencer->lock);
	sequencer->busy_since_ms = 0;
	set_reason(sequencer, err.text);
	if (is_lost)
		lose_writer(sequencer, &err);
}

/* Until something waits, it is time to look at the writer, or all ends. */
static void wait_for_work(struct sequencer *sequencer)
{
	struct timespec deadline = deadline_after(sequencer->settings.check_ms);
	int waited = 0;
	while (!sequencer->waiting && !sequencer->is_stopping && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&sequencer->work, &sequencer->lock, &deadline);
	if (!sequencer->waiting && !sequencer->is_stopping)
		check_writer(sequencer);
}

static void *run(void *data)
{
	struct sequencer *sequencer = data;
	pthread_mutex_lock(&sequencer->lock);
	for (;;) {
		if (!sequencer->writer && !sequencer->is_stopping)
			open_writer(sequencer);
		if (!sequencer->writer) {
			be_without_writer(sequencer);
			if (sequencer->is_stopping)
				break;
			continue;
		}
		if (!sequencer->waiting && sequencer->is_stopping)
			break;
		if (sequencer->waiting)
			serve_group(sequencer, take_group(sequencer));
		else
			wait_for_work(sequencer);
	}
	pthread_mutex_unlock(&sequencer->lock);
	if (sequencer->writer)
		sequencer->writer->operations->close(sequencer->writer);
	return NULL;
}

/* --- those who wait --- */

static void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attributes);
	pthread_condattr_destroy(&attributes);
}

static struct ticket *ticket_new(struct submission *submission)
{
	struct ticket *ticket = calloc(1, sizeof(*ticket));
	if (!ticket)
		return NULL;
	ticket->submission = *submission;
	*submission = (struct submission){ 0 };
	ticket->cost = sizeof(*ticket) + submission_size(&ticket->submission);
	cond_init(&ticket->done);
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
		no_writer(sequencer, err);
	} else if (busy_ms > settings->stall_ms) {
		error_set(err, ERROR_UNAVAILABLE, "the journal has not answered for %" PRIu64 " ms", busy_ms);
	} else if (sequencer->waiting && (events > settings->queue_events || sequencer->waiting_bytes + ticket->cost > settings->queue_bytes)) {
		error_set(err, ERROR_TOO_LARGE, "%zu events wait to be stored already", sequencer->waiting_events);
		outcome = SUBMISSION_OVERLOADED;
	} else {
		DL_APPEND(sequencer->waiting, ticket);
		sequencer->waiting_events = events;
		sequencer->waiting_bytes += ticket->cost;
		pthread_cond_signal(&sequencer->work);
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
	struct timespec deadline = deadline_after(sequencer->settings.timeout_ms);
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
	wait_for(sequencer, tickets, queued);
	take_results(sequencer, tickets, results, queued);
	for (size_t i = 0; i < count; i++)
		if (tickets[i] && tickets[i]->is_abandoned)
			tickets[i] = NULL; /* the sequencer's by now */
	pthread_mutex_unlock(&sequencer->lock);
	for (size_t i = 0; i < count; i++)
		if (tickets[i])
			ticket_free(tickets[i]);
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

/* --- begin, end, figures --- */

static void release(struct sequencer *sequencer)
{
	pthread_cond_destroy(&sequencer->opened);
	pthread_cond_destroy(&sequencer->work);
	pthread_mutex_destroy(&sequencer->lock);
	free(sequencer);
}

struct sequencer *sequencer_new(struct journal *journal, const struct sequencer_settings *settings, struct sequencer_sink sink, struct error *err)
{
	struct sequencer *sequencer = calloc(1, sizeof(*sequencer));
	if (!sequencer) {
		error_set(err, ERROR_SYSTEM, "no memory for the sequencer");
		return NULL;
	}
	sequencer->journal = journal;
	sequencer->settings = *settings;
	sequencer->sink = sink;
	pthread_mutex_init(&sequencer->lock, NULL);
	cond_init(&sequencer->work);
	cond_init(&sequencer->opened);
	int failure = pthread_create(&sequencer->thread, NULL, run, sequencer);
	if (failure == 0)
		return sequencer;
	error_set(err, ERROR_SYSTEM, "sequencer thread: %s", strerror(failure));
	release(sequencer);
	return NULL;
}

void sequencer_wait_opened(struct sequencer *sequencer, uint64_t timeout_ms)
{
	struct timespec deadline = deadline_after(timeout_ms);
	int waited = 0;
	pthread_mutex_lock(&sequencer->lock);
	while (sequencer->state == SEQUENCER_OPENING && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&sequencer->opened, &sequencer->lock, &deadline);
	pthread_mutex_unlock(&sequencer->lock);
}

bool sequencer_is_active(const struct sequencer *sequencer)
{
	return atomic_load(&sequencer->is_active);
}

void sequencer_figures(struct sequencer *sequencer, struct sequencer_figures *out)
{
	pthread_mutex_lock(&sequencer->lock);
	*out = (struct sequencer_figures){
		.state = sequencer->state, .epoch = sequencer->shown.epoch, .last_seq = sequencer->shown.seq, .stored = sequencer->stored,
		.failed = sequencer->failed, .groups = sequencer->groups, .waiting = sequencer->waiting_events,
		.busy_ms = sequencer->busy_since_ms ? clock_monotonic_ms() - sequencer->busy_since_ms : 0,
	};
	memcpy(out->reason, sequencer->reason, sizeof(out->reason));
	pthread_mutex_unlock(&sequencer->lock);
}

void sequencer_free(struct sequencer *sequencer)
{
	if (!sequencer)
		return;
	pthread_mutex_lock(&sequencer->lock);
	sequencer->is_stopping = true;
	pthread_cond_signal(&sequencer->work);
	pthread_mutex_unlock(&sequencer->lock);
	pthread_join(sequencer->thread, NULL);
	release(sequencer);
}
