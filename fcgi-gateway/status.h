/* status.h - GET /status: who is there, how far, how fast, and what went wrong how often. */
#ifndef ROOMCAST_GATEWAY_STATUS_H
#define ROOMCAST_GATEWAY_STATUS_H

#include "gateway.h"
#include "route.h"

void status_handle(struct call *call);

/* The "hubs" array: lag is in events behind what was published. */
void status_add_hubs(const struct line_figures *figures, struct buffer *out);

#endif
