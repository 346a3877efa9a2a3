/* journal_sqlite_trim.c - retention in small transactions of the write connection, and checkpoints beside it. */
#include "journal_sqlite_parts.h"

enum {
	STEP_ROWS = 500,          /* of each table, in one transaction */
	STEP_PAGES = 256,         /* given back to the file system in one transaction */
	SPARE_PAGES = 1024,       /* free pages that are left to be used again in any case */
	EPOCHS_KEPT = 1024,
	CHECKPOINT_PAGES = 1000,  /* of WAL, from which on the trim thread copies them into the file */
	CHECKPOINT_HERE_PAGES = 8000, /* from which on the commit itself does */
};

static int on_commit(void *data, sqlite3 *db, const char *name, int pages)
{
	struct sqlite_writer *writer = data;
	bool is_due = pages >= CHECKPOINT_HERE_PAGES, has_generation = writer->wants_generation;
	atomic_store(&writer->journal->wal_pages, pages);
	writer->wants_generation = is_due && !has_generation; /* then the next commit is the one */
	if (!is_due || !has_generation)
		return SQLITE_OK;
	atomic_store(&writer->journal->has_checkpointed, true);
	sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	return SQLITE_OK;
}

/* Instead of SQLite's own, which would checkpoint. */
static int on_trim(void *data, sqlite3 *db, const char *name, int pages)
{
	struct sqlite_journal *journal = data;
	(void)db, (void)name;
	atomic_store(&journal->wal_pages, pages);
	return SQLITE_OK;
}

void sqlite_checkpoint_hook(struct sqlite_writer *writer)
{
	sqlite3_wal_hook(writer->file.db, on_commit, writer);
	sqlite3_wal_hook(writer->maintenance.db, on_trim, writer->journal);
}

enum statement { TRIM_EVENTS, TRIM_KEYS, TRIM_BLOCKS, TRIM_EPOCHS };

/* Of events: the oldest, up to the first that no bound excludes, never the last. */
const char *const sqlite_trim_statements[] = {
	[TRIM_EVENTS] =
		"WITH oldest AS (SELECT min(id) AS id FROM events), newest AS (SELECT max(id) AS id, total FROM events),"
		" step AS (SELECT min(oldest.id + ?1, newest.id) AS id FROM oldest, newest)"
		" DELETE FROM events WHERE id >= (SELECT id FROM oldest) AND id < ifnull("
		"(SELECT e.id FROM events e, newest WHERE e.id >= (SELECT id FROM oldest) AND e.id < (SELECT id FROM step)"
		" AND e.time_ms >= ?2 AND newest.total - e.total + e.size <= ?3 AND newest.id - e.id < ?4 ORDER BY e.id LIMIT 1),"
		" (SELECT id FROM step))",
	[TRIM_KEYS] = "DELETE FROM idempotency WHERE rowid IN (SELECT rowid FROM idempotency WHERE time_ms < ?2 ORDER BY time_ms LIMIT ?1)",
	[TRIM_BLOCKS] = "DELETE FROM blocks WHERE user_id IN (SELECT user_id FROM blocks WHERE until_ms <= ?2 LIMIT ?1)",
	[TRIM_EPOCHS] = ("DELETE FROM epochs WHERE epoch IN (SELECT epoch FROM epochs WHERE epoch < (SELECT epoch FROM events ORDER BY id LIMIT 1)"
	                 " AND epoch < (SELECT epoch FROM epochs ORDER BY epoch DESC LIMIT 1 OFFSET ?2) LIMIT ?1)"),
};
const size_t sqlite_trim_statement_count = sizeof(sqlite_trim_statements) / sizeof(sqlite_trim_statements[0]);

static int64_t bound_of(uint64_t number)
{
	return number && number < INT64_MAX ? (int64_t)number : INT64_MAX;
}

