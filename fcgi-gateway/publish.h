/* publish.h - the calls that publish: an event, its place in the order, the answer. */
#ifndef ROOMCAST_GATEWAY_PUBLISH_H
#define ROOMCAST_GATEWAY_PUBLISH_H

#include "gateway.h"
#include "route.h"
#include "submission.h"

enum { CONFIRM_MS = 2000 }; /* the longest that ?confirm=1 waits */

/* For each route with a builder. */
void publish_handle(struct call *call);

/* Builds one publication by the builder of route, which is the call's own or that of an event of a batch, and checks that the key may. -1 with
 * the response written. */
int publish_build(struct call *call, const struct route *route, struct bytes body, struct publication *publication) MUST_CHECK;

/* From a complete submission to the answer. Its content may be taken. */
void publish_submit(struct call *call, struct submission *submission);

#endif
