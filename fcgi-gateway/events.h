/* events.h - GET /events: the journal as the application's sync log, page by page. */
#ifndef ROOMCAST_GATEWAY_EVENTS_H
#define ROOMCAST_GATEWAY_EVENTS_H

#include "route.h"

enum {
	EVENTS_LIMIT_DEFAULT = 100,
	EVENTS_LIMIT_MAX = 1000,
	EVENTS_PAGE_BYTES = 4 << 20, /* of events, about; the first is given whatever its size */
};

void events_handle(struct call *call);

/* One record as a JSON object. */
void events_add_record(const struct journal_record *record, struct buffer *out);

#endif
