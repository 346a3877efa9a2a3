/* fanout.h - gives events to the members of rooms: in one order, in chunks.
 *
 * Every event gets a position in this hub's delivery order. A broadcast to a large room is served in chunks, with other work of
 * the loop in between, and broadcasts to smaller rooms overtake it; order holds for every member all the same: before a member is given
 * something later, it is given what unfinished broadcasts still owe it, and those skip it afterwards, by its position.
 * Events for the same rooms that wait together are given together, so that they leave in one write. A member whose position is
 * POSITION_BEHIND is passed over. Loop thread only. */
#ifndef ROOMCAST_HUB_FANOUT_H
#define ROOMCAST_HUB_FANOUT_H

#include <uv.h>

#include <roomcast/error.h>

#include "event.h"
#include "member.h"

struct fanout;

struct fanout_settings {
	uint32_t chunk;        /* members that are given something before other work gets its turn */
	size_t backlog_max;    /* bytes of events waiting, past which fanout_is_full */
	/* Frames for a member, in order, each still the event's reference. May lead to fanout_forget for any member. */
	void (*send)(struct member *member, struct frame *const *frames, size_t count);
	/* The frames of all events of a broadcast, made once for all its members. False: not to this member, send is to do it. NULL: to nobody. */
	bool (*send_together)(struct member *member, const struct frames_together *together);
	/* Of members that will be sent to next; NULL: there is no need. */
	void (*prefetch)(const struct room_slot *slots, uint32_t count);
	bool (*is_writable)(const struct member *member);
	/* Takes a frame back that still waits for the member, if it does. */
	void (*withdraw)(struct member *member, const struct frame *frame);
	/* A room of an event's list that is not a room's name may be a client's Socket.IO id. */
	struct member *(*find_by_sid)(void *data, struct bytes sid);
	/* The place of the newest event of the log: what the offset of one that is not journaled says. */
	struct place (*newest)(void *data);
	void *data;
};

struct fanout_counters {
	uint64_t events, deliveries, dropped_volatile;
};

struct fanout *fanout_new(uv_loop_t *loop, struct rooms *rooms, const struct fanout_settings *settings, struct error *err);
/* Gives up what is unfinished. */
void fanout_close(struct fanout *fanout, void (*on_closed)(void *data), void *data);

/* Takes the caller's reference. Nothing is sent before fanout_run, or before the loop comes round. */
void fanout_publish(struct fanout *fanout, struct event *event);
void fanout_run(struct fanout *fanout);

/* Gives the member at once what unfinished broadcasts owe it: before it is given something else, or leaves a room. */
void fanout_catch_up(struct fanout *fanout, struct member *member);
/* A member that was behind has everything up to now: from now on it takes part. */
void fanout_go_live(const struct fanout *fanout, struct member *member);

/* Backpressure: whoever publishes should wait until the loop came round. */
bool fanout_is_full(const struct fanout *fanout);
/* How long it pays to wait for another event before fanout_run: about a hundredth of what the newest broadcast will take, since
 * events given together cost a large room little more than one. */
uint64_t fanout_patience_ns(const struct fanout *fanout);
uint64_t fanout_position(const struct fanout *fanout); /* of the newest event */
const struct fanout_counters *fanout_counters(const struct fanout *fanout);

#endif
