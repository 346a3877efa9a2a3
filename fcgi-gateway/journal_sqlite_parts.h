/* journal_sqlite_parts.h - what the files of the SQLite journal share.
 *
 * journal_sqlite.c         the journal: lock, opening, epochs, who is active
 * journal_sqlite_file.c    one connection: schema, statements, errors
 * journal_sqlite_writer.c  the group
 * journal_sqlite_reader.c  reading
 * journal_sqlite_trim.c    retention and checkpoints
 * journal_sqlite_wal.c     a WAL that belongs to another journal */
#ifndef ROOMCAST_GATEWAY_JOURNAL_SQLITE_PARTS_H
#define ROOMCAST_GATEWAY_JOURNAL_SQLITE_PARTS_H

#include <stdatomic.h>
#include <sys/types.h>

#include <sqlite3.h>

#include "journal_columns.h"
#include "journal_sqlite.h"
#include "state_dir.h"

enum { SQLITE_APPLICATION_ID = 0x52634a6c }; /* in the file's header */

/* --- journal_sqlite_file.c --- */

/* A connection and its prepared statements. */
struct sqlite_file {
	sqlite3 *db;
	sqlite3_stmt **statements;
	size_t statement_count;
	bool is_alone;
	dev_t device;  /* what was opened, to notice that another file stands in its place */
	ino_t inode;
};

enum sqlite_access {
	ACCESS_WRITE,  /* a new file too */
	ACCESS_READ,
	/* When a full or read-only disk has no room for the memory that connections share; only for who holds the writers' lock. */
	ACCESS_ALONE,  /* no other connection meanwhile; the file itself must be writable, and is not written */
	ACCESS_FROZEN, /* the file without its WAL: when there is none */
};

/* Statements are of the texts; #columns in them becomes the names of journal_columns. */
int sqlite_file_open(struct sqlite_file *file, const char *path, enum sqlite_access access, struct error *err) MUST_CHECK;
int sqlite_file_prepare(struct sqlite_file *file, const char *const texts[], size_t count, struct error *err) MUST_CHECK;
void sqlite_file_close(struct sqlite_file *file);
/* -1: the path leads elsewhere by now. */
int sqlite_file_check(const struct sqlite_file *file, const char *path, struct error *err) MUST_CHECK;

/* The connection's last error in words. */
int sqlite_file_error(const struct sqlite_file *file, struct error *err);
/* Whether only opening anew can help after an error of this code. */
bool sqlite_code_is_lost(int code);

/* The number that a query answers, 0 for no row. */
int sqlite_file_ask(struct sqlite_file *file, const char *sql, int64_t *out, struct error *err) MUST_CHECK;
int sqlite_file_execute(struct sqlite_file *file, const char *sql, struct error *err) MUST_CHECK;
/* Runs a statement that has been bound to its first row: 1, or its end: 0. sqlite_reset when the row is done with. */
int sqlite_step(struct sqlite_file *file, sqlite3_stmt *statement, struct error *err) MUST_CHECK;
/* Runs it to its end, and resets it. */
int sqlite_run(struct sqlite_file *file, sqlite3_stmt *statement, struct error *err) MUST_CHECK;
void sqlite_bind_bytes(sqlite3_stmt *statement, int index, struct bytes bytes, bool is_text); /* never NULL; valid until the reset */
struct bytes sqlite_bytes(sqlite3_stmt *statement, int column);

/* --- journal_sqlite.c --- */

struct sqlite_writer;

struct sqlite_journal {
	struct journal journal;
	struct journal_settings settings;
	char *path, *wal_path;
	struct state_dir state_dir;  /* the writers' lock, from the first time it is had; of open_writer's thread */
	atomic_bool has_lock;
	pthread_mutex_t alone_lock; /* of ACCESS_ALONE, and of opening a writer */
	pthread_mutex_t trim_lock;  /* taken before write_lock */
	pthread_mutex_t write_lock; /* of writer's connection, and of writer */
	struct sqlite_writer *writer;
	atomic_bool has_writer, had_writer; /* readable without the lock */
	atomic_int wal_pages;       /* as the last commit left it */
	atomic_bool has_stale_wal;  /* it cannot be set aside */
	atomic_bool has_checkpointed; /* on the sequencer's thread, since the WAL was last looked at */
	uint32_t newest_generation; /* of open_writer's thread, then under write_lock */
	int raw_fd;                 /* of the file; -1 */
};

void sqlite_journal_keep_mac_key(struct sqlite_journal *journal, struct bytes key);
/* For reading, in whichever way there is. */
int sqlite_journal_open_file(struct sqlite_journal *journal, struct sqlite_file *file, struct error *err) MUST_CHECK;
void sqlite_journal_close_file(struct sqlite_journal *journal, struct sqlite_file *file);

/* --- journal_sqlite_writer.c --- */

struct sqlite_writer {
	struct journal_writer writer;
	struct sqlite_journal *journal;
	struct sqlite_file file;
	struct sqlite_file maintenance;  /* the trim thread's, under trim_lock; writes only under write_lock */
	uint64_t base;                   /* id of the row before this epoch's first */
	/* The newest row: committed, pending, and pending at the savepoint. */
	struct sqlite_tail { uint64_t seq, total; } stored, pending, marked;
	bool is_in_group, is_lost;
	bool wants_generation;           /* with the next commit, which ends in a checkpoint */
	unsigned char noted_salts[8];    /* of the WAL that was looked at */
	bool has_savepoint;
	int marked_changes;              /* of the connection, at the savepoint or where there is none */
	struct error failure;            /* why the group is no more; its code is ERROR_NONE while it is */
	struct buffer found, list;
	uint32_t null_columns;           /* which APPEND is bound to NULL already, a bit each */
};

extern const struct journal_writer_operations sqlite_writer_operations;
extern const char *const sqlite_writer_statements[];
extern const size_t sqlite_writer_statement_count;
/* Frees all but the locks. */
void sqlite_writer_free(struct sqlite_writer *writer);

/* --- journal_sqlite_reader.c --- */

int sqlite_open_reader(struct journal *journal, struct journal_reader **out, struct error *err) MUST_CHECK;

/* --- journal_sqlite_trim.c --- */

int sqlite_trim(struct journal *journal, uint64_t now_ms, struct error *err) MUST_CHECK;
void sqlite_checkpoint_hook(struct sqlite_writer *writer);
extern const char *const sqlite_trim_statements[];
extern const size_t sqlite_trim_statement_count;

/* --- journal_sqlite_wal.c --- */

enum { SQLITE_SCHEMA_BITS = 4 }; /* of user_version; the generation is above them */

uint32_t sqlite_generation_of(int64_t user_version);
/* Inside a transaction, or one of its own. */
int sqlite_advance_generation(struct sqlite_journal *journal, struct sqlite_file *file, struct error *err) MUST_CHECK;
/* A writer has opened. */
void sqlite_wal_begin(struct sqlite_writer *writer);
/* Under both locks, and before any checkpoint but those of the sequencer's thread. */
void sqlite_wal_note(struct sqlite_writer *writer);
/* With the writers' lock, before SQLite sees the files: sets a stale WAL aside. */
int sqlite_wal_check(struct sqlite_journal *journal, struct error *err) MUST_CHECK;

#endif
