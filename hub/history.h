/* history.h - the journaled events of the last while, in log order, for clients that were away.
 *
 * An entry is the event's frame with its offset, shared with whoever is being sent it, and what decides who gets it. Each room has
 * an index of the entries that are for it, so that what a connection missed is found by merging the indexes of its rooms.
 * Bounded by age, count and bytes; the oldest go first, and their memory with them. Loop thread only. */
#ifndef ROOMCAST_HUB_HISTORY_H
#define ROOMCAST_HUB_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include <roomcast/error.h>
#include <roomcast/place.h>

#include "event.h"

struct history;

struct history_bounds {
	uint64_t age_ms, events, bytes;
};

/* Everything that it takes now is in bytes: frames, entries, indexes. */
struct history_figures {
	uint64_t events, bytes, rooms;
	uint64_t appended, dropped; /* since the start */
	uint64_t oldest_ms;         /* wall clock of the oldest event; 0: none */
};

struct history *history_new(const struct history_bounds *bounds, struct error *err);
void history_free(struct history *history);

/* An event of kind EVENT, the next in the log. Without memory the history begins anew behind it. Returns its number, which
 * history_replace knows it by. now_ms: wall clock. */
uint64_t history_append(struct history *history, struct event *event, uint64_t now_ms);
/* The entry was replaced by a later one: readers pass it over. Forgotten numbers do no harm. */
void history_replace(struct history *history, uint64_t number);
/* Drops what is too old, and gives the system memory back when little of what it once took is left: to be called now and then. */
void history_trim(struct history *history, uint64_t now_ms);
/* Forgets everything; from now on it reaches back to that place. */
void history_restart(struct history *history, struct place reach);

/* Nothing behind this place was dropped from here. Whether it ever came is the subscriber's to say. */
struct place history_reach(const struct history *history);
struct place history_newest(const struct history *history); /* all zero: none yet */
struct history_figures history_figures(const struct history *history);

/* The place of the newest event for that room whose `except` only those can judge who were there (history_is_user_room); zero:
 * none. room NULL: those for everyone, or, with is_authenticated, for all with an identity too. */
struct place history_unjudged(const struct history *history, const struct bytes *room, bool is_authenticated);

/* --- reading: one reader at a time, no append or trim in between */

struct history_item {
	struct frame *frame;        /* the entry's reference */
	struct place place;
	struct bytes exclude_user;
	const char *except;         /* see history_item_next_except */
	uint32_t except_count;
	bool is_replaced;
};

/* Begins with the events behind that place; then the rooms, in any order, the same one more than once too. since: the room counts
 * from there on only; zero: as the others. */
void history_read(struct history *history, struct place after);
void history_read_everyone(struct history *history);
void history_read_authenticated(struct history *history);
void history_read_room(struct history *history, struct bytes name, struct place since);
/* The same, of a room that counts up to `until` only. */
void history_read_room_until(struct history *history, struct bytes name, struct place since, struct place until);
/* The next event that is for any of the rooms, once; false: no more. */
bool history_next(struct history *history, struct history_item *item);

bool history_read_has_failed(const struct history *history); /* no memory: there may be more */

/* Cuts the next name off the list. */
struct bytes history_next_except(struct history_item *item);
/* Whether `except` can be judged by who the user is, without knowing the rooms of that time: it names rooms of users only. */
bool history_is_user_room(struct bytes name);

#endif
