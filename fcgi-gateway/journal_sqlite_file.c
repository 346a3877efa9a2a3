/* journal_sqlite_file.c - a connection to journal.sqlite. */
#include "journal_sqlite_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <roomcast/log.h>

enum {
	SCHEMA_VERSION = 1,                              /* in the file's header */
	WRITER_BUSY_MS = 2000, READER_BUSY_MS = 200,     /* only programs from outside hold us up */
	WAL_LIMIT = 16 << 20,                            /* bytes that the WAL file keeps when it starts anew */
};

static const char *const types[] = {
	[COLUMN_NUMBER] = "INTEGER", [COLUMN_KIND] = "INTEGER", [COLUMN_VERSION] = "INTEGER", [COLUMN_TEXT] = "TEXT", [COLUMN_BLOB] = "BLOB",
	[COLUMN_LIST] = "TEXT",
};

/* The index grows only at its types' ends. One entity's events are found by a walk through its type's, in the index alone: an order by entity
 * would double the cost of each event for a question that is seldom asked. */
static const char schema[] =
	"CREATE INDEX events_by_type ON events (entity_type, id, entity_id) WHERE entity_type IS NOT NULL;"
	"CREATE TABLE epochs (epoch INTEGER PRIMARY KEY, base INTEGER NOT NULL, line_endpoint TEXT NOT NULL, opened_s INTEGER NOT NULL);"
	"CREATE TABLE entities (type TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, data BLOB, PRIMARY KEY (type, id)) WITHOUT ROWID;"
	"CREATE TABLE idempotency (api_key TEXT NOT NULL, key BLOB NOT NULL, body_hash BLOB NOT NULL, time_ms INTEGER NOT NULL,"
	" answer BLOB NOT NULL, UNIQUE (api_key, key));"
	"CREATE INDEX idempotency_by_time ON idempotency (time_ms);"
	"CREATE TABLE grants (user_id TEXT NOT NULL, room TEXT NOT NULL, PRIMARY KEY (user_id, room)) WITHOUT ROWID;"
	"CREATE TABLE blocks (user_id TEXT PRIMARY KEY, until_ms INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;";

bool sqlite_code_is_lost(int code)
{
	if (code == SQLITE_READONLY_DBMOVED)
		return true;
	switch (code & 0xff) {
	case SQLITE_FULL:
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_NOMEM:
	case SQLITE_READONLY:
	case SQLITE_TOOBIG:
	case SQLITE_CONSTRAINT:
	case SQLITE_INTERRUPT:
		return false;
	default:
		return true;
	}
}

