/* journal_sqlite_reader.c - reading on a connection that cannot write, opened when it is needed. */
#include "journal_sqlite_parts.h"

#include <stdlib.h>

enum statement {
	BEGIN, END, FIRST, LAST, EPOCHS, FOLLOWING, READ, ROW, GRANTS, BLOCKS, QUERY, QUERY_TYPE, QUERY_ENTITY, ENTITY, MAC_KEY, STATEMENT_COUNT,
};

static const char *const texts[STATEMENT_COUNT] = {
	[BEGIN] = "BEGIN",
	[END] = "COMMIT",
	[FIRST] = "SELECT id, epoch, seq, total, size, time_ms FROM events ORDER BY id LIMIT 1",
	[LAST] = "SELECT id, epoch, seq, total, size, time_ms FROM events ORDER BY id DESC LIMIT 1",
	[EPOCHS] = "SELECT epoch, base FROM epochs ORDER BY epoch DESC LIMIT ?1",
	[FOLLOWING] = "SELECT epoch, base FROM epochs WHERE epoch >= ?1 ORDER BY epoch LIMIT 2",
	[READ] = "SELECT id, size, #columns FROM events WHERE id > ?1 AND id <= ?2 ORDER BY id",
	[ROW] = "SELECT id, epoch, seq, total, size, time_ms FROM events WHERE id = ?1",
	[GRANTS] = "SELECT user_id, room FROM grants",
	[BLOCKS] = "SELECT user_id, until_ms FROM blocks WHERE until_ms > ?1",
	[QUERY] = "SELECT id, size, #columns FROM events WHERE id > ?1 ORDER BY id LIMIT ?2",
	[QUERY_TYPE] = "SELECT id, size, #columns FROM events WHERE id > ?1 AND entity_type = ?3 ORDER BY id LIMIT ?2",
	[QUERY_ENTITY] = "SELECT id, size, #columns FROM events WHERE id > ?1 AND entity_type = ?3 AND entity_id = ?4 ORDER BY id LIMIT ?2",
	[ENTITY] = "SELECT version, data FROM entities WHERE type = ?1 AND id = ?2",
	[MAC_KEY] = "SELECT value FROM meta WHERE name = 'mac_key'",
};

struct sqlite_reader {
	struct journal_reader reader;
	struct sqlite_journal *journal;
	struct sqlite_file file;
	bool is_open;
	struct buffer found;
};

/* What FIRST, LAST and ROW give. */
struct row {
	uint64_t id;
	struct place place;
	uint64_t total, size, time_ms;
};

static struct sqlite_reader *self_of(struct journal_reader *reader)
{
	return (struct sqlite_reader *)reader;
}

static sqlite3_stmt *statement_of(struct sqlite_reader *self, enum statement which)
{
	return self->file.statements[which];
}

static int step(struct sqlite_reader *self, enum statement which, struct error *err)
{
	return sqlite_step(&self->file, statement_of(self, which), err);
}

static void disconnect(struct sqlite_reader *self)
{
	sqlite_journal_close_file(self->journal, &self->file);
	self->is_open = false;
}

static int connect_file(struct sqlite_reader *self, struct error *err)
{
	if (sqlite_journal_open_file(self->journal, &self->file, err))
		return -1;
	self->is_open = true;
	if (sqlite_file_prepare(&self->file, texts, STATEMENT_COUNT, err) == 0 && step(self, MAC_KEY, err) > 0) {
		sqlite_journal_keep_mac_key(self->journal, sqlite_bytes(statement_of(self, MAC_KEY), 0));
		sqlite3_reset(statement_of(self, MAC_KEY));
		return 0;
	}
	disconnect(self);
	return -1;
}

/* One state of the journal until end. */
static int begin(struct sqlite_reader *self, struct error *err)
{
	if (self->is_open && sqlite_file_check(&self->file, self->journal->path, err))
		disconnect(self);
	if (!self->is_open && connect_file(self, err))
		return -1;
	if (sqlite_run(&self->file, statement_of(self, BEGIN), err) == 0)
		return 0;
	disconnect(self);
	return -1;
}

