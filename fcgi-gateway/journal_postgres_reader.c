/* journal_postgres_reader.c - reading, each question one statement and so one state of the journal. */
#include "journal_postgres_parts.h"

#include <stdlib.h>

#include <roomcast/clock.h>

enum { READER_LIMIT_MS = 3000, SLOW_MS = 100, RETRY_MS = 1000 }; /* a server that is slow to fail is not asked at every call */

enum statement { EXTENT, EPOCHS, READ, WINDOW, ROW, GRANTS, BLOCKS, QUERY, QUERY_TYPE, QUERY_ENTITY, ENTITY, STATEMENT_COUNT };

/* The newest id that is not after the place ($epoch, $seq): as journal_id_of. */
#define ID_OF(epoch, seq) \
	"coalesce((SELECT least(own.base + " seq "::bigint, (SELECT base FROM epochs WHERE epoch > " epoch "::bigint ORDER BY epoch LIMIT 1))" \
	" FROM epochs own WHERE own.epoch = " epoch "::bigint)," \
	" (SELECT base FROM epochs WHERE epoch > " epoch "::bigint ORDER BY epoch LIMIT 1), 9223372036854775807)"

#define FIRST_ROW "(SELECT id, epoch, seq, total, size, time_ms FROM events ORDER BY id LIMIT 1)"
#define LAST_ROW "(SELECT id, epoch, seq, total, size, time_ms FROM events ORDER BY id DESC LIMIT 1)"

/* Rows count without a hole, so that a number of them is a range of ids. */
static const char *const texts[STATEMENT_COUNT] = {
	[EXTENT] = FIRST_ROW " UNION ALL " LAST_ROW,
	[EPOCHS] = "SELECT epoch, base, (SELECT id FROM events ORDER BY id DESC LIMIT 1) FROM epochs ORDER BY epoch DESC LIMIT $1::bigint",
	[READ] = "WITH place AS MATERIALIZED (SELECT " ID_OF("$1", "$2") " AS after, " ID_OF("$3", "$4") " AS last),"
	         " first AS MATERIALIZED (SELECT id, total - size AS before FROM events WHERE id > (SELECT after FROM place)"
	         " AND id <= (SELECT last FROM place) ORDER BY id LIMIT 1)"
	         " SELECT id, size, #columns FROM events WHERE id >= (SELECT id FROM first) AND id <= (SELECT last FROM place)"
	         " AND id - (SELECT id FROM first) < $5::bigint"
	         " AND (id = (SELECT id FROM first) OR total - (SELECT before FROM first) <= $6::bigint) ORDER BY id LIMIT $5::bigint",
	[WINDOW] = FIRST_ROW " UNION ALL " LAST_ROW " UNION ALL (SELECT base, epoch, 0, 0, 0, 0 FROM epochs ORDER BY epoch DESC LIMIT 1)",
	[ROW] = "SELECT id, epoch, seq, total, size, time_ms FROM events WHERE id = $1::bigint",
	[GRANTS] = "SELECT user_id, room FROM grants ORDER BY user_id, room",
	[BLOCKS] = "SELECT user_id, until_ms FROM blocks WHERE until_ms > $1::bigint",
	[QUERY] = "SELECT id, size, #columns FROM events WHERE id > " ID_OF("$1", "$2") " ORDER BY id LIMIT $3::bigint",
	[QUERY_TYPE] = "SELECT id, size, #columns FROM events WHERE id > " ID_OF("$1", "$2") " AND entity_type = $4::text ORDER BY id LIMIT $3::bigint",
	[QUERY_ENTITY] = "SELECT id, size, #columns FROM events WHERE id > " ID_OF("$1", "$2") " AND entity_type = $4::text AND entity_id = $5::text"
	                 " ORDER BY id LIMIT $3::bigint",
	[ENTITY] = "SELECT version, data FROM entities WHERE type = $1::text AND id = $2::text",
};

