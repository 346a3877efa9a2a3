/* journal_postgres_writer.c - a group is gathered in memory and sent as one pipeline, which ends with COMMIT. */
#include "journal_postgres_parts.h"

#include <stdlib.h>

#include <roomcast/clock.h>

enum statement {
	BEGIN, COMMIT, APPEND, KEEP_ENTITIES, KEEP_KEYS, GRANT, UNGRANT, BLOCK, UNBLOCK, FIND_KEYS, FIND_ENTITIES, STATEMENT_COUNT,
};

/* OFFSET 0: one look into the index for each, whatever the planner thinks of the table's size. */
static const char *const texts[STATEMENT_COUNT] = {
	[BEGIN] = "BEGIN",
	[COMMIT] = "COMMIT",
	[APPEND] = "INSERT INTO events (id, total, size, #columns) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]",
	[KEEP_ENTITIES] = "INSERT INTO entities (type, id, version, data) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[])"
	                  " ON CONFLICT (type, id) DO UPDATE SET version = excluded.version, data = excluded.data",
	[KEEP_KEYS] = "INSERT INTO idempotency (api_key, key, body_hash, time_ms, answer)"
	              " SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::bigint[], $5::bytea[])"
	              " ON CONFLICT (api_key, key) DO UPDATE SET body_hash = excluded.body_hash, time_ms = excluded.time_ms, answer = excluded.answer",
	[GRANT] = "INSERT INTO grants (user_id, room) VALUES ($1::text, $2::text) ON CONFLICT DO NOTHING",
	[UNGRANT] = "DELETE FROM grants WHERE user_id = $1::text AND room = $2::text",
	[BLOCK] = "INSERT INTO blocks (user_id, until_ms) VALUES ($1::text, $2::bigint) ON CONFLICT (user_id) DO UPDATE SET until_ms = excluded.until_ms",
	[UNBLOCK] = "DELETE FROM blocks WHERE user_id = $1::text",
	[FIND_KEYS] = "SELECT found.* FROM unnest($1::text[], $2::bytea[]) AS wanted (api_key, key) CROSS JOIN LATERAL (SELECT * FROM idempotency"
	              " WHERE idempotency.api_key = wanted.api_key AND idempotency.key = wanted.key OFFSET 0) AS found (api_key, key, body_hash, time_ms, answer)",
	[FIND_ENTITIES] = "SELECT found.* FROM unnest($1::text[], $2::text[]) AS wanted (type, id) CROSS JOIN LATERAL (SELECT * FROM entities"
	                  " WHERE entities.type = wanted.type AND entities.id = wanted.id OFFSET 0) AS found (type, id, version, data)",
};

static const struct {
	const char *name;
	enum postgres_type type;
} array_types[] = {
	[COLUMN_NUMBER] = { "bigint", POSTGRES_BIGINT }, [COLUMN_KIND] = { "bigint", POSTGRES_BIGINT }, [COLUMN_VERSION] = { "bigint", POSTGRES_BIGINT },
	[COLUMN_TEXT] = { "text", POSTGRES_TEXT }, [COLUMN_BLOB] = { "bytea", POSTGRES_BYTEA }, [COLUMN_LIST] = { "text", POSTGRES_TEXT },
};

enum { APPEND_ARRAYS = 3 + JOURNAL_COLUMN_COUNT };
_Static_assert((int)APPEND_ARRAYS <= (int)POSTGRES_PARAMS_MAX, "a row is one statement's parameters");

/* What the store says of keys and entities in this group, under their names; of those that it does not have it says ABSENT. */
struct known {
	struct journal_entry *entries;
	struct postgres_array first, second; /* names that are still to be asked for */
};

#define KEY_ABSENT UINT64_MAX           /* as time_ms */
enum { VERSION_ABSENT = VERSION_NONE };  /* as version */

struct postgres_writer {
	struct journal_writer writer;
	struct postgres_journal *journal;
	struct postgres session;
	uint64_t base, total;
	uint64_t spoke_at_ms; /* monotonic: when the server last answered here */
	struct journal_pending pending;
	struct known keys, entities;
};

/* One pipeline being sent. */
struct sending {
	struct postgres_writer *self;
	size_t sent;
};

static struct postgres_writer *self_of(struct journal_writer *writer)
{
	return (struct postgres_writer *)writer;
}

static void array_deinit(struct postgres_array *array)
{
	buffer_deinit(&array->data);
	*array = (struct postgres_array){ 0 };
}

