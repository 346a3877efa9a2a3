/* http_reply.h - the bytes of an answer. */
#ifndef ROOMCAST_HUB_HTTP_REPLY_H
#define ROOMCAST_HUB_HTTP_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include <roomcast/bytes.h>

#include "http.h"

struct http_reply_context {
	const struct http_request *request;
	const struct cors *cors; /* may be NULL */
	bool is_last;            /* Connection: close */
	uint64_t now_s;          /* unix seconds, for Date */
};

void http_reply_write(struct buffer *out, const struct http_reply_context *context, const struct http_answer *answer);
/* The body of an error answer: {"success":false,"error":message,"code":code} */
void http_reply_write_error(struct buffer *out, const char *code, const char *message);

#endif