/* result, unless the end fails too. After a failure the connection is given up; the next call makes a new one. So it is without a writer: on a
 * read-only disk the shared memory of all connections of this process is read-only until the last of them is closed. */
static long end(struct sqlite_reader *self, long result, struct error *err)
{
	bool has_ended = result >= 0 && sqlite_run(&self->file, statement_of(self, END), err) == 0;
	if (!has_ended || !self->journal->has_writer)
		disconnect(self);
	return has_ended ? result : -1;
}

/* 1, 0 or -1. */
static int read_row(struct sqlite_reader *self, enum statement which, struct row *out, struct error *err)
{
	sqlite3_stmt *statement = statement_of(self, which);
	int result = step(self, which, err);
	*out = (struct row){ 0 };
	if (result > 0)
		*out = (struct row){
			.id = (uint64_t)sqlite3_column_int64(statement, 0),
			.place = { (uint64_t)sqlite3_column_int64(statement, 1), (uint64_t)sqlite3_column_int64(statement, 2) },
			.total = (uint64_t)sqlite3_column_int64(statement, 3),
			.size = (uint64_t)sqlite3_column_int64(statement, 4),
			.time_ms = (uint64_t)sqlite3_column_int64(statement, 5),
		};
	sqlite3_reset(statement);
	return result;
}

static int sqlite_extent(struct journal_reader *reader, struct journal_extent *out, struct error *err)
{
	struct sqlite_reader *self = self_of(reader);
	struct row first, last;
	if (begin(self, err))
		return -1;
	bool is_read = read_row(self, FIRST, &first, err) >= 0 && read_row(self, LAST, &last, err) >= 0;
	if (is_read)
		*out = (struct journal_extent){ first.place, last.place };
	return (int)end(self, is_read ? 0 : -1, err);
}

static void reverse(struct place *places, size_t count)
{
	for (size_t i = 0; i < count / 2; i++) {
		struct place place = places[i];
		places[i] = places[count - 1 - i];
		places[count - 1 - i] = place;
	}
}

static long read_epochs(struct sqlite_reader *self, struct place *out, size_t max, struct error *err)
{
	sqlite3_stmt *statement = statement_of(self, EPOCHS);
	struct row last;
	if (read_row(self, LAST, &last, err) < 0)
		return -1;
	uint64_t end_id = last.id;
	size_t count = 0;
	int result;
	sqlite3_bind_int64(statement, 1, (int64_t)max);
	while ((result = step(self, EPOCHS, err)) > 0) {
		uint64_t base = (uint64_t)sqlite3_column_int64(statement, 1);
		out[count++] = (struct place){ (uint64_t)sqlite3_column_int64(statement, 0), end_id - base };
		end_id = base;
	}
	sqlite3_reset(statement);
	reverse(out, count);
	return result < 0 ? -1 : (long)count;
}

static long sqlite_epochs(struct journal_reader *reader, struct place *out, size_t max, struct error *err)
{
	struct sqlite_reader *self = self_of(reader);
	return begin(self, err) ? -1 : end(self, read_epochs(self, out, max, err), err);
}

static int64_t clamp(uint64_t number)
{
	return number > INT64_MAX ? INT64_MAX : (int64_t)number;
}

static int find_id(struct sqlite_reader *self, struct place place, int64_t *out, struct error *err)
{
	sqlite3_stmt *statement = statement_of(self, FOLLOWING);
	struct journal_epoch following[2];
	size_t count = 0;
	int result;
	sqlite3_bind_int64(statement, 1, clamp(place.epoch));
	while ((result = step(self, FOLLOWING, err)) > 0)
		following[count++] = (struct journal_epoch){ (uint64_t)sqlite3_column_int64(statement, 0), (uint64_t)sqlite3_column_int64(statement, 1) };
	sqlite3_reset(statement);
	*out = clamp(journal_id_of(place, following, count));
	return result;
}

