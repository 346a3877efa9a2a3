/* history.c - a log in chunks, indexed by room. */
#include "history.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>

#include <roomcast/log.h>

#include "history_index.h"

enum {
	CHUNK_ENTRIES = 512,     /* a power of two */
	CHUNKS_CAPACITY_MIN = 8, /* a power of two, too */
	GIVE_BACK_BYTES = 8 << 20,
};

/* What few events have: several rooms, exclusions. */
struct details {
	uint32_t room_count, except_count, exclude_user_len, size;
	struct room_index *rooms[]; /* then the bytes: exclude_user, and each name of except behind its length in two bytes */
};

struct entry {
	struct frame *frame;
	struct place place;
	struct room_index *room; /* NULL: details->rooms */
	struct details *details; /* NULL: none */
	uint32_t time_s;         /* wall clock */
	bool is_replaced;
};

/* Where a reader is in one index. */
struct source {
	const struct room_index *index;
	uint32_t at, end;        /* from the head */
	uint32_t age;            /* of the number there: how far it is from the log's first */
};

struct history {
	struct history_bounds bounds;
	struct entry **chunks;   /* a ring, indexed by number / CHUNK_ENTRIES */
	size_t chunks_capacity;
	uint64_t first, next;    /* numbers of the oldest entry, and of the one to come */
	struct place reach, newest;
	struct room_indexes rooms;
	uint64_t bytes, dropped; /* bytes: without the indexes */
	struct source *sources;  /* of the reader: a heap, the oldest number on top */
	uint32_t source_count, source_capacity;
	uint64_t read_from;
	bool is_heap, has_failed;
	uint64_t most_bytes;     /* since the system was last given memory back */
};

static size_t frame_cost(const struct frame *frame)
{
	return memory_cost(sizeof(*frame) + frame_wire_len(frame));
}

/* --- the log ------------------------------------------------------------------ */

static struct entry *entry_at(const struct history *history, uint64_t number)
{
	return &history->chunks[number / CHUNK_ENTRIES & (history->chunks_capacity - 1)][number % CHUNK_ENTRIES];
}

static uint64_t chunk_count(const struct history *history)
{
	return history->first == history->next ? 0 : (history->next - 1) / CHUNK_ENTRIES - history->first / CHUNK_ENTRIES + 1;
}

static int grow_chunks(struct history *history)
{
	size_t old = history->chunks_capacity, more = old ? old * 2 : CHUNKS_CAPACITY_MIN;
	struct entry **chunks = calloc(more, sizeof(struct entry *));
	if (!chunks)
		return -1;
	for (uint64_t chunk = history->first / CHUNK_ENTRIES, left = chunk_count(history); left; chunk++, left--)
		chunks[chunk & (more - 1)] = history->chunks[chunk & (old - 1)];
	free(history->chunks);
	history->chunks = chunks;
	history->chunks_capacity = more;
	history->bytes += (more - old) * sizeof(struct entry *);
	return 0;
}

/* The entry to come, or NULL without memory. */
static struct entry *open_entry(struct history *history)
{
	bool is_first_of_chunk = history->next % CHUNK_ENTRIES == 0 || history->first == history->next;
	if (is_first_of_chunk) {
		if (chunk_count(history) == history->chunks_capacity && grow_chunks(history))
			return NULL;
		struct entry *chunk = malloc(CHUNK_ENTRIES * sizeof(struct entry));
		if (!chunk)
			return NULL;
		history->chunks[history->next / CHUNK_ENTRIES & (history->chunks_capacity - 1)] = chunk;
		history->bytes += memory_cost(CHUNK_ENTRIES * sizeof(struct entry));
	}
	return entry_at(history, history->next++);
}

static void close_oldest_entry(struct history *history)
{
	uint64_t number = history->first++;
	if (history->first % CHUNK_ENTRIES && history->first != history->next)
		return;
	free(history->chunks[number / CHUNK_ENTRIES & (history->chunks_capacity - 1)]);
	history->bytes -= memory_cost(CHUNK_ENTRIES * sizeof(struct entry));
}

