/* postgres.h - a connection to PostgreSQL that never waits without a limit. Both ways binary; one thread at a time.
 *
 * libpq's own calls that wait are not used: each step here ends within the connection's time limit, or the connection is lost. */
#ifndef ROOMCAST_GATEWAY_POSTGRES_H
#define ROOMCAST_GATEWAY_POSTGRES_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

struct postgres {
	PGconn *conn;
	uint64_t limit_ms; /* of one answer; the server gives up a little earlier */
	bool is_lost;      /* nothing but a new connection can help */
};

enum { POSTGRES_PARAMS_MAX = 32 };

struct postgres_params {
	const char *values[POSTGRES_PARAMS_MAX]; /* views */
	int lengths[POSTGRES_PARAMS_MAX], formats[POSTGRES_PARAMS_MAX];
	char numbers[POSTGRES_PARAMS_MAX][8];
	int count;
};

void postgres_add_number(struct postgres_params *params, int64_t number); /* bigint */
void postgres_add_bytes(struct postgres_params *params, struct bytes bytes); /* text or bytea; never null */

/* An array as a parameter: bigint[], text[] or bytea[]. Must hold something when it is added. */
enum postgres_type { POSTGRES_BIGINT = 20, POSTGRES_TEXT = 25, POSTGRES_BYTEA = 17 }; /* their oids */
struct postgres_array {
	struct buffer data;
	uint32_t count;
	bool has_null;
};
void postgres_array_add_number(struct postgres_array *array, int64_t number);
void postgres_array_add_bytes(struct postgres_array *array, struct bytes bytes);
void postgres_array_add_null(struct postgres_array *array);
/* -1: no memory at some point. The params view the array. */
int postgres_add_array(struct postgres_params *params, struct postgres_array *array, enum postgres_type type, struct error *err) MUST_CHECK;

/* connection: a libpq connection string; limit_ms also for connecting. settings: SQL that the session begins with. -1: nothing is left to close. */
int postgres_open(struct postgres *postgres, const char *connection, uint64_t limit_ms, const char *settings, struct error *err) MUST_CHECK;
void postgres_close(struct postgres *postgres);
/* Whether the server still speaks, as far as that is known without asking it. */
bool postgres_is_alive(struct postgres *postgres);

/* Until the server says something (a notification, after LISTEN), wake_fd can be read, or the time is up. Without a session only the last two. What
 * the server said is taken. */
void postgres_wait(struct postgres *postgres, int wake_fd, uint64_t timeout_ms);

/* SQL without parameters, several statements too; what it answers is not looked at. */
int postgres_execute(struct postgres *postgres, const char *sql, struct error *err) MUST_CHECK;
/* Names of prepared statements are their numbers. */
int postgres_prepare(struct postgres *postgres, const char *const texts[], size_t count, struct error *err) MUST_CHECK;

/* Once, without preparing; one statement. NULL: err. The caller clears the result. */
PGresult *postgres_ask(struct postgres *postgres, const char *sql, const struct postgres_params *params, struct error *err) MUST_CHECK;
/* A prepared one. */
PGresult *postgres_query(struct postgres *postgres, unsigned statement, const struct postgres_params *params, struct error *err) MUST_CHECK;
/* Row by row: visit gets a result of one row; it returns -1 to stop. Returns how many, or -1. */
long postgres_each(struct postgres *postgres, unsigned statement, const struct postgres_params *params,
                   int (*visit)(void *data, const PGresult *row, struct error *err), void *data, struct error *err) MUST_CHECK;

/* A pipeline: begin, send, ..., finish: 0 when all was done. Otherwise err, and what is known. */
struct postgres_outcome {
	size_t done;     /* so many of the first were answered as done */
	bool is_refused; /* the server itself said no to the next after those, and so did nothing of the rest */
};
void postgres_pipeline_begin(struct postgres *postgres);
int postgres_pipeline_send(struct postgres *postgres, unsigned statement, const struct postgres_params *params, struct error *err) MUST_CHECK;
/* sent: how often something was sent. Good results are given to take, which may be NULL. */
int postgres_pipeline_finish(struct postgres *postgres, size_t sent, void (*take)(void *data, size_t which, const PGresult *result), void *data,
                             struct postgres_outcome *out, struct error *err) MUST_CHECK;

int64_t postgres_number(const PGresult *result, int row, int column);
struct bytes postgres_bytes(const PGresult *result, int row, int column);

#endif
