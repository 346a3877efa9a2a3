/* stored.h - sessions of clients that went away a little ago: what it takes to go on as if they had not.
 *
 * By Socket.IO id; bounded by age, count and bytes, the oldest go first. Control events of the log reach them as they reach clients.
 * No clock of its own. One thread. */
#ifndef ROOMCAST_HUB_STORED_H
#define ROOMCAST_HUB_STORED_H

#include <stdbool.h>
#include <stdint.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>
#include <roomcast/message.h>
#include <roomcast/place.h>

#include "member.h"
#include "socketio.h"

struct stored_sessions;
struct stored_session;

struct stored_bounds {
	uint64_t age_ms, count, bytes;
};

struct stored_figures {
	uint64_t count, bytes; /* now */
	uint64_t dropped;      /* before anybody came for them, for a bound or by a control event */
};

struct stored_sessions *stored_new(const struct stored_bounds *bounds, struct error *err);
void stored_free(struct stored_sessions *stored);
struct stored_figures stored_figures(const struct stored_sessions *stored);

/* Keeps the member's identity and rooms, but not the rooms that everybody has; now_ms: any clock, the same one always. */
void stored_put(struct stored_sessions *stored, const struct member *member, uint64_t now_ms);
/* Hands it over, for stored_session_free; NULL: not here (any more). */
struct stored_session *stored_take(struct stored_sessions *stored, const char *sid, uint64_t now_ms);
void stored_clear(struct stored_sessions *stored);
void stored_expire(struct stored_sessions *stored, uint64_t now_ms);
/* A CONTROL event at its place. */
void stored_control(struct stored_sessions *stored, const struct message *control);

const char *stored_session_sid(const struct stored_session *session);
/* One of its rooms. is_granted: by a publisher. since: joined at that place of the log, while nobody was there; or zero. until: it was
 * taken out of the room there; or zero. */
struct stored_room {
	struct bytes name;
	struct place since, until;
	bool is_granted;
};
void stored_session_each_room(const struct stored_session *session, void (*visit)(void *data, const struct stored_room *room), void *data);
void stored_session_free(struct stored_session *session); /* NULL is fine */

#endif
