/* postgres.c - libpq without endless waits. */
#include "postgres.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <roomcast/clock.h>

enum { ARRAY_HEADER = 20, GRACE_MS = 1000 };

/* --- parameters --- */

static void put_integer(char *out, uint64_t value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (char)(value >> (8 * (len - 1 - i)));
}

static void add_param(struct postgres_params *params, const char *data, size_t len)
{
	params->values[params->count] = data;
	params->lengths[params->count] = (int)len;
	params->formats[params->count] = 1;
	params->count++;
}

void postgres_add_number(struct postgres_params *params, int64_t number)
{
	char *place = params->numbers[params->count];
	put_integer(place, (uint64_t)number, 8);
	add_param(params, place, 8);
}

void postgres_add_bytes(struct postgres_params *params, struct bytes bytes)
{
	add_param(params, bytes.len ? bytes.data : "", bytes.len);
}

/* The header's place is taken at once and filled when the array is added. */
static void array_add(struct postgres_array *array, const char *data, uint32_t len)
{
	static const char header[ARRAY_HEADER];
	char prefix[4];
	if (!array->count)
		buffer_add(&array->data, header, sizeof(header));
	put_integer(prefix, len, 4);
	buffer_add(&array->data, prefix, 4);
	if (data)
		buffer_add(&array->data, data, len);
	array->count++;
}

void postgres_array_add_number(struct postgres_array *array, int64_t number)
{
	char place[8];
	put_integer(place, (uint64_t)number, 8);
	array_add(array, place, 8);
}

void postgres_array_add_bytes(struct postgres_array *array, struct bytes bytes)
{
	array_add(array, bytes.len ? bytes.data : "", (uint32_t)bytes.len);
}

void postgres_array_add_null(struct postgres_array *array)
{
	array->has_null = true;
	array_add(array, NULL, UINT32_MAX);
}

int postgres_add_array(struct postgres_params *params, struct postgres_array *array, enum postgres_type type, struct error *err)
{
	char *header = array->data.data;
	if (array->data.has_failed || array->data.len > INT32_MAX)
		return error_set(err, ERROR_UNAVAILABLE, "no memory");
	put_integer(header, 1, 4); /* dimensions */
	put_integer(header + 4, array->has_null, 4);
	put_integer(header + 8, type, 4);
	put_integer(header + 12, array->count, 4);
	put_integer(header + 16, 1, 4); /* first index */
	add_param(params, array->data.data, array->data.len);
	return 0;
}

int64_t postgres_number(const PGresult *result, int row, int column)
{
	const unsigned char *data = (const unsigned char *)PQgetvalue(result, row, column);
	int len = PQgetlength(result, row, column);
	uint64_t value = 0;
	for (int i = 0; i < len && i < 8; i++)
		value = value << 8 | data[i];
	return (int64_t)value;
}

struct bytes postgres_bytes(const PGresult *result, int row, int column)
{
	return (struct bytes){ PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column) };
}

/* --- errors --- */

static int first_line(const char *text)
{
	return (int)strcspn(text, "\n");
}

static int fail_connection(struct postgres *postgres, struct error *err)
{
	const char *text = postgres->conn ? PQerrorMessage(postgres->conn) : "no memory";
	postgres->is_lost = true;
	return error_set(err, ERROR_UNAVAILABLE, "PostgreSQL: %.*s", first_line(text), text);
}

static int fail_time(struct postgres *postgres, struct error *err)
{
	postgres->is_lost = true;
	return error_set(err, ERROR_UNAVAILABLE, "PostgreSQL: no answer within %llu ms", (unsigned long long)postgres->limit_ms);
}

/* Classes and conditions (PostgreSQL, Appendix A) after which this session is of no more use: connection lost, read-only server, tables gone,
 * another writer's rows, the server is ending. */
static bool is_final(const char *state)
{
	static const char *const starts[] = { "08", "25006", "3F000", "42P01", "42703", "23505", "57P", "XX" };
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (strncmp(state, starts[i], strlen(starts[i])) == 0)
			return true;
	return false;
}