static int show_record(sqlite3_stmt *statement, journal_visit *visit, void *data, struct error *err)
{
	struct journal_record record = { 0 };
	int result = 0;
	for (int i = 0; i < JOURNAL_COLUMN_COUNT && result == 0; i++) {
		int at = 2 + i;
		struct journal_value value = { .is_null = sqlite3_column_type(statement, at) == SQLITE_NULL };
		if (journal_columns[i].type >= COLUMN_TEXT)
			value.text = sqlite_bytes(statement, at);
		else
			value.number = sqlite3_column_int64(statement, at);
		result = journal_column_set(&journal_columns[i], &value, &record, err);
	}
	if (result == 0)
		visit(data, &record);
	journal_record_release(&record);
	return result;
}

/* Runs a bound statement until a bound is reached. */
static long show_records(struct sqlite_reader *self, enum statement which, struct journal_bound bound, journal_visit *visit, void *data,
                         struct error *err)
{
	sqlite3_stmt *statement = statement_of(self, which);
	size_t count = 0, bytes = 0;
	int result = 0;
	while (count < bound.events && (result = step(self, which, err)) > 0) {
		bytes += (size_t)sqlite3_column_int64(statement, 1);
		if (count && bytes > bound.bytes)
			break;
		if ((result = show_record(statement, visit, data, err)))
			break;
		count++;
	}
	sqlite3_reset(statement);
	return result < 0 ? -1 : (long)count;
}

static long sqlite_read(struct journal_reader *reader, struct place after, struct place last, struct journal_bound bound, journal_visit *visit,
                        void *data, struct error *err)
{
	struct sqlite_reader *self = self_of(reader);
	int64_t from, to;
	long result = -1;
	if (begin(self, err))
		return -1;
	if (find_id(self, after, &from, err) == 0 && find_id(self, last, &to, err) == 0) {
		sqlite3_bind_int64(statement_of(self, READ), 1, from);
		sqlite3_bind_int64(statement_of(self, READ), 2, to);
		result = show_records(self, READ, bound, visit, data, err);
	}
	return end(self, result, err);
}

/* --- window --- */

struct window {
	struct sqlite_reader *self;
	struct row last;
	uint64_t since_ms, bytes;
};

static int fits(void *data, uint64_t id, struct error *err)
{
	struct window *window = data;
	struct row row;
	sqlite3_bind_int64(statement_of(window->self, ROW), 1, (int64_t)id);
	if (read_row(window->self, ROW, &row, err) < 0)
		return -1;
	return row.time_ms >= window->since_ms && window->last.total - row.total + row.size <= window->bytes;
}

static int place_before(struct sqlite_reader *self, uint64_t id, const struct row *last, struct place *out, struct error *err)
{
	struct row row;
	*out = last->place;
	if (id > last->id)
		return 0;
	sqlite3_bind_int64(statement_of(self, ROW), 1, (int64_t)id);
	if (read_row(self, ROW, &row, err) < 0)
		return -1;
	*out = (struct place){ row.place.epoch, row.place.seq - 1 };
	return 0;
}

static int find_window(struct sqlite_reader *self, uint64_t since_ms, struct journal_bound bound, struct place *after, struct error *err)
{
	struct window window = { .self = self, .since_ms = since_ms, .bytes = bound.bytes };
	struct row first;
	uint64_t id;
	if (read_row(self, FIRST, &first, err) < 0)
		return -1;
	int result = read_row(self, LAST, &window.last, err);
	if (result < 0)
		return -1;
	if (result == 0) { /* nothing yet: the newest epoch's beginning */
		*after = (struct place){ 0 };
		return read_epochs(self, after, 1, err) < 0 ? -1 : 0;
	}
	uint64_t low = window.last.id - first.id < bound.events ? first.id : window.last.id + 1 - bound.events;
	return journal_window_find(low, window.last.id, fits, &window, &id, err) ? -1 : place_before(self, id, &window.last, after, err);
}

static int sqlite_window(struct journal_reader *reader, uint64_t since_ms, struct journal_bound bound, struct place *after, struct error *err)
{
	struct sqlite_reader *self = self_of(reader);
	return begin(self, err) ? -1 : (int)end(self, find_window(self, since_ms, bound, after, err), err);
}

/* --- the rest --- */

