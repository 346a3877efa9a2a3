/* route.h - the table of calls. */
#ifndef ROOMCAST_GATEWAY_ROUTE_H
#define ROOMCAST_GATEWAY_ROUTE_H

#include "authorize.h"
#include "publication.h"
#include "request.h"
#include "response.h"

struct gateway;

struct route {
	const char *method;
	const char *path;  /* below the mount */
	enum scope scope;
	void (*handle)(struct gateway *gateway, const struct route *route, const struct request *request, struct response *response);
	publication_builder *build; /* of calls that publish */
};

/* NULL when there is no such path, or none with that method: then response is the refusal. */
const struct route *route_find(struct bytes method, struct bytes path, struct response *response);

#endif