static int fail_result(struct postgres *postgres, const PGresult *result, struct error *err)
{
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	const char *text = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	if (!state || !text) {
		if (PQstatus(postgres->conn) == CONNECTION_BAD || !result)
			return fail_connection(postgres, err);
		return error_set(err, ERROR_UNAVAILABLE, "PostgreSQL: %s", PQresStatus(PQresultStatus(result)));
	}
	if (is_final(state) || PQstatus(postgres->conn) == CONNECTION_BAD)
		postgres->is_lost = true;
	return error_set(err, ERROR_UNAVAILABLE, "PostgreSQL: %.*s (%s)", first_line(text), text, state);
}

/* --- waiting --- */

/* What the socket is ready for, 0 when the time is up. */
static short wait_for(struct postgres *postgres, short events, uint64_t deadline_ms)
{
	struct pollfd item = { .fd = PQsocket(postgres->conn), .events = events };
	for (;;) {
		uint64_t now_ms = clock_monotonic_ms();
		if (now_ms >= deadline_ms)
			return 0;
		int result = poll(&item, 1, (int)(deadline_ms - now_ms));
		if (result > 0)
			return item.revents;
		if (result < 0 && errno != EINTR)
			return POLLERR;
	}
}

static uint64_t deadline_of(const struct postgres *postgres)
{
	return clock_monotonic_ms() + postgres->limit_ms;
}

/* Sends all; reads meanwhile, because a server that cannot answer does not read. */
static int flush(struct postgres *postgres, uint64_t deadline_ms, struct error *err)
{
	int left;
	while ((left = PQflush(postgres->conn)) > 0) {
		short ready = wait_for(postgres, POLLIN | POLLOUT, deadline_ms);
		if (!ready)
			return fail_time(postgres, err);
		if ((ready & ~POLLOUT) && !PQconsumeInput(postgres->conn))
			return fail_connection(postgres, err);
	}
	return left < 0 ? fail_connection(postgres, err) : 0;
}

/* 1: *result; 0: the end of a statement's results; -1. */
static int next_result(struct postgres *postgres, uint64_t deadline_ms, PGresult **result, struct error *err)
{
	while (PQisBusy(postgres->conn)) {
		if (!wait_for(postgres, POLLIN, deadline_ms))
			return fail_time(postgres, err);
		if (!PQconsumeInput(postgres->conn))
			return fail_connection(postgres, err);
	}
	*result = PQgetResult(postgres->conn);
	return *result != NULL;
}

static bool is_good(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_SINGLE_TUPLE;
}

/* Reads to the end of what was sent; the last good result is *out when out is given. */
static int collect(struct postgres *postgres, PGresult **out, struct error *err)
{
	uint64_t deadline_ms = deadline_of(postgres);
	PGresult *result, *kept = NULL;
	int more = flush(postgres, deadline_ms, err), status = 0;
	while (more >= 0 && (more = next_result(postgres, deadline_ms, &result, err)) > 0) {
		if (!is_good(result) && status == 0)
			status = fail_result(postgres, result, err);
		PQclear(kept);
		kept = result;
	}
	if (more < 0)
		status = -1;
	if (status == 0 && out && kept) {
		*out = kept;
		return 0;
	}
	PQclear(kept);
	return status == 0 && out ? error_set(err, ERROR_SYSTEM, "PostgreSQL: no answer to a query") : status;
}

/* --- opening --- */

static void ignore_notice(void *data, const char *message)
{
	(void)data, (void)message;
}

/* What the connection string leaves open: a server that is gone is noticed within seconds, on both sides. */
static PGconn *start(const char *connection)
{
	static const char *const keys[] = {
		"keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "fallback_application_name", "dbname", "client_encoding", NULL,
	};
	const char *const values[] = { "5", "2", "3", "10000", "roomcast", connection, "UTF8", NULL };
	return PQconnectStartParams(keys, values, 1);
}

static int connect_within(struct postgres *postgres, struct error *err)
{
	uint64_t deadline_ms = deadline_of(postgres);
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;
	if (!postgres->conn || PQstatus(postgres->conn) == CONNECTION_BAD)
		return fail_connection(postgres, err);
	while (state != PGRES_POLLING_OK) {
		if (!wait_for(postgres, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_ms))
			return fail_time(postgres, err);
		state = PQconnectPoll(postgres->conn);
		if (state == PGRES_POLLING_FAILED)
			return fail_connection(postgres, err);
	}
	PQsetNoticeProcessor(postgres->conn, ignore_notice, NULL);
	return PQsetnonblocking(postgres->conn, 1) ? fail_connection(postgres, err) : 0;
}

