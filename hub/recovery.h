/* recovery.h - connection state recovery: what happens to clients that were away (DESIGN.md, "Recovery: one cursor, one walk").
 *
 * A client shows the pid that it was given, and the offset that ended the last event it saw. If its session is known here it goes on as
 * if it had not been away, otherwise a new one starts behind; either way a walk gives it what it missed, once and in order. What it shows
 * is believed when a hub of ours signed it for the same user and the history reaches back to it; otherwise it is as if it had shown nothing.
 * Loop thread only. */
#ifndef ROOMCAST_HUB_RECOVERY_H
#define ROOMCAST_HUB_RECOVERY_H

#include <uv.h>

#include "coalesce.h"
#include "history.h"
#include "member.h"
#include "pid.h"
#include "request.h"
#include "session.h"
#include "stored.h"
#include "walk.h"

struct hub;

enum recovery_mode { RECOVERY_AUTO, RECOVERY_ON, RECOVERY_OFF };

struct recovery_counters {
	uint64_t resumed, behind;                 /* sessions that went on, and that started behind */
	uint64_t taken_over;                      /* connections closed because the client came back over another */
	/* What was shown and not believed. */
	uint64_t pids_malformed, pids_forged, pids_of_others;
	uint64_t offsets_malformed, offsets_stale, offsets_unknown;
};

struct recovery {
	enum recovery_mode mode;
	struct history *history;
	struct stored_sessions *stored;
	struct walks *walks;
	struct coalesce *coalesce;
	struct recovery_counters counters;
	uv_timer_t upkeep;
};

int recovery_mode_parse(const char *name, enum recovery_mode *out) MUST_CHECK; /* "auto", "on", "off" */

/* After fan-out is open; and closed before it, when no client is left. deinit: when the loop has ended. */
int recovery_open(struct hub *hub, struct error *err) MUST_CHECK;
void recovery_close(struct hub *hub, void (*on_closed)(void *data), void *data);
void recovery_deinit(struct hub *hub);

/* Whether events to this connection end with an offset. note: of its session, which remembers what only its first request told. */
bool recovery_is_wanted(enum recovery_mode mode, struct bytes auth, const struct request_info *request, uint8_t *note);

/* How a client begins. */
struct recovery_start {
	struct place place;             /* it has everything up to here */
	bool is_behind;                 /* and there may be more already */
	struct stored_session *session; /* its own, to go on with; NULL: a new one */
	char pid[PID_TEXT_MAX + 1];     /* for client_accept; "" when it gets none */
};

/* Judges what a client shows in auth, whose identity is known. May close the connection that it had before. false: it claims to have seen
 * more of the log than this hub has heard of: to be asked again when the hub heard more; is_final: not any more. */
bool recovery_judge(struct hub *hub, const struct member *member, struct bytes auth, bool is_final, struct recovery_start *start) MUST_CHECK;
/* Of auth only what it takes to be judged again: that is short, whatever else a client put into it. */
void recovery_keep_shown(struct bytes auth, struct buffer *out);
/* The member has its identity, its id, and the rooms that everybody has. Consumes the session. */
int recovery_begin(struct hub *hub, struct member *member, struct recovery_start *start, struct error *err) MUST_CHECK;
/* It goes: it may come back. */
void recovery_end(struct hub *hub, struct member *member, enum close_reason reason);

/* A room was joined, by the client or by a publisher. */
void recovery_on_join(struct hub *hub, struct member *member, struct bytes room);
void recovery_on_grant(struct hub *hub, struct member *member, struct bytes room);
/* It is about to leave a room that it is in: by itself, or taken out of it by a publisher, so that what came before is still for it. */
void recovery_on_leave(struct hub *hub, struct member *member, struct bytes room);
void recovery_on_removal(struct hub *hub, struct member *member, struct bytes room);
/* Whether the member misses nothing of a room: was_member: it was in it when it asked. */
bool recovery_covers(const struct hub *hub, const struct member *member, struct bytes room, bool was_member);
/* Everything up to here was given to the member, which may be given something to that end. */
struct place recovery_place(struct hub *hub, struct member *member);

/* An event of the log, before fan-out gets it. */
void recovery_on_event(struct hub *hub, struct event *event);
void recovery_on_control(struct hub *hub, const struct message *control);
void recovery_on_loss(struct hub *hub); /* of events or of control events */
void recovery_on_round(struct hub *hub);

#endif
