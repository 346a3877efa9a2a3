/* journal_postgres.c - the journal in PostgreSQL: lock, tables, epochs, who is active, retention. */
#include "journal_postgres_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include <roomcast/log.h>

enum { SCHEMA_VERSION = 1, WRITER_LIMIT_MS = 5000, TRIM_LIMIT_MS = 10000, TRIM_ROWS = 500, EPOCHS_KEPT = 1024 };

static const char *const types[] = {
	[COLUMN_NUMBER] = "bigint", [COLUMN_KIND] = "bigint", [COLUMN_VERSION] = "bigint", [COLUMN_TEXT] = "text", [COLUMN_BLOB] = "bytea",
	[COLUMN_LIST] = "text",
};

/* The index: as in journal_sqlite_file.c. */
static const char tables[] =
	"CREATE INDEX events_by_type ON events (entity_type, id, entity_id) WHERE entity_type IS NOT NULL;"
	"CREATE TABLE epochs (epoch bigint PRIMARY KEY, base bigint NOT NULL, line_endpoint text NOT NULL, opened_s bigint NOT NULL);"
	"CREATE TABLE entities (type text, id text, version bigint NOT NULL, data bytea NOT NULL, PRIMARY KEY (type, id));"
	"CREATE TABLE idempotency (api_key text, key bytea, body_hash bytea NOT NULL, time_ms bigint NOT NULL, answer bytea NOT NULL,"
	" PRIMARY KEY (api_key, key));"
	"CREATE INDEX idempotency_by_time ON idempotency (time_ms);"
	"CREATE TABLE grants (user_id text, room text, PRIMARY KEY (user_id, room));"
	"CREATE TABLE blocks (user_id text PRIMARY KEY, until_ms bigint NOT NULL);"
	"CREATE TABLE meta (name text PRIMARY KEY, value bytea NOT NULL);";

static struct postgres_journal *self_of(struct journal *journal)
{
	return (struct postgres_journal *)journal;
}

int postgres_journal_connect(const struct postgres_journal *self, struct postgres *postgres, uint64_t limit_ms, const char *settings, struct error *err)
{
	struct buffer session = { 0 };
	buffer_add_format(&session, "%s; %s", self->session, settings);
	int result = session.has_failed ? error_set(err, ERROR_UNAVAILABLE, "no memory")
	                                : postgres_open(postgres, self->settings.connection, limit_ms, session.data, err);
	buffer_deinit(&session);
	return result;
}

void postgres_journal_leave(struct postgres *session)
{
	struct error err;
	if (session->conn && !session->is_lost && postgres_execute(session, "ROLLBACK; SELECT pg_advisory_unlock_all()", &err))
		log_info("msg=\"the journal's lock is not given back in order\" error=\"%s\"", err.text);
	postgres_close(session);
}

int postgres_journal_prepare(struct postgres *postgres, const char *const texts[], size_t count, struct error *err)
{
	struct buffer *expanded = calloc(count, sizeof(*expanded));
	const char **pointers = calloc(count, sizeof(*pointers));
	bool is_complete = expanded && pointers;
	for (size_t i = 0; i < count && is_complete; i++) {
		journal_columns_expand(texts[i], &expanded[i]);
		pointers[i] = expanded[i].data;
		is_complete = !expanded[i].has_failed;
	}
	int result = is_complete ? postgres_prepare(postgres, pointers, count, err) : error_set(err, ERROR_UNAVAILABLE, "no memory");
	for (size_t i = 0; i < count && expanded; i++)
		buffer_deinit(&expanded[i]);
	free(expanded);
	free(pointers);
	return result;
}

void postgres_journal_keep_mac_key(struct postgres_journal *self, struct bytes key)
{
	if (key.len != MAC_KEY_LEN)
		return;
	pthread_mutex_lock(&self->journal.lock);
	memcpy(self->journal.mac_key, key.data, MAC_KEY_LEN);
	self->journal.has_mac_key = true;
	pthread_mutex_unlock(&self->journal.lock);
}

/* The first number of the first row. */
static int ask_number(struct postgres *postgres, const char *sql, const struct postgres_params *params, int64_t *out, struct error *err)
{
	PGresult *result = postgres_ask(postgres, sql, params, err);
	if (!result)
		return -1;
	*out = PQntuples(result) ? postgres_number(result, 0, 0) : 0;
	PQclear(result);
	return 0;
}