int sqlite_file_error(const struct sqlite_file *file, struct error *err)
{
	int code = sqlite3_extended_errcode(file->db), reason = sqlite3_system_errno(file->db);
	bool is_io = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN;
	return error_set(err, (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB ? ERROR_SYSTEM : ERROR_UNAVAILABLE, "journal: %s%s%s",
	                 sqlite3_errmsg(file->db), is_io && reason ? ": " : "", is_io && reason ? strerror(reason) : "");
}

int sqlite_file_execute(struct sqlite_file *file, const char *sql, struct error *err)
{
	return sqlite3_exec(file->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : sqlite_file_error(file, err);
}

int sqlite_step(struct sqlite_file *file, sqlite3_stmt *statement, struct error *err)
{
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW || code == SQLITE_DONE)
		return code == SQLITE_ROW;
	sqlite_file_error(file, err);
	sqlite3_reset(statement);
	return -1;
}

int sqlite_run(struct sqlite_file *file, sqlite3_stmt *statement, struct error *err)
{
	int result;
	do
		result = sqlite_step(file, statement, err);
	while (result > 0);
	sqlite3_reset(statement);
	return result;
}

void sqlite_bind_bytes(sqlite3_stmt *statement, int index, struct bytes bytes, bool is_text)
{
	const char *data = bytes.len ? bytes.data : "";
	if (is_text)
		sqlite3_bind_text64(statement, index, data, bytes.len, SQLITE_STATIC, SQLITE_UTF8);
	else
		sqlite3_bind_blob64(statement, index, data, bytes.len, SQLITE_STATIC);
}

struct bytes sqlite_bytes(sqlite3_stmt *statement, int column)
{
	const void *data = sqlite3_column_blob(statement, column);
	return (struct bytes){ data, data ? (size_t)sqlite3_column_bytes(statement, column) : 0 };
}

/* --- opening --- */

/* What has a meaning in a URI is escaped. */
static void add_frozen_uri(const char *path, struct buffer *out)
{
	buffer_add_text(out, "file:");
	for (const char *at = path; *at; at++)
		if (strchr("%?#", *at))
			buffer_add_format(out, "%%%02X", (unsigned char)*at);
		else
			buffer_add_char(out, *at);
	buffer_add_text(out, "?immutable=1");
}

int sqlite_file_ask(struct sqlite_file *file, const char *sql, int64_t *out, struct error *err)
{
	sqlite3_stmt *statement;
	if (sqlite3_prepare_v2(file->db, sql, -1, &statement, NULL) != SQLITE_OK)
		return sqlite_file_error(file, err);
	int result = sqlite_step(file, statement, err);
	*out = result > 0 ? sqlite3_column_int64(statement, 0) : 0;
	sqlite3_finalize(statement);
	return result < 0 ? -1 : 0;
}

static int insert_mac_key(struct sqlite_file *file, struct error *err)
{
	unsigned char key[MAC_KEY_LEN];
	sqlite3_stmt *statement;
	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return error_set(err, ERROR_SYSTEM, "random numbers: %s", strerror(errno));
	if (sqlite3_prepare_v2(file->db, "INSERT INTO meta (name, value) VALUES ('mac_key', ?1)", -1, &statement, NULL) != SQLITE_OK)
		return sqlite_file_error(file, err);
	sqlite_bind_bytes(statement, 1, (struct bytes){ (const char *)key, sizeof(key) }, false);
	int result = sqlite_run(file, statement, err);
	sqlite3_finalize(statement);
	return result;
}

/* All or nothing: a process that ends in the middle leaves an empty file, which the next fills. */
static int make_schema(struct sqlite_file *file, struct error *err)
{
	struct buffer sql = { 0 };
	buffer_add_text(&sql, "CREATE TABLE events (id INTEGER PRIMARY KEY, total INTEGER NOT NULL, size INTEGER NOT NULL, ");
	journal_columns_add_definitions(types, &sql);
	buffer_add_format(&sql, "); %s PRAGMA application_id = %d; PRAGMA user_version = %d", schema, SQLITE_APPLICATION_ID, SCHEMA_VERSION);
	int result = sql.has_failed ? error_set(err, ERROR_UNAVAILABLE, "no memory") : 0;
	if (result == 0 && (sqlite_file_execute(file, "BEGIN IMMEDIATE", err) || sqlite_file_execute(file, sql.data, err) || insert_mac_key(file, err)
	                    || sqlite_file_execute(file, "COMMIT", err))) {
		sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
		result = -1;
	}
	buffer_deinit(&sql);
	return result;
}

static int check_schema(struct sqlite_file *file, bool is_writer, struct error *err)
{
	int64_t application, version, tables;
	if (sqlite_file_ask(file, "PRAGMA application_id", &application, err) || sqlite_file_ask(file, "PRAGMA user_version", &version, err)
	    || sqlite_file_ask(file, "SELECT count(*) FROM sqlite_schema", &tables, err))
		return -1;
	version &= (1 << SQLITE_SCHEMA_BITS) - 1;
	if (application == SQLITE_APPLICATION_ID && version == SCHEMA_VERSION)
		return 0;
	if (tables)
		return application == SQLITE_APPLICATION_ID
		    ? error_set(err, ERROR_SYSTEM, "journal: made by another release of roomcast (its version is %lld, ours %d)", (long long)version, SCHEMA_VERSION)
		    : error_set(err, ERROR_SYSTEM, "journal: a SQLite file, but not one of roomcast's");
	if (!is_writer)
		return error_set(err, ERROR_UNAVAILABLE, "journal: not made yet");
	log_info("msg=\"a new journal\" path=%s", sqlite3_db_filename(file->db, "main"));
	return make_schema(file, err);
}

/* A file system without shared memory leaves it in another mode, without a word. */
static int set_wal(struct sqlite_file *file, struct error *err)
{
	sqlite3_stmt *statement;
	if (sqlite3_prepare_v2(file->db, "PRAGMA journal_mode = WAL", -1, &statement, NULL) != SQLITE_OK)
		return sqlite_file_error(file, err);
	int result = sqlite_step(file, statement, err);
	bool is_wal = result > 0 && bytes_equal_text(sqlite_bytes(statement, 0), "wal");
	sqlite3_finalize(statement);
	if (result < 0)
		return -1;
	return is_wal ? 0 : error_set(err, ERROR_SYSTEM, "journal: this file system does not take SQLite's WAL");
}

/* SQLite keeps the WAL's index in memory of its own then. */
static int set_alone(struct sqlite_file *file, struct error *err)
{
	sqlite3_db_config(file->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	file->is_alone = true;
	return sqlite_file_execute(file, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = ON", err);
}

static int set_up(struct sqlite_file *file, enum sqlite_access access, struct error *err)
{
	char limit[64];
	sqlite3_extended_result_codes(file->db, 1);
	sqlite3_busy_timeout(file->db, access == ACCESS_WRITE ? WRITER_BUSY_MS : READER_BUSY_MS);
	if (access == ACCESS_ALONE && set_alone(file, err))
		return -1;
	if (access != ACCESS_WRITE)
		return check_schema(file, false, err);
	if (sqlite3_db_readonly(file->db, "main"))
		return error_set(err, ERROR_UNAVAILABLE, "journal: the file cannot be written");
	sqlite3_snprintf(sizeof(limit), limit, "PRAGMA journal_size_limit = %d", WAL_LIMIT);
	/* auto_vacuum counts only before the first page is written. */
	return sqlite_file_execute(file, "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = FAST", err)
	    || set_wal(file, err) || sqlite_file_execute(file, limit, err)
	    || check_schema(file, true, err) ? -1 : 0;
}

static int open_connection(sqlite3 **db, const char *path, enum sqlite_access access)
{
	static const int flags[] = {
		[ACCESS_WRITE] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
		[ACCESS_READ] = SQLITE_OPEN_READONLY,
		[ACCESS_ALONE] = SQLITE_OPEN_READWRITE,
		[ACCESS_FROZEN] = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
	};
	struct buffer uri = { 0 };
	if (access == ACCESS_FROZEN)
		add_frozen_uri(path, &uri);
	int code = uri.has_failed ? SQLITE_NOMEM
	                          : sqlite3_open_v2(uri.data ? uri.data : path, db, flags[access] | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
	buffer_deinit(&uri);
	return code;
}

int sqlite_file_open(struct sqlite_file *file, const char *path, enum sqlite_access access, struct error *err)
{
	struct stat stats;
	*file = (struct sqlite_file){ 0 };
	if (open_connection(&file->db, path, access) != SQLITE_OK) {
		if (file->db)
			sqlite_file_error(file, err);
		else
			error_set(err, ERROR_UNAVAILABLE, "no memory");
	} else if (set_up(file, access, err) == 0) {
		if (stat(path, &stats) == 0) {
			file->device = stats.st_dev;
			file->inode = stats.st_ino;
			return 0;
		}
		error_set(err, ERROR_UNAVAILABLE, "%s", strerror(errno));
	}
	sqlite_file_close(file);
	return error_context(err, "%s", path);
}

int sqlite_file_prepare(struct sqlite_file *file, const char *const texts[], size_t count, struct error *err)
{
	file->statements = calloc(count, sizeof(*file->statements));
	if (!file->statements)
		return error_set(err, ERROR_UNAVAILABLE, "no memory");
	file->statement_count = count;
	for (size_t i = 0; i < count; i++) {
		struct buffer sql = { 0 };
		journal_columns_expand(texts[i], &sql);
		bool is_ready = !sql.has_failed && sqlite3_prepare_v3(file->db, sql.data, -1, SQLITE_PREPARE_PERSISTENT, &file->statements[i], NULL) == SQLITE_OK;
		buffer_deinit(&sql);
		if (!is_ready)
			return sqlite_file_error(file, err);
	}
	return 0;
}

void sqlite_file_close(struct sqlite_file *file)
{
	for (size_t i = 0; i < file->statement_count; i++)
		sqlite3_finalize(file->statements[i]);
	free(file->statements);
	sqlite3_close(file->db);
	*file = (struct sqlite_file){ 0 };
}

int sqlite_file_check(const struct sqlite_file *file, const char *path, struct error *err)
{
	struct stat stats;
	if (stat(path, &stats))
		return error_set(err, ERROR_UNAVAILABLE, "%s: %s", path, strerror(errno));
	if (stats.st_dev != file->device || stats.st_ino != file->inode)
		return error_set(err, ERROR_UNAVAILABLE, "%s: another file has taken its place", path);
	return 0;
}