static int show_standing(struct sqlite_reader *self, uint64_t now_ms, journal_visit_grant *grant, journal_visit_block *block, void *data, struct error *err)
{
	sqlite3_stmt *grants = statement_of(self, GRANTS), *blocks = statement_of(self, BLOCKS);
	int result;
	while ((result = step(self, GRANTS, err)) > 0)
		grant(data, sqlite_bytes(grants, 0), sqlite_bytes(grants, 1));
	sqlite3_reset(grants);
	if (result < 0)
		return -1;
	sqlite3_bind_int64(blocks, 1, clamp(now_ms));
	while ((result = step(self, BLOCKS, err)) > 0)
		block(data, sqlite_bytes(blocks, 0), (uint64_t)sqlite3_column_int64(blocks, 1));
	sqlite3_reset(blocks);
	return result;
}

static int sqlite_standing(struct journal_reader *reader, uint64_t now_ms, journal_visit_grant *grant, journal_visit_block *block, void *data,
                           struct error *err)
{
	struct sqlite_reader *self = self_of(reader);
	return begin(self, err) ? -1 : (int)end(self, show_standing(self, now_ms, grant, block, data, err), err);
}

static long sqlite_query(struct journal_reader *reader, const struct journal_query *query, journal_visit *visit, void *data, struct error *err)
{
	struct sqlite_reader *self = self_of(reader);
	enum statement which = query->entity_id.len ? QUERY_ENTITY : query->entity_type.len ? QUERY_TYPE : QUERY;
	int64_t from;
	long result = -1;
	if (begin(self, err))
		return -1;
	if (find_id(self, query->after, &from, err) == 0) {
		sqlite3_stmt *statement = statement_of(self, which);
		sqlite3_bind_int64(statement, 1, from);
		sqlite3_bind_int64(statement, 2, clamp(query->limit));
		if (which != QUERY)
			sqlite_bind_bytes(statement, 3, query->entity_type, true);
		if (which == QUERY_ENTITY)
			sqlite_bind_bytes(statement, 4, query->entity_id, true);
		result = show_records(self, which, (struct journal_bound){ query->limit, SIZE_MAX }, visit, data, err);
	}
	return end(self, result, err);
}

static int find_entity(struct sqlite_reader *self, struct bytes type, struct bytes id, struct journal_entity *out, struct error *err)
{
	sqlite3_stmt *statement = statement_of(self, ENTITY);
	sqlite_bind_bytes(statement, 1, type, true);
	sqlite_bind_bytes(statement, 2, id, true);
	int result = step(self, ENTITY, err);
	if (result > 0) {
		buffer_clear(&self->found);
		buffer_add_bytes(&self->found, sqlite_bytes(statement, 1));
		*out = (struct journal_entity){ sqlite3_column_int64(statement, 0), buffer_bytes(&self->found) };
	}
	sqlite3_reset(statement);
	return self->found.has_failed ? error_set(err, ERROR_UNAVAILABLE, "no memory") : result;
}

static int sqlite_entity(struct journal_reader *reader, struct bytes type, struct bytes id, struct journal_entity *out, struct error *err)
{
	struct sqlite_reader *self = self_of(reader);
	return begin(self, err) ? -1 : (int)end(self, find_entity(self, type, id, out, err), err);
}

static void sqlite_reader_close(struct journal_reader *reader)
{
	struct sqlite_reader *self = self_of(reader);
	disconnect(self);
	buffer_deinit(&self->found);
	free(self);
}

static const struct journal_reader_operations reader_operations = {
	.extent = sqlite_extent,
	.epochs = sqlite_epochs,
	.read = sqlite_read,
	.window = sqlite_window,
	.standing = sqlite_standing,
	.query = sqlite_query,
	.entity = sqlite_entity,
	.close = sqlite_reader_close,
};

int sqlite_open_reader(struct journal *journal, struct journal_reader **out, struct error *err)
{
	struct sqlite_reader *self = calloc(1, sizeof(*self));
	if (!self)
		return error_set(err, ERROR_UNAVAILABLE, "no memory");
	self->reader.operations = &reader_operations;
	self->journal = (struct sqlite_journal *)journal;
	*out = &self->reader;
	return 0;
}