static void known_clear(struct known *known)
{
	journal_entries_free(&known->entries);
	array_deinit(&known->first);
	array_deinit(&known->second);
}

static void clear(struct postgres_writer *self)
{
	journal_pending_clear(&self->pending);
	known_clear(&self->keys);
	known_clear(&self->entities);
}

/* --- the group --- */

/* The session and with it the lock are there, and the server knows that we are. */
static int touch(struct postgres_writer *self, struct error *err)
{
	if (!postgres_is_alive(&self->session))
		return error_set(err, ERROR_UNAVAILABLE, "PostgreSQL: the connection is lost");
	uint64_t now_ms = clock_monotonic_ms();
	if (now_ms - self->spoke_at_ms < POSTGRES_LOCK_TOUCH_MS)
		return 0;
	self->spoke_at_ms = now_ms;
	return postgres_execute(&self->session, "SELECT 1", err);
}

static int postgres_begin(struct journal_writer *writer, struct error *err)
{
	struct postgres_writer *self = self_of(writer);
	clear(self);
	if (touch(self, err) == 0)
		return 0;
	self->session.is_lost = true;
	return -1;
}

static int postgres_savepoint(struct journal_writer *writer, size_t events, struct error *err)
{
	(void)events;
	(void)err;
	journal_pending_mark(&self_of(writer)->pending);
	return 0;
}

static int postgres_release(struct journal_writer *writer, struct error *err)
{
	(void)writer, (void)err;
	return 0;
}

static void postgres_undo(struct journal_writer *writer)
{
	journal_pending_undo(&self_of(writer)->pending);
}

static void postgres_rollback(struct journal_writer *writer)
{
	clear(self_of(writer));
}

static int send(struct sending *sending, enum statement which, const struct postgres_params *params, struct error *err)
{
	sending->sent++;
	return postgres_pipeline_send(&sending->self->session, which, params, err);
}

static int send_arrays(struct sending *sending, enum statement which, struct postgres_array *arrays, const enum postgres_type *array_type,
                       size_t count, struct error *err)
{
	struct postgres_params params = { 0 };
	int result = 0;
	for (size_t i = 0; i < count && result == 0; i++)
		result = postgres_add_array(&params, &arrays[i], array_type[i], err);
	if (result == 0)
		result = send(sending, which, &params, err);
	for (size_t i = 0; i < count; i++)
		array_deinit(&arrays[i]);
	return result;
}

static void add_value(struct postgres_array *array, const struct journal_column *column, const struct journal_record *record, struct buffer *list)
{
	struct journal_value value;
	journal_column_get(column, record, list, &value);
	if (value.is_null)
		postgres_array_add_null(array);
	else if (array_types[column->type].type == POSTGRES_BIGINT)
		postgres_array_add_number(array, value.number);
	else
		postgres_array_add_bytes(array, value.text);
}

static int send_records(struct sending *sending, struct error *err)
{
	struct postgres_writer *self = sending->self;
	struct postgres_array arrays[APPEND_ARRAYS] = { 0 };
	enum postgres_type element_types[APPEND_ARRAYS] = { POSTGRES_BIGINT, POSTGRES_BIGINT, POSTGRES_BIGINT };
	struct buffer list = { 0 };
	uint64_t total = self->total;
	if (!self->pending.count)
		return 0;
	for (size_t i = 0; i < self->pending.count; i++) {
		const struct journal_record *record = self->pending.records[i];
		size_t size = journal_record_size(record);
		total += size;
		postgres_array_add_number(&arrays[0], (int64_t)(self->base + record->message.seq));
		postgres_array_add_number(&arrays[1], (int64_t)total);
		postgres_array_add_number(&arrays[2], (int64_t)size);
		for (size_t column = 0; column < JOURNAL_COLUMN_COUNT; column++)
			add_value(&arrays[3 + column], &journal_columns[column], record, &list);
	}
	for (size_t column = 0; column < JOURNAL_COLUMN_COUNT; column++)
		element_types[3 + column] = array_types[journal_columns[column].type].type;
	int result = send_arrays(sending, APPEND, arrays, element_types, APPEND_ARRAYS, err);
	if (list.has_failed)
		result = error_set(err, ERROR_UNAVAILABLE, "no memory");
	buffer_deinit(&list);
	return result;
}