/* --- tables; called by whoever holds the lock --- */

/* An identifier, quoted. */
static void add_identifier(struct buffer *out, const char *name)
{
	buffer_add_char(out, '"');
	for (; *name; name++) {
		if (*name == '"')
			buffer_add_char(out, '"');
		buffer_add_char(out, *name);
	}
	buffer_add_char(out, '"');
}

static int insert_meta(struct postgres *postgres, struct error *err)
{
	char key[MAC_KEY_LEN], version[16];
	struct postgres_params params = { 0 };
	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return error_set(err, ERROR_SYSTEM, "random numbers: %s", strerror(errno));
	snprintf(version, sizeof(version), "%d", SCHEMA_VERSION);
	postgres_add_bytes(&params, bytes_of(version));
	postgres_add_bytes(&params, (struct bytes){ key, sizeof(key) });
	PGresult *result = postgres_ask(postgres, "INSERT INTO meta (name, value) VALUES ('version', $1::bytea), ('mac_key', $2::bytea)", &params, err);
	PQclear(result);
	return result ? 0 : -1;
}

static int make_tables(struct postgres_journal *self, struct postgres *postgres, struct error *err)
{
	struct buffer sql = { 0 };
	buffer_add_text(&sql, "BEGIN; CREATE SCHEMA IF NOT EXISTS ");
	add_identifier(&sql, self->settings.schema);
	buffer_add_text(&sql, "; CREATE TABLE events (id bigint PRIMARY KEY, total bigint NOT NULL, size bigint NOT NULL, ");
	journal_columns_add_definitions(types, &sql);
	buffer_add_format(&sql, "); %s", tables);
	log_info("msg=\"a new journal\" schema=%s", self->settings.schema);
	int result = sql.has_failed ? error_set(err, ERROR_UNAVAILABLE, "no memory") : postgres_execute(postgres, sql.data, err);
	if (result == 0)
		result = insert_meta(postgres, err) || postgres_execute(postgres, "COMMIT", err) ? -1 : 0;
	buffer_deinit(&sql);
	return result;
}

static int check_version(struct postgres *postgres, struct error *err)
{
	char text[16] = "";
	PGresult *result = postgres_ask(postgres, "SELECT value FROM meta WHERE name = 'version'", NULL, err);
	if (!result)
		return -1;
	if (PQntuples(result))
		snprintf(text, sizeof(text), "%.*s", PQgetlength(result, 0, 0), PQgetvalue(result, 0, 0));
	PQclear(result);
	return atoi(text) == SCHEMA_VERSION ? 0
	    : error_set(err, ERROR_SYSTEM, "journal: made by another release of roomcast (its version is \"%s\", ours %d)", text, SCHEMA_VERSION);
}

static int check_tables(struct postgres_journal *self, struct postgres *postgres, struct error *err)
{
	int64_t are_there;
	const char *encoding = PQparameterStatus(postgres->conn, "server_encoding");
	struct postgres_params params = { 0 };
	if (!encoding || strcmp(encoding, "UTF8") != 0)
		return error_set(err, ERROR_SYSTEM, "the database's encoding is %s; the journal needs UTF8", encoding ? encoding : "unknown");
	postgres_add_bytes(&params, bytes_of(self->settings.schema));
	if (ask_number(postgres, "SELECT count(*) FROM pg_tables WHERE schemaname = $1::text AND tablename = 'meta'", &params, &are_there, err))
		return -1;
	return are_there ? check_version(postgres, err) : make_tables(self, postgres, err);
}

/* --- a writer opens --- */

/* The waiting session, made if need be. */
static int be_connected(struct postgres_journal *self, struct error *err)
{
	char settings[256];
	if (postgres_is_alive(&self->waiting))
		return 0;
	postgres_close(&self->waiting);
	self->has_lock = false;
	snprintf(settings, sizeof(settings), "SET synchronous_commit = on; SELECT set_config(name, '%d', false) FROM pg_settings"
	         " WHERE name IN ('idle_session_timeout', 'idle_in_transaction_session_timeout')", POSTGRES_LOCK_SILENCE_MS);
	return postgres_journal_connect(self, &self->waiting, WRITER_LIMIT_MS, settings, err);
}

