/* journal_sqlite.c - the journal in a SQLite file: lock, epochs, who is active. */
#include "journal_sqlite_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <roomcast/log.h>

static struct sqlite_journal *self_of(struct journal *journal)
{
	return (struct sqlite_journal *)journal;
}

void sqlite_journal_keep_mac_key(struct sqlite_journal *self, struct bytes key)
{
	if (key.len != MAC_KEY_LEN)
		return;
	pthread_mutex_lock(&self->journal.lock);
	memcpy(self->journal.mac_key, key.data, MAC_KEY_LEN);
	self->journal.has_mac_key = true;
	pthread_mutex_unlock(&self->journal.lock);
}

/* --- a writer opens --- */

static const char *const opening_statements[] = {
	"SELECT ifnull(max(epoch), 0) FROM epochs",
	"SELECT ifnull(max(id), 0), ifnull(total, 0) FROM events",
	"INSERT INTO epochs (epoch, base, line_endpoint, opened_s) VALUES (?1, ?2, ?3, ?4)",
	"SELECT value FROM meta WHERE name = 'mac_key'",
};
enum opening { OPENING_EPOCH, OPENING_TAIL, OPENING_INSERT, OPENING_MAC_KEY, OPENING_COUNT };

static int read_start(struct sqlite_writer *writer, struct sqlite_file *file, uint64_t *newest, struct error *err)
{
	sqlite3_stmt *epoch = file->statements[OPENING_EPOCH], *tail = file->statements[OPENING_TAIL], *key = file->statements[OPENING_MAC_KEY];
	if (sqlite_step(file, epoch, err) < 0 || sqlite_step(file, tail, err) < 0)
		return -1;
	*newest = (uint64_t)sqlite3_column_int64(epoch, 0);
	writer->base = (uint64_t)sqlite3_column_int64(tail, 0);
	writer->stored = (struct sqlite_tail){ 0, (uint64_t)sqlite3_column_int64(tail, 1) };
	sqlite3_reset(epoch);
	sqlite3_reset(tail);
	int result = sqlite_step(file, key, err);
	if (result > 0)
		sqlite_journal_keep_mac_key(writer->journal, sqlite_bytes(key, 0));
	sqlite3_reset(key);
	return result > 0 ? 0 : result < 0 ? -1 : error_set(err, ERROR_SYSTEM, "journal: has no key for MACs");
}

/* The file of the state directory comes first: an older copy of the journal put back does not make an epoch be used twice. */
static int insert_epoch(struct sqlite_writer *writer, struct sqlite_file *file, uint64_t now_s, const char *endpoint, struct error *err)
{
	sqlite3_stmt *insert = file->statements[OPENING_INSERT];
	uint64_t newest, epoch;
	if (sqlite_file_execute(file, "BEGIN IMMEDIATE", err) || read_start(writer, file, &newest, err) || sqlite_advance_generation(writer->journal, file, err)
	    || state_dir_next_epoch(&writer->journal->state_dir, newest + 1 > now_s ? newest + 1 : now_s, &epoch, err))
		return -1;
	sqlite3_bind_int64(insert, 1, (int64_t)epoch);
	sqlite3_bind_int64(insert, 2, (int64_t)writer->base);
	sqlite_bind_bytes(insert, 3, bytes_of(endpoint), true);
	sqlite3_bind_int64(insert, 4, (int64_t)now_s);
	if (sqlite_run(file, insert, err) || sqlite_file_execute(file, "COMMIT", err))
		return -1;
	writer->writer.last = (struct place){ epoch, 0 };
	return 0;
}

/* On a connection of its own, which syncs every commit; closing it leaves none of its statements behind. */
static int begin_epoch(struct sqlite_writer *writer, uint64_t now_s, const char *endpoint, struct error *err)
{
	struct sqlite_file file;
	if (sqlite_file_open(&file, writer->journal->path, ACCESS_WRITE, err))
		return -1;
	int result = sqlite_file_prepare(&file, opening_statements, OPENING_COUNT, err) || insert_epoch(writer, &file, now_s, endpoint, err) ? -1 : 0;
	sqlite_file_close(&file);
	return result;
}