static int send_entities(struct sending *sending, struct error *err)
{
	static const enum postgres_type element_types[] = { POSTGRES_TEXT, POSTGRES_TEXT, POSTGRES_BIGINT, POSTGRES_BYTEA };
	struct postgres_array arrays[4] = { 0 };
	const struct journal_entry *entry;
	if (!sending->self->pending.entities)
		return 0;
	for (entry = sending->self->pending.entities; entry; entry = entry->hh.next) {
		postgres_array_add_bytes(&arrays[0], entry->first);
		postgres_array_add_bytes(&arrays[1], entry->second);
		postgres_array_add_number(&arrays[2], entry->entity.version);
		postgres_array_add_bytes(&arrays[3], entry->entity.data);
	}
	return send_arrays(sending, KEEP_ENTITIES, arrays, element_types, 4, err);
}

static int send_keys(struct sending *sending, struct error *err)
{
	static const enum postgres_type element_types[] = { POSTGRES_TEXT, POSTGRES_BYTEA, POSTGRES_BYTEA, POSTGRES_BIGINT, POSTGRES_BYTEA };
	struct postgres_array arrays[5] = { 0 };
	const struct journal_entry *entry;
	if (!sending->self->pending.keys)
		return 0;
	for (entry = sending->self->pending.keys; entry; entry = entry->hh.next) {
		postgres_array_add_bytes(&arrays[0], entry->first);
		postgres_array_add_bytes(&arrays[1], entry->second);
		postgres_array_add_bytes(&arrays[2], (struct bytes){ (const char *)entry->key.body_hash, BODY_HASH_LEN });
		postgres_array_add_number(&arrays[3], (int64_t)entry->key.time_ms);
		postgres_array_add_bytes(&arrays[4], entry->key.answer);
	}
	return send_arrays(sending, KEEP_KEYS, arrays, element_types, 5, err);
}

static int on_grant(void *data, struct bytes user, struct bytes room, bool is_granted, struct error *err)
{
	struct postgres_params params = { 0 };
	postgres_add_bytes(&params, user);
	postgres_add_bytes(&params, room);
	return send(data, is_granted ? GRANT : UNGRANT, &params, err);
}

static int on_block(void *data, struct bytes user, uint64_t until_ms, struct error *err)
{
	struct postgres_params params = { 0 };
	postgres_add_bytes(&params, user);
	if (until_ms)
		postgres_add_number(&params, (int64_t)until_ms);
	return send(data, until_ms ? BLOCK : UNBLOCK, &params, err);
}

static int send_standing(struct sending *sending, struct error *err)
{
	const struct standing_change change = { on_grant, on_block, sending };
	for (size_t i = 0; i < sending->self->pending.count; i++)
		if (journal_record_standing(sending->self->pending.records[i], &change, err))
			return -1;
	return 0;
}

static int send_group(struct sending *sending, struct error *err)
{
	return send(sending, BEGIN, NULL, err) || send_records(sending, err) || send_entities(sending, err) || send_keys(sending, err)
	    || send_standing(sending, err) ? -1 : 0;
}

/* COMMIT that is refused because the server ends may be done all the same; so may one that was not answered. */
static enum journal_outcome judge(struct postgres_writer *self, size_t sent, const struct postgres_outcome *outcome)
{
	struct error err;
	bool is_certain = outcome->is_refused && (outcome->done + 1 < sent || !self->session.is_lost);
	if (is_certain && !self->session.is_lost && postgres_execute(&self->session, "ROLLBACK", &err))
		self->session.is_lost = true;
	return is_certain ? JOURNAL_NOT_STORED : JOURNAL_UNKNOWN;
}

static enum journal_outcome commit(struct postgres_writer *self, struct error *err)
{
	struct sending sending = { .self = self };
	struct postgres_outcome outcome = { 0 };
	if (!self->pending.count && !self->pending.keys)
		return JOURNAL_STORED;
	postgres_pipeline_begin(&self->session);
	if (send_group(&sending, err)) {
		self->session.is_lost = true; /* whatever of it went out has no COMMIT behind it */
		return JOURNAL_NOT_STORED;
	}
	if (send(&sending, COMMIT, NULL, err) || postgres_pipeline_finish(&self->session, sending.sent, NULL, NULL, &outcome, err))
		return judge(self, sending.sent, &outcome);
	for (size_t i = 0; i < self->pending.count; i++)
		self->total += journal_record_size(self->pending.records[i]);
	self->writer.last.seq += self->pending.count;
	self->spoke_at_ms = clock_monotonic_ms();
	return JOURNAL_STORED;
}

