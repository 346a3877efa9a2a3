/* request.h - what the upper layers may know of the HTTP request that carried a packet. */
#ifndef ROOMCAST_HUB_REQUEST_H
#define ROOMCAST_HUB_REQUEST_H

#include <roomcast/bytes.h>

/* Views, empty when the header is absent. Header values as they came, without the white space around them. */
struct request_info {
	struct bytes query;         /* raw, behind the `?`; request_query_value decodes */
	struct bytes authorization;
	struct bytes cookie;
	struct bytes origin;
	struct bytes host;
	struct bytes user_agent;
	struct bytes forwarded_for; /* X-Forwarded-For */
	struct bytes peer;          /* numeric address of the TCP peer, "unix" for a unix socket */
};

/* The last value of a query parameter, with %XX and + decoded, on the heap and terminated; NULL when it is
 * absent, or when it holds a byte 0. *len may be NULL. */
char *request_query_value(struct bytes query, const char *name, size_t *len);

/* The value of a cookie by name (RFC 6265, 5.4: `a=b; c=d`), without quotes around it; empty when absent. */
struct bytes request_cookie(struct bytes cookie_header, const char *name);

/* A copy in one piece of memory, for those who outlive the request. free() it. NULL without memory. */
struct request_info *request_info_dup(const struct request_info *info);

#endif