struct postgres_reader {
	struct journal_reader reader;
	struct postgres_journal *journal;
	struct postgres session;
	uint64_t retry_at_ms;    /* monotonic: until then failure stands */
	struct error failure;
	struct buffer found;
};

/* What EXTENT, WINDOW and ROW give. */
struct row {
	uint64_t id;
	struct place place;
	uint64_t total, size, time_ms;
};

static struct postgres_reader *self_of(struct journal_reader *reader)
{
	return (struct postgres_reader *)reader;
}

static int read_mac_key(struct postgres_reader *self, struct error *err)
{
	PGresult *result = postgres_ask(&self->session, "SELECT value FROM meta WHERE name = 'mac_key'", NULL, err);
	if (!result)
		return -1;
	if (PQntuples(result))
		postgres_journal_keep_mac_key(self->journal, postgres_bytes(result, 0, 0));
	PQclear(result);
	return 0;
}

static int connect_session(struct postgres_reader *self, struct error *err)
{
	postgres_close(&self->session);
	if (clock_monotonic_ms() < self->retry_at_ms) {
		if (err)
			*err = self->failure;
		return -1;
	}
	uint64_t started_ms = clock_monotonic_ms();
	self->failure = (struct error){ 0 };
	bool is_connected =
		postgres_journal_connect(self->journal, &self->session, READER_LIMIT_MS, "SET default_transaction_read_only = on", &self->failure) == 0;
	if (is_connected && read_mac_key(self, &self->failure) == 0
	    && postgres_journal_prepare(&self->session, texts, STATEMENT_COUNT, &self->failure) == 0)
		return 0;
	postgres_close(&self->session);
	if (!is_connected && clock_monotonic_ms() > started_ms + SLOW_MS)
		self->retry_at_ms = clock_monotonic_ms() + RETRY_MS;
	if (err)
		*err = self->failure;
	return -1;
}

static int begin(struct postgres_reader *self, struct error *err)
{
	return postgres_is_alive(&self->session) ? 0 : connect_session(self, err);
}

/* After a failure the session is given up; the next call makes a new one. */
static long end(struct postgres_reader *self, long result)
{
	if (result < 0)
		postgres_close(&self->session);
	return result;
}

static PGresult *query(struct postgres_reader *self, enum statement which, const struct postgres_params *params, struct error *err)
{
	struct error own = { 0 };
	PGresult *result = begin(self, &own) ? NULL : postgres_query(&self->session, which, params, &own);
	if (!result) {
		end(self, -1);
		if (err)
			*err = own;
	}
	return result;
}

static struct row read_row(const PGresult *result, int row)
{
	return (struct row){
		.id = (uint64_t)postgres_number(result, row, 0),
		.place = { (uint64_t)postgres_number(result, row, 1), (uint64_t)postgres_number(result, row, 2) },
		.total = (uint64_t)postgres_number(result, row, 3),
		.size = (uint64_t)postgres_number(result, row, 4),
		.time_ms = (uint64_t)postgres_number(result, row, 5),
	};
}

static int postgres_extent(struct journal_reader *reader, struct journal_extent *out, struct error *err)
{
	PGresult *result = query(self_of(reader), EXTENT, NULL, err);
	if (!result)
		return -1;
	*out = (struct journal_extent){ 0 };
	if (PQntuples(result) == 2)
		*out = (struct journal_extent){ read_row(result, 0).place, read_row(result, 1).place };
	PQclear(result);
	return 0;
}

static int64_t clamp(uint64_t number)
{
	return number > INT64_MAX ? INT64_MAX : (int64_t)number;
}