static enum journal_outcome postgres_commit(struct journal_writer *writer, struct error *err)
{
	struct postgres_writer *self = self_of(writer);
	struct error own = { 0 };
	enum journal_outcome outcome = commit(self, &own);
	if (outcome != JOURNAL_STORED && err)
		*err = own;
	if (outcome == JOURNAL_UNKNOWN)
		self->session.is_lost = true;
	clear(self);
	return outcome;
}

/* --- what is known --- */

/* Notes that the name is to be asked for, unless it is known or will be. */
static void expect(struct known *known, struct journal_entry *absent)
{
	if (!absent)
		return; /* it is asked for alone, later */
	if (journal_entry_find(known->entries, absent->first, absent->second)) {
		free(absent);
		return;
	}
	postgres_array_add_bytes(&known->first, absent->first);
	postgres_array_add_bytes(&known->second, absent->second);
	journal_entry_add(&known->entries, absent);
}

static struct journal_entry *absent_key(struct bytes api_key, struct bytes key)
{
	return journal_entry_of_key(&(struct journal_key){ .api_key = api_key, .key = key, .time_ms = KEY_ABSENT });
}

static struct journal_entry *absent_entity(struct bytes type, struct bytes id)
{
	return journal_entry_of_entity(type, id, &(struct journal_entity){ .version = VERSION_ABSENT });
}

static void postgres_expect_key(struct journal_writer *writer, struct bytes api_key, struct bytes key)
{
	expect(&self_of(writer)->keys, absent_key(api_key, key));
}

static void postgres_expect_entity(struct journal_writer *writer, struct bytes type, struct bytes id)
{
	expect(&self_of(writer)->entities, absent_entity(type, id));
}

static struct journal_entry *read_key(const PGresult *rows, int row)
{
	struct journal_key key = {
		.api_key = postgres_bytes(rows, row, 0), .key = postgres_bytes(rows, row, 1), .time_ms = (uint64_t)postgres_number(rows, row, 3),
		.answer = postgres_bytes(rows, row, 4),
	};
	struct bytes hash = postgres_bytes(rows, row, 2);
	memcpy(key.body_hash, hash.data, hash.len < BODY_HASH_LEN ? hash.len : BODY_HASH_LEN);
	return journal_entry_of_key(&key);
}

static struct journal_entry *read_entity(const PGresult *rows, int row)
{
	struct journal_entity entity = { postgres_number(rows, row, 2), postgres_bytes(rows, row, 3) };
	return journal_entry_of_entity(postgres_bytes(rows, row, 0), postgres_bytes(rows, row, 1), &entity);
}

struct fetch {
	struct known *targets[2];
	struct journal_entry *(*readers[2])(const PGresult *rows, int row);
	bool has_failed;
};

static void take_found(void *data, size_t which, const PGresult *rows)
{
	struct fetch *fetch = data;
	for (int row = 0; row < PQntuples(rows); row++) {
		struct journal_entry *entry = fetch->readers[which](rows, row);
		if (entry)
			journal_entry_add(&fetch->targets[which]->entries, entry); /* in front of the one that says that it is absent */
		else
			fetch->has_failed = true;
	}
}

/* All that is still to be asked for, in one round trip. */
static int fetch_expected(struct postgres_writer *self, struct error *err)
{
	static const enum postgres_type element_types[2][2] = { { POSTGRES_TEXT, POSTGRES_BYTEA }, { POSTGRES_TEXT, POSTGRES_TEXT } };
	static const enum statement statements[2] = { FIND_KEYS, FIND_ENTITIES };
	struct known *both[2] = { &self->keys, &self->entities };
	struct fetch fetch = { 0 };
	struct sending sending = { .self = self };
	struct postgres_outcome outcome;
	if (!self->keys.first.count && !self->entities.first.count)
		return 0;
	postgres_pipeline_begin(&self->session);
	int result = 0;
	for (size_t i = 0; i < 2 && result == 0; i++) {
		struct postgres_array arrays[2] = { both[i]->first, both[i]->second };
		if (!arrays[0].count)
			continue;
		both[i]->first = both[i]->second = (struct postgres_array){ 0 };
		fetch.targets[sending.sent] = both[i];
		fetch.readers[sending.sent] = i ? read_entity : read_key;
		result = send_arrays(&sending, statements[i], arrays, element_types[i], 2, err);
	}
	if (result)
		self->session.is_lost = true; /* in the middle of a pipeline */
	else
		result = postgres_pipeline_finish(&self->session, sending.sent, take_found, &fetch, &outcome, err);
	return fetch.has_failed ? error_set(err, ERROR_UNAVAILABLE, "no memory") : result;
}

