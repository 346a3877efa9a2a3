/* intake.h - the FastCGI connections: one thread accepts, reads and writes them all, so that silent, slow and broken peers cost a
 * descriptor and no worker. What waits for nothing it serves itself: handing a request to another thread and back costs more than most
 * requests do. Workers are given the others, whole.
 *
 * A connection that says nothing, or stops in the middle, is closed after a time; one that is kept open between
 * requests may rest longer, and makes room when connections run out. */
#ifndef ROOMCAST_GATEWAY_INTAKE_H
#define ROOMCAST_GATEWAY_INTAKE_H

#include <stdbool.h>

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

enum intake_service {
	INTAKE_ANSWERED,   /* records are the answer; none: the connection is closed */
	INTAKE_PUT_OFF,    /* intake_resume is called, perhaps already was */
	INTAKE_FOR_WORKER, /* it may take long: nothing was done */
};

struct intake_server {
	/* A request, or one that was put off and is resumed: then connection_answer is there, and it must be answered. */
	enum intake_service (*serve)(void *data, struct connection *connection, struct buffer *records);
	void (*batch)(void *data, bool has_begun); /* several requests are served now; no more of them come */
	void *data;
};

/* Starts the thread. listen_fd stays the caller's, and open until intake_free. */
struct intake *intake_new(int listen_fd, const struct intake_settings *settings, struct error *err);

/* Once: what the thread serves itself. Before that, or without it, every request is for workers. */
void intake_serve_by(struct intake *intake, const struct intake_server *server);

/* Any worker: waits for the next complete request. NULL: there will be none any more. */
struct connection *intake_take(struct intake *intake);
/* Valid until intake_answer. */
const struct record_reader *connection_request(const struct connection *connection);
/* Any worker: the answer (whole records; none: the connection is closed). The connection is not the worker's any more. */
void intake_answer(struct intake *intake, struct connection *connection, struct bytes records);
/* Any thread, instead of an answer: the request was put off, and shall be served again with `answer`. */
void intake_resume(struct intake *intake, struct connection *connection, void *answer);
void *connection_answer(const struct connection *connection); /* NULL: it was not resumed */

/* Takes no more requests; those complete, and those that were put off, are still served. */
void intake_stop(struct intake *intake);
/* After every worker has got its NULL: waits until answers have left, at most about a second. */
void intake_free(struct intake *intake);

/* Adds a member "fastcgi" and a comma. */
void intake_add_status(void *intake, struct buffer *out);

#endif