/* The server gives up by itself before we do, and notices when we are gone. */
static int set_up(struct postgres *postgres, const char *settings, struct error *err)
{
	char sql[256];
	uint64_t statement_ms = postgres->limit_ms > 2 * GRACE_MS ? postgres->limit_ms - GRACE_MS : postgres->limit_ms / 2;
	snprintf(sql, sizeof(sql), "SET statement_timeout = %llu; SET client_min_messages = error; SET tcp_keepalives_idle = 5;"
	         " SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 10000", (unsigned long long)statement_ms);
	return postgres_execute(postgres, sql, err) || postgres_execute(postgres, settings, err) ? -1 : 0;
}

int postgres_open(struct postgres *postgres, const char *connection, uint64_t limit_ms, const char *settings, struct error *err)
{
	*postgres = (struct postgres){ .conn = start(connection), .limit_ms = limit_ms };
	if (connect_within(postgres, err) == 0 && set_up(postgres, settings, err) == 0)
		return 0;
	postgres_close(postgres);
	return -1;
}

void postgres_close(struct postgres *postgres)
{
	PQfinish(postgres->conn);
	*postgres = (struct postgres){ 0 };
}

bool postgres_is_alive(struct postgres *postgres)
{
	if (!postgres->conn || postgres->is_lost)
		return false;
	/* Once for the server's last words, once for the end behind them. */
	struct pollfd item = { .fd = PQsocket(postgres->conn), .events = POLLIN };
	for (int i = 0; i < 3 && poll(&item, 1, 0) > 0; i++)
		if (!PQconsumeInput(postgres->conn) || PQstatus(postgres->conn) != CONNECTION_OK)
			return false;
	return true;
}

void postgres_wait(struct postgres *postgres, int wake_fd, uint64_t timeout_ms)
{
	PGnotify *notification;
	struct pollfd items[] = {
		{ .fd = wake_fd, .events = POLLIN }, { .fd = postgres->conn ? PQsocket(postgres->conn) : -1, .events = POLLIN },
	};
	poll(items, 2, (int)timeout_ms);
	if (!postgres->conn || postgres->is_lost)
		return;
	if (!PQconsumeInput(postgres->conn))
		postgres->is_lost = true;
	while ((notification = PQnotifies(postgres->conn)))
		PQfreemem(notification);
}

/* --- statements --- */

int postgres_execute(struct postgres *postgres, const char *sql, struct error *err)
{
	return PQsendQuery(postgres->conn, sql) ? collect(postgres, NULL, err) : fail_connection(postgres, err);
}

static const struct postgres_params no_params;

static const char *name_of(unsigned statement, char name[static 16])
{
	snprintf(name, 16, "%u", statement);
	return name;
}

int postgres_prepare(struct postgres *postgres, const char *const texts[], size_t count, struct error *err)
{
	char name[16];
	struct postgres_outcome outcome;
	int result = 0;
	postgres_pipeline_begin(postgres);
	for (size_t i = 0; i < count && result == 0; i++)
		if (!PQsendPrepare(postgres->conn, name_of((unsigned)i, name), texts[i], 0, NULL))
			result = fail_connection(postgres, err);
	return result || postgres_pipeline_finish(postgres, count, NULL, NULL, &outcome, err) ? -1 : 0;
}

static int send(struct postgres *postgres, unsigned statement, const struct postgres_params *params, struct error *err)
{
	char name[16];
	const struct postgres_params *given = params ? params : &no_params;
	return PQsendQueryPrepared(postgres->conn, name_of(statement, name), given->count, given->values, given->lengths, given->formats, 1)
	    ? 0 : fail_connection(postgres, err);
}

PGresult *postgres_ask(struct postgres *postgres, const char *sql, const struct postgres_params *params, struct error *err)
{
	PGresult *result = NULL;
	const struct postgres_params *given = params ? params : &no_params;
	if (!PQsendQueryParams(postgres->conn, sql, given->count, NULL, given->values, given->lengths, given->formats, 1))
		fail_connection(postgres, err);
	else if (collect(postgres, &result, err) == 0)
		return result;
	return NULL;
}