static void bind(sqlite3_stmt *const statements[], const struct journal_retention *keep, uint64_t now_ms)
{
	for (size_t i = 0; i < sqlite_trim_statement_count; i++)
		sqlite3_bind_int64(statements[i], 1, STEP_ROWS);
	sqlite3_bind_int64(statements[TRIM_EVENTS], 2, keep->age_ms && keep->age_ms < now_ms ? (int64_t)(now_ms - keep->age_ms) : 0);
	sqlite3_bind_int64(statements[TRIM_EVENTS], 3, bound_of(keep->bytes));
	sqlite3_bind_int64(statements[TRIM_EVENTS], 4, bound_of(keep->events));
	sqlite3_bind_int64(statements[TRIM_KEYS], 2, now_ms > KEY_LIFE_MS ? (int64_t)(now_ms - KEY_LIFE_MS) : 0);
	sqlite3_bind_int64(statements[TRIM_BLOCKS], 2, (int64_t)now_ms);
	sqlite3_bind_int64(statements[TRIM_EPOCHS], 2, EPOCHS_KEPT);
}

/* 1: there was something to give back. */
static int shrink(struct sqlite_file *file, struct error *err)
{
	int64_t pages, unused;
	char sql[64];
	if (sqlite_file_ask(file, "PRAGMA page_count", &pages, err) || sqlite_file_ask(file, "PRAGMA freelist_count", &unused, err))
		return -1;
	if (unused < SPARE_PAGES || unused < pages / 4)
		return 0;
	sqlite3_snprintf(sizeof(sql), sql, "PRAGMA incremental_vacuum(%d)", STEP_PAGES);
	return sqlite_file_execute(file, sql, err) ? -1 : 1;
}

static int delete_rows(struct sqlite_file *file, struct error *err)
{
	int more = 0;
	if (sqlite_file_execute(file, "BEGIN IMMEDIATE", err))
		return -1;
	for (size_t i = 0; i < sqlite_trim_statement_count; i++) {
		if (sqlite_run(file, file->statements[i], err)) {
			sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
			return -1;
		}
		more |= sqlite3_changes(file->db) >= STEP_ROWS;
	}
	if (sqlite_file_execute(file, "COMMIT", err) == 0)
		return more;
	sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

/* Under both locks. */
static int step(struct sqlite_writer *writer, uint64_t now_ms, struct error *err)
{
	struct sqlite_file *file = &writer->maintenance;
	bind(file->statements, &writer->journal->settings.retention, now_ms);
	int deleted = delete_rows(file, err);
	int shrunk = deleted < 0 ? -1 : shrink(file, err);
	sqlite_wal_note(writer);
	if (atomic_load(&writer->journal->wal_pages) >= CHECKPOINT_PAGES && sqlite_advance_generation(writer->journal, file, err))
		return -1;
	return shrunk < 0 ? -1 : deleted || shrunk;
}

/* The commit's syncs and copies happen on this thread instead of the sequencer's. A reader that stays in the WAL only delays it. */
static int checkpoint(struct sqlite_writer *writer, struct error *err)
{
	if (atomic_load(&writer->journal->wal_pages) < CHECKPOINT_PAGES)
		return 0;
	int code = sqlite3_wal_checkpoint_v2(writer->maintenance.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	atomic_store(&writer->journal->wal_pages, 0);
	return code == SQLITE_OK || code == SQLITE_BUSY || code == SQLITE_LOCKED ? 0 : sqlite_file_error(&writer->maintenance, err);
}

int sqlite_trim(struct journal *journal, uint64_t now_ms, struct error *err)
{
	struct sqlite_journal *self = (struct sqlite_journal *)journal;
	int result = 0;
	pthread_mutex_lock(&self->trim_lock);
	pthread_mutex_lock(&self->write_lock);
	struct sqlite_writer *writer = self->writer;
	if (writer && !writer->is_lost)
		result = step(writer, now_ms, err);
	else
		writer = NULL;
	pthread_mutex_unlock(&self->write_lock);
	if (writer && result >= 0 && checkpoint(writer, err))
		result = -1;
	pthread_mutex_unlock(&self->trim_lock);
	return result;
}
