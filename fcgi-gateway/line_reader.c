/* line_reader.c - reads the journal for the line thread, on a thread of its own: a database that is slow, locked or out of reach must not hold
 * up heartbeats. Answers come back as finished messages. */
#include "line_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>

#include "journal_record.h"
#include "line_reader.h"

enum { STANDING_BYTES = 64 << 10 }; /* of one message */

struct line_reader {
	struct journal *journal;
	struct line *line;
	struct journal_bound chunk;
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t work;
	struct question *questions, *answers; /* utlists */
	bool is_stopping;
	/* The thread's own. */
	struct journal_reader *journal_reader;
};

/* --- questions --- */

void question_forget(struct question *question)
{
	struct parcel *parcel, *next;
	DL_FOREACH_SAFE(question->parcels, parcel, next) {
		buffer_deinit(&parcel->packed);
		free(parcel);
	}
	question->parcels = NULL;
	question->epoch_count = 0;
	question->has_key = false;
}

void question_free(struct question *question)
{
	question_forget(question);
	free(question);
}

/* Appended to the answer; NULL: no memory, and the answer is marked so. */
static struct parcel *add_parcel(struct question *question)
{
	struct parcel *parcel = calloc(1, sizeof(*parcel));
	if (parcel)
		DL_APPEND(question->parcels, parcel);
	else
		question->has_failed = true;
	return parcel;
}

/* --- what a hub that says hello must know --- */

/* Grants and blocks on their way into STANDING messages. */
struct standing {
	struct question *question;
	struct buffer texts;                        /* of items, each ending with a 0 */
	struct bytes items[MESSAGE_LIST_MAX];       /* grants first: their data is an offset until they are packed */
	size_t offsets[MESSAGE_LIST_MAX];
	size_t grants, count;
	uint64_t index;
};

static void flush(struct standing *standing, bool is_last)
{
	struct parcel *parcel = add_parcel(standing->question);
	struct error err = { 0 };
	for (size_t i = 0; i < standing->count; i++)
		standing->items[i].data = standing->texts.data + standing->offsets[i];
	struct message message = {
		.kind = MESSAGE_STANDING, .index = standing->index++, .is_last = is_last,
		.epoch = standing->question->published.epoch, .seq = standing->question->published.seq,
		.grants = { standing->items, standing->grants }, .blocks = { standing->items + standing->grants, standing->count - standing->grants },
	};
	if (parcel && !standing->texts.has_failed && message_pack(&message, &parcel->packed, &err) == 0) {
		standing->grants = standing->count = 0;
		buffer_clear(&standing->texts);
		return;
	}
	standing->question->has_failed = true;
	log_warning("msg=\"grants and blocks cannot be told\" error=\"%s\"", err.text);
}

static void add_item(struct standing *standing, bool is_grant, struct bytes user, struct bytes value)
{
	if (standing->question->has_failed)
		return;
	size_t at = standing->texts.len;
	buffer_add_bytes(&standing->texts, user);
	buffer_add_char(&standing->texts, '\n');
	buffer_add_bytes(&standing->texts, value);
	standing->offsets[standing->count] = at;
	standing->items[standing->count++].len = standing->texts.len - at;
	standing->grants += is_grant;
	if (standing->count == MESSAGE_LIST_MAX || standing->texts.len >= STANDING_BYTES)
		flush(standing, false);
}

static void on_grant(void *data, struct bytes user, struct bytes room)
{
	struct standing *standing = data;
	if (standing->grants < standing->count && !standing->question->has_failed)
		flush(standing, false); /* grants come first in a message */
	add_item(standing, true, user, room);
}

static void on_block(void *data, struct bytes user, uint64_t until_ms)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRIu64, until_ms);
	add_item(data, false, user, (struct bytes){ text, (size_t)len });
}

