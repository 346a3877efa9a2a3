/* http_head.h - gathers a request's line and header fields, which come in pieces, into one struct http_request. */
#ifndef ROOMCAST_HUB_HTTP_HEAD_H
#define ROOMCAST_HUB_HTTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

#include "http.h"

enum {
	HTTP_HEAD_NAME_MAX = 32,
	HTTP_HEAD_SLOTS = 12,
	HTTP_HEAD_TEXT_MAX = 64 * 1024, /* bytes kept of one request; only fields that come again and again need more than they bring */
};

/* What the server itself wants to know is behind what its handlers may see. */
struct http_fields {
	struct http_request request;
	struct bytes expect, upgrade;
	bool wants_close; /* no request follows this one */
};

struct http_head {
	struct buffer text; /* the URL, then the values of known fields */
	size_t url_len;
	struct {
		size_t at, len; /* in text */
		bool is_set;
	} values[HTTP_HEAD_SLOTS];
	char name[HTTP_HEAD_NAME_MAX + 1];
	size_t name_len;
	int slot;          /* of the field whose value is coming; -1: nobody asks for it */
	bool is_in_value;
	bool is_ambiguous; /* a field that must be single came twice */
};

void http_head_deinit(struct http_head *head);
void http_head_add_url(struct http_head *head, const char *data, size_t len);
void http_head_add_name(struct http_head *head, const char *data, size_t len);
void http_head_add_value(struct http_head *head, const char *data, size_t len);
/* Fills the views of out, which point into *text; it is the caller's to free. -1 on an ambiguous header (ERROR_INVALID) or
 * one past the bound (ERROR_TOO_LARGE). Method and lengths are not its business. */
int http_head_finish(struct http_head *head, struct http_fields *out, char **text, struct error *err) MUST_CHECK;

#endif
