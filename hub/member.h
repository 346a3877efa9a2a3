/* member.h - what this hub knows of one connected client: identity, rooms, position.
 *
 * It lies in the memory that the Socket.IO layer keeps with each client. */
#ifndef ROOMCAST_HUB_MEMBER_H
#define ROOMCAST_HUB_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include <uthash.h>

#include "event.h"
#include "expiry.h"
#include "room.h"

struct client;
struct left_room;
struct walk;

/* The position of a member that is behind: broadcasts have nothing for it, its walk through the history gives it everything. */
#define POSITION_BEHIND UINT64_MAX

struct member {
	struct client *client;
	uint64_t position;               /* everything up to here in the delivery order that is for it was given to it */
	struct walk *walk;               /* NULL: it is live */
	struct memberships memberships;
	struct left_room *left;          /* rooms that a publisher took it out of */
	enum event_framing framing;
	/* NULL when anonymous. Three terminated strings, each in the memory of the first. */
	char *user_id;
	const char *username;
	const char *role;
	const char *sid;                 /* Socket.IO id; the client's memory */
	struct expiry expiry;            /* of its token */
	bool is_resumed;                 /* it came back with a good pid */
	bool has_joined;                 /* since then, or its rooms were kept */
	uint64_t rate_us;                /* monotonic time up to which its events are paid for */
	UT_hash_handle hh;               /* by sid */
};

static inline bool member_is_authenticated(const struct member *member)
{
	return member->user_id != NULL;
}

#endif
