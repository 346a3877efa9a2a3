/* journal_memory.c - the journal "off": a ring of the newest records in memory, shared by its writer and its readers under one lock. */
#include "journal_memory_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
	EVENTS_DEFAULT = 65536, BYTES_DEFAULT = 64 << 20, /* where the retention gives no bound */
	STANDING_MAX = 65536,                             /* grants, and blocks; past it the oldest are forgotten */
};

/* --- what is kept, called with the lock held --- */

static void drop_first(struct journal_memory *memory)
{
	struct journal_record **slot = &memory->slots[memory->first % memory->keep.events];
	memory->bytes -= journal_record_size(*slot);
	free(*slot);
	*slot = NULL;
	memory->first++;
}

static void add_record(struct journal_memory *memory, struct journal_record *record)
{
	size_t size = journal_record_size(record);
	while (memory->first <= memory->last && (memory->last - memory->first + 1 >= memory->keep.events || memory->bytes + size > memory->keep.bytes))
		drop_first(memory);
	memory->slots[++memory->last % memory->keep.events] = record;
	memory->bytes += size;
}

static size_t entry_size(const struct journal_entry *entry, size_t content)
{
	return sizeof(*entry) + entry->name_len + content;
}

static void table_remove(struct memory_table *table, struct journal_entry *entry, size_t content)
{
	table->bytes -= entry_size(entry, content);
	journal_entry_remove(&table->entries, entry);
	free(entry);
}

static size_t key_content(const struct journal_entry *entry)
{
	return entry->key.answer.len;
}

static size_t entity_content(const struct journal_entry *entry)
{
	return entry->entity.data.len;
}

/* Takes entry; replaces one of the same name. */
static void table_add(struct memory_table *table, struct journal_entry *entry, size_t (*content)(const struct journal_entry *),
                      size_t most, uint64_t most_bytes)
{
	struct journal_entry *same = journal_entry_find(table->entries, entry->first, entry->second);
	if (same)
		table_remove(table, same, content(same));
	while (table->entries && (HASH_COUNT(table->entries) >= most || table->bytes + entry_size(entry, content(entry)) > most_bytes))
		table_remove(table, table->entries, content(table->entries));
	table->bytes += entry_size(entry, content(entry));
	journal_entry_add(&table->entries, entry);
}

static int change_standing(struct memory_table *table, struct bytes user, struct bytes room, int64_t value, struct error *err)
{
	struct journal_entry *same = journal_entry_find(table->entries, user, room);
	if (same)
		table_remove(table, same, 0);
	if (!value)
		return 0;
	struct journal_entry *entry = journal_entry_of_entity(user, room, &(struct journal_entity){ .version = value });
	if (!entry)
		return error_set(err, ERROR_UNAVAILABLE, "no memory");
	table_add(table, entry, entity_content, STANDING_MAX, UINT64_MAX);
	return 0;
}

static int on_grant(void *data, struct bytes user, struct bytes room, bool is_granted, struct error *err)
{
	struct journal_memory *memory = data;
	return change_standing(&memory->grants, user, room, is_granted, err);
}

static int on_block(void *data, struct bytes user, uint64_t until_ms, struct error *err)
{
	struct journal_memory *memory = data;
	return change_standing(&memory->blocks, user, (struct bytes){ 0 }, (int64_t)until_ms, err);
}

/* --- writer --- */

static struct memory_writer *writer_of(struct journal_writer *writer)
{
	return (struct memory_writer *)writer;
}

static int memory_begin(struct journal_writer *writer, struct error *err)
{
	(void)err;
	journal_pending_clear(&writer_of(writer)->pending);
	return 0;
}

static int memory_savepoint(struct journal_writer *writer, size_t events, struct error *err)
{
	(void)events, (void)err;
	journal_pending_mark(&writer_of(writer)->pending);
	return 0;
}

static int memory_release(struct journal_writer *writer, struct error *err)
{
	(void)writer, (void)err;
	return 0;
}

static void memory_undo(struct journal_writer *writer)
{
	journal_pending_undo(&writer_of(writer)->pending);
}

static void take_entries(struct memory_table *table, struct journal_entry **entries, size_t (*content)(const struct journal_entry *),
                         const struct journal_retention *keep)
{
	struct journal_entry *entry, *next;
	HASH_ITER(hh, *entries, entry, next) {
		journal_entry_remove(entries, entry);
		journal_entry_free(entry->shadowed);
		entry->shadowed = NULL;
		table_add(table, entry, content, keep->events, keep->bytes);
	}
}

