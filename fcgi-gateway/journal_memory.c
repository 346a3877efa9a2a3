/* journal_memory.c - the journal "off": a ring of the newest records in memory, shared by its writer and its readers under one lock. */
#include "journal_pending.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "state_dir.h"

enum {
	EVENTS_DEFAULT = 65536, BYTES_DEFAULT = 64 << 20, /* where the retention gives no bound */
	STANDING_MAX = 65536,                             /* grants, and blocks; past it the oldest are forgotten */
};

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

struct memory_reader {
	struct journal_reader reader;
	struct journal_memory *memory;
	struct journal_entry *found;
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

static const struct journal_record *record_of(const struct journal_memory *memory, uint64_t id)
{
	return memory->slots[id % memory->keep.events];
}

static struct place place_of(const struct journal_memory *memory, uint64_t id)
{
	const struct message *message = &record_of(memory, id)->message;
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

static int memory_savepoint(struct journal_writer *writer, struct error *err)
{
	(void)err;
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

/* Copies entry, which may be NULL, for a view that outlives the lock. */
static int show_entity(const struct journal_entry *entry, struct journal_entry **found, struct journal_entity *out, struct error *err)
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
	int result = show_entity(entry, &self->found, out, err);
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

/* --- reader --- */

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
		const struct journal_record *record = record_of(memory, id);
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
		const struct journal_record *record = record_of(memory, id);
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
		const struct journal_record *record = record_of(memory, id);
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
	int result = show_entity(journal_entry_find(self->memory->entities.entries, type, id), &self->found, out, err);
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

static int memory_open_reader(struct journal *journal, struct journal_reader **out, struct error *err)
{
	struct memory_reader *self = calloc(1, sizeof(*self));
	if (!self)
		return error_set(err, ERROR_UNAVAILABLE, "no memory");
	*self = (struct memory_reader){ .reader.operations = &reader_operations, .memory = (struct journal_memory *)journal };
	*out = &self->reader;
	return 0;
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
	       && record_of(memory, memory->first)->message.time_ms + memory->keep.age_ms < now_ms)
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
