/* walk.h - members that are behind: what they missed is given to them from the history, in log order, as fast as they take it.
 *
 * A walk begins at once when the member's rooms are those that it had. Otherwise it waits until the member has joined them: a moment
 * after its first join, or a longer moment, and then until the client has answered a ping. Without the answer its joins may be on
 * their way, or lost on half of a broken connection, and what it was given then would be all that it asks for later. Meanwhile the member
 * is given nothing else; when it has reached the newest event it goes live, in the same step, so that order holds. Loop thread only. */
#ifndef ROOMCAST_HUB_WALK_H
#define ROOMCAST_HUB_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include <roomcast/error.h>
#include <roomcast/place.h>

#include "fanout.h"
#include "history.h"
#include "member.h"
#include "room.h"

struct walks; /* all of a hub */

/* Times in milliseconds. */
struct walks_settings {
	uint64_t wait_ms;        /* for a first join */
	uint64_t joined_wait_ms; /* for more, after the first */
	uint64_t ahead_wait_ms;  /* for this hub to get as far as its client is */
	size_t batch_bytes;      /* queued for a member at once */
	struct history *history;
	struct rooms *rooms;
	struct fanout *fanout;
	/* As fanout's, and of session.h. send and close may end any member, which walk_end is then called for. */
	void (*send)(struct member *member, struct frame *const *frames, size_t count);
	bool (*is_queued)(const struct member *member);
	void (*await_drained)(struct member *member);
	void (*ask_echo)(struct member *member); /* walk_on_echo when all that the client had sent is here */
	/* The history no longer has what comes next for it. */
	void (*close)(struct member *member);
	struct place (*newest)(void *data); /* of the log: the history's, or a later one */
	bool (*may_come)(void *data);       /* what a member is ahead by may still come although it has not in time */
	struct place (*reach)(void *data);  /* the place behind which the history has everything */
	void *data;
};

struct walks_figures {
	uint64_t walking;                      /* now */
	uint64_t started, finished, given;     /* walks, and the events given in them */
	uint64_t replaced, withheld;           /* events not given: a later one replaced it; nobody can tell whether it is for the member */
	uint64_t outrun, never_reached;        /* walks that the history, or the log, did not wait for, or never came to */
};

struct walks *walks_new(uv_loop_t *loop, const struct walks_settings *settings, struct error *err);
/* No member may be behind any more. */
void walks_close(struct walks *walks, void (*on_closed)(void *data), void *data);
const struct walks_figures *walks_figures(const struct walks *walks);

/* Puts the member behind: it has everything up to `after`. has_rooms: it is in the rooms that it was in then. -1: no memory. */
int walk_start(struct walks *walks, struct member *member, struct place after, bool has_rooms, struct error *err) MUST_CHECK;
/* These do nothing for a member without a walk. */
void walk_on_join(struct member *member);
void walk_on_drained(struct member *member);
void walk_on_echo(struct member *member);
void walk_end(struct member *member); /* it is gone */

/* The member joined the room at that place of the log: what came before is not for it. */
void walk_limit(struct member *member, const struct room *room, struct place since);
/* It left the room: nothing is known of it any more. */
void walk_unlimit(struct member *member, const struct room *room);
struct place walk_since(const struct walk *walk, const struct room *room); /* that place, or zero */

/* Whether it has not begun: a room that is joined now is part of it. */
bool walk_is_waiting(const struct walk *walk);
struct place walk_place(const struct walk *walk); /* how far it got: everything up to here was given */
/* After new events, in case that somebody was ahead of them. */
void walks_on_news(struct walks *walks);

#endif
