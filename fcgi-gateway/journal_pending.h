/* journal_pending.h - what a group has done so far, in memory: for journals that store it all at once at the commit. */
#ifndef ROOMCAST_GATEWAY_JOURNAL_PENDING_H
#define ROOMCAST_GATEWAY_JOURNAL_PENDING_H

#include <uthash.h>

#include "journal_record.h"

/* A key or an entity under its name: (api_key, key) or (type, id). One block on the heap. */
struct journal_entry {
	UT_hash_handle hh;
	struct journal_entry *shadowed; /* of the same name, in force again when this one is undone */
	size_t name_len;
	union {
		struct journal_key key;
		struct journal_entity entity;
	};
	struct bytes first, second; /* the two parts of the name */
};

struct journal_entry *journal_entry_of_key(const struct journal_key *key);
struct journal_entry *journal_entry_of_entity(struct bytes type, struct bytes id, const struct journal_entity *entity);
/* Frees it and what it shadows. */
void journal_entry_free(struct journal_entry *entry);

/* The hash's newest of that name, or NULL. */
struct journal_entry *journal_entry_find(struct journal_entry *entries, struct bytes first, struct bytes second);
/* Takes entry, in front of one of the same name. */
void journal_entry_add(struct journal_entry **entries, struct journal_entry *entry);
/* Out of the hash, with nothing in its place. */
void journal_entry_remove(struct journal_entry **entries, struct journal_entry *entry);
void journal_entries_free(struct journal_entry **entries);

struct journal_pending {
	struct journal_record **records; /* in order, copies */
	size_t count, capacity;
	struct journal_entry *keys, *entities; /* hashes */
	/* What undo takes back: every entry in the order of its coming, and how much of all was there at the savepoint. */
	struct pending_step *steps;
	size_t step_count, step_capacity;
	size_t marked_count, marked_steps;
};

void journal_pending_clear(struct journal_pending *pending);
void journal_pending_deinit(struct journal_pending *pending);
void journal_pending_mark(struct journal_pending *pending);
void journal_pending_undo(struct journal_pending *pending);
int journal_pending_add_key(struct journal_pending *pending, const struct journal_key *key, struct error *err) MUST_CHECK;
/* The record, and its entity's state. */
int journal_pending_append(struct journal_pending *pending, const struct journal_record *record, struct error *err) MUST_CHECK;

#endif
