/* request.h - one HTTP request as the handlers see it, whatever carried it here.
 *
 * All views belong to whoever carried it and stay valid until the handler returns. What the web server did not
 * say is empty. */
#ifndef ROOMCAST_GATEWAY_REQUEST_H
#define ROOMCAST_GATEWAY_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include <roomcast/bytes.h>

struct late_answer;

/* By which a handler answers after it has returned: once, from any thread, perhaps before it returns. Copied, since the request does not last.
 * All zero: this request must be answered on return. */
struct request_origin {
	void (*answer)(const struct request_origin *origin, struct late_answer *answer);
	void *carrier, *connection;
};

enum { LENGTH_ABSENT = -1, LENGTH_MALFORMED = -2 };

struct request {
	struct bytes method;
	struct bytes path;          /* below the mount, no trailing slash: "/data-change"; the mount itself is "" */
	struct bytes query;         /* without `?` */
	struct bytes content_type;
	struct bytes authorization;
	struct bytes idempotency_key;
	struct bytes body;          /* what came; empty when is_too_large */
	int64_t content_length;     /* what the client announced, or LENGTH_ABSENT, LENGTH_MALFORMED */
	bool is_too_large;          /* announced, or turned out to be, past the bound: not read to its end */
	bool is_forwarded;          /* a front end sent it here: it is never sent on again */
	struct request_origin origin;
};

/* What a web server may say about the address. Any may be empty. */
struct request_address {
	struct bytes script_name;
	struct bytes path_info;
	struct bytes request_uri;
};

/* The path below mount, "" or "/..." without a trailing slash; false when the address is not below it.
 * nginx says it all in SCRIPT_NAME, lighttpd and Apache split it into SCRIPT_NAME and PATH_INFO, and some
 * configurations leave only REQUEST_URI right: the first of them that lies below mount decides. A PATH_INFO of
 * a script mounted elsewhere counts as it stands. out may be written up to its size. */
bool request_path(const struct request_address *address, const char *mount, struct buffer *scratch, struct bytes *path);

#endif
