/* journal_postgres.h - the journal in a schema of a PostgreSQL database (14 or newer, UTF-8).
 *
 * The writer is whoever holds a session's advisory lock; the lock is on the connection that inserts, so that whoever lost it cannot write
 * either. The schema and its tables are made by the first writer. A group is one round trip, and one more when it looks something up.
 * DURABILITY_FULL: what was answered is on the server's disk, and on its synchronous standbys'. DURABILITY_NORMAL: as the server, the role or
 * the connection string say (synchronous_commit), which is the same unless somebody chose less. */
#ifndef ROOMCAST_GATEWAY_JOURNAL_POSTGRES_H
#define ROOMCAST_GATEWAY_JOURNAL_POSTGRES_H

#include "journal.h"

struct journal *journal_postgres_new(const struct journal_settings *settings, struct error *err);

#endif