static int postgres_find_key(struct journal_writer *writer, struct bytes api_key, struct bytes key, struct journal_key *out, struct error *err)
{
	struct postgres_writer *self = self_of(writer);
	struct error own = { 0 };
	const struct journal_entry *entry = journal_entry_find(self->pending.keys, api_key, key);
	if (!entry) {
		expect(&self->keys, absent_key(api_key, key));
		if (fetch_expected(self, &own)) {
			*err = own;
			return -1;
		}
		entry = journal_entry_find(self->keys.entries, api_key, key);
	}
	if (!entry)
		return error_set(err, ERROR_UNAVAILABLE, "no memory");
	*out = entry->key;
	return entry->key.time_ms != KEY_ABSENT;
}

static int postgres_find_entity(struct journal_writer *writer, struct bytes type, struct bytes id, struct journal_entity *out, struct error *err)
{
	struct postgres_writer *self = self_of(writer);
	struct error own = { 0 };
	const struct journal_entry *entry = journal_entry_find(self->pending.entities, type, id);
	if (!entry) {
		expect(&self->entities, absent_entity(type, id));
		if (fetch_expected(self, &own)) {
			*err = own;
			return -1;
		}
		entry = journal_entry_find(self->entities.entries, type, id);
	}
	if (!entry)
		return error_set(err, ERROR_UNAVAILABLE, "no memory");
	*out = entry->entity;
	return entry->entity.version != VERSION_ABSENT;
}

/* --- a request --- */

static int postgres_keep_key(struct journal_writer *writer, const struct journal_key *key, struct error *err)
{
	return journal_pending_add_key(&self_of(writer)->pending, key, err);
}

static int postgres_append(struct journal_writer *writer, const struct journal_record *record, struct error *err)
{
	struct postgres_writer *self = self_of(writer);
	struct place last = { writer->last.epoch, writer->last.seq + self->pending.count };
	return journal_record_check(record, last, err) ? -1 : journal_pending_append(&self->pending, record, err);
}

static bool postgres_is_lost(struct journal_writer *writer)
{
	return self_of(writer)->session.is_lost;
}

static void postgres_writer_close(struct journal_writer *writer)
{
	struct postgres_writer *self = self_of(writer);
	atomic_store(&self->journal->has_writer, false);
	clear(self);
	journal_pending_deinit(&self->pending);
	postgres_journal_leave(&self->session);
	free(self);
}

static const struct journal_writer_operations writer_operations = {
	.begin = postgres_begin,
	.savepoint = postgres_savepoint,
	.release = postgres_release,
	.undo = postgres_undo,
	.commit = postgres_commit,
	.rollback = postgres_rollback,
	.expect_key = postgres_expect_key,
	.expect_entity = postgres_expect_entity,
	.find_key = postgres_find_key,
	.find_entity = postgres_find_entity,
	.keep_key = postgres_keep_key,
	.append = postgres_append,
	.is_lost = postgres_is_lost,
	.close = postgres_writer_close,
};

/* The statement APPEND has as many arrays as there are columns. */
static int prepare(struct postgres *session, struct error *err)
{
	const char *all[STATEMENT_COUNT];
	struct buffer append = { 0 };
	memcpy(all, texts, sizeof(all));
	buffer_add_text(&append, texts[APPEND]);
	for (unsigned i = 0; i < JOURNAL_COLUMN_COUNT; i++)
		buffer_add_format(&append, ", $%u::%s[]", i + 4, array_types[journal_columns[i].type].name);
	buffer_add_char(&append, ')');
	all[APPEND] = append.data;
	int result = append.has_failed ? error_set(err, ERROR_UNAVAILABLE, "no memory") : postgres_journal_prepare(session, all, STATEMENT_COUNT, err);
	buffer_deinit(&append);
	return result;
}

int postgres_writer_new(struct postgres_journal *journal, struct postgres *session, struct place last, uint64_t base, uint64_t total,
                        struct journal_writer **out, struct error *err)
{
	struct postgres_writer *self = calloc(1, sizeof(*self));
	if (!self || prepare(session, err)) {
		postgres_journal_leave(session);
		free(self);
		return self ? -1 : error_set(err, ERROR_UNAVAILABLE, "no memory");
	}
	*self = (struct postgres_writer){
		.writer = { &writer_operations, last }, .journal = journal, .session = *session, .base = base, .total = total,
	};
	*out = &self->writer;
	return 0;
}