static long postgres_epochs(struct journal_reader *reader, struct place *out, size_t max, struct error *err)
{
	struct postgres_params params = { 0 };
	postgres_add_number(&params, clamp(max));
	PGresult *result = query(self_of(reader), EPOCHS, &params, err);
	if (!result)
		return -1;
	int count = PQntuples(result);
	uint64_t end_id = count ? (uint64_t)postgres_number(result, 0, 2) : 0;
	for (int i = 0; i < count; i++) {
		uint64_t base = (uint64_t)postgres_number(result, i, 1);
		out[count - 1 - i] = (struct place){ (uint64_t)postgres_number(result, i, 0), end_id - base };
		end_id = base;
	}
	PQclear(result);
	return count;
}

/* --- records --- */

struct showing {
	journal_visit *visit;
	void *data;
};

static int show_record(void *data, const PGresult *row, struct error *err)
{
	const struct showing *showing = data;
	struct journal_record record = { 0 };
	int result = 0;
	for (int i = 0; i < JOURNAL_COLUMN_COUNT && result == 0; i++) {
		int at = 2 + i;
		struct journal_value value = { .is_null = PQgetisnull(row, 0, at) };
		if (journal_columns[i].type >= COLUMN_TEXT)
			value.text = postgres_bytes(row, 0, at);
		else
			value.number = postgres_number(row, 0, at);
		result = journal_column_set(&journal_columns[i], &value, &record, err);
	}
	if (result == 0)
		showing->visit(showing->data, &record);
	journal_record_release(&record);
	return result;
}

static long show_records(struct postgres_reader *self, enum statement which, const struct postgres_params *params, journal_visit *visit, void *data,
                         struct error *err)
{
	struct showing showing = { visit, data };
	struct error own = { 0 };
	long count = begin(self, &own) ? -1 : end(self, postgres_each(&self->session, which, params, show_record, &showing, &own));
	if (count < 0 && err)
		*err = own;
	return count;
}

/* Half of what there is, so that base + seq is a number too. */
static void add_place(struct postgres_params *params, struct place place)
{
	postgres_add_number(params, clamp(place.epoch));
	postgres_add_number(params, place.seq > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)place.seq);
}

static long postgres_read(struct journal_reader *reader, struct place after, struct place last, struct journal_bound bound, journal_visit *visit,
                          void *data, struct error *err)
{
	struct postgres_params params = { 0 };
	add_place(&params, after);
	add_place(&params, last);
	postgres_add_number(&params, clamp(bound.events));
	postgres_add_number(&params, clamp(bound.bytes));
	return show_records(self_of(reader), READ, &params, visit, data, err);
}

static long postgres_query_records(struct journal_reader *reader, const struct journal_query *question, journal_visit *visit, void *data, struct error *err)
{
	enum statement which = question->entity_id.len ? QUERY_ENTITY : question->entity_type.len ? QUERY_TYPE : QUERY;
	struct postgres_params params = { 0 };
	add_place(&params, question->after);
	postgres_add_number(&params, clamp(question->limit));
	if (which != QUERY)
		postgres_add_bytes(&params, question->entity_type);
	if (which == QUERY_ENTITY)
		postgres_add_bytes(&params, question->entity_id);
	return show_records(self_of(reader), which, &params, visit, data, err);
}

/* --- window --- */

struct window {
	struct postgres_reader *self;
	struct row last;
	uint64_t since_ms, bytes;
};

/* 1: the row; 0: it is gone by now. */
static int find_row(struct postgres_reader *self, uint64_t id, struct row *out, struct error *err)
{
	struct postgres_params params = { 0 };
	postgres_add_number(&params, (int64_t)id);
	PGresult *result = query(self, ROW, &params, err);
	if (!result)
		return -1;
	int count = PQntuples(result);
	if (count)
		*out = read_row(result, 0);
	PQclear(result);
	return count;
}

static int fits(void *data, uint64_t id, struct error *err)
{
	struct window *window = data;
	struct row row;
	int found = find_row(window->self, id, &row, err);
	return found <= 0 ? found : row.time_ms >= window->since_ms && window->last.total - row.total + row.size <= window->bytes;
}

