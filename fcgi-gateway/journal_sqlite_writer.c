/* journal_sqlite_writer.c - a group is a transaction, a request of several events a savepoint in it. */
#include "journal_sqlite_parts.h"

#include <stdlib.h>

enum statement {
	BEGIN, SAVEPOINT, RELEASE, UNDO, COMMIT, ROLLBACK,
	FIND_KEY, FIND_ENTITY, KEEP_KEY, KEEP_ENTITY, APPEND, GRANT, UNGRANT, BLOCK, UNBLOCK,
};

const char *const sqlite_writer_statements[] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[SAVEPOINT] = "SAVEPOINT request",
	[RELEASE] = "RELEASE request",
	[UNDO] = "ROLLBACK TO request",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[FIND_KEY] = "SELECT body_hash, time_ms, answer FROM idempotency WHERE api_key = ?1 AND key = ?2",
	[FIND_ENTITY] = "SELECT version, data FROM entities WHERE type = ?1 AND id = ?2",
	[KEEP_KEY] = "INSERT OR REPLACE INTO idempotency (api_key, key, body_hash, time_ms, answer) VALUES (?1, ?2, ?3, ?4, ?5)",
	[KEEP_ENTITY] = "INSERT INTO entities (type, id, version, data) VALUES (?1, ?2, ?3, ?4)"
	                " ON CONFLICT (type, id) DO UPDATE SET version = excluded.version, data = excluded.data",
	[APPEND] = "INSERT INTO events (id, total, size, #columns) VALUES (?, ?, ?"
	           ", ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[GRANT] = "INSERT OR IGNORE INTO grants (user_id, room) VALUES (?1, ?2)",
	[UNGRANT] = "DELETE FROM grants WHERE user_id = ?1 AND room = ?2",
	[BLOCK] = "INSERT OR REPLACE INTO blocks (user_id, until_ms) VALUES (?1, ?2)",
	[UNBLOCK] = "DELETE FROM blocks WHERE user_id = ?1",
};
const size_t sqlite_writer_statement_count = sizeof(sqlite_writer_statements) / sizeof(sqlite_writer_statements[0]);

static struct sqlite_writer *self_of(struct journal_writer *writer)
{
	return (struct sqlite_writer *)writer;
}

static sqlite3_stmt *statement_of(struct sqlite_writer *self, enum statement which)
{
	return self->file.statements[which];
}

/* After a failure: SQLite ends the whole transaction by itself for some, which then fails as a group. */
static void note_failure(struct sqlite_writer *self, const struct error *err)
{
	if (sqlite_code_is_lost(sqlite3_extended_errcode(self->file.db)))
		self->is_lost = true;
	if (self->failure.code == ERROR_NONE && (self->is_lost || sqlite3_get_autocommit(self->file.db)))
		self->failure = *err;
}

/* Runs a bound statement to its end. */
static int run(struct sqlite_writer *self, enum statement which, struct error *err)
{
	struct error own = { 0 };
	if (self->failure.code == ERROR_NONE) {
		if (sqlite_run(&self->file, statement_of(self, which), &own) == 0)
			return 0;
		note_failure(self, &own);
	} else {
		own = self->failure;
	}
	if (err)
		*err = own;
	return -1;
}

/* --- the group --- */

static int begin(struct sqlite_writer *self, struct error *err)
{
	self->failure = (struct error){ 0 };
	self->pending = self->marked = self->stored;
	if (sqlite_file_check(&self->file, self->journal->path, err)) {
		self->is_lost = true;
		return -1;
	}
	if (run(self, BEGIN, err))
		return -1;
	if (!self->wants_generation || sqlite_advance_generation(self->journal, &self->file, err) == 0)
		return 0;
	note_failure(self, err);
	if (!sqlite3_get_autocommit(self->file.db) && sqlite_run(&self->file, statement_of(self, ROLLBACK), NULL))
		self->is_lost = true;
	return -1;
}

static int sqlite_begin(struct journal_writer *writer, struct error *err)
{
	struct sqlite_writer *self = self_of(writer);
	pthread_mutex_lock(&self->journal->write_lock);
	self->is_in_group = begin(self, err) == 0;
	if (!self->is_in_group)
		pthread_mutex_unlock(&self->journal->write_lock);
	return self->is_in_group ? 0 : -1;
}

/* Within a savepoint SQLite copies each page before its first change: for one event that is more work than to store it. */
static int sqlite_savepoint(struct journal_writer *writer, size_t events, struct error *err)
{
	struct sqlite_writer *self = self_of(writer);
	self->marked = self->pending;
	self->marked_changes = sqlite3_total_changes(self->file.db);
	self->has_savepoint = events > 1;
	return self->has_savepoint ? run(self, SAVEPOINT, err) : 0;
}

static int sqlite_release(struct journal_writer *writer, struct error *err)
{
	struct sqlite_writer *self = self_of(writer);
	return self->has_savepoint ? run(self, RELEASE, err) : 0;
}

static bool undo(struct sqlite_writer *self)
{
	if (!self->has_savepoint)
		return sqlite3_total_changes(self->file.db) == self->marked_changes;
	return run(self, UNDO, NULL) == 0 && run(self, RELEASE, NULL) == 0;
}

