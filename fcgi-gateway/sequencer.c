/* sequencer.c - the writer's life, and groups. */
#include "sequencer_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <utlist.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>

#include "judge.h"

/* A wall clock that is set back by less than this does not put an event before the one in front of it. */
enum { CLOCK_SLACK_MS = 1000 };
enum { HOLD_MS = 2 }; /* longer than anybody who submits several at once should take */

/* Nobody else takes over meanwhile, and each attempt may read a large WAL: so it is made after as many pauses. */
enum { READING_RETRIES = 4 };

const char *sequencer_state_name(enum sequencer_state state)
{
	static const char *const names[] = {
		[SEQUENCER_OPENING] = "opening", [SEQUENCER_ACTIVE] = "active", [SEQUENCER_READING] = "reading", [SEQUENCER_STANDBY] = "standby",
		[SEQUENCER_FAILED] = "failed",
	};
	return names[state];
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
	sequencer->sink.end_group(sequencer->sink.data);
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
	if (ticket->is_abandoned) {
		sequencer_ticket_free(ticket);
	} else if (ticket->on_result) {
		DL_DELETE2(sequencer->late, ticket, older, newer);
		DL_APPEND(sequencer->done, ticket);
	} else {
		pthread_cond_signal(&ticket->done);
	}
}

/* Called with the lock held, which it gives up while it tells those who do not wait. */
static void tell_results(struct sequencer *sequencer)
{
	struct ticket *done = sequencer->done, *ticket, *next;
	sequencer->done = NULL;
	pthread_mutex_unlock(&sequencer->lock);
	DL_FOREACH_SAFE(done, ticket, next) {
		ticket->on_result(ticket->data, &ticket->result);
		ticket->result = (struct submission_result){ 0 };
		sequencer_ticket_free(ticket);
	}
	pthread_mutex_lock(&sequencer->lock);
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

/* Called without the lock. */
static enum sequencer_state be_refused(struct sequencer *sequencer, const struct error *err)
{
	struct journal *journal = sequencer->journal;
	struct place last;
	if (journal->operations->holds_lock && journal->operations->holds_lock(journal, &last)) {
		sequencer->sink.read_on(sequencer->sink.data, last);
		return SEQUENCER_READING;
	}
	sequencer->sink.stand_by(sequencer->sink.data);
	return err->code == ERROR_UNAVAILABLE ? SEQUENCER_STANDBY : SEQUENCER_FAILED;
}

static void open_writer(struct sequencer *sequencer)
{
	struct journal *journal = sequencer->journal;
	struct journal_writer *writer = NULL;
	struct error err = { 0 };
	enum sequencer_state state = SEQUENCER_ACTIVE;
	pthread_mutex_unlock(&sequencer->lock);
	int result = journal->operations->open_writer(journal, sequencer->settings.wall_ms() / 1000, sequencer->settings.line_endpoint, &writer, &err);
	if (result == 0) {
		log_info("msg=\"journal is open\" journal=%s epoch=%" PRIu64, journal->operations->name, writer->last.epoch);
		sequencer->sink.activate(sequencer->sink.data, writer->last.epoch);
	} else {
		state = be_refused(sequencer, &err);
	}
	pthread_mutex_lock(&sequencer->lock);
	sequencer->state = state;
	if (result == 0) {
		sequencer->writer = writer;
		sequencer->last = sequencer->shown = writer->last;
		set_reason(sequencer, "");
	} else {
		if (strcmp(sequencer->reason, err.text) != 0)
			log_warning("msg=\"journal cannot be opened\" journal=%s state=%s error=\"%s\"", journal->operations->name, sequencer_state_name(state), err.text);
		set_reason(sequencer, err.text);
	}
	atomic_store(&sequencer->is_active, result == 0);
	if (result == 0)
		sequencer->sink.opened(sequencer->sink.data);
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

/* Refuses what waits, and waits for the time to try again. */
static void be_without_writer(struct sequencer *sequencer)
{
	struct ticket *ticket, *next;
	struct error err;
	sequencer_no_writer(sequencer, &err);
	DL_FOREACH_SAFE(sequencer->waiting, ticket, next) {
		DL_DELETE(sequencer->waiting, ticket);
		refuse(ticket, SUBMISSION_REFUSED, &err);
		answer(sequencer, ticket);
	}
	sequencer->waiting_events = sequencer->waiting_bytes = 0;
	tell_results(sequencer);
	unsigned times = sequencer->state == SEQUENCER_READING ? READING_RETRIES : 1;
	struct timespec deadline = sequencer_deadline(times * sequencer->settings.retry_ms);
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
	tell_results(sequencer);
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

/* Until those who are about to submit have done so. A commit costs as much as several events. */
static void wait_for_others(struct sequencer *sequencer)
{
	struct timespec deadline = sequencer_deadline(HOLD_MS);
	int waited = 0;
	while (sequencer->holds && !sequencer->is_stopping && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&sequencer->work, &sequencer->lock, &deadline);
}

/* Until something waits, it is time to look at the writer, or all ends. */
static void wait_for_work(struct sequencer *sequencer)
{
	struct timespec deadline = sequencer_deadline(sequencer->settings.check_ms);
	int waited = 0;
	while (!sequencer->waiting && !sequencer->is_stopping && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&sequencer->work, &sequencer->lock, &deadline);
	if (!sequencer->waiting && !sequencer->is_stopping)
		check_writer(sequencer);
}

static void *run(void *data)
{
	struct sequencer *sequencer = data;
	pthread_setname_np(pthread_self(), "sequencer");
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
		if (sequencer->waiting && sequencer->holds)
			wait_for_others(sequencer);
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

/* --- begin, end, figures --- */

static void release(struct sequencer *sequencer)
{
	pthread_cond_destroy(&sequencer->watching);
	pthread_cond_destroy(&sequencer->opened);
	pthread_cond_destroy(&sequencer->work);
	pthread_mutex_destroy(&sequencer->lock);
	free(sequencer);
}

/* Once nobody waits for a result any more. */
static void stop_watching(struct sequencer *sequencer)
{
	pthread_mutex_lock(&sequencer->lock);
	sequencer->is_over = true;
	pthread_cond_signal(&sequencer->watching);
	pthread_mutex_unlock(&sequencer->lock);
	pthread_join(sequencer->watcher, NULL);
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
	sequencer_cond_init(&sequencer->work);
	sequencer_cond_init(&sequencer->opened);
	sequencer_cond_init(&sequencer->watching);
	int failure = pthread_create(&sequencer->watcher, NULL, sequencer_watch, sequencer);
	if (failure == 0) {
		failure = pthread_create(&sequencer->thread, NULL, run, sequencer);
		if (failure == 0)
			return sequencer;
		stop_watching(sequencer);
	}
	error_set(err, ERROR_SYSTEM, "sequencer thread: %s", strerror(failure));
	release(sequencer);
	return NULL;
}

void sequencer_wait_opened(struct sequencer *sequencer, uint64_t timeout_ms)
{
	struct timespec deadline = sequencer_deadline(timeout_ms);
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
	stop_watching(sequencer);
	release(sequencer);
}
