/* journal.h - where events are kept: the order of all, and what a hub that missed some is repaired from.
 *
 * One thread (the sequencer's) writes: begin, append each event of a group, commit. One other thread (the line's)
 * reads at any time and sees only what was committed. An implementation embeds struct journal as its first member.
 * Opening starts a new epoch, known to be on disk before open returns. */
#ifndef ROOMCAST_GATEWAY_JOURNAL_H
#define ROOMCAST_GATEWAY_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

#include "publication.h"

struct journal;

/* What the journal still has of an epoch: from first to last; first == last + 1 when nothing. */
struct journal_extent {
	uint64_t first;
	uint64_t last;
};

struct journal_bound {
	size_t events;
	size_t bytes; /* the first event is given whatever its size */
};

struct journal_operations {
	const char *name;
	int (*begin)(struct journal *journal, struct error *err);
	/* One event, packed as it is published, under the next seq. -1: this event alone failed, its seq is free again. */
	int (*append)(struct journal *journal, uint64_t seq, const struct publication *publication, struct bytes packed, struct error *err);
	/* -1: nothing of the group was stored. */
	int (*commit)(struct journal *journal, struct error *err);
	/* Any thread. -1 when the epoch is not known. */
	int (*extent)(struct journal *journal, uint64_t epoch, struct journal_extent *out, struct error *err);
	/* Any thread. Visits the packed events from..last of epoch in order until a bound is reached, and returns how many it visited, or -1. It begins
	 * at `from`, or not at all: look at extent first. visit must not call the journal. */
	long (*read)(struct journal *journal, uint64_t epoch, uint64_t from, uint64_t last, struct journal_bound bound,
	             void (*visit)(void *data, uint64_t seq, struct bytes packed), void *data, struct error *err);
	void (*close)(struct journal *journal);
};

struct journal {
	const struct journal_operations *operations;
	uint64_t epoch;    /* of this opening */
	uint64_t last_seq; /* at opening, in this epoch */
};

/* The journal "off": events of this process's life, the newest that fit into both bounds. */
struct journal *journal_memory_open(uint64_t epoch, struct journal_bound keep, struct error *err);

static inline void journal_close(struct journal *journal)
{
	if (journal)
		journal->operations->close(journal);
}

#endif
