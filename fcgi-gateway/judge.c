/* judge.c - keys, versions, and the events of one submission. */
#include "judge.h"

#include "journal_record.h"

enum { PACKED_ROOM = 300 }; /* bytes about a message's body, mostly */

/* Whether the entity's version has to be known: to compare it, or to count it on. */
static bool needs_entity(const struct publication *publication)
{
	return publication->action && publication->entity_id[0]
	    && (publication->if_version != VERSION_NONE || publication->version == VERSION_NONE);
}

void judge_expect(struct journal_writer *writer, const struct submission *submission)
{
	const struct journal_writer_operations *journal = writer->operations;
	if (submission->idempotency_key[0])
		journal->expect_key(writer, bytes_of(submission->api_key), bytes_of(submission->idempotency_key));
	for (size_t i = 0; i < submission->count; i++) {
		const struct publication *publication = &submission->items[i];
		if (needs_entity(publication))
			journal->expect_entity(writer, bytes_of(publication->entity_type), bytes_of(publication->entity_id));
	}
}

/* 1: the key decides, result is filled. */
static int judge_key(struct journal_writer *writer, const struct submission *submission, struct submission_result *result, struct error *err)
{
	struct journal_key known;
	int found = writer->operations->find_key(writer, bytes_of(submission->api_key), bytes_of(submission->idempotency_key), &known, err);
	if (found <= 0)
		return found;
	if (memcmp(known.body_hash, submission->body_hash, BODY_HASH_LEN) != 0) {
		result->outcome = SUBMISSION_MISMATCH;
		error_set(&result->err, ERROR_INVALID, "Idempotency-Key: was used for another request");
		return 1;
	}
	result->outcome = SUBMISSION_REPEATED;
	buffer_add_bytes(&result->answer, known.answer);
	if (result->answer.has_failed || !submission_answer_place(known.answer, &result->place))
		return error_set(err, ERROR_SYSTEM, "what was answered to this key cannot be read");
	return 1;
}

/* 1: a conflict. Otherwise the publication has its version. */
static int judge_version(struct journal_writer *writer, struct publication *publication, struct submission_result *result, struct error *err)
{
	struct journal_entity known;
	int found = writer->operations->find_entity(writer, bytes_of(publication->entity_type), bytes_of(publication->entity_id), &known, err);
	if (found < 0)
		return -1;
	int64_t version = found ? known.version : 0;
	if (publication->if_version != VERSION_NONE && publication->if_version != version) {
		result->outcome = SUBMISSION_CONFLICT;
		result->server_version = version;
		buffer_add_bytes(&result->server_data, found && known.data.len ? known.data : bytes_of("null"));
		return result->server_data.has_failed ? error_set(err, ERROR_UNAVAILABLE, "out of memory") : 1;
	}
	if (publication->version != VERSION_NONE)
		return 0;
	if (version == INT64_MAX)
		return error_set(err, ERROR_INVALID, "data.version: the entity has the largest version that there is");
	publication_set_version(publication, version + 1);
	return 0;
}

static int append(struct journal_writer *writer, struct submission *submission, size_t i, struct place place, struct error *err)
{
	struct publication *publication = &submission->items[i];
	struct journal_record record;
	publication_record(publication, place, &record);
	buffer_reserve(&submission->packed, record.message.body.len + PACKED_ROOM); /* once for most */
	record.api_key = bytes_of(submission->api_key);
	record.idempotency_key = bytes_of(submission->idempotency_key);
	if (record.idempotency_key.len)
		record.body_hash = (struct bytes){ (const char *)submission->body_hash, BODY_HASH_LEN };
	if (journal_record_pack(&record, &submission->packed, err) || writer->operations->append(writer, &record, err))
		return -1;
	submission->packed_ends[i] = submission->packed.len;
	return 0;
}

static int keep_key(struct journal_writer *writer, const struct submission *submission, uint64_t now_ms, struct bytes answer, struct error *err)
{
	struct journal_key key = {
		.api_key = bytes_of(submission->api_key), .key = bytes_of(submission->idempotency_key), .time_ms = now_ms, .answer = answer,
	};
	memcpy(key.body_hash, submission->body_hash, BODY_HASH_LEN);
	return writer->operations->keep_key(writer, &key, err);
}

/* Between savepoint and release. 1: a conflict. */
static int store(struct journal_writer *writer, struct submission *submission, uint64_t now_ms, struct place *last, struct submission_result *result,
                 struct error *err)
{
	struct place place = *last;
	for (size_t i = 0; i < submission->count; i++) {
		struct publication *publication = &submission->items[i];
		int judged = needs_entity(publication) ? judge_version(writer, publication, result, err) : 0;
		if (judged > 0)
			result->conflict_at = i;
		if (judged)
			return judged;
		publication_stamp(publication, now_ms);
		place.seq++;
		if (append(writer, submission, i, place, err))
			return -1;
	}
	submission_add_answer(submission, place, &result->answer);
	if (result->answer.has_failed)
		return error_set(err, ERROR_UNAVAILABLE, "out of memory");
	if (submission->idempotency_key[0] && keep_key(writer, submission, now_ms, buffer_bytes(&result->answer), err))
		return -1;
	if (writer->operations->release(writer, err))
		return -1;
	result->outcome = SUBMISSION_STORED;
	result->place = *last = place;
	return 0;
}

int judge_submission(struct journal_writer *writer, struct submission *submission, uint64_t now_ms, struct place *last,
                     struct submission_result *result, struct error *err)
{
	if (submission->idempotency_key[0]) {
		int decided = judge_key(writer, submission, result, err);
		if (decided)
			return decided < 0 ? -1 : 0;
	}
	if (writer->operations->savepoint(writer, submission->count, err))
		return -1;
	int stored = store(writer, submission, now_ms, last, result, err);
	if (stored)
		writer->operations->undo(writer);
	return stored < 0 ? -1 : 0;
}
