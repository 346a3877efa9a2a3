/* publish.h - the calls that publish: a body that every client's parser takes, an event, its place in the order. */
#ifndef ROOMCAST_GATEWAY_PUBLISH_H
#define ROOMCAST_GATEWAY_PUBLISH_H

#include "gateway.h"
#include "route.h"

/* For each route with a builder. */
void publish_handle(struct gateway *gateway, const struct route *route, const struct request *request, struct response *response);

/* What every JSON call demands of its request: type, length, and bytes that json_check accepts. 0, or -1 with the response written. */
int publish_check_body(const struct request *request, size_t max_body, struct response *response) MUST_CHECK;

#endif
