/* forward.h - the front end's side: hands requests on to the active gateway's line and brings its answers back.
 *
 * What cannot be sent, because no active gateway is connected, is certainly not stored: 503, after a short while. What was sent and is
 * not answered, or whose connection broke, may be stored: 504. Each request carries a deadline, past which the active gateway does not
 * begin with it. One thread owns the sockets. */
#ifndef ROOMCAST_GATEWAY_FORWARD_H
#define ROOMCAST_GATEWAY_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include <roomcast/curve.h>

#include "request.h"
#include "response.h"

struct forward;

enum { FORWARD_TARGETS_MAX = 8 };

struct forward_settings {
	uint64_t connect_ms; /* a request waits so long to be sent */
	const struct curve *curve; /* of tcp endpoints; NULL: none. Outlives it */
	uint64_t answer_ms;  /* and so long, from its beginning, to be answered */
};

struct forward *forward_new(const struct forward_settings *settings, struct error *err);

/* Any thread: line endpoints, comma-separated, of gateways of which one may be active; "": none is known. Doing it again with the same
 * costs nothing. At most FORWARD_TARGETS_MAX count. */
void forward_set_target(struct forward *forward, const char *endpoints);

bool forward_has_target(struct forward *forward);

/* Any thread: waits; response comes all zero and is complete on return. False: certainly nobody has handled it. */
bool forward_request(struct forward *forward, const struct request *request, struct response *response);

/* Adds a member "forward" and a comma. */
void forward_add_status(void *forward, struct buffer *out);

/* Refuses what comes from now on; what was sent has a moment to be answered. */
void forward_stop(struct forward *forward);
/* Nobody may be inside forward_request. */
void forward_free(struct forward *forward);

#endif
