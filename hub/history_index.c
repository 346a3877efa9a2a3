/* history_index.c - rings of numbers, by room. */
#include "history_index.h"

#include <stdlib.h>

enum {
	RING_CAPACITY_MIN = 4, /* a power of two */
	HASH_COST = 16,        /* of a room in the table's buckets, roughly */
};

static size_t ring_cost(uint32_t capacity)
{
	return capacity ? memory_cost(capacity * sizeof(uint32_t)) : 0;
}

static size_t index_cost(const struct room_index *index)
{
	return memory_cost(sizeof(*index) + index->name_len) + HASH_COST;
}

static int resize_ring(struct room_indexes *all, struct room_index *index, uint32_t capacity)
{
	uint32_t *numbers = malloc(capacity * sizeof(*numbers));
	if (!numbers)
		return -1;
	for (uint32_t i = 0; i < index->count; i++)
		numbers[i] = room_index_number(index, i);
	all->bytes += ring_cost(capacity) - ring_cost(index->capacity);
	free(index->numbers);
	index->numbers = numbers;
	index->head = 0;
	index->capacity = capacity;
	return 0;
}

struct room_index *room_index_find(const struct room_indexes *all, struct bytes name)
{
	struct room_index *index;
	HASH_FIND(hh, all->by_name, name.data, name.len, index);
	return index;
}

struct room_index *room_index_get(struct room_indexes *all, struct bytes name)
{
	struct room_index *index = room_index_find(all, name);
	if (index)
		return index;
	index = calloc(1, sizeof(*index) + name.len);
	if (!index)
		return NULL;
	index->is_named = true;
	index->name_len = name.len;
	char *own_name = (char *)(index + 1);
	memcpy(own_name, name.data, name.len);
	HASH_ADD_KEYPTR(hh, all->by_name, own_name, name.len, index);
	all->bytes += index_cost(index);
	return index;
}

int room_index_push(struct room_indexes *all, struct room_index *index, uint64_t number)
{
	if (index->count == index->capacity && resize_ring(all, index, index->capacity ? index->capacity * 2 : RING_CAPACITY_MIN))
		return -1;
	index->numbers[(index->head + index->count++) & (index->capacity - 1)] = (uint32_t)number;
	return 0;
}

static void clear(struct room_indexes *all, struct room_index *index)
{
	all->bytes -= ring_cost(index->capacity);
	free(index->numbers);
	index->numbers = NULL;
	index->head = index->count = index->capacity = 0;
}

void room_index_shrink(struct room_indexes *all, struct room_index *index)
{
	if (index->count == 0) {
		clear(all, index);
		if (!index->is_named)
			return;
		all->bytes -= index_cost(index);
		HASH_DELETE(hh, all->by_name, index);
		free(index);
	} else if (index->count <= index->capacity / 4 && index->capacity > RING_CAPACITY_MIN) {
		(void)resize_ring(all, index, index->capacity / 2); /* otherwise it stays as it is */
	}
}

void room_index_pop(struct room_indexes *all, struct room_index *index, uint64_t number)
{
	/* Unless the entry was given up halfway. */
	if (index->count && room_index_number(index, 0) == (uint32_t)number) {
		index->head = (index->head + 1) & (index->capacity - 1);
		index->count--;
	}
	room_index_shrink(all, index);
}