static int read_standing(struct line_reader *reader, struct question *question, struct error *err)
{
	struct journal_reader *journal = reader->journal_reader;
	struct standing *standing = calloc(1, sizeof(*standing));
	if (!standing)
		return error_set(err, ERROR_UNAVAILABLE, "no memory");
	standing->question = question;
	int result = journal->operations->standing(journal, clock_wall_ms(), on_grant, on_block, standing, err);
	if (result == 0 && !question->has_failed)
		flush(standing, true);
	buffer_deinit(&standing->texts);
	free(standing);
	return result;
}

/* All there is belongs to the window. */
static int start_at_first(struct journal_reader *journal, struct question *question, struct error *err)
{
	struct journal_extent extent;
	if (journal->operations->extent(journal, &extent, err))
		return -1;
	question->start = extent.first.epoch ? (struct place){ extent.first.epoch, extent.first.seq - 1 } : question->published;
	return 0;
}

static int read_greeting(struct line_reader *reader, struct question *question, struct error *err)
{
	struct journal_reader *journal = reader->journal_reader;
	struct journal_bound window = { question->window_events, question->window_bytes };
	uint64_t now_ms = clock_wall_ms();
	bool wants_window = !question->after.epoch && question->window_ms && window.events && window.bytes;
	question->start = question->after.epoch ? question->after : question->published;
	if (wants_window && journal->operations->window(journal, question->window_ms < now_ms ? now_ms - question->window_ms : 0, window,
	                                                &question->start, err))
		return -1;
	if (!question->start.epoch && start_at_first(journal, question, err))
		return -1;
	question->epoch_count = journal->operations->epochs(journal, question->epochs, MESSAGE_EPOCHS_MAX, err);
	if (question->epoch_count < 0 || read_standing(reader, question, err))
		return -1;
	question->has_key = journal_mac_key(reader->journal, question->key);
	return 0;
}

/* --- what a hub missed --- */

static void on_record(void *data, const struct journal_record *record)
{
	struct question *question = data;
	struct error err = { 0 };
	struct parcel *parcel = question->has_failed ? NULL : add_parcel(question);
	if (!parcel)
		return;
	parcel->place = (struct place){ record->message.epoch, record->message.seq };
	if (journal_record_pack(record, &parcel->packed, &err) == 0)
		return;
	question->has_failed = true;
	log_warning("msg=\"event not sent again\" epoch=%" PRIu64 " seq=%" PRIu64 " error=\"%s\"", parcel->place.epoch, parcel->place.seq, err.text);
}

static void on_place(void *data, const struct journal_record *record)
{
	*(struct place *)data = (struct place){ record->message.epoch, record->message.seq };
}

/* Where the log goes on behind after, when nothing of what was asked for is there. */
static int find_next(struct journal_reader *journal, struct question *question, struct error *err)
{
	static const struct place end = { UINT64_MAX, UINT64_MAX };
	long count = journal->operations->read(journal, question->after, end, (struct journal_bound){ 1, 1 }, on_place, &question->gone, err);
	if (count == 0 && question->after.epoch < question->published.epoch)
		question->gone = (struct place){ question->published.epoch, question->published.seq + 1 };
	return count < 0 ? -1 : 0;
}

/* Whether there were events between after and gone: only those are worth a word. */
static int find_loss(struct journal_reader *journal, struct question *question, struct error *err)
{
	long count = journal->operations->epochs(journal, question->epochs, MESSAGE_EPOCHS_MAX, err);
	struct place after = question->after, gone = question->gone;
	if (count < 0)
		return -1;
	question->is_loss = gone.seq > 1;
	for (long i = 0; i < count; i++) {
		const struct place *end = &question->epochs[i];
		if (end->epoch == after.epoch && end->epoch < gone.epoch)
			question->is_loss = question->is_loss || end->seq > after.seq;
		else if (end->epoch > after.epoch && end->epoch < gone.epoch)
			question->is_loss = question->is_loss || end->seq > 0;
	}
	return 0;
}