/* The number of the first entry behind a place. */
static uint64_t find_behind(const struct history *history, struct place place)
{
	uint64_t from = history->first, to = history->next;
	while (from < to) {
		uint64_t middle = from + (to - from) / 2;
		if (place_compare(entry_at(history, middle)->place, place) <= 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* --- entries ------------------------------------------------------------------ */

static size_t packed_len(const struct message *message)
{
	size_t len = message->exclude_user.len;
	for (size_t i = 0; i < message->except.count; i++)
		len += 2 + message->except.items[i].len;
	return len;
}

static char *packed_of(const struct details *details)
{
	return (char *)(uintptr_t)&details->rooms[details->room_count];
}

static void pack_exclusions(struct details *details, const struct message *message)
{
	char *next = packed_of(details);
	details->exclude_user_len = (uint32_t)message->exclude_user.len;
	details->except_count = (uint32_t)message->except.count;
	if (message->exclude_user.len)
		memcpy(next, message->exclude_user.data, message->exclude_user.len);
	next += message->exclude_user.len;
	for (size_t i = 0; i < message->except.count; i++) {
		struct bytes name = message->except.items[i];
		*next++ = (char)(name.len >> 8);
		*next++ = (char)(name.len & 0xff);
		memcpy(next, name.data, name.len);
		next += name.len;
	}
}

/* Room for the exclusions, and for the rooms when there are several. */
static int add_details(struct history *history, struct entry *entry, const struct message *message)
{
	size_t several = message->audience == AUDIENCE_ROOMS && message->rooms.count > 1 ? message->rooms.count : 0;
	size_t len = packed_len(message);
	if (!several && !len)
		return 0;
	size_t size = sizeof(struct details) + several * sizeof(struct room_index *) + len;
	struct details *details = calloc(1, size);
	if (!details)
		return -1;
	details->size = (uint32_t)size;
	details->room_count = (uint32_t)several;
	pack_exclusions(details, message);
	entry->details = details;
	history->bytes += memory_cost(size);
	return 0;
}

static int add_to_index(struct history *history, struct room_index *index, struct room_index **place, uint64_t number)
{
	if (!index || room_index_push(&history->rooms, index, number)) {
		if (index)
			room_index_shrink(&history->rooms, index);
		return -1;
	}
	*place = index;
	return 0;
}

static int add_to_indexes(struct history *history, struct entry *entry, const struct message *message, uint64_t number)
{
	if (message->audience == AUDIENCE_EVERYONE)
		return add_to_index(history, &history->rooms.everyone, &entry->room, number);
	if (message->audience == AUDIENCE_AUTHENTICATED)
		return add_to_index(history, &history->rooms.authenticated, &entry->room, number);
	if (message->rooms.count == 1)
		return add_to_index(history, room_index_get(&history->rooms, message->rooms.items[0]), &entry->room, number);
	for (size_t i = 0; i < message->rooms.count; i++)
		if (add_to_index(history, room_index_get(&history->rooms, message->rooms.items[i]), &entry->details->rooms[i], number))
			return -1;
	return 0;
}

static struct room_index *const *entry_rooms(const struct entry *entry, uint32_t *count)
{
	*count = entry->room ? 1 : entry->details ? entry->details->room_count : 0;
	return entry->room ? &entry->room : entry->details ? entry->details->rooms : NULL;
}

static void mark_unjudged(const struct entry *entry, const struct message *message)
{
	bool is_judged = true;
	for (size_t i = 0; i < message->except.count; i++)
		is_judged = is_judged && history_is_user_room(message->except.items[i]);
	uint32_t count;
	struct room_index *const *rooms = entry_rooms(entry, &count);
	for (uint32_t i = 0; !is_judged && i < count; i++)
		rooms[i]->unjudged = entry->place;
}

static void drop_oldest(struct history *history)
{
	struct entry *entry = entry_at(history, history->first);
	uint32_t count;
	struct room_index *const *rooms = entry_rooms(entry, &count);
	for (uint32_t i = 0; i < count; i++)
		if (rooms[i])
			room_index_pop(&history->rooms, rooms[i], history->first);
	if (entry->details)
		history->bytes -= memory_cost(entry->details->size);
	free(entry->details);
	if (entry->frame)
		history->bytes -= frame_cost(entry->frame);
	frame_unref(entry->frame);
	history->reach = entry->place;
	history->dropped++;
	close_oldest_entry(history);
}

static uint64_t total_bytes(const struct history *history)
{
	return history->bytes + history->rooms.bytes;
}

static bool is_past_bounds(const struct history *history, uint64_t now_ms)
{
	if (history->first == history->next)
		return false;
	uint64_t oldest_ms = (uint64_t)entry_at(history, history->first)->time_s * 1000;
	return history->next - history->first > history->bounds.events || total_bytes(history) > history->bounds.bytes ||
	       (now_ms > oldest_ms && now_ms - oldest_ms > history->bounds.age_ms);
}

static void drop_what_is_past_bounds(struct history *history, uint64_t now_ms)
{
	while (is_past_bounds(history, now_ms))
		drop_oldest(history);
}

void history_trim(struct history *history, uint64_t now_ms)
{
	drop_what_is_past_bounds(history, now_ms);
	/* What was freed between pieces that stay would not go back to the system by itself. */
	if (history->most_bytes > 2 * total_bytes(history) + GIVE_BACK_BYTES) {
		malloc_trim(0);
		history->most_bytes = total_bytes(history);
	}
}

void history_restart(struct history *history, struct place reach)
{
	while (history->first != history->next)
		drop_oldest(history);
	history->reach = history->newest = reach;
}

static int fill_entry(struct history *history, struct entry *entry, struct event *event, uint64_t now_ms, uint64_t number)
{
	const struct message *message = &event->message;
	uint64_t time_ms = message->time_ms && message->time_ms < now_ms ? message->time_ms : now_ms;
	*entry = (struct entry){ .place = { message->epoch, message->seq }, .time_s = (uint32_t)(time_ms / 1000) };
	struct frame *frame = event_frame(event, FRAMING_OFFSET);
	if (!frame)
		return -1;
	entry->frame = frame_ref(frame);
	history->bytes += frame_cost(frame);
	if (add_details(history, entry, message) || add_to_indexes(history, entry, message, number))
		return -1;
	if (message->except.count)
		mark_unjudged(entry, message);
	return 0;
}

uint64_t history_append(struct history *history, struct event *event, uint64_t now_ms)
{
	struct place place = { event->message.epoch, event->message.seq };
	if (place_compare(place, history->newest) <= 0) {
		log_warning("msg=\"the log went back, the history begins anew\" epoch=%llu seq=%llu", (unsigned long long)place.epoch,
		            (unsigned long long)place.seq);
		history_restart(history, (struct place){ place.epoch, place.seq - 1 });
	}
	uint64_t number = history->next;
	struct entry *entry = open_entry(history);
	if (!entry || fill_entry(history, entry, event, now_ms, number)) {
		log_error("msg=\"no memory for the history, it begins anew\" events=%llu", (unsigned long long)(history->next - history->first));
		history_restart(history, place);
		return number;
	}
	history->newest = place;
	if (total_bytes(history) > history->most_bytes)
		history->most_bytes = total_bytes(history);
	drop_what_is_past_bounds(history, now_ms);
	return number;
}

void history_replace(struct history *history, uint64_t number)
{
	if (number >= history->first && number < history->next)
		entry_at(history, number)->is_replaced = true;
}

/* --- reading ------------------------------------------------------------------ */

void history_read(struct history *history, struct place after)
{
	history->read_from = find_behind(history, after);
	history->source_count = 0;
	history->is_heap = history->has_failed = false;
}

static uint32_t age_at(const struct history *history, const struct room_index *index, uint32_t at)
{
	return room_index_number(index, at) - (uint32_t)history->first;
}

/* The first in the index that is not before the entry of that number. */
static uint32_t find_in_index(const struct history *history, const struct room_index *index, uint64_t number)
{
	uint32_t oldest = (uint32_t)(number - history->first), from = 0, to = index->count;
	while (from < to) {
		uint32_t middle = from + (to - from) / 2;
		if (age_at(history, index, middle) < oldest)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static void read_index(struct history *history, const struct room_index *index, uint64_t read_from, uint64_t read_to)
{
	if (!index || !index->count)
		return;
	uint32_t from = find_in_index(history, index, read_from), end = find_in_index(history, index, read_to);
	if (from >= end)
		return;
	if (history->source_count == history->source_capacity) {
		uint32_t more = history->source_capacity ? history->source_capacity * 2 : 16;
		struct source *sources = realloc(history->sources, more * sizeof(*sources));
		if (!sources) {
			history->has_failed = true;
			return;
		}
		history->sources = sources;
		history->source_capacity = more;
	}
	history->sources[history->source_count++] = (struct source){ index, from, end, age_at(history, index, from) };
}

void history_read_everyone(struct history *history)
{
	read_index(history, &history->rooms.everyone, history->read_from, history->next);
}

void history_read_authenticated(struct history *history)
{
	read_index(history, &history->rooms.authenticated, history->read_from, history->next);
}

static void read_room(struct history *history, struct bytes name, struct place since, uint64_t read_to)
{
	uint64_t from = since.epoch ? find_behind(history, since) : 0;
	read_index(history, room_index_find(&history->rooms, name), from > history->read_from ? from : history->read_from, read_to);
}

void history_read_room(struct history *history, struct bytes name, struct place since)
{
	read_room(history, name, since, history->next);
}

void history_read_room_until(struct history *history, struct bytes name, struct place since, struct place until)
{
	read_room(history, name, since, find_behind(history, until));
}

static void sift_down(struct history *history, uint32_t at)
{
	struct source *heap = history->sources, moved = heap[at];
	for (;;) {
		uint32_t child = 2 * at + 1;
		if (child + 1 < history->source_count && heap[child + 1].age < heap[child].age)
			child++;
		if (child >= history->source_count || heap[child].age >= moved.age)
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moved;
}

static void advance_top(struct history *history)
{
	struct source *top = &history->sources[0];
	if (++top->at < top->end)
		top->age = age_at(history, top->index, top->at);
	else
		*top = history->sources[--history->source_count];
	if (history->source_count)
		sift_down(history, 0);
}

bool history_next(struct history *history, struct history_item *item)
{
	if (!history->is_heap)
		for (uint32_t i = history->source_count / 2; i-- > 0;)
			sift_down(history, i);
	history->is_heap = true;
	if (!history->source_count || history->has_failed)
		return false;
	uint32_t age = history->sources[0].age;
	const struct entry *entry = entry_at(history, history->first + age);
	const struct details *details = entry->details;
	*item = (struct history_item){ .frame = entry->frame, .place = entry->place, .is_replaced = entry->is_replaced };
	if (details) {
		item->exclude_user = (struct bytes){ packed_of(details), details->exclude_user_len };
		item->except = packed_of(details) + details->exclude_user_len;
		item->except_count = details->except_count;
	}
	while (history->source_count && history->sources[0].age == age)
		advance_top(history);
	return true;
}

bool history_read_has_failed(const struct history *history)
{
	return history->has_failed;
}

struct bytes history_next_except(struct history_item *item)
{
	assert(item->except_count);
	size_t len = (size_t)(unsigned char)item->except[0] << 8 | (unsigned char)item->except[1];
	struct bytes name = { item->except + 2, len };
	item->except += 2 + len;
	item->except_count--;
	return name;
}

bool history_is_user_room(struct bytes name)
{
	return name.len > 5 && memcmp(name.data, "user-", 5) == 0;
}

/* --- the whole ---------------------------------------------------------------- */

struct history *history_new(const struct history_bounds *bounds, struct error *err)
{
	struct history *history = calloc(1, sizeof(*history));
	if (!history) {
		error_set(err, ERROR_SYSTEM, "no memory");
		return NULL;
	}
	history->bounds = *bounds;
	if (history->bounds.events > UINT32_MAX / 2)
		history->bounds.events = UINT32_MAX / 2;
	return history;
}

void history_free(struct history *history)
{
	if (!history)
		return;
	history_restart(history, (struct place){ 0 });
	free(history->chunks);
	free(history->sources);
	free(history);
}

struct place history_reach(const struct history *history)
{
	return history->reach;
}

struct place history_newest(const struct history *history)
{
	return history->newest;
}

struct place history_unjudged(const struct history *history, const struct bytes *room, bool is_authenticated)
{
	if (room) {
		const struct room_index *index = room_index_find(&history->rooms, *room);
		return index ? index->unjudged : (struct place){ 0 };
	}
	return is_authenticated ? place_larger(history->rooms.everyone.unjudged, history->rooms.authenticated.unjudged) : history->rooms.everyone.unjudged;
}

struct history_figures history_figures(const struct history *history)
{
	return (struct history_figures){
		.events = history->next - history->first,
		.bytes = total_bytes(history),
		.rooms = HASH_COUNT(history->rooms.by_name),
		.appended = history->next,
		.dropped = history->dropped,
		.oldest_ms = history->first == history->next ? 0 : (uint64_t)entry_at(history, history->first)->time_s * 1000,
	};
}
