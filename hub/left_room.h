/* left_room.h - rooms that a publisher took a client out of: what came before is still the client's, if it was away or behind then.
 *
 * A list, the newest first, of so many at most; the oldest are forgotten. NULL: none. */
#ifndef ROOMCAST_HUB_LEFT_ROOM_H
#define ROOMCAST_HUB_LEFT_ROOM_H

#include <stdbool.h>

#include <roomcast/bytes.h>
#include <roomcast/place.h>

enum { LEFT_ROOMS_MAX = 100 };

struct left_room {
	struct left_room *next;
	struct place since, until; /* it was in the room from (zero: whenever) to there */
	bool is_granted;           /* by a publisher */
	size_t name_len;
	char name[];
};

/* Without memory it does without. */
void left_rooms_add(struct left_room **list, const struct left_room *what, struct bytes name);
/* Whether the client was in that room when the event of that place came. */
bool left_rooms_have(const struct left_room *list, struct bytes name, struct place place);
void left_rooms_free(struct left_room **list);

#endif
