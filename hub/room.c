/* room.c - rooms as arrays of slots. */
#include "room.h"

#include <assert.h>
#include <stdlib.h>

#include "member.h"

static struct room *room_new(struct bytes name, bool is_named, struct error *err)
{
	struct room *room = calloc(1, sizeof(*room) + name.len + 1);
	if (!room) {
		error_set(err, ERROR_SYSTEM, "no memory for a room");
		return NULL;
	}
	room->is_named = is_named;
	room->name_len = name.len;
	memcpy(room->name, name.data, name.len);
	return room;
}

static void room_free(struct room *room)
{
	if (!room)
		return;
	assert(room->member_count == 0 && room->pins == 0);
	free(room->slots);
	free(room);
}

int rooms_init(struct rooms *rooms, struct error *err)
{
	*rooms = (struct rooms){ 0 };
	rooms->everyone = room_new(bytes_of("everyone"), false, err);
	rooms->authenticated = room_new(bytes_of("authenticated"), false, err);
	if (rooms->everyone && rooms->authenticated)
		return 0;
	rooms_deinit(rooms);
	return -1;
}

void rooms_deinit(struct rooms *rooms)
{
	assert(!rooms->by_name);
	room_free(rooms->everyone);
	room_free(rooms->authenticated);
	*rooms = (struct rooms){ 0 };
}

struct room *rooms_find(const struct rooms *rooms, struct bytes name)
{
	struct room *room;
	HASH_FIND(hh, rooms->by_name, name.data, name.len, room);
	return room;
}

size_t rooms_count(const struct rooms *rooms)
{
	return HASH_COUNT(rooms->by_name);
}

/* Makes room for one more item of an array that doubles. */
static int grow(void **items, uint32_t count, uint32_t *capacity, size_t item_size, struct error *err)
{
	if (count < *capacity)
		return 0;
	uint32_t more = *capacity ? *capacity * 2 : 2;
	void *grown = more > *capacity ? realloc(*items, more * item_size) : NULL;
	if (!grown)
		return error_set(err, ERROR_SYSTEM, "no memory for a membership");
	*items = grown;
	*capacity = more;
	return 0;
}

/* Tombstones give the highest slots back, and the others are filled from the end, when no broadcast counts on them. */
static void shrink(struct room *room)
{
	if (room->slot_capacity > 16 && room->slot_count < room->slot_capacity / 4) {
		struct room_slot *slots = realloc(room->slots, room->slot_capacity / 2 * sizeof(*slots));
		if (slots) {
			room->slots = slots;
			room->slot_capacity /= 2;
		}
	}
}

static void compact(struct room *room)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < room->slot_count; i++) {
		struct room_slot slot = room->slots[i];
		if (!slot.member)
			continue;
		slot.member->memberships.items[slot.membership].slot = kept;
		room->slots[kept++] = slot;
	}
	room->slot_count = kept;
	shrink(room);
}

static void free_when_deserted(struct rooms *rooms, struct room *room)
{
	if (room->member_count || room->pins || !room->is_named)
		return;
	HASH_DELETE(hh, rooms->by_name, room);
	room_free(room);
}

static int enter(struct rooms *rooms, struct member *member, struct room *room, struct error *err)
{
	struct memberships *memberships = &member->memberships;
	void *slots = room->slots, *items = memberships->items;
	if (grow(&slots, room->slot_count, &room->slot_capacity, sizeof(*room->slots), err))
		return -1;
	room->slots = slots;
	if (grow(&items, memberships->count, &memberships->capacity, sizeof(*memberships->items), err))
		return -1;
	memberships->items = items;
	room->slots[room->slot_count] = (struct room_slot){ member, memberships->count };
	memberships->items[memberships->count++] = (struct membership){ .room = room, .slot = room->slot_count };
	room->slot_count++;
	room->member_count++;
	rooms->joins++;
	return 0;
}