PGresult *postgres_query(struct postgres *postgres, unsigned statement, const struct postgres_params *params, struct error *err)
{
	PGresult *result = NULL;
	if (send(postgres, statement, params, err) || collect(postgres, &result, err))
		return NULL;
	return result;
}

long postgres_each(struct postgres *postgres, unsigned statement, const struct postgres_params *params,
                   int (*visit)(void *data, const PGresult *row, struct error *err), void *data, struct error *err)
{
	PGresult *result;
	long count = 0;
	int status = send(postgres, statement, params, err), more = -1;
	if (status == 0 && !PQsetSingleRowMode(postgres->conn))
		status = fail_connection(postgres, err);
	if (status || flush(postgres, deadline_of(postgres), err))
		return -1;
	/* Each row has the whole time. */
	while ((more = next_result(postgres, deadline_of(postgres), &result, err)) > 0) {
		if (!is_good(result) && status == 0) {
			status = fail_result(postgres, result, err);
		} else if (status == 0 && PQntuples(result)) {
			status = visit(data, result, err);
			count += status == 0;
		}
		PQclear(result);
	}
	return more < 0 || status ? -1 : count;
}

/* --- pipelines --- */

void postgres_pipeline_begin(struct postgres *postgres)
{
	if (!PQenterPipelineMode(postgres->conn))
		postgres->is_lost = true;
}

int postgres_pipeline_send(struct postgres *postgres, unsigned statement, const struct postgres_params *params, struct error *err)
{
	return send(postgres, statement, params, err);
}

/* The results of one statement. 1: done; 0: the server refused it, or one before it; -1: the connection broke. */
static int take_statement(struct postgres *postgres, uint64_t deadline_ms, size_t which, void (*take)(void *, size_t, const PGresult *), void *data,
                          struct error *err)
{
	PGresult *result = NULL;
	int more, status = -1;
	while ((more = next_result(postgres, deadline_ms, &result, err)) > 0) {
		bool is_answer = is_good(result) || PQresultStatus(result) == PGRES_PIPELINE_ABORTED || PQresultErrorField(result, PG_DIAG_SQLSTATE);
		if (is_answer)
			status = is_good(result);
		if (status > 0 && take)
			take(data, which, result);
		if (!is_good(result) && PQresultStatus(result) != PGRES_PIPELINE_ABORTED)
			fail_result(postgres, result, err);
		PQclear(result);
		if (PQstatus(postgres->conn) == CONNECTION_BAD)
			return status;
	}
	return more < 0 ? -1 : status;
}

/* What stands behind the last statement. */
static int take_sync(struct postgres *postgres, uint64_t deadline_ms, struct error *err)
{
	PGresult *result = NULL;
	if (next_result(postgres, deadline_ms, &result, err) <= 0)
		return -1;
	bool is_sync = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
	PQclear(result);
	return is_sync && PQexitPipelineMode(postgres->conn) ? 0 : -1;
}

int postgres_pipeline_finish(struct postgres *postgres, size_t sent, void (*take)(void *, size_t, const PGresult *), void *data,
                             struct postgres_outcome *out, struct error *err)
{
	uint64_t deadline_ms = deadline_of(postgres);
	struct error ignored;
	*out = (struct postgres_outcome){ 0 };
	if (!PQpipelineSync(postgres->conn))
		return fail_connection(postgres, err);
	if (flush(postgres, deadline_ms, err))
		return -1;
	int status = 1;
	for (size_t i = 0; i < sent && status >= 0 && !(out->is_refused && postgres->is_lost); i++) {
		status = take_statement(postgres, deadline_ms, i, take, data, out->is_refused ? &ignored : err);
		out->is_refused = out->is_refused || status == 0;
		out->done += status > 0 && !out->is_refused;
	}
	if (status < 0 || take_sync(postgres, deadline_ms, &ignored))
		postgres->is_lost = true;
	if (out->done == sent)
		return 0;
	return status < 0 && !err->text[0] ? fail_connection(postgres, err) : -1;
}
