/* command.h - what clients may say: the table of Socket.IO events that a hub understands. */
#ifndef ROOMCAST_HUB_COMMAND_H
#define ROOMCAST_HUB_COMMAND_H

#include "hub.h"

enum { ENTITY_TYPE_MAX = 128 /* bytes */, ROOMS_OF_EVERYBODY = 3 /* joined at connect, beside the bound */ };

/* Runs the event if it is one of ours, and acknowledges it if that was asked for. Unknown events and odd arguments do no harm. */
void command_run(struct hub *hub, struct member *member, const struct socketio_packet *packet);

/* Whether a client that was in that room, having joined it by itself, still may. */
bool command_may_be_in(const struct hub *hub, const struct member *member, struct bytes room);

#endif