static int postgres_window(struct journal_reader *reader, uint64_t since_ms, struct journal_bound bound, struct place *after, struct error *err)
{
	struct window window = { .self = self_of(reader), .since_ms = since_ms, .bytes = bound.bytes };
	struct row first = { 0 };
	uint64_t id;
	PGresult *result = query(window.self, WINDOW, NULL, err);
	if (!result)
		return -1;
	int count = PQntuples(result);
	if (count > 1) {
		first = read_row(result, 0);
		window.last = read_row(result, 1);
	} else if (count) { /* no event yet: the newest epoch's beginning */
		window.last = read_row(result, 0);
	}
	PQclear(result);
	*after = window.last.place;
	if (count < 2 || !bound.events)
		return 0;
	uint64_t low = window.last.id - first.id < bound.events ? first.id : window.last.id + 1 - bound.events;
	if (journal_window_find(low, window.last.id, fits, &window, &id, err))
		return -1;
	struct row row = { .place = { 0 } };
	int found = id > window.last.id ? 0 : find_row(window.self, id, &row, err);
	if (found > 0)
		*after = (struct place){ row.place.epoch, row.place.seq - 1 };
	return found < 0 ? -1 : 0;
}

/* --- the rest --- */

static int postgres_standing(struct journal_reader *reader, uint64_t now_ms, journal_visit_grant *grant, journal_visit_block *block, void *data,
                             struct error *err)
{
	struct postgres_params params = { 0 };
	PGresult *grants = query(self_of(reader), GRANTS, NULL, err);
	if (!grants)
		return -1;
	postgres_add_number(&params, clamp(now_ms));
	PGresult *blocks = query(self_of(reader), BLOCKS, &params, err);
	for (int i = 0; blocks && i < PQntuples(grants); i++)
		grant(data, postgres_bytes(grants, i, 0), postgres_bytes(grants, i, 1));
	for (int i = 0; blocks && i < PQntuples(blocks); i++)
		block(data, postgres_bytes(blocks, i, 0), (uint64_t)postgres_number(blocks, i, 1));
	int status = blocks ? 0 : -1;
	PQclear(grants);
	PQclear(blocks);
	return status;
}

static int postgres_entity(struct journal_reader *reader, struct bytes type, struct bytes id, struct journal_entity *out, struct error *err)
{
	struct postgres_reader *self = self_of(reader);
	struct postgres_params params = { 0 };
	postgres_add_bytes(&params, type);
	postgres_add_bytes(&params, id);
	PGresult *result = query(self, ENTITY, &params, err);
	if (!result)
		return -1;
	int count = PQntuples(result);
	if (count) {
		buffer_clear(&self->found);
		buffer_add_bytes(&self->found, postgres_bytes(result, 0, 1));
		*out = (struct journal_entity){ postgres_number(result, 0, 0), buffer_bytes(&self->found) };
	}
	PQclear(result);
	return self->found.has_failed ? error_set(err, ERROR_UNAVAILABLE, "no memory") : count;
}

static void postgres_reader_close(struct journal_reader *reader)
{
	struct postgres_reader *self = self_of(reader);
	postgres_close(&self->session);
	buffer_deinit(&self->found);
	free(self);
}

static const struct journal_reader_operations reader_operations = {
	.extent = postgres_extent,
	.epochs = postgres_epochs,
	.read = postgres_read,
	.window = postgres_window,
	.standing = postgres_standing,
	.query = postgres_query_records,
	.entity = postgres_entity,
	.close = postgres_reader_close,
};

int postgres_open_reader(struct journal *journal, struct journal_reader **out, struct error *err)
{
	struct postgres_reader *self = calloc(1, sizeof(*self));
	if (!self)
		return error_set(err, ERROR_UNAVAILABLE, "no memory");
	self->reader.operations = &reader_operations;
	self->journal = (struct postgres_journal *)journal;
	*out = &self->reader;
	return 0;
}
