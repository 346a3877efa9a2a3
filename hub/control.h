/* control.h - what publishers do to clients: control events of the log, and what STANDING says of those before.
 *
 * A control event acts at its place in the log on the sockets that it names, by user, by Socket.IO id or by room: what was published before it
 * they are given first, what is published after it finds them as it left them.
 *   JOIN        the rooms count apart from those that the client may join by itself; past CONTROL_ROOMS_MAX of a client they are refused
 *   LEAVE       except one's own user room, which goes with the identity
 *   DISCONNECT  a Socket.IO DISCONNECT, after which official clients do not come back by themselves; with close the transport too. With
 *               until_ms the user is refused until then (CONNECT_ERROR "blocked", data {"until":ms}); until_ms 1 ends that and disconnects nobody */
#ifndef ROOMCAST_HUB_CONTROL_H
#define ROOMCAST_HUB_CONTROL_H

#include "hub.h"

enum { CONTROL_ROOMS_MAX = 10000 };

/* A CONTROL message at its place. is_history: it is older than every client here, so only what holds beyond the moment is taken. */
void control_apply(struct hub *hub, const struct message *control, bool is_history);

/* A STANDING message. true: it was the last one, and what they told holds. */
bool control_on_standing(struct hub *hub, const struct message *standing);
/* Control events may have been lost: clients are put in accord with the next STANDING. */
void control_on_loss(struct hub *hub);
/* Once in a while: lets go of what only a loss would need. */
void control_settle(struct hub *hub);

/* Joins the rooms granted to the member's user. */
void control_join_granted(struct hub *hub, struct member *member);
/* Until when the member may not connect; 0: it may. */
uint64_t control_blocked_until(const struct hub *hub, const struct member *member);

#endif