static enum journal_outcome memory_commit(struct journal_writer *writer, struct error *err)
{
	struct memory_writer *self = writer_of(writer);
	struct journal_memory *memory = self->memory;
	struct journal_pending *pending = &self->pending;
	const struct standing_change change = { on_grant, on_block, memory };
	int result = 0;
	pthread_mutex_lock(&memory->lock);
	for (size_t i = 0; i < pending->count && result == 0; i++)
		result = journal_record_standing(pending->records[i], &change, err);
	if (result == 0) {
		for (size_t i = 0; i < pending->count; i++)
			add_record(memory, pending->records[i]);
		writer->last.seq += pending->count;
		pending->count = 0;
		take_entries(&memory->keys, &pending->keys, key_content, &memory->keep);
		take_entries(&memory->entities, &pending->entities, entity_content, &memory->keep);
	}
	pthread_mutex_unlock(&memory->lock);
	journal_pending_clear(pending);
	return result ? JOURNAL_NOT_STORED : JOURNAL_STORED;
}

static void memory_rollback(struct journal_writer *writer)
{
	journal_pending_clear(&writer_of(writer)->pending);
}

static void memory_expect(struct journal_writer *writer, struct bytes first, struct bytes second)
{
	(void)writer, (void)first, (void)second;
}

static int find_key(struct memory_writer *self, struct bytes api_key, struct bytes key, struct journal_key *out, struct error *err)
{
	struct journal_entry *entry = journal_entry_find(self->pending.keys, api_key, key);
	if (!entry)
		entry = journal_entry_find(self->memory->keys.entries, api_key, key);
	free(self->found);
	self->found = entry ? journal_entry_of_key(&entry->key) : NULL;
	if (entry && !self->found)
		return error_set(err, ERROR_UNAVAILABLE, "no memory");
	if (entry)
		*out = self->found->key;
	return entry != NULL;
}

static int memory_find_key(struct journal_writer *writer, struct bytes api_key, struct bytes key, struct journal_key *out, struct error *err)
{
	struct memory_writer *self = writer_of(writer);
	pthread_mutex_lock(&self->memory->lock);
	int result = find_key(self, api_key, key, out, err);
	pthread_mutex_unlock(&self->memory->lock);
	return result;
}

int memory_show_entity(const struct journal_entry *entry, struct journal_entry **found, struct journal_entity *out, struct error *err)
{
	free(*found);
	*found = entry ? journal_entry_of_entity(entry->first, entry->second, &entry->entity) : NULL;
	if (entry && !*found)
		return error_set(err, ERROR_UNAVAILABLE, "no memory");
	if (entry)
		*out = (*found)->entity;
	return entry != NULL;
}

static int memory_find_entity(struct journal_writer *writer, struct bytes type, struct bytes id, struct journal_entity *out, struct error *err)
{
	struct memory_writer *self = writer_of(writer);
	pthread_mutex_lock(&self->memory->lock);
	struct journal_entry *entry = journal_entry_find(self->pending.entities, type, id);
	if (!entry)
		entry = journal_entry_find(self->memory->entities.entries, type, id);
	int result = memory_show_entity(entry, &self->found, out, err);
	pthread_mutex_unlock(&self->memory->lock);
	return result;
}

static int memory_keep_key(struct journal_writer *writer, const struct journal_key *key, struct error *err)
{
	return journal_pending_add_key(&writer_of(writer)->pending, key, err);
}

static int memory_append(struct journal_writer *writer, const struct journal_record *record, struct error *err)
{
	struct memory_writer *self = writer_of(writer);
	struct place last = { writer->last.epoch, writer->last.seq + self->pending.count };
	return journal_record_check(record, last, err) ? -1 : journal_pending_append(&self->pending, record, err);
}

static bool memory_is_lost(struct journal_writer *writer)
{
	(void)writer;
	return false;
}

static void memory_writer_free(struct memory_writer *self)
{
	journal_pending_deinit(&self->pending);
	state_dir_close(&self->state_dir);
	free(self->found);
	free(self);
}

static void memory_writer_close(struct journal_writer *writer)
{
	struct memory_writer *self = writer_of(writer);
	pthread_mutex_lock(&self->memory->lock);
	self->memory->writer = NULL;
	pthread_mutex_unlock(&self->memory->lock);
	memory_writer_free(self);
}

static const struct journal_writer_operations writer_operations = {
	.begin = memory_begin,
	.savepoint = memory_savepoint,
	.release = memory_release,
	.undo = memory_undo,
	.commit = memory_commit,
	.rollback = memory_rollback,
	.expect_key = memory_expect,
	.expect_entity = memory_expect,
	.find_key = memory_find_key,
	.find_entity = memory_find_entity,
	.keep_key = memory_keep_key,
	.append = memory_append,
	.is_lost = memory_is_lost,
	.close = memory_writer_close,
};

