/* room.h - rooms by name, and who is in them.
 *
 * A room is an array of slots, so that a broadcast can stop anywhere and go on later. While a room is pinned, slots keep
 * their numbers: who leaves becomes a tombstone, who joins is appended. Rooms without members are freed. One thread. */
#ifndef ROOMCAST_HUB_ROOM_H
#define ROOMCAST_HUB_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include <uthash.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

struct member;

struct room_slot {
	struct member *member; /* NULL: a tombstone */
	uint32_t membership;   /* index of this room in the member's memberships */
};

struct room {
	struct room_slot *slots;
	uint32_t slot_count;   /* tombstones included */
	uint32_t slot_capacity;
	uint32_t member_count;
	uint32_t pins;
	bool is_named;         /* false for the two rooms that no name can reach */
	UT_hash_handle hh;
	size_t name_len;
	char name[];
};

struct membership {
	struct room *room;
	uint32_t slot;
	bool is_granted; /* by a publisher: beside the bound of what the client may join by itself */
};

/* The rooms of one member; embedded in struct member. All zero: none. */
struct memberships {
	struct membership *items;
	uint32_t count;
	uint32_t capacity;
};

struct rooms {
	struct room *by_name;
	struct room *everyone;      /* every connected client */
	struct room *authenticated; /* every client with an identity */
	uint64_t joins;             /* since the start: tells whether anyone joined anything in between */
};

int rooms_init(struct rooms *rooms, struct error *err) MUST_CHECK;
void rooms_deinit(struct rooms *rooms); /* nobody may be in a room any more */

struct room *rooms_find(const struct rooms *rooms, struct bytes name);
size_t rooms_count(const struct rooms *rooms); /* named rooms */

/* 0, also when it is in already; -1 without memory or past `most` memberships that were not granted (0: no bound). */
int room_join(struct rooms *rooms, struct member *member, struct bytes name, uint32_t most, struct error *err) MUST_CHECK;
/* The same for a room that a publisher grants; `most` bounds those. */
int room_join_granted(struct rooms *rooms, struct member *member, struct bytes name, uint32_t most, struct error *err) MUST_CHECK;
int room_join_unnamed(struct rooms *rooms, struct member *member, struct room *room, struct error *err) MUST_CHECK;
void room_leave(struct rooms *rooms, struct member *member, struct bytes name); /* not being in it is fine */
void room_leave_all(struct rooms *rooms, struct member *member);

/* The member's slot in room, or -1. Walks the member's few memberships. */
int64_t room_slot_of(const struct room *room, const struct member *member);

/* Whether the name, of a room or of a client, means this member. */
bool rooms_have(const struct rooms *rooms, const struct member *member, struct bytes name);

void room_pin(struct room *room);
void room_unpin(struct rooms *rooms, struct room *room); /* may free it */

#endif