static int read_missing(struct line_reader *reader, struct question *question, struct error *err)
{
	struct journal_reader *journal = reader->journal_reader;
	long count = journal->operations->read(journal, question->after, question->last, reader->chunk, on_record, question, err);
	if (count < 0)
		return -1;
	if (count == 0)
		return find_next(journal, question, err) ? -1 : question->gone.epoch ? find_loss(journal, question, err) : 0;
	if (question->has_failed)
		return 0;
	struct place first = question->parcels->place, next = { question->after.epoch, question->after.seq + 1 };
	if (place_compare(first, next) == 0)
		return 0;
	question->gone = first;
	return find_loss(journal, question, err);
}

/* --- the thread --- */

static void answer(struct line_reader *reader, struct question *question)
{
	static struct log_limit limit;
	struct error err = { 0 };
	int result = question->kind == QUESTION_GREETING ? read_greeting(reader, question, &err) : read_missing(reader, question, &err);
	if (result == 0)
		return;
	question->has_failed = true;
	log_limited(&limit, "msg=\"journal cannot be read\" hub=%s error=\"%s\"", question->hub, err.text);
}

/* The next question; NULL at the end. */
static struct question *take(struct line_reader *reader)
{
	pthread_mutex_lock(&reader->lock);
	while (!reader->questions && !reader->is_stopping)
		pthread_cond_wait(&reader->work, &reader->lock);
	struct question *question = reader->is_stopping ? NULL : reader->questions;
	if (question)
		DL_DELETE(reader->questions, question);
	pthread_mutex_unlock(&reader->lock);
	return question;
}

static void *run(void *data)
{
	struct line_reader *reader = data;
	struct question *question;
	while ((question = take(reader))) {
		answer(reader, question);
		pthread_mutex_lock(&reader->lock);
		DL_APPEND(reader->answers, question);
		pthread_mutex_unlock(&reader->lock);
		line_wake(reader->line);
	}
	return NULL;
}

/* --- the line thread --- */

void line_reader_ask(struct line_reader *reader, struct question *question)
{
	pthread_mutex_lock(&reader->lock);
	DL_APPEND(reader->questions, question);
	pthread_cond_signal(&reader->work);
	pthread_mutex_unlock(&reader->lock);
}

struct question *line_reader_answer(struct line_reader *reader)
{
	pthread_mutex_lock(&reader->lock);
	struct question *question = reader->answers;
	if (question)
		DL_DELETE(reader->answers, question);
	pthread_mutex_unlock(&reader->lock);
	return question;
}

/* --- begin and end --- */

struct line_reader *line_reader_new(struct line *line, struct journal *journal, struct error *err)
{
	struct line_reader *reader = calloc(1, sizeof(*reader));
	if (!reader) {
		error_set(err, ERROR_SYSTEM, "no memory for the line's reader");
		return NULL;
	}
	reader->line = line;
	reader->journal = journal;
	reader->chunk = line->settings.chunk;
	pthread_mutex_init(&reader->lock, NULL);
	pthread_cond_init(&reader->work, NULL);
	if (journal->operations->open_reader(journal, &reader->journal_reader, err)) {
		line_reader_free(reader);
		return NULL;
	}
	int failure = pthread_create(&reader->thread, NULL, run, reader);
	reader->has_thread = failure == 0;
	if (reader->has_thread)
		return reader;
	error_set(err, ERROR_SYSTEM, "thread of the line's reader: %s", strerror(failure));
	line_reader_free(reader);
	return NULL;
}

void line_reader_free(struct line_reader *reader)
{
	struct question *question, *next;
	if (!reader)
		return;
	pthread_mutex_lock(&reader->lock);
	reader->is_stopping = true;
	pthread_cond_signal(&reader->work);
	pthread_mutex_unlock(&reader->lock);
	if (reader->has_thread)
		pthread_join(reader->thread, NULL);
	DL_FOREACH_SAFE(reader->questions, question, next)
		question_free(question);
	DL_FOREACH_SAFE(reader->answers, question, next)
		question_free(question);
	if (reader->journal_reader)
		reader->journal_reader->operations->close(reader->journal_reader);
	pthread_cond_destroy(&reader->work);
	pthread_mutex_destroy(&reader->lock);
	free(reader);
}
