/* query.h - the parameters behind a URL's `?` (application/x-www-form-urlencoded). */
#ifndef ROOMCAST_GATEWAY_QUERY_H
#define ROOMCAST_GATEWAY_QUERY_H

#include "response.h"

/* One that a call knows. */
struct query_parameter {
	const char *name;
	struct bytes value;  /* decoded; data is NULL when it is not there */
};

/* Fills the values of parameters (ends with a NULL name); they point into scratch, which is cleared first. -1: the response says which one
 * is unknown (unless ignores_unknown), stands there twice, or is badly encoded. */
int query_read(struct bytes query, struct query_parameter *parameters, bool ignores_unknown, struct buffer *scratch, struct response *response) MUST_CHECK;

#endif
