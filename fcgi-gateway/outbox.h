/* outbox.h - the thread that publishes what applications put into their transactional outbox (sql/outbox.sql), while this gateway is active.
 *
 * A row is checked as a POST would be, journaled under its id as the idempotency key of the API key "outbox", and then deleted: whatever is
 * killed in between, it is published once. One session has the outbox at a time, by an advisory lock. */
#ifndef ROOMCAST_GATEWAY_OUTBOX_H
#define ROOMCAST_GATEWAY_OUTBOX_H

#include <roomcast/bytes.h>
#include <roomcast/error.h>

struct gateway;
struct outbox;

/* Before the gateway serves requests: it adds the key "outbox" to the authorizer. gateway's sequencer must outlive it, connection too: libpq's
 * connection string. Starts the thread. */
struct outbox *outbox_new(struct gateway *gateway, const char *connection, struct error *err);
/* Appends "outbox":{...}, */
void outbox_add_status(struct outbox *outbox, struct buffer *out);
void outbox_free(struct outbox *outbox); /* may be NULL */

#endif
