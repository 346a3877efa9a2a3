/* record.h - FastCGI 1.0 records: reads them from an untrusted peer, collects one request at a time, writes its answer.
 *
 * No sockets: bytes come in and go out. Everything has a bound. */
#ifndef ROOMCAST_GATEWAY_RECORD_H
#define ROOMCAST_GATEWAY_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include <roomcast/bytes.h>

#include "cgi.h"

enum {
	RECORD_HEADER_LEN = 8,
	RECORD_PARAMS_MAX = 256 << 10, /* bytes of all parameters of a request */
	RECORD_QUERY_MAX = 512,        /* bytes of a management record */
	RECORD_REPLY_MAX = 4096,       /* bytes that we owe the peer besides its answer */
};

/* Section 8 of the specification. */
enum record_type {
	RECORD_BEGIN_REQUEST = 1, RECORD_ABORT_REQUEST, RECORD_END_REQUEST, RECORD_PARAMS, RECORD_STDIN, RECORD_STDOUT,
	RECORD_STDERR, RECORD_DATA, RECORD_GET_VALUES, RECORD_GET_VALUES_RESULT, RECORD_UNKNOWN_TYPE,
};

enum record_stage {
	RECORD_STAGE_IDLE,   /* between requests */
	RECORD_STAGE_PARAMS,
	RECORD_STAGE_BODY,
	RECORD_STAGE_READY,  /* the request is complete */
	RECORD_STAGE_EARLY,  /* too large: to be answered, the rest of its body is still to come */
	RECORD_STAGE_DRAIN,  /* answered, the rest of its body is thrown away */
};

/* Set max_body, all else zero. */
struct record_reader {
	size_t max_body;
	enum record_stage stage;
	/* The request. */
	uint16_t request_id;
	bool keep_connection;
	bool is_too_large;
	int64_t content_length;    /* as in struct request */
	struct buffer params, body;
	struct buffer reply;       /* whole records to send to the peer; the caller empties it */
	/* The record under way. */
	unsigned char header[RECORD_HEADER_LEN];
	unsigned char small[RECORD_QUERY_MAX];
	size_t header_len, small_len;
	size_t content_left, padding_left;
	bool is_skipped;
};

enum record_result { RECORD_MORE, RECORD_REQUEST, RECORD_MALFORMED };

/* Consumes input until it is empty or a request is to be answered (stage READY or EARLY). Not called in these stages: call
 * record_next first. After RECORD_MALFORMED the connection is of no use any more. */
enum record_result record_feed(struct record_reader *reader, struct bytes *input, struct error *err);

/* The request was answered; its memory is kept for the next. */
void record_next(struct record_reader *reader);
void record_deinit(struct record_reader *reader);

/* Fills in the values of those that are parameters of the complete request; of several the last. They hold no byte 0. */
void record_find_params(const struct record_reader *reader, struct cgi_variable *variables, size_t count);
/* One of them; "" when it has none. */
struct bytes record_param(const struct record_reader *reader, const char *name);

/* Appends the records of the whole answer (section 6.2): what a CGI program would have written to its standard output. */
void record_add_answer(const struct record_reader *reader, struct bytes head, struct bytes body, struct buffer *out);

/* Writes a record's header. content_len at most 65535. */
void record_header(unsigned char out[static RECORD_HEADER_LEN], enum record_type type, uint16_t id, size_t content_len);

#endif
