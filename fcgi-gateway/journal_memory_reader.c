/* journal_memory_reader.c - reading the ring, under its lock. */
#include "journal_memory_parts.h"

#include <stdlib.h>

struct memory_reader {
	struct journal_reader reader;
	struct journal_memory *memory;
	struct journal_entry *found;
};

static struct place place_of(const struct journal_memory *memory, uint64_t id)
{
	const struct message *message = &memory_record(memory, id)->message;
	return (struct place){ message->epoch, message->seq };
}

/* The id of the newest record that is not after place. */
static uint64_t id_of(const struct journal_memory *memory, struct place place)
{
	uint64_t end = memory->last;
	for (size_t i = memory->epoch_count; i-- > 0; end = memory->epochs[i].base) {
		const struct memory_epoch *epoch = &memory->epochs[i];
		if (epoch->epoch < place.epoch)
			return end;
		if (epoch->epoch == place.epoch)
			return place.seq < end - epoch->base ? epoch->base + place.seq : end;
	}
	return end;
}

static struct journal_memory *memory_of(struct journal_reader *reader)
{
	return ((struct memory_reader *)reader)->memory;
}

static int memory_extent(struct journal_reader *reader, struct journal_extent *out, struct error *err)
{
	(void)err;
	struct journal_memory *memory = memory_of(reader);
	*out = (struct journal_extent){ 0 };
	pthread_mutex_lock(&memory->lock);
	if (memory->first <= memory->last)
		*out = (struct journal_extent){ place_of(memory, memory->first), place_of(memory, memory->last) };
	pthread_mutex_unlock(&memory->lock);
	return 0;
}

static long memory_epochs(struct journal_reader *reader, struct place *out, size_t max, struct error *err)
{
	(void)err;
	struct journal_memory *memory = memory_of(reader);
	pthread_mutex_lock(&memory->lock);
	size_t count = memory->epoch_count < max ? memory->epoch_count : max, skipped = memory->epoch_count - count;
	for (size_t i = 0; i < count; i++) {
		const struct memory_epoch *epoch = &memory->epochs[skipped + i];
		uint64_t end = skipped + i + 1 < memory->epoch_count ? epoch[1].base : memory->last;
		out[i] = (struct place){ epoch->epoch, end - epoch->base };
	}
	pthread_mutex_unlock(&memory->lock);
	return (long)count;
}

static long memory_read(struct journal_reader *reader, struct place after, struct place last, struct journal_bound bound, journal_visit *visit,
                        void *data, struct error *err)
{
	(void)err;
	struct journal_memory *memory = memory_of(reader);
	long visited = 0;
	size_t bytes = 0;
	pthread_mutex_lock(&memory->lock);
	uint64_t id = id_of(memory, after) + 1, end = id_of(memory, last);
	for (id = id < memory->first ? memory->first : id; id <= end; id++) {
		const struct journal_record *record = memory_record(memory, id);
		bytes += journal_record_size(record);
		if ((size_t)visited >= bound.events || (visited && bytes > bound.bytes))
			break;
		visit(data, record);
		visited++;
	}
	pthread_mutex_unlock(&memory->lock);
	return visited;
}

static int memory_window(struct journal_reader *reader, uint64_t since_ms, struct journal_bound bound, struct place *after, struct error *err)
{
	(void)err;
	struct journal_memory *memory = memory_of(reader);
	size_t events = 0, bytes = 0;
	pthread_mutex_lock(&memory->lock);
	uint64_t id = memory->last;
	for (; id >= memory->first; id--) {
		const struct journal_record *record = memory_record(memory, id);
		bytes += journal_record_size(record);
		if (record->message.time_ms < since_ms || ++events > bound.events || bytes > bound.bytes)
			break;
	}
	*after = (struct place){ 0 };
	if (id >= memory->first)
		*after = place_of(memory, id);
	else if (memory->first <= memory->last)
		*after = (struct place){ place_of(memory, memory->first).epoch, place_of(memory, memory->first).seq - 1 };
	else if (memory->epoch_count)
		*after = (struct place){ memory->epochs[memory->epoch_count - 1].epoch, 0 };
	pthread_mutex_unlock(&memory->lock);
	return 0;
}

static int memory_standing(struct journal_reader *reader, uint64_t now_ms, journal_visit_grant *grant, journal_visit_block *block, void *data,
                           struct error *err)
{
	(void)err;
	struct journal_memory *memory = memory_of(reader);
	struct journal_entry *entry, *next;
	pthread_mutex_lock(&memory->lock);
	HASH_ITER(hh, memory->grants.entries, entry, next)
		grant(data, entry->first, entry->second);
	HASH_ITER(hh, memory->blocks.entries, entry, next)
		if ((uint64_t)entry->entity.version > now_ms)
			block(data, entry->first, (uint64_t)entry->entity.version);
	pthread_mutex_unlock(&memory->lock);
	return 0;
}

static bool matches(const struct journal_query *query, const struct journal_record *record)
{
	return (!query->entity_type.len || bytes_equal(query->entity_type, record->message.entity_type))
	    && (!query->entity_id.len || bytes_equal(query->entity_id, record->message.entity_id));
}

static long memory_query(struct journal_reader *reader, const struct journal_query *query, journal_visit *visit, void *data, struct error *err)
{
	(void)err;
	struct journal_memory *memory = memory_of(reader);
	size_t visited = 0;
	pthread_mutex_lock(&memory->lock);
	uint64_t id = id_of(memory, query->after) + 1;
	for (id = id < memory->first ? memory->first : id; id <= memory->last && visited < query->limit; id++) {
		const struct journal_record *record = memory_record(memory, id);
		if (!matches(query, record))
			continue;
		visit(data, record);
		visited++;
	}
	pthread_mutex_unlock(&memory->lock);
	return (long)visited;
}

static int memory_entity(struct journal_reader *reader, struct bytes type, struct bytes id, struct journal_entity *out, struct error *err)
{
	struct memory_reader *self = (struct memory_reader *)reader;
	pthread_mutex_lock(&self->memory->lock);
	int result = memory_show_entity(journal_entry_find(self->memory->entities.entries, type, id), &self->found, out, err);
	pthread_mutex_unlock(&self->memory->lock);
	return result;
}

static void memory_reader_close(struct journal_reader *reader)
{
	struct memory_reader *self = (struct memory_reader *)reader;
	free(self->found);
	free(self);
}

static const struct journal_reader_operations reader_operations = {
	.extent = memory_extent,
	.epochs = memory_epochs,
	.read = memory_read,
	.window = memory_window,
	.standing = memory_standing,
	.query = memory_query,
	.entity = memory_entity,
	.close = memory_reader_close,
};

int memory_open_reader(struct journal *journal, struct journal_reader **out, struct error *err)
{
	struct memory_reader *self = calloc(1, sizeof(*self));
	if (!self)
		return error_set(err, ERROR_UNAVAILABLE, "no memory");
	*self = (struct memory_reader){ .reader.operations = &reader_operations, .memory = (struct journal_memory *)journal };
	*out = &self->reader;
	return 0;
}