static void sqlite_undo(struct journal_writer *writer)
{
	struct sqlite_writer *self = self_of(writer);
	self->pending = self->marked;
	if (!undo(self) && self->failure.code == ERROR_NONE) /* what the request did is still there: the group must not be stored */
		error_set(&self->failure, ERROR_UNAVAILABLE, "journal: %s", sqlite3_errmsg(self->file.db));
}

static void end_group(struct sqlite_writer *self)
{
	if (!sqlite3_get_autocommit(self->file.db) && sqlite_run(&self->file, statement_of(self, ROLLBACK), NULL))
		self->is_lost = true;
	self->is_in_group = false;
	pthread_mutex_unlock(&self->journal->write_lock);
}

static enum journal_outcome sqlite_commit(struct journal_writer *writer, struct error *err)
{
	struct sqlite_writer *self = self_of(writer);
	enum journal_outcome outcome = JOURNAL_STORED;
	if (run(self, COMMIT, err) == 0) {
		self->stored = self->pending;
		writer->last.seq = self->stored.seq;
	} else {
		/* After a failed sync the group stands in the WAL: should the machine stop now, it may be found there. */
		int code = sqlite3_extended_errcode(self->file.db);
		outcome = code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC ? JOURNAL_UNKNOWN : JOURNAL_NOT_STORED;
	}
	end_group(self);
	return outcome;
}

static void sqlite_rollback(struct journal_writer *writer)
{
	end_group(self_of(writer));
}

/* --- a request --- */

static void sqlite_expect(struct journal_writer *writer, struct bytes first, struct bytes second)
{
	(void)writer, (void)first, (void)second;
}

/* The row of a statement bound to two texts: 1, 0 or -1. The caller resets it. */
static int find(struct sqlite_writer *self, enum statement which, struct error *err)
{
	struct error own = { 0 };
	if (self->failure.code != ERROR_NONE) {
		*err = self->failure;
		return -1;
	}
	int result = sqlite_step(&self->file, statement_of(self, which), &own);
	if (result < 0) {
		note_failure(self, &own);
		*err = own;
	}
	return result;
}

/* A copy, so that no statement stays open. */
static int keep_found(struct sqlite_writer *self, struct bytes bytes, struct bytes *out, struct error *err)
{
	buffer_clear(&self->found);
	buffer_add_bytes(&self->found, bytes);
	if (self->found.has_failed)
		return error_set(err, ERROR_UNAVAILABLE, "no memory");
	*out = (struct bytes){ self->found.data, bytes.len };
	return 1;
}

static int sqlite_find_key(struct journal_writer *writer, struct bytes api_key, struct bytes key, struct journal_key *out, struct error *err)
{
	struct sqlite_writer *self = self_of(writer);
	sqlite3_stmt *statement = statement_of(self, FIND_KEY);
	sqlite_bind_bytes(statement, 1, api_key, true);
	sqlite_bind_bytes(statement, 2, key, false);
	int result = find(self, FIND_KEY, err);
	if (result > 0) {
		struct bytes hash = sqlite_bytes(statement, 0);
		*out = (struct journal_key){ .api_key = api_key, .key = key, .time_ms = (uint64_t)sqlite3_column_int64(statement, 1) };
		memcpy(out->body_hash, hash.data, hash.len < BODY_HASH_LEN ? hash.len : BODY_HASH_LEN);
		result = keep_found(self, sqlite_bytes(statement, 2), &out->answer, err);
	}
	sqlite3_reset(statement);
	return result;
}

static int sqlite_find_entity(struct journal_writer *writer, struct bytes type, struct bytes id, struct journal_entity *out, struct error *err)
{
	struct sqlite_writer *self = self_of(writer);
	sqlite3_stmt *statement = statement_of(self, FIND_ENTITY);
	sqlite_bind_bytes(statement, 1, type, true);
	sqlite_bind_bytes(statement, 2, id, true);
	int result = find(self, FIND_ENTITY, err);
	if (result > 0) {
		out->version = sqlite3_column_int64(statement, 0);
		result = keep_found(self, sqlite_bytes(statement, 1), &out->data, err);
	}
	sqlite3_reset(statement);
	return result;
}

static int sqlite_keep_key(struct journal_writer *writer, const struct journal_key *key, struct error *err)
{
	struct sqlite_writer *self = self_of(writer);
	sqlite3_stmt *statement = statement_of(self, KEEP_KEY);
	sqlite_bind_bytes(statement, 1, key->api_key, true);
	sqlite_bind_bytes(statement, 2, key->key, false);
	sqlite_bind_bytes(statement, 3, (struct bytes){ (const char *)key->body_hash, BODY_HASH_LEN }, false);
	sqlite3_bind_int64(statement, 4, (int64_t)key->time_ms);
	sqlite_bind_bytes(statement, 5, key->answer, false);
	return run(self, KEEP_KEY, err);
}

