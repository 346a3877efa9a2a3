/* route.h - the table of calls. */
#ifndef ROOMCAST_GATEWAY_ROUTE_H
#define ROOMCAST_GATEWAY_ROUTE_H

#include "authorize.h"
#include "publication.h"
#include "request.h"
#include "response.h"

struct gateway;
struct call;

struct route {
	const char *method;
	const char *path;  /* below the mount */
	unsigned scopes;   /* all of these are needed; 0: the handler judges */
	void (*handle)(struct call *call);
	publication_builder *build; /* of calls that publish */
};

/* One request on its way, as its handler gets it. */
struct call {
	struct gateway *gateway;
	const struct route *route;
	struct api_key *key;
	const struct request *request;
	struct response *response;
};

/* NULL when there is no such path, or none with that method: then response is the refusal. */
const struct route *route_find(struct bytes method, struct bytes path, struct response *response);

/* The publishing call that an event of a batch names by its raw member `type`: its path without the slash. NULL: there is none. */
const struct route *route_of_type(struct bytes type);

#endif
