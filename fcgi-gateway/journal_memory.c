/* journal_memory.c - a ring of the newest events, for repairs only. */
#include "journal.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

struct slot {
	char *data;
	size_t len;
};

/* Slot of seq: slots[seq % capacity]. Kept: first..committed, appended but not yet visible: ..appended. */
struct journal_memory {
	struct journal journal;
	pthread_mutex_t lock;
	struct journal_bound keep;
	struct slot *slots;
	size_t bytes;
	uint64_t first, committed, appended;
};

static struct journal_memory *self(struct journal *journal)
{
	return (struct journal_memory *)journal;
}

static void drop_first(struct journal_memory *memory)
{
	struct slot *slot = &memory->slots[memory->first % memory->keep.events];
	memory->bytes -= slot->len;
	free(slot->data);
	*slot = (struct slot){ 0 };
	memory->first++;
}

static int memory_begin(struct journal *journal, struct error *err)
{
	(void)journal, (void)err;
	return 0;
}

static int memory_append(struct journal *journal, uint64_t seq, const struct publication *publication, struct bytes packed, struct error *err)
{
	(void)publication;
	struct journal_memory *memory = self(journal);
	char *copy = bytes_dup(packed);
	if (!copy)
		return error_set(err, ERROR_UNAVAILABLE, "no memory to keep an event of %zu bytes", packed.len);
	pthread_mutex_lock(&memory->lock);
	while (memory->first <= memory->appended
	       && (memory->appended - memory->first + 1 >= memory->keep.events || memory->bytes + packed.len > memory->keep.bytes))
		drop_first(memory);
	memory->slots[seq % memory->keep.events] = (struct slot){ copy, packed.len };
	memory->bytes += packed.len;
	memory->appended = seq;
	if (memory->committed + 1 < memory->first)
		memory->committed = memory->first - 1;
	pthread_mutex_unlock(&memory->lock);
	return 0;
}

static int memory_commit(struct journal *journal, struct error *err)
{
	(void)err;
	struct journal_memory *memory = self(journal);
	pthread_mutex_lock(&memory->lock);
	memory->committed = memory->appended;
	pthread_mutex_unlock(&memory->lock);
	return 0;
}

static int memory_extent(struct journal *journal, uint64_t epoch, struct journal_extent *out, struct error *err)
{
	struct journal_memory *memory = self(journal);
	if (epoch != journal->epoch)
		return error_set(err, ERROR_NOT_FOUND, "epoch %" PRIu64 " is not in memory", epoch);
	pthread_mutex_lock(&memory->lock);
	*out = (struct journal_extent){ memory->first, memory->committed };
	pthread_mutex_unlock(&memory->lock);
	return 0;
}

static long memory_read(struct journal *journal, uint64_t epoch, uint64_t from, uint64_t last, struct journal_bound bound,
                        void (*visit)(void *data, uint64_t seq, struct bytes packed), void *data, struct error *err)
{
	struct journal_memory *memory = self(journal);
	if (epoch != journal->epoch)
		return error_set(err, ERROR_NOT_FOUND, "epoch %" PRIu64 " is not in memory", epoch);
	long visited = 0;
	size_t bytes = 0;
	pthread_mutex_lock(&memory->lock);
	for (uint64_t seq = from; seq >= memory->first && seq <= memory->committed && seq <= last; seq++) {
		const struct slot *slot = &memory->slots[seq % memory->keep.events];
		bytes += slot->len;
		if ((size_t)visited >= bound.events || (visited && bytes > bound.bytes))
			break;
		visit(data, seq, (struct bytes){ slot->data, slot->len });
		visited++;
	}
	pthread_mutex_unlock(&memory->lock);
	return visited;
}

static void memory_close(struct journal *journal)
{
	struct journal_memory *memory = self(journal);
	while (memory->first <= memory->appended)
		drop_first(memory);
	pthread_mutex_destroy(&memory->lock);
	free(memory->slots);
	free(memory);
}

static const struct journal_operations memory_operations = {
	.name = "off",
	.begin = memory_begin,
	.append = memory_append,
	.commit = memory_commit,
	.extent = memory_extent,
	.read = memory_read,
	.close = memory_close,
};

struct journal *journal_memory_open(uint64_t epoch, struct journal_bound keep, struct error *err)
{
	struct journal_memory *memory = calloc(1, sizeof(*memory));
	struct slot *slots = calloc(keep.events, sizeof(*slots));
	if (!memory || !slots) {
		free(memory);
		free(slots);
		error_set(err, ERROR_SYSTEM, "no memory for a journal of %zu events", keep.events);
		return NULL;
	}
	memory->journal = (struct journal){ .operations = &memory_operations, .epoch = epoch };
	memory->keep = keep;
	memory->slots = slots;
	memory->first = 1;
	pthread_mutex_init(&memory->lock, NULL);
	return &memory->journal;
}