/* Called with the lock held. */
static int begin_epoch(struct journal_memory *memory, struct memory_writer *self, uint64_t now_s, struct error *err)
{
	uint64_t newest = memory->epoch_count ? memory->epochs[memory->epoch_count - 1].epoch : 0;
	uint64_t epoch = now_s > newest ? now_s : newest + 1;
	if (memory->writer)
		return error_set(err, ERROR_UNAVAILABLE, "this process has a writer already");
	if (memory->state_dir && (state_dir_open(memory->state_dir, &self->state_dir, err)
	                          || state_dir_next_epoch(&self->state_dir, epoch, &epoch, err)))
		return -1;
	if (memory->epoch_count == MESSAGE_EPOCHS_MAX)
		memmove(memory->epochs, memory->epochs + 1, --memory->epoch_count * sizeof(memory->epochs[0]));
	memory->epochs[memory->epoch_count++] = (struct memory_epoch){ epoch, memory->last };
	self->writer.last = (struct place){ epoch, 0 };
	memory->writer = self;
	return 0;
}

static int memory_open_writer(struct journal *journal, uint64_t now_s, const char *line_endpoint, struct journal_writer **out, struct error *err)
{
	struct journal_memory *memory = (struct journal_memory *)journal;
	struct memory_writer *self = calloc(1, sizeof(*self));
	if (!self)
		return error_set(err, ERROR_UNAVAILABLE, "no memory");
	self->writer.operations = &writer_operations;
	self->memory = memory;
	self->state_dir = (struct state_dir){ -1, -1 };
	pthread_mutex_lock(&memory->lock);
	int result = begin_epoch(memory, self, now_s, err);
	if (result == 0)
		snprintf(memory->endpoint, sizeof(memory->endpoint), "%s", line_endpoint);
	pthread_mutex_unlock(&memory->lock);
	if (result)
		memory_writer_free(self);
	else
		*out = &self->writer;
	return result;
}

/* --- the journal --- */

static int memory_find_active(struct journal *journal, char *line_endpoint, size_t size, struct error *err)
{
	(void)err;
	struct journal_memory *memory = (struct journal_memory *)journal;
	pthread_mutex_lock(&memory->lock);
	snprintf(line_endpoint, size, "%s", memory->endpoint);
	pthread_mutex_unlock(&memory->lock);
	return 0;
}

/* Its bounds hold at any time; what has only aged is dropped here. */
static int memory_trim(struct journal *journal, uint64_t now_ms, struct error *err)
{
	(void)err;
	struct journal_memory *memory = (struct journal_memory *)journal;
	struct journal_entry *key;
	pthread_mutex_lock(&memory->lock);
	while (memory->keep.age_ms && memory->first < memory->last
	       && memory_record(memory, memory->first)->message.time_ms + memory->keep.age_ms < now_ms)
		drop_first(memory);
	while ((key = memory->keys.entries) && key->key.time_ms + KEY_LIFE_MS < now_ms)
		table_remove(&memory->keys, key, key_content(key));
	pthread_mutex_unlock(&memory->lock);
	return 0;
}

static void memory_close(struct journal *journal)
{
	struct journal_memory *memory = (struct journal_memory *)journal;
	while (memory->first <= memory->last)
		drop_first(memory);
	journal_entries_free(&memory->keys.entries);
	journal_entries_free(&memory->entities.entries);
	journal_entries_free(&memory->grants.entries);
	journal_entries_free(&memory->blocks.entries);
	pthread_mutex_destroy(&memory->lock);
	pthread_mutex_destroy(&journal->lock);
	free(memory->slots);
	free(memory);
}

static const struct journal_operations memory_operations = {
	.name = "off",
	.open_writer = memory_open_writer,
	.open_reader = memory_open_reader,
	.find_active = memory_find_active,
	.trim = memory_trim,
	.trim_pause_ms = 1000,
	.close = memory_close,
};

struct journal *journal_memory_new(const struct journal_settings *settings, struct error *err)
{
	struct journal_memory *memory = calloc(1, sizeof(*memory));
	size_t events = settings->retention.events ? settings->retention.events : EVENTS_DEFAULT;
	struct journal_record **slots = calloc(events, sizeof(*slots));
	if (!memory || !slots || getrandom(memory->journal.mac_key, MAC_KEY_LEN, 0) != MAC_KEY_LEN) {
		free(memory);
		free(slots);
		error_set(err, ERROR_SYSTEM, "no memory for a journal of %zu events", events);
		return NULL;
	}
	memory->journal.operations = &memory_operations;
	memory->journal.has_mac_key = true;
	memory->state_dir = settings->state_dir;
	memory->keep = settings->retention;
	memory->keep.events = events;
	memory->keep.bytes = settings->retention.bytes ? settings->retention.bytes : BYTES_DEFAULT;
	memory->slots = slots;
	memory->first = 1;
	pthread_mutex_init(&memory->journal.lock, NULL);
	pthread_mutex_init(&memory->lock, NULL);
	return &memory->journal;
}