static bool is_read_only(struct postgres *session)
{
	struct postgres_params params = { 0 };
	struct error err;
	int64_t count;
	return ask_number(session, "SELECT count(*) FROM pg_settings WHERE name = 'transaction_read_only' AND setting = 'on'", &params, &count, &err) == 0 && count;
}

/* What a database is set to, a session learns at its beginning: so one that may not write would never. */
static bool would_write_anew(struct postgres_journal *self)
{
	struct postgres probe;
	struct error err;
	if (!is_read_only(&self->waiting) || postgres_journal_connect(self, &probe, WRITER_LIMIT_MS, "SET synchronous_commit = on", &err))
		return false;
	bool result = !is_read_only(&probe);
	postgres_close(&probe);
	return result;
}

static int wait_for_lock(struct postgres_journal *self, struct error *err)
{
	struct postgres_params params = { 0 };
	int64_t is_ours;
	if (self->has_lock && would_write_anew(self))
		postgres_journal_leave(&self->waiting);
	if (be_connected(self, err))
		return -1;
	if (self->has_lock)
		return 0;
	postgres_add_bytes(&params, bytes_of(self->settings.schema));
	if (ask_number(&self->waiting, "SELECT pg_try_advisory_lock(hashtextextended('roomcast journal ' || $1::text, 0))", &params, &is_ours, err))
		return -1;
	return is_ours ? 0 : error_set(err, ERROR_UNAVAILABLE, "another gateway is the journal's writer");
}

struct start {
	uint64_t epoch, base, total;
};

static int insert_epoch(struct postgres_journal *self, struct postgres *postgres, uint64_t now_s, const char *endpoint, struct start *out, struct error *err)
{
	static const char sql[] =
		"WITH newest AS (SELECT id, total FROM events ORDER BY id DESC LIMIT 1)"
		" INSERT INTO epochs (epoch, base, line_endpoint, opened_s)"
		" SELECT greatest((SELECT max(epoch) FROM epochs) + 1, $1::bigint, $2::bigint), coalesce((SELECT id FROM newest), 0), $3::text, $4::bigint"
		" RETURNING epoch, base, coalesce((SELECT total FROM newest), 0), (SELECT value FROM meta WHERE name = 'mac_key')";
	struct postgres_params params = { 0 };
	postgres_add_number(&params, (int64_t)now_s);
	postgres_add_number(&params, (int64_t)self->newest_epoch + 1);
	postgres_add_bytes(&params, bytes_of(endpoint));
	postgres_add_number(&params, (int64_t)now_s);
	PGresult *result = postgres_ask(postgres, sql, &params, err);
	if (!result)
		return -1;
	*out = (struct start){
		(uint64_t)postgres_number(result, 0, 0), (uint64_t)postgres_number(result, 0, 1), (uint64_t)postgres_number(result, 0, 2),
	};
	postgres_journal_keep_mac_key(self, postgres_bytes(result, 0, 3));
	PQclear(result);
	return 0;
}

static int open_writer(struct postgres_journal *self, uint64_t now_s, const char *endpoint, struct journal_writer **out, struct error *err)
{
	struct start start;
	if (wait_for_lock(self, err))
		return -1;
	struct postgres session = self->waiting;
	self->waiting = (struct postgres){ 0 };
	self->has_lock = false;
	/* The epoch is on disk in any case. */
	const char *durability = self->settings.durability == DURABILITY_FULL ? "SET synchronous_commit = on" : "RESET synchronous_commit";
	if (check_tables(self, &session, err)) {
		postgres_journal_leave(&session);
		return -1;
	}
	/* Others could not do it either: nobody need try while the lock is here. */
	if (insert_epoch(self, &session, now_s, endpoint, &start, err) || postgres_execute(&session, durability, err)) {
		self->waiting = session;
		self->waiting.is_lost = false;
		self->has_lock = postgres_is_alive(&self->waiting);
		return -1;
	}
	self->newest_epoch = start.epoch;
	return postgres_writer_new(self, &session, (struct place){ start.epoch, 0 }, start.base, start.total, out, err);
}

