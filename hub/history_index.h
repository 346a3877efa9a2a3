/* history_index.h - which entries of the history are for which room: for each room a ring of their numbers, oldest first. One thread. */
#ifndef ROOMCAST_HUB_HISTORY_INDEX_H
#define ROOMCAST_HUB_HISTORY_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include <roomcast/bytes.h>
#include <roomcast/place.h>

/* Of the numbers the low 32 bits: the log is never that long. */
struct room_index {
	uint32_t *numbers;     /* a ring */
	uint32_t head, count, capacity;
	bool is_named;
	struct place unjudged; /* see history_unjudged */
	UT_hash_handle hh;
	size_t name_len;       /* behind the struct */
};

struct room_indexes {
	struct room_index everyone, authenticated, *by_name;
	uint64_t bytes;        /* all of them take */
};

/* What a piece of memory takes, with what malloc needs for itself. */
static inline size_t memory_cost(size_t size)
{
	return (size + 8 + 15) & ~(size_t)15;
}

struct room_index *room_index_find(const struct room_indexes *all, struct bytes name); /* NULL: none */
struct room_index *room_index_get(struct room_indexes *all, struct bytes name);        /* NULL: no memory */
/* The newest entry. -1: no memory. */
int room_index_push(struct room_indexes *all, struct room_index *index, uint64_t number);
/* The oldest entry goes, if it is that one. May free the index, as room_index_shrink may. */
void room_index_pop(struct room_indexes *all, struct room_index *index, uint64_t number);
/* Lets go of an index that nothing is in, and of what a ring does not need any more. */
void room_index_shrink(struct room_indexes *all, struct room_index *index);

static inline uint32_t room_index_number(const struct room_index *index, uint32_t at)
{
	return index->numbers[(index->head + at) & (index->capacity - 1)];
}

#endif
