/* sequencer.c - group commit and order. */
#include "sequencer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <utlist.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>

#include "journal_record.h"

/* Owned by the queue, then by the group, then by whoever waits; by the sequencer when the waiter has gone. */
struct ticket {
	struct ticket *prev, *next;
	struct publication publication;
	struct buffer packed;
	uint64_t seq;
	size_t cost;
	bool is_started, is_done, is_abandoned;
	bool is_stored;
	struct error err;
	pthread_cond_t done;
};

struct sequencer {
	struct journal_writer *writer;
	uint64_t epoch;
	struct sequencer_settings settings;
	struct sequencer_sink sink;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct ticket *waiting; /* utlist, oldest first */
	size_t waiting_count, waiting_bytes;
	bool is_stopping;
	uint64_t last_seq;
	uint64_t stored, failed;
};

static void ticket_free(struct ticket *ticket)
{
	publication_deinit(&ticket->publication);
	buffer_deinit(&ticket->packed);
	pthread_cond_destroy(&ticket->done);
	free(ticket);
}

/* Called with the lock held. */
static struct ticket *take_group(struct sequencer *sequencer)
{
	struct ticket *group = NULL, *ticket;
	for (size_t i = 0; i < sequencer->settings.group_events && (ticket = sequencer->waiting); i++) {
		DL_DELETE(sequencer->waiting, ticket);
		sequencer->waiting_count--;
		sequencer->waiting_bytes -= ticket->cost;
		ticket->is_started = true;
		DL_APPEND(group, ticket);
	}
	return group;
}

static int append(struct sequencer *sequencer, struct ticket *ticket, uint64_t seq)
{
	struct journal_writer *writer = sequencer->writer;
	struct journal_record record;
	publication_stamp(&ticket->publication, sequencer->settings.wall_ms());
	publication_record(&ticket->publication, (struct place){ writer->last.epoch, seq }, &record);
	if (journal_record_pack(&record, &ticket->packed, &ticket->err) || writer->operations->append(writer, &record, &ticket->err))
		return -1;
	ticket->seq = seq;
	return 0;
}

/* Its request alone fails with it. */
static int append_alone(struct sequencer *sequencer, struct ticket *ticket, uint64_t seq)
{
	struct journal_writer *writer = sequencer->writer;
	if (writer->operations->savepoint(writer, &ticket->err))
		return -1;
	if (append(sequencer, ticket, seq) == 0 && writer->operations->release(writer, &ticket->err) == 0)
		return 0;
	writer->operations->undo(writer);
	ticket->seq = 0;
	return -1;
}

static int store_group(struct sequencer *sequencer, struct ticket *group, uint64_t *last_seq, struct error *err)
{
	struct journal_writer *writer = sequencer->writer;
	struct ticket *ticket;
	if (writer->operations->begin(writer, err))
		return -1;
	*last_seq = sequencer->last_seq;
	DL_FOREACH(group, ticket) {
		if (append_alone(sequencer, ticket, *last_seq + 1) == 0)
			++*last_seq;
	}
	return writer->operations->commit(writer, err) == JOURNAL_STORED ? 0 : -1;
}

static void publish_group(struct sequencer *sequencer, struct ticket *group)
{
	static struct log_limit limit;
	struct error err = { 0 };
	uint64_t last_seq = sequencer->last_seq;
	bool is_committed = store_group(sequencer, group, &last_seq, &err) == 0;
	if (!is_committed)
		log_limited(&limit, "msg=\"journal refused a group\" error=\"%s\"", err.text);
	struct ticket *ticket;
	DL_FOREACH(group, ticket) {
		ticket->is_stored = is_committed && ticket->seq;
		if (ticket->is_stored)
			sequencer->sink.publish(sequencer->sink.data, sequencer->epoch, ticket->seq, buffer_bytes(&ticket->packed));
		else if (!is_committed)
			ticket->err = err;
	}
	if (is_committed) {
		pthread_mutex_lock(&sequencer->lock);
		sequencer->last_seq = last_seq;
		pthread_mutex_unlock(&sequencer->lock);
	}
}

/* Called with the lock held. */
static void answer_group(struct sequencer *sequencer, struct ticket *group)
{
	struct ticket *ticket, *next;
	DL_FOREACH_SAFE(group, ticket, next) {
		DL_DELETE(group, ticket);
		if (ticket->is_stored)
			sequencer->stored++;
		else
			sequencer->failed++;
		ticket->is_done = true;
		if (ticket->is_abandoned)
			ticket_free(ticket);
		else
			pthread_cond_signal(&ticket->done);
	}
}

static void *run(void *data)
{
	struct sequencer *sequencer = data;
	pthread_mutex_lock(&sequencer->lock);
	for (;;) {
		while (!sequencer->waiting && !sequencer->is_stopping)
			pthread_cond_wait(&sequencer->work, &sequencer->lock);
		struct ticket *group = take_group(sequencer);
		if (!group)
			break;
		pthread_mutex_unlock(&sequencer->lock);
		publish_group(sequencer, group);
		pthread_mutex_lock(&sequencer->lock);
		answer_group(sequencer, group);
	}
	pthread_mutex_unlock(&sequencer->lock);
	return NULL;
}