static int keep_entity(struct sqlite_writer *self, const struct journal_record *record, struct error *err)
{
	sqlite3_stmt *statement = statement_of(self, KEEP_ENTITY);
	if (record->version == VERSION_NONE)
		return 0;
	sqlite_bind_bytes(statement, 1, record->message.entity_type, true);
	sqlite_bind_bytes(statement, 2, record->message.entity_id, true);
	sqlite3_bind_int64(statement, 3, record->version);
	sqlite_bind_bytes(statement, 4, record->data, false);
	return run(self, KEEP_ENTITY, err);
}

static int on_grant(void *data, struct bytes user, struct bytes room, bool is_granted, struct error *err)
{
	struct sqlite_writer *self = data;
	enum statement which = is_granted ? GRANT : UNGRANT;
	sqlite_bind_bytes(statement_of(self, which), 1, user, true);
	sqlite_bind_bytes(statement_of(self, which), 2, room, true);
	return run(self, which, err);
}

static int on_block(void *data, struct bytes user, uint64_t until_ms, struct error *err)
{
	struct sqlite_writer *self = data;
	enum statement which = until_ms ? BLOCK : UNBLOCK;
	sqlite_bind_bytes(statement_of(self, which), 1, user, true);
	if (until_ms)
		sqlite3_bind_int64(statement_of(self, which), 2, (int64_t)until_ms);
	return run(self, which, err);
}

_Static_assert(JOURNAL_COLUMN_COUNT <= 32, "a bit for each column");

static void bind_columns(struct sqlite_writer *self, sqlite3_stmt *statement, int first, const struct journal_record *record)
{
	struct buffer *list = &self->list;
	uint32_t was_null = self->null_columns;
	self->null_columns = 0;
	for (int i = 0; i < JOURNAL_COLUMN_COUNT; i++) {
		const struct journal_column *column = &journal_columns[i];
		struct journal_value value;
		journal_column_get(column, record, list, &value);
		self->null_columns |= (uint32_t)value.is_null << i;
		if (value.is_null && was_null >> i & 1)
			continue;
		if (value.is_null)
			sqlite3_bind_null(statement, first + i);
		else if (column->type == COLUMN_LIST) /* the buffer serves the next list too */
			sqlite3_bind_text64(statement, first + i, value.text.data, value.text.len, SQLITE_TRANSIENT, SQLITE_UTF8);
		else if (column->type == COLUMN_TEXT || column->type == COLUMN_BLOB)
			sqlite_bind_bytes(statement, first + i, value.text, column->type == COLUMN_TEXT);
		else
			sqlite3_bind_int64(statement, first + i, value.number);
	}
}

static int sqlite_append(struct journal_writer *writer, const struct journal_record *record, struct error *err)
{
	struct sqlite_writer *self = self_of(writer);
	sqlite3_stmt *statement = statement_of(self, APPEND);
	const struct standing_change change = { on_grant, on_block, self };
	struct sqlite_tail next = { self->pending.seq + 1, self->pending.total + journal_record_size(record) };
	if (journal_record_check(record, (struct place){ writer->last.epoch, self->pending.seq }, err))
		return -1;
	sqlite3_bind_int64(statement, 1, (int64_t)(self->base + next.seq));
	sqlite3_bind_int64(statement, 2, (int64_t)next.total);
	sqlite3_bind_int64(statement, 3, (int64_t)journal_record_size(record));
	bind_columns(self, statement, 4, record);
	if (self->list.has_failed)
		return error_set(err, ERROR_UNAVAILABLE, "no memory");
	if (run(self, APPEND, err) || keep_entity(self, record, err) || journal_record_standing(record, &change, err))
		return -1;
	self->pending = next;
	return 0;
}

static bool sqlite_is_lost(struct journal_writer *writer)
{
	return self_of(writer)->is_lost;
}

void sqlite_writer_free(struct sqlite_writer *self)
{
	sqlite_file_close(&self->maintenance);
	sqlite_file_close(&self->file);
	buffer_deinit(&self->found);
	buffer_deinit(&self->list);
	free(self);
}

static void sqlite_writer_close(struct journal_writer *writer)
{
	struct sqlite_writer *self = self_of(writer);
	struct sqlite_journal *journal = self->journal;
	if (self->is_in_group)
		end_group(self);
	pthread_mutex_lock(&journal->trim_lock);
	pthread_mutex_lock(&journal->write_lock);
	journal->writer = NULL;
	journal->has_writer = false;
	sqlite_writer_free(self);
	pthread_mutex_unlock(&journal->write_lock);
	pthread_mutex_unlock(&journal->trim_lock);
}

const struct journal_writer_operations sqlite_writer_operations = {
	.begin = sqlite_begin,
	.savepoint = sqlite_savepoint,
	.release = sqlite_release,
	.undo = sqlite_undo,
	.commit = sqlite_commit,
	.rollback = sqlite_rollback,
	.expect_key = sqlite_expect,
	.expect_entity = sqlite_expect,
	.find_key = sqlite_find_key,
	.find_entity = sqlite_find_entity,
	.keep_key = sqlite_keep_key,
	.append = sqlite_append,
	.is_lost = sqlite_is_lost,
	.close = sqlite_writer_close,
};