/* The member's membership of room, or NULL. */
static struct membership *membership_of(const struct room *room, const struct member *member)
{
	for (uint32_t i = 0; i < member->memberships.count; i++)
		if (member->memberships.items[i].room == room)
			return &member->memberships.items[i];
	return NULL;
}

static uint32_t count_memberships(const struct member *member, bool is_granted)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < member->memberships.count; i++)
		count += member->memberships.items[i].is_granted == is_granted;
	return count;
}

static int join(struct rooms *rooms, struct member *member, struct bytes name, bool is_granted, uint32_t most, struct error *err)
{
	struct room *room = rooms_find(rooms, name);
	if (room && membership_of(room, member))
		return 0;
	if (most && member->memberships.count >= most && count_memberships(member, is_granted) >= most)
		return error_set(err, ERROR_TOO_LARGE, "a client may be in %u rooms", most);
	if (!room) {
		room = room_new(name, true, err);
		if (!room)
			return -1;
		HASH_ADD_KEYPTR(hh, rooms->by_name, room->name, room->name_len, room);
	}
	if (enter(rooms, member, room, err) == 0)
		return 0;
	free_when_deserted(rooms, room);
	return -1;
}

int room_join(struct rooms *rooms, struct member *member, struct bytes name, uint32_t most, struct error *err)
{
	return join(rooms, member, name, false, most, err);
}

int room_join_granted(struct rooms *rooms, struct member *member, struct bytes name, uint32_t most, struct error *err)
{
	if (join(rooms, member, name, true, most, err))
		return -1;
	membership_of(rooms_find(rooms, name), member)->is_granted = true;
	return 0;
}

int room_join_unnamed(struct rooms *rooms, struct member *member, struct room *room, struct error *err)
{
	return room_slot_of(room, member) >= 0 ? 0 : enter(rooms, member, room, err);
}

/* The last membership takes the place of the one that goes; its slot is told. */
static void drop_membership(struct member *member, uint32_t index)
{
	struct memberships *memberships = &member->memberships;
	uint32_t last = --memberships->count;
	if (index != last) {
		struct membership moved = memberships->items[last];
		memberships->items[index] = moved;
		moved.room->slots[moved.slot].membership = index;
	}
}

static void exit_room(struct rooms *rooms, struct member *member, uint32_t index)
{
	struct room *room = member->memberships.items[index].room;
	uint32_t slot = member->memberships.items[index].slot;
	drop_membership(member, index);
	room->member_count--;
	if (room->pins) {
		room->slots[slot].member = NULL;
	} else {
		struct room_slot moved = room->slots[--room->slot_count];
		if (slot != room->slot_count) {
			room->slots[slot] = moved;
			moved.member->memberships.items[moved.membership].slot = slot;
		}
		shrink(room);
	}
	free_when_deserted(rooms, room);
}

void room_leave(struct rooms *rooms, struct member *member, struct bytes name)
{
	struct room *room = rooms_find(rooms, name);
	for (uint32_t i = 0; room && i < member->memberships.count; i++) {
		if (member->memberships.items[i].room == room) {
			exit_room(rooms, member, i);
			return;
		}
	}
}

void room_leave_all(struct rooms *rooms, struct member *member)
{
	while (member->memberships.count)
		exit_room(rooms, member, member->memberships.count - 1);
	free(member->memberships.items);
	member->memberships = (struct memberships){ 0 };
}

int64_t room_slot_of(const struct room *room, const struct member *member)
{
	const struct membership *membership = membership_of(room, member);
	return membership ? (int64_t)membership->slot : -1;
}

bool rooms_have(const struct rooms *rooms, const struct member *member, struct bytes name)
{
	const struct room *room = rooms_find(rooms, name);
	return room ? room_slot_of(room, member) >= 0 : bytes_equal_text(name, member->sid);
}

void room_pin(struct room *room)
{
	room->pins++;
}

void room_unpin(struct rooms *rooms, struct room *room)
{
	assert(room->pins);
	if (--room->pins)
		return;
	if (room->slot_count != room->member_count)
		compact(room);
	free_when_deserted(rooms, room);
}
