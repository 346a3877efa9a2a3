/* http_answer.h - HTTP answers as servers give them to the generator: a status line, headers, Content-Length or chunks. */
#ifndef ROOMCAST_BENCH_HTTP_ANSWER_H
#define ROOMCAST_BENCH_HTTP_ANSWER_H

#include <sys/types.h>

#include <roomcast/bytes.h>

struct http_answer {
	unsigned status;
	bool is_last;      /* the server closes the connection after it */
	struct bytes body; /* as on the wire: chunks are not joined */
};

/* The first answer of bytes. Returns its length, 0 when it is not whole yet, -1 when it is none that we read. */
ssize_t http_answer_cut(struct bytes bytes, struct http_answer *answer);

#endif
