/* left_room.c - remembers rooms that a client was taken out of. */
#include "left_room.h"

#include <stdlib.h>
#include <string.h>

static void forget_behind(struct left_room **at)
{
	while (*at) {
		struct left_room *gone = *at;
		*at = gone->next;
		free(gone);
	}
}

void left_rooms_add(struct left_room **list, const struct left_room *what, struct bytes name)
{
	struct left_room *left = malloc(sizeof(*left) + name.len);
	if (!left)
		return;
	*left = (struct left_room){ *list, what->since, what->until, what->is_granted, name.len };
	memcpy(left->name, name.data, name.len);
	*list = left;
	struct left_room **at = list;
	for (int count = 0; *at && count < LEFT_ROOMS_MAX; count++)
		at = &(*at)->next;
	forget_behind(at);
}

bool left_rooms_have(const struct left_room *list, struct bytes name, struct place place)
{
	for (; list; list = list->next)
		if (place_compare(list->since, place) < 0 && place_compare(place, list->until) <= 0 &&
		    bytes_equal(name, (struct bytes){ list->name, list->name_len }))
			return true;
	return false;
}

void left_rooms_free(struct left_room **list)
{
	forget_behind(list);
}
