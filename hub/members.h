/* members.h - clients coming and going: identity, the rooms that everybody is in, look-up by Socket.IO id. */
#ifndef ROOMCAST_HUB_MEMBERS_H
#define ROOMCAST_HUB_MEMBERS_H

#include "hub.h"

/* What the Socket.IO layer calls; its data is the hub. */
struct socketio_handler members_handler(struct hub *hub);

/* What fan-out calls. */
void members_send(struct member *member, struct frame *const *frames, size_t count);
bool members_is_writable(const struct member *member);
struct member *members_find_by_sid(void *hub, struct bytes sid);

#endif
