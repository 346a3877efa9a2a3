/* journal_postgres_parts.h - what the files of the PostgreSQL journal share.
 *
 * journal_postgres.c         the journal: lock, tables, epochs, who is active, retention
 * journal_postgres_writer.c  the group
 * journal_postgres_reader.c  reading */
#ifndef ROOMCAST_GATEWAY_JOURNAL_POSTGRES_PARTS_H
#define ROOMCAST_GATEWAY_JOURNAL_POSTGRES_PARTS_H

#include <stdatomic.h>

#include "journal_columns.h"
#include "journal_pending.h"
#include "journal_postgres.h"
#include "postgres.h"

struct postgres_journal {
	struct journal journal;
	struct journal_settings settings;
	char *session;             /* SQL that every session begins with */
	pthread_mutex_t lock;      /* of the next three; held over round trips */
	struct postgres waiting;   /* of a process that is not the writer: asks for the lock, and who has it */
	bool has_lock;             /* waiting has the lock, and the journal cannot be written */
	uint64_t newest_epoch;     /* of this process's writers: a restored copy does not make it use one twice */
	pthread_mutex_t trim_lock; /* of trimming */
	struct postgres trimming;
	atomic_bool has_writer;
};

/* The server ends a session that has the lock and says nothing for so long, so that a process that was stopped makes room for another. The
 * writer speaks more often. PostgreSQL 14 or later. */
enum { POSTGRES_LOCK_SILENCE_MS = 8000, POSTGRES_LOCK_TOUCH_MS = 500 };

/* A session of its own. settings: more SQL that it begins with. */
int postgres_journal_connect(const struct postgres_journal *journal, struct postgres *postgres, uint64_t limit_ms, const char *settings, struct error *err) MUST_CHECK;
/* Ends a session that has the lock: the server takes a moment to notice an end, and whoever waits for the lock should not. */
void postgres_journal_leave(struct postgres *session);
/* #columns in texts become the names of journal_columns. */
int postgres_journal_prepare(struct postgres *postgres, const char *const texts[], size_t count, struct error *err) MUST_CHECK;
void postgres_journal_keep_mac_key(struct postgres_journal *journal, struct bytes key);

/* --- journal_postgres_writer.c --- */

/* Takes a session that holds the lock; base and total of the newest row, last.epoch already its epoch's. */
int postgres_writer_new(struct postgres_journal *journal, struct postgres *session, struct place last, uint64_t base, uint64_t total,
                        struct journal_writer **out, struct error *err) MUST_CHECK;

/* --- journal_postgres_reader.c --- */

int postgres_open_reader(struct journal *journal, struct journal_reader **out, struct error *err) MUST_CHECK;

#endif