static int postgres_open_writer(struct journal *journal, uint64_t now_s, const char *line_endpoint, struct journal_writer **out, struct error *err)
{
	struct postgres_journal *self = self_of(journal);
	pthread_mutex_lock(&self->lock);
	int result = open_writer(self, now_s, line_endpoint, out, err);
	atomic_store(&self->has_writer, result == 0);
	pthread_mutex_unlock(&self->lock);
	return result;
}

static int find_active(struct postgres_journal *self, char *line_endpoint, size_t size, struct error *err)
{
	if (be_connected(self, err))
		return -1;
	PGresult *result = postgres_ask(&self->waiting, "SELECT line_endpoint FROM epochs ORDER BY epoch DESC LIMIT 1", NULL, err);
	if (!result)
		return -1;
	if (PQntuples(result))
		snprintf(line_endpoint, size, "%.*s", PQgetlength(result, 0, 0), PQgetvalue(result, 0, 0));
	PQclear(result);
	return 0;
}

static int postgres_find_active(struct journal *journal, char *line_endpoint, size_t size, struct error *err)
{
	struct postgres_journal *self = self_of(journal);
	line_endpoint[0] = '\0';
	pthread_mutex_lock(&self->lock);
	int result = find_active(self, line_endpoint, size, err);
	pthread_mutex_unlock(&self->lock);
	return result;
}

static bool read_newest(struct postgres_journal *self, struct place *last)
{
	struct error err;
	PGresult *result = postgres_ask(&self->waiting, "SELECT epoch, coalesce((SELECT max(id) FROM events), base) - base FROM epochs ORDER BY epoch DESC LIMIT 1",
	                                NULL, &err);
	bool is_known = result && PQntuples(result);
	if (is_known)
		*last = (struct place){ (uint64_t)postgres_number(result, 0, 0), (uint64_t)postgres_number(result, 0, 1) };
	PQclear(result);
	return is_known;
}

static bool postgres_holds_lock(struct journal *journal, struct place *last)
{
	struct postgres_journal *self = self_of(journal);
	pthread_mutex_lock(&self->lock);
	bool holds_lock = self->has_lock && read_newest(self, last);
	pthread_mutex_unlock(&self->lock);
	return holds_lock;
}

/* --- retention --- */

enum statement { TRIM_EVENTS, TRIM_KEYS, TRIM_BLOCKS, TRIM_EPOCHS, STATEMENT_COUNT };

/* As in journal_sqlite_trim.c. */
static const char *const trim_statements[STATEMENT_COUNT] = {
	[TRIM_EVENTS] =
		"WITH oldest AS (SELECT id FROM events ORDER BY id LIMIT 1), newest AS (SELECT id, total FROM events ORDER BY id DESC LIMIT 1),"
		" step AS (SELECT least(oldest.id + $1::bigint, newest.id) AS id FROM oldest, newest),"
		" kept AS (SELECT e.id FROM events e, newest WHERE e.id >= (SELECT id FROM oldest) AND e.id < (SELECT id FROM step)"
		" AND e.time_ms >= $2::bigint AND newest.total - e.total + e.size <= $3::bigint AND newest.id - e.id < $4::bigint ORDER BY e.id LIMIT 1)"
		" DELETE FROM events WHERE id >= (SELECT id FROM oldest) AND id < coalesce((SELECT id FROM kept), (SELECT id FROM step))",
	[TRIM_KEYS] = "DELETE FROM idempotency WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency WHERE time_ms < $2::bigint ORDER BY time_ms LIMIT $1::bigint))",
	[TRIM_BLOCKS] = "DELETE FROM blocks WHERE ctid = ANY (ARRAY(SELECT ctid FROM blocks WHERE until_ms <= $2::bigint LIMIT $1::bigint))",
	[TRIM_EPOCHS] = ("DELETE FROM epochs WHERE epoch = ANY (ARRAY(SELECT epoch FROM epochs WHERE epoch < (SELECT epoch FROM events ORDER BY id LIMIT 1)"
	                 " AND epoch < (SELECT epoch FROM epochs ORDER BY epoch DESC LIMIT 1 OFFSET $2::bigint) LIMIT $1::bigint))"),
};

