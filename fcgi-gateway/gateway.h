/* gateway.h - what the calls work with, and the way of one request through them. */
#ifndef ROOMCAST_GATEWAY_GATEWAY_H
#define ROOMCAST_GATEWAY_GATEWAY_H

#include "authorize.h"
#include "counters.h"
#include "forward.h"
#include "journal.h"
#include "line.h"
#include "request.h"
#include "response.h"
#include "sequencer.h"

struct gateway {
	const struct authorizer *authorizer;
	struct sequencer *sequencer;
	struct line *line;
	struct forward *forward;  /* to the active gateway while this one is a standby; NULL: it never is */
	struct journal *journal;
	size_t max_body;
	uint64_t started_ms;      /* monotonic */
	/* What carries the requests adds its own members, each followed by a comma; may be NULL. */
	void (*carrier_status)(void *carrier, struct buffer *out);
	void *carrier;
	struct counters counters;
};

/* Any thread: finds the route, judges the key, calls the handler, counts. response comes all zero and is complete
 * on return. */
void gateway_handle(struct gateway *gateway, const struct request *request, struct response *response);

#endif
