/* intake.h - the FastCGI connections: one thread accepts and reads them all, so that silent, slow and broken peers cost a
 * descriptor and no worker; workers are given whole requests.
 *
 * A connection that says nothing, or stops in the middle, is closed after a time; one that is kept open between
 * requests may rest longer, and makes room when connections run out. */
#ifndef ROOMCAST_GATEWAY_INTAKE_H
#define ROOMCAST_GATEWAY_INTAKE_H

#include <roomcast/bytes.h>
#include <roomcast/error.h>

#include "record.h"

struct intake;
struct connection;

struct intake_settings {
	size_t max_connections;
	size_t max_body;
	uint64_t progress_ms;  /* in the middle of a request, or before the first: without a byte for so long */
	uint64_t request_ms;   /* from the first byte of a request to its last */
	uint64_t idle_ms;      /* between requests */
};

/* Starts the thread. listen_fd stays the caller's, and open until intake_free. */
struct intake *intake_new(int listen_fd, const struct intake_settings *settings, struct error *err);

/* Any worker: waits for the next complete request, or the next that is resumed. NULL: there will be none any more. */
struct connection *intake_take(struct intake *intake);
/* Valid until intake_answer. */
const struct record_reader *connection_request(const struct connection *connection);
/* Any thread, instead of intake_answer: the request was put off, and some worker shall take it again; it finds `answer` then. */
void intake_resume(struct intake *intake, struct connection *connection, void *answer);
/* NULL: it was not resumed. */
void *connection_answer(const struct connection *connection);
/* Any worker: sends the answer (whole records; none: the connection is closed). The connection is not the worker's any more. */
void intake_answer(struct intake *intake, struct connection *connection, struct bytes records);

/* Takes no more requests; those complete, and those that were put off, are still given out. */
void intake_stop(struct intake *intake);
/* After every worker has got its NULL: waits until answers have left, at most about a second. */
void intake_free(struct intake *intake);

/* Adds a member "fastcgi" and a comma. */
void intake_add_status(void *intake, struct buffer *out);

#endif
