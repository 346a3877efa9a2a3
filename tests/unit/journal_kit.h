/* journal_kit.h - what the tests of journals share: a journal in a place of its own, and short words for its operations. */
#ifndef ROOMCAST_TEST_JOURNAL_KIT_H
#define ROOMCAST_TEST_JOURNAL_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "journal_record.h"

enum { KIT_EPOCH = 1000, KIT_SEEN_MAX = 4096 };

/* One test's: a directory of its own, and whatever of journal, writer and reader it opened. */
struct kit {
	char dir[64];
	char schema[32];
	struct journal_settings settings;
	const char *kind;
	struct journal *journal;
	struct journal_writer *writer;
	struct journal_reader *reader;
};

/* A private PostgreSQL for all tests of this program: its connection string, or NULL where there is none. kit_postgres does what
 * tests/tools/postgres.sh can do. */
const char *kit_start_postgres(void);
const char *kit_postgres_dir(void);
void kit_stop_postgres(void);
int kit_postgres(const char *action, const char *mode);

/* A journal without writer and reader; settings may be changed before. */
void kit_start(struct kit *kit, const char *kind);
void kit_end(struct kit *kit);  /* closes and removes everything */
void kit_close(struct kit *kit); /* closes what is open and keeps what is stored */
void kit_open(struct kit *kit); /* a journal, its writer and its reader */
/* -1 and err, or a writer. */
int kit_open_writer(struct kit *kit, uint64_t now_s, struct error *err);

/* A group: begin, records with savepoints, commit. */
void kit_begin(struct kit *kit);
void kit_savepoint(struct kit *kit, size_t events);
void kit_release(struct kit *kit);
void kit_undo(struct kit *kit);
void kit_commit(struct kit *kit);

/* Views are the caller's; epoch is the writer's. */
struct journal_record kit_event(const struct kit *kit, uint64_t seq, const char *body);
struct journal_record kit_data_change(const struct kit *kit, uint64_t seq, const char *type, const char *id, int64_t version, const char *data);
int kit_append(struct kit *kit, const struct journal_record *record, struct error *err);
/* In a savepoint of its own; must work. */
void kit_add(struct kit *kit, const struct journal_record *record);
void kit_add_events(struct kit *kit, size_t count, const char *body);
/* A whole group. */
void kit_store(struct kit *kit, size_t count, const char *body);

int kit_find_version(struct kit *kit, const char *type, const char *id, int64_t *version);

/* What a reader showed: places, in order. */
struct kit_seen {
	struct place places[KIT_SEEN_MAX];
	size_t count, bytes;
};
void kit_see(void *data, const struct journal_record *record);
long kit_read(struct kit *kit, struct place after, struct place last, struct journal_bound bound, struct kit_seen *seen);
void kit_assert_extent(struct kit *kit, struct place first, struct place last);

static inline struct place at(uint64_t epoch, uint64_t seq)
{
	return (struct place){ epoch, seq };
}

#define assert_place(actual, epoch_, seq_) \
	do { \
		struct place place_ = (actual); \
		assert_int_equal(place_.epoch, epoch_); \
		assert_int_equal(place_.seq, seq_); \
	} while (0)

#endif