static int open_files(struct sqlite_writer *writer, struct error *err)
{
	struct sqlite_journal *self = writer->journal;
	bool is_full = self->settings.durability == DURABILITY_FULL;
	if (sqlite_file_open(&writer->file, self->path, ACCESS_WRITE, err)
	    || sqlite_file_execute(&writer->file, is_full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", err)
	    || sqlite_file_prepare(&writer->file, sqlite_writer_statements, sqlite_writer_statement_count, err)
	    || sqlite_file_open(&writer->maintenance, self->path, ACCESS_WRITE, err)
	    || sqlite_file_execute(&writer->maintenance, "PRAGMA synchronous = NORMAL", err)
	    || sqlite_file_prepare(&writer->maintenance, sqlite_trim_statements, sqlite_trim_statement_count, err))
		return -1;
	sqlite_wal_begin(writer);
	sqlite_checkpoint_hook(writer);
	return 0;
}

/* It is kept to the end: while this process lives nobody else writes, also when it cannot. */
static int take_lock(struct sqlite_journal *self, struct error *err)
{
	if (self->has_lock && state_dir_is_at(&self->state_dir, self->settings.state_dir))
		return self->has_stale_wal ? sqlite_wal_check(self, err) : 0;
	self->has_lock = false;
	state_dir_close(&self->state_dir);
	if (state_dir_open(self->settings.state_dir, &self->state_dir, err))
		return -1;
	self->has_lock = true;
	return sqlite_wal_check(self, err);
}

static int open_locked(struct sqlite_writer *writer, uint64_t now_s, const char *line_endpoint, struct error *err)
{
	struct sqlite_journal *self = writer->journal;
	if (self->has_writer)
		return error_set(err, ERROR_UNAVAILABLE, "journal: this process is writing it already");
	if (take_lock(self, err))
		return -1;
	pthread_mutex_lock(&self->alone_lock);
	int result = begin_epoch(writer, now_s, line_endpoint, err) || open_files(writer, err) ? -1 : 0;
	pthread_mutex_unlock(&self->alone_lock);
	return result;
}

static int sqlite_open_writer(struct journal *journal, uint64_t now_s, const char *line_endpoint, struct journal_writer **out, struct error *err)
{
	struct sqlite_journal *self = self_of(journal);
	struct sqlite_writer *writer = calloc(1, sizeof(*writer));
	if (!writer)
		return error_set(err, ERROR_UNAVAILABLE, "no memory");
	writer->writer.operations = &sqlite_writer_operations;
	writer->journal = self;
	if (open_locked(writer, now_s, line_endpoint, err)) {
		sqlite_writer_free(writer);
		return -1;
	}
	pthread_mutex_lock(&self->write_lock);
	self->writer = writer;
	self->has_writer = self->had_writer = true;
	pthread_mutex_unlock(&self->write_lock);
	*out = &writer->writer;
	return 0;
}

/* --- without a writer --- */

int sqlite_journal_open_file(struct sqlite_journal *self, struct sqlite_file *file, struct error *err)
{
	struct stat stats;
	if (self->has_stale_wal)
		return sqlite_file_open(file, self->path, ACCESS_FROZEN, err);
	if (sqlite_file_open(file, self->path, ACCESS_READ, err) == 0)
		return 0;
	if (!self->has_lock || self->has_writer)
		return -1;
	bool has_wal = stat(self->wal_path, &stats) == 0 && stats.st_size > 0;
	if (!has_wal)
		return sqlite_file_open(file, self->path, ACCESS_FROZEN, err);
	pthread_mutex_lock(&self->alone_lock);
	if (sqlite_file_open(file, self->path, ACCESS_ALONE, err) == 0)
		return 0;
	pthread_mutex_unlock(&self->alone_lock);
	return -1;
}

void sqlite_journal_close_file(struct sqlite_journal *self, struct sqlite_file *file)
{
	bool was_alone = file->db && file->is_alone;
	sqlite_file_close(file);
	if (was_alone)
		pthread_mutex_unlock(&self->alone_lock);
}

static long read_newest(struct journal *journal, struct place *last, struct error *err)
{
	struct journal_reader *reader;
	if (sqlite_open_reader(journal, &reader, err))
		return -1;
	long count = reader->operations->epochs(reader, last, 1, err);
	reader->operations->close(reader);
	return count;
}

/* A file that cannot be read leaves its epoch to be known. */
static bool sqlite_holds_lock(struct journal *journal, struct place *last)
{
	struct sqlite_journal *self = self_of(journal);
	struct error err;
	*last = (struct place){ 0 };
	if (!self->has_lock)
		return false;
	if (read_newest(journal, last, &err) < 1 && state_dir_last_epoch(&self->state_dir, &last->epoch, &err))
		return false;
	return last->epoch != 0;
}

/* --- the journal --- */

static int sqlite_find_active(struct journal *journal, char *line_endpoint, size_t size, struct error *err)
{
	static const char *const texts[] = { "SELECT line_endpoint FROM epochs ORDER BY epoch DESC LIMIT 1" };
	struct sqlite_file file;
	line_endpoint[0] = '\0';
	if (sqlite_journal_open_file(self_of(journal), &file, err))
		return -1;
	int result = sqlite_file_prepare(&file, texts, 1, err) ? -1 : sqlite_step(&file, file.statements[0], err);
	if (result > 0)
		snprintf(line_endpoint, size, "%s", (const char *)sqlite3_column_text(file.statements[0], 0));
	sqlite_journal_close_file(self_of(journal), &file);
	return result < 0 ? -1 : 0;
}

/* Readers end after the writer, and cannot remove what it leaves: WAL and shared memory. Left alone they would be taken for those of an older
 * copy that somebody puts in the file's place. When another process is the writer already this does nothing. */
static void sqlite_tidy(struct sqlite_journal *self)
{
	sqlite3 *db = NULL;
	if (sqlite3_open_v2(self->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL) != SQLITE_OK
	    || sqlite3_exec(db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL) != SQLITE_OK)
		log_debug("msg=\"the journal's files are left as they are\" error=\"%s\"", db ? sqlite3_errmsg(db) : "no memory");
	sqlite3_close(db);
}

static void sqlite_journal_close(struct journal *journal)
{
	struct sqlite_journal *self = self_of(journal);
	if (self->had_writer)
		sqlite_tidy(self);
	state_dir_close(&self->state_dir);
	if (self->raw_fd >= 0)
		close(self->raw_fd);
	pthread_mutex_destroy(&self->alone_lock);
	pthread_mutex_destroy(&self->trim_lock);
	pthread_mutex_destroy(&self->write_lock);
	pthread_mutex_destroy(&journal->lock);
	free(self->path);
	free(self->wal_path);
	free(self);
}

static const struct journal_operations sqlite_operations = {
	.name = "sqlite",
	.open_writer = sqlite_open_writer,
	.holds_lock = sqlite_holds_lock,
	.open_reader = sqlite_open_reader,
	.find_active = sqlite_find_active,
	.trim = sqlite_trim,
	.trim_pause_ms = 250, /* checkpoints too */
	.close = sqlite_journal_close,
};

/* Counting memory takes a lock for each allocation. Refused when something else in this process has used SQLite already: then it counts. */
static void configure(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

struct journal *journal_sqlite_new(const struct journal_settings *settings, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, configure);
	struct sqlite_journal *self = calloc(1, sizeof(*self));
	struct buffer path = { 0 }, wal_path = { 0 };
	buffer_add_format(&path, "%s/journal.sqlite", settings->state_dir);
	buffer_add_format(&wal_path, "%s/journal.sqlite-wal", settings->state_dir);
	if (!self || path.has_failed || wal_path.has_failed) {
		free(self);
		buffer_deinit(&path);
		buffer_deinit(&wal_path);
		error_set(err, ERROR_SYSTEM, "no memory for the journal");
		return NULL;
	}
	self->journal.operations = &sqlite_operations;
	self->settings = *settings;
	self->path = path.data;
	self->wal_path = wal_path.data;
	self->state_dir = (struct state_dir){ -1, -1 };
	self->raw_fd = -1;
	pthread_mutex_init(&self->alone_lock, NULL);
	pthread_mutex_init(&self->journal.lock, NULL);
	pthread_mutex_init(&self->trim_lock, NULL);
	pthread_mutex_init(&self->write_lock, NULL);
	return &self->journal;
}
