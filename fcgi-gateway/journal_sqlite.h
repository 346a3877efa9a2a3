/* journal_sqlite.h - the journal in the file journal.sqlite of the state directory, in WAL mode.
 *
 * The writer is whoever holds the directory's lock. Readers have connections of their own, which can only read. Pages of trimmed rows are
 * used again; when more than a quarter of the file is free, it is given back in steps. */
#ifndef ROOMCAST_GATEWAY_JOURNAL_SQLITE_H
#define ROOMCAST_GATEWAY_JOURNAL_SQLITE_H

#include "journal.h"

struct journal *journal_sqlite_new(const struct journal_settings *settings, struct error *err);

#endif