static int64_t bound_of(uint64_t number)
{
	return number && number < INT64_MAX ? (int64_t)number : INT64_MAX;
}

static int delete_rows(struct postgres *postgres, enum statement which, const int64_t *numbers, size_t count, struct error *err)
{
	struct postgres_params params = { 0 };
	for (size_t i = 0; i < count; i++)
		postgres_add_number(&params, numbers[i]);
	PGresult *result = postgres_query(postgres, which, &params, err);
	if (!result)
		return -1;
	bool has_more = atoi(PQcmdTuples(result)) >= TRIM_ROWS;
	PQclear(result);
	return has_more;
}

static int trim(struct postgres_journal *self, uint64_t now_ms, struct error *err)
{
	const struct journal_retention *keep = &self->settings.retention;
	const int64_t numbers[STATEMENT_COUNT][4] = {
		[TRIM_EVENTS] = { TRIM_ROWS, keep->age_ms && keep->age_ms < now_ms ? (int64_t)(now_ms - keep->age_ms) : 0, bound_of(keep->bytes), bound_of(keep->events) },
		[TRIM_KEYS] = { TRIM_ROWS, now_ms > KEY_LIFE_MS ? (int64_t)(now_ms - KEY_LIFE_MS) : 0 },
		[TRIM_BLOCKS] = { TRIM_ROWS, (int64_t)now_ms },
		[TRIM_EPOCHS] = { TRIM_ROWS, EPOCHS_KEPT },
	};
	int more = 0;
	if (!postgres_is_alive(&self->trimming)) {
		postgres_close(&self->trimming);
		if (postgres_journal_connect(self, &self->trimming, TRIM_LIMIT_MS, "SET synchronous_commit = off", err)
		    || postgres_journal_prepare(&self->trimming, trim_statements, STATEMENT_COUNT, err))
			return -1;
	}
	for (int i = 0; i < STATEMENT_COUNT; i++) {
		int result = delete_rows(&self->trimming, (enum statement)i, numbers[i], i == TRIM_EVENTS ? 4 : 2, err);
		if (result < 0)
			return -1;
		more |= result;
	}
	return more;
}

static int postgres_trim(struct journal *journal, uint64_t now_ms, struct error *err)
{
	struct postgres_journal *self = self_of(journal);
	pthread_mutex_lock(&self->trim_lock);
	bool has_writer = atomic_load(&self->has_writer);
	int result = has_writer ? trim(self, now_ms, err) : 0;
	if (result < 0 || !has_writer)
		postgres_close(&self->trimming);
	pthread_mutex_unlock(&self->trim_lock);
	return result;
}

/* --- the journal --- */

static void postgres_journal_close(struct journal *journal)
{
	struct postgres_journal *self = self_of(journal);
	postgres_journal_leave(&self->waiting);
	postgres_close(&self->trimming);
	pthread_mutex_destroy(&self->lock);
	pthread_mutex_destroy(&self->trim_lock);
	pthread_mutex_destroy(&journal->lock);
	free(self->session);
	free(self);
}

static const struct journal_operations postgres_operations = {
	.name = "postgres",
	.open_writer = postgres_open_writer,
	.holds_lock = postgres_holds_lock,
	.open_reader = postgres_open_reader,
	.find_active = postgres_find_active,
	.trim = postgres_trim,
	.trim_pause_ms = 5000,
	.close = postgres_journal_close,
};

struct journal *journal_postgres_new(const struct journal_settings *settings, struct error *err)
{
	struct postgres_journal *self = calloc(1, sizeof(*self));
	struct buffer session = { 0 };
	buffer_add_text(&session, "SET lock_timeout = 3000; SET search_path = ");
	add_identifier(&session, settings->schema);
	if (!self || session.has_failed) {
		free(self);
		buffer_deinit(&session);
		error_set(err, ERROR_SYSTEM, "no memory for the journal");
		return NULL;
	}
	self->journal.operations = &postgres_operations;
	self->settings = *settings;
	self->session = session.data;
	pthread_mutex_init(&self->journal.lock, NULL);
	pthread_mutex_init(&self->lock, NULL);
	pthread_mutex_init(&self->trim_lock, NULL);
	return &self->journal;
}
