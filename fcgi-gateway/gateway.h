/* gateway.h - what the calls work with, and the way of one request through them. */
#ifndef ROOMCAST_GATEWAY_GATEWAY_H
#define ROOMCAST_GATEWAY_GATEWAY_H

#include "authorize.h"
#include "counters.h"
#include "forward.h"
#include "journal.h"
#include "line.h"
#include "outbox.h"
#include "readers.h"
#include "request.h"
#include "response.h"
#include "route.h"
#include "sequencer.h"

struct gateway {
	struct authorizer *authorizer;
	struct sequencer *sequencer;
	struct line *line;
	struct forward *forward;  /* to the active gateway while this one is a standby; NULL: it never is */
	const char *line_endpoint; /* where others reach this process's line */
	struct journal *journal;
	struct outbox *outbox;    /* NULL: none is read */
	struct readers *readers;
	size_t max_body;
	size_t confirm_max;       /* requests that may wait for hubs' acknowledgements at once */
	atomic_size_t confirming;
	uint64_t started_ms;      /* monotonic */
	/* What carries the requests adds its own members, each followed by a comma; may be NULL. */
	void (*carrier_status)(void *carrier, struct buffer *out);
	void *carrier;
	struct counters counters;
};

/* Any thread: finds the route, judges the key, calls the handler, counts. response comes all zero and is complete
 * on return, unless it is_late. */
void gateway_handle(struct gateway *gateway, const struct request *request, struct response *response);
/* The same where nothing may be waited for. False: it may be, so nothing was done. */
bool gateway_handle_at_once(struct gateway *gateway, const struct request *request, struct response *response);

/* Completes and counts an answer. is_post: by the request's method. */
void gateway_finish(struct gateway *gateway, bool is_post, struct bytes path, struct response *response);

/* The key's limit is reached until wait_s have passed. */
void gateway_refuse_rate(struct call *call, unsigned wait_s);

#endif
