/* members.h - clients coming and going: identity, the rooms that everybody is in, look-up by Socket.IO id. */
#ifndef ROOMCAST_HUB_MEMBERS_H
#define ROOMCAST_HUB_MEMBERS_H

#include "hub.h"

/* What the Socket.IO layer calls; its data is the hub. */
struct socketio_handler members_handler(struct hub *hub);

/* What members wait for: closes the transports of those whose token expires, holds back CONNECTs. Closed when no client is left. */
int members_open(struct hub *hub, struct error *err) MUST_CHECK;
void members_close(struct hub *hub, void (*on_closed)(void *data), void *data);

/* Emits to one member; arguments as client_emit's. With recovery on, the offset is that of what the member has. */
void members_emit(struct hub *hub, struct member *member, struct bytes arguments);

/* What fan-out and walks call. */
void members_send(struct member *member, struct frame *const *frames, size_t count);
bool members_send_together(struct member *member, const struct frames_together *together);
/* Of members that are about to be given something. */
void members_prefetch(const struct room_slot *slots, uint32_t count);
bool members_is_writable(const struct member *member);
void members_withdraw(struct member *member, const struct frame *frame);
bool members_is_queued(const struct member *member);
void members_await_drained(struct member *member);
void members_ask_echo(struct member *member);
void members_close_slow(struct member *member);
struct member *members_find_by_sid(void *hub, struct bytes sid);

#endif
