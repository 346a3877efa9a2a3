/* journal_pending.c - a group's effects, which a savepoint can take back. */
#include "journal_pending.h"

#include <stdlib.h>

struct pending_step {
	struct journal_entry **entries; /* the hash that it stands in */
	struct journal_entry *entry;
};

/* --- entries --- */

static char *put(char *place, struct bytes bytes, struct bytes *out)
{
	if (bytes.len)
		memcpy(place, bytes.data, bytes.len);
	*out = (struct bytes){ place, bytes.len };
	return place + bytes.len;
}

/* The name is first, a byte 0, second: unique, because first is a text. content is copied behind it. */
static struct journal_entry *entry_new(struct bytes first, struct bytes second, struct bytes content, struct bytes *content_out)
{
	struct journal_entry *entry = malloc(sizeof(*entry) + first.len + 1 + second.len + content.len);
	if (!entry)
		return NULL;
	*entry = (struct journal_entry){ .name_len = first.len + 1 + second.len };
	char *place = put((char *)(entry + 1), first, &entry->first);
	*place++ = '\0';
	place = put(place, second, &entry->second);
	put(place, content, content_out);
	return entry;
}

struct journal_entry *journal_entry_of_key(const struct journal_key *key)
{
	struct bytes answer;
	struct journal_entry *entry = entry_new(key->api_key, key->key, key->answer, &answer);
	if (!entry)
		return NULL;
	entry->key = *key;
	entry->key.api_key = entry->first;
	entry->key.key = entry->second;
	entry->key.answer = answer;
	return entry;
}

struct journal_entry *journal_entry_of_entity(struct bytes type, struct bytes id, const struct journal_entity *entity)
{
	struct bytes data;
	struct journal_entry *entry = entry_new(type, id, entity->data, &data);
	if (entry)
		entry->entity = (struct journal_entity){ entity->version, data };
	return entry;
}

void journal_entry_free(struct journal_entry *entry)
{
	while (entry) {
		struct journal_entry *shadowed = entry->shadowed;
		free(entry);
		entry = shadowed;
	}
}

struct journal_entry *journal_entry_find(struct journal_entry *entries, struct bytes first, struct bytes second)
{
	struct journal_entry *found = NULL;
	struct buffer name = { 0 };
	if (!entries)
		return NULL;
	buffer_add_bytes(&name, first);
	buffer_add_char(&name, '\0');
	buffer_add_bytes(&name, second);
	if (!name.has_failed)
		HASH_FIND(hh, entries, name.data, name.len, found);
	buffer_deinit(&name);
	return found;
}

static struct journal_entry *find_same(struct journal_entry *entries, const struct journal_entry *entry)
{
	struct journal_entry *found;
	HASH_FIND(hh, entries, (const char *)(entry + 1), entry->name_len, found);
	return found;
}

void journal_entry_add(struct journal_entry **entries, struct journal_entry *entry)
{
	struct journal_entry *found = find_same(*entries, entry);
	if (found)
		HASH_DEL(*entries, found);
	entry->shadowed = found;
	HASH_ADD_KEYPTR(hh, *entries, (char *)(entry + 1), entry->name_len, entry);
}

void journal_entry_remove(struct journal_entry **entries, struct journal_entry *entry)
{
	HASH_DEL(*entries, entry);
}

void journal_entries_free(struct journal_entry **entries)
{
	struct journal_entry *entry, *next;
	HASH_ITER(hh, *entries, entry, next) {
		HASH_DEL(*entries, entry);
		journal_entry_free(entry);
	}
}

/* --- the group --- */

void journal_pending_clear(struct journal_pending *pending)
{
	for (size_t i = 0; i < pending->count; i++)
		free(pending->records[i]);
	pending->count = pending->step_count = pending->marked_count = pending->marked_steps = 0;
	journal_entries_free(&pending->keys);
	journal_entries_free(&pending->entities);
}

void journal_pending_deinit(struct journal_pending *pending)
{
	journal_pending_clear(pending);
	free(pending->records);
	free(pending->steps);
	*pending = (struct journal_pending){ 0 };
}

void journal_pending_mark(struct journal_pending *pending)
{
	pending->marked_count = pending->count;
	pending->marked_steps = pending->step_count;
}

void journal_pending_undo(struct journal_pending *pending)
{
	while (pending->count > pending->marked_count)
		free(pending->records[--pending->count]);
	while (pending->step_count > pending->marked_steps) {
		struct pending_step *step = &pending->steps[--pending->step_count];
		struct journal_entry *entry = step->entry, *shadowed = entry->shadowed;
		HASH_DEL(*step->entries, entry);
		free(entry);
		if (shadowed) /* with all that it shadows itself */
			HASH_ADD_KEYPTR(hh, *step->entries, (char *)(shadowed + 1), shadowed->name_len, shadowed);
	}
}

/* items, or where they are now that there is room for one more; NULL: no memory, they stay. */
static void *make_room(void *items, size_t item_size, size_t count, size_t *capacity)
{
	if (count < *capacity)
		return items;
	size_t wanted = *capacity ? 2 * *capacity : 64;
	void *grown = realloc(items, wanted * item_size);
	if (grown)
		*capacity = wanted;
	return grown;
}

static int add_entry(struct journal_pending *pending, struct journal_entry **entries, struct journal_entry *entry, struct error *err)
{
	struct pending_step *steps = make_room(pending->steps, sizeof(*steps), pending->step_count, &pending->step_capacity);
	pending->steps = steps ? steps : pending->steps;
	if (!entry || !steps) {
		free(entry);
		return error_set(err, ERROR_UNAVAILABLE, "no memory for a group");
	}
	journal_entry_add(entries, entry);
	pending->steps[pending->step_count++] = (struct pending_step){ entries, entry };
	return 0;
}

int journal_pending_add_key(struct journal_pending *pending, const struct journal_key *key, struct error *err)
{
	return add_entry(pending, &pending->keys, journal_entry_of_key(key), err);
}

int journal_pending_append(struct journal_pending *pending, const struct journal_record *record, struct error *err)
{
	const struct message *message = &record->message;
	struct journal_entity entity = { record->version, record->data };
	struct journal_record *copy = journal_record_dup(record);
	struct journal_record **records = make_room(pending->records, sizeof(*records), pending->count, &pending->capacity);
	pending->records = records ? records : pending->records;
	if (!copy || !records) {
		free(copy);
		return error_set(err, ERROR_UNAVAILABLE, "no memory for a group");
	}
	pending->records[pending->count++] = copy;
	if (record->version == VERSION_NONE)
		return 0;
	/* When this fails the caller undoes the request, and the record with it. */
	return add_entry(pending, &pending->entities, journal_entry_of_entity(message->entity_type, message->entity_id, &entity), err);
}
