/* journal_memory_parts.h - what the files of the journal in memory share.
 *
 * journal_memory.c         the ring, the tables, the writer
 * journal_memory_reader.c  reading */
#ifndef ROOMCAST_GATEWAY_JOURNAL_MEMORY_PARTS_H
#define ROOMCAST_GATEWAY_JOURNAL_MEMORY_PARTS_H

#include "journal_pending.h"
#include "state_dir.h"

/* A record's id is its number in this process's life: that of (epoch, seq) is the epoch's base + seq. */
struct memory_epoch {
	uint64_t epoch, base;
};

/* Entries that are forgotten oldest first. */
struct memory_table {
	struct journal_entry *entries; /* hash, in the order of their coming */
	size_t bytes;
};

struct memory_writer {
	struct journal_writer writer;
	struct journal_memory *memory;
	struct state_dir state_dir;
	struct journal_pending pending;
	struct journal_entry *found; /* the view that find_key or find_entity gave last; a copy */
};

struct journal_memory {
	struct journal journal;
	const char *state_dir;
	struct journal_retention keep;
	pthread_mutex_t lock; /* of all below */
	struct memory_writer *writer;
	char endpoint[MESSAGE_NAME_MAX + 1];
	struct memory_epoch epochs[MESSAGE_EPOCHS_MAX];
	size_t epoch_count;
	struct journal_record **slots; /* of id: slots[id % keep.events]; first..last are there */
	uint64_t first, last;
	size_t bytes;
	struct memory_table keys, entities, grants, blocks;
};

static inline const struct journal_record *memory_record(const struct journal_memory *memory, uint64_t id)
{
	return memory->slots[id % memory->keep.events];
}

/* Copies entry, which may be NULL, for a view that outlives the lock. 1, 0 or -1. */
int memory_show_entity(const struct journal_entry *entry, struct journal_entry **found, struct journal_entity *out, struct error *err);

int memory_open_reader(struct journal *journal, struct journal_reader **out, struct error *err);

#endif
