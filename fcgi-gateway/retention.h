/* retention.h - the thread that trims the journal, a bounded step at a time. */
#ifndef ROOMCAST_GATEWAY_RETENTION_H
#define ROOMCAST_GATEWAY_RETENTION_H

#include "journal.h"

struct retention;

/* The journal must outlive it. */
struct retention *retention_new(struct journal *journal, struct error *err);
void retention_free(struct retention *retention); /* may be NULL */

#endif