static void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attributes);
	pthread_condattr_destroy(&attributes);
}

struct sequencer *sequencer_new(struct journal_writer *writer, const struct sequencer_settings *settings, struct sequencer_sink sink, struct error *err)
{
	struct sequencer *sequencer = calloc(1, sizeof(*sequencer));
	if (!sequencer) {
		error_set(err, ERROR_SYSTEM, "no memory for the sequencer");
		writer->operations->close(writer);
		return NULL;
	}
	sequencer->writer = writer;
	sequencer->epoch = writer->last.epoch;
	sequencer->settings = *settings;
	sequencer->sink = sink;
	sequencer->last_seq = writer->last.seq;
	pthread_mutex_init(&sequencer->lock, NULL);
	cond_init(&sequencer->work);
	int failure = pthread_create(&sequencer->thread, NULL, run, sequencer);
	if (failure == 0)
		return sequencer;
	error_set(err, ERROR_SYSTEM, "sequencer thread: %s", strerror(failure));
	writer->operations->close(writer);
	pthread_cond_destroy(&sequencer->work);
	pthread_mutex_destroy(&sequencer->lock);
	free(sequencer);
	return NULL;
}

static struct ticket *ticket_new(struct publication *publication)
{
	struct ticket *ticket = calloc(1, sizeof(*ticket));
	if (!ticket)
		return NULL;
	ticket->publication = *publication;
	*publication = (struct publication){ 0 };
	ticket->cost = sizeof(*ticket) + ticket->publication.body.capacity + ticket->publication.rooms.text.capacity
	    + ticket->publication.except.text.capacity;
	cond_init(&ticket->done);
	return ticket;
}

/* Called with the lock held. */
static int enqueue(struct sequencer *sequencer, struct ticket *ticket, struct error *err)
{
	const struct sequencer_settings *settings = &sequencer->settings;
	if (sequencer->is_stopping)
		return error_set(err, ERROR_UNAVAILABLE, "shutting down");
	if (sequencer->waiting_count >= settings->queue_events || sequencer->waiting_bytes + ticket->cost > settings->queue_bytes)
		return error_set(err, ERROR_TOO_LARGE, "%zu events wait to be stored already", sequencer->waiting_count);
	DL_APPEND(sequencer->waiting, ticket);
	sequencer->waiting_count++;
	sequencer->waiting_bytes += ticket->cost;
	pthread_cond_signal(&sequencer->work);
	return 0;
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

/* Called with the lock held, when the time is up: one that was not begun can still be taken back. */
static enum publish_outcome give_up(struct sequencer *sequencer, struct ticket *ticket, struct error *err)
{
	if (ticket->is_started) {
		ticket->is_abandoned = true;
		error_set(err, ERROR_UNAVAILABLE, "not known whether it was stored: no answer from the journal within %llu ms",
		          (unsigned long long)sequencer->settings.timeout_ms);
		return PUBLISH_UNKNOWN;
	}
	DL_DELETE(sequencer->waiting, ticket);
	sequencer->waiting_count--;
	sequencer->waiting_bytes -= ticket->cost;
	error_set(err, ERROR_UNAVAILABLE, "the journal did not get to it within %llu ms", (unsigned long long)sequencer->settings.timeout_ms);
	return PUBLISH_REFUSED;
}

enum publish_outcome sequencer_publish(struct sequencer *sequencer, struct publication *publication, uint64_t *seq, struct error *err)
{
	struct ticket *ticket = ticket_new(publication);
	if (!ticket) {
		error_set(err, ERROR_UNAVAILABLE, "no memory");
		return PUBLISH_REFUSED;
	}
	struct timespec deadline = deadline_after(sequencer->settings.timeout_ms);
	enum publish_outcome outcome = PUBLISH_REFUSED;
	pthread_mutex_lock(&sequencer->lock);
	if (enqueue(sequencer, ticket, err) == 0) {
		int waited = 0;
		while (!ticket->is_done && waited != ETIMEDOUT)
			waited = pthread_cond_timedwait(&ticket->done, &sequencer->lock, &deadline);
		if (!ticket->is_done) {
			outcome = give_up(sequencer, ticket, err);
		} else if (ticket->is_stored) {
			*seq = ticket->seq;
			outcome = PUBLISH_STORED;
		} else if (err) {
			*err = ticket->err;
		}
	}
	bool is_ours = !ticket->is_abandoned;
	pthread_mutex_unlock(&sequencer->lock);
	if (is_ours)
		ticket_free(ticket);
	return outcome;
}

void sequencer_figures(struct sequencer *sequencer, struct sequencer_figures *out)
{
	pthread_mutex_lock(&sequencer->lock);
	*out = (struct sequencer_figures){
		.epoch = sequencer->epoch, .last_seq = sequencer->last_seq,
		.stored = sequencer->stored, .failed = sequencer->failed, .waiting = sequencer->waiting_count,
	};
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
	sequencer->writer->operations->close(sequencer->writer);
	pthread_cond_destroy(&sequencer->work);
	pthread_mutex_destroy(&sequencer->lock);
	free(sequencer);
}
