/* standing.h - what holds for users beyond the moment: grants (rooms that every client of a user joins) and blocks (users kept out).
 *
 * Loaded from STANDING messages, kept current by the control events of the log. A load is a picture of the journal taken while the log goes
 * on: control events may come again that the picture has already; each says what is, not what changes, so the last of them decides.
 * Bounded: what is past the bound is left out and counted. One thread. */
#ifndef ROOMCAST_HUB_STANDING_H
#define ROOMCAST_HUB_STANDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <roomcast/message.h>

struct standing;

enum { STANDING_ENTRIES_MAX = 500000, STANDING_BYTES_MAX = 128 << 20, STANDING_ROOMS_MAX = 10000 /* of one user */ };

struct standing_figures {
	uint64_t users, grants, blocks, bytes;
	uint64_t loads;    /* completed */
	uint64_t left_out; /* grants and blocks past the bound, or malformed */
};

enum standing_progress {
	STANDING_GOES_ON,
	STANDING_LOADED, /* what the messages told holds from now on */
	STANDING_BROKEN, /* one is missing, or too much happened meanwhile: to be loaded anew */
};

/* NULL without memory. Bounds: 0 for the usual ones. */
struct standing *standing_new(size_t entries_max, size_t bytes_max);
void standing_free(struct standing *standing);

/* Takes in a STANDING message. */
enum standing_progress standing_load(struct standing *standing, const struct message *message);
/* Takes in a CONTROL event, if it concerns a user beyond the moment. */
void standing_apply(struct standing *standing, const struct message *control);

/* Until when the user is kept out; 0: not at all. */
uint64_t standing_blocked_until(const struct standing *standing, struct bytes user, uint64_t now_ms);
bool standing_is_granted(const struct standing *standing, struct bytes user, struct bytes room);
/* visit must not change the standing. */
void standing_each_grant(const struct standing *standing, struct bytes user, void (*visit)(void *data, struct bytes room), void *data);

/* Grants that loads took away since the last standing_settle: whoever joined by them may still be in there. */
void standing_each_withdrawn(const struct standing *standing, void (*visit)(void *data, struct bytes user, struct bytes room), void *data);
bool standing_has_withdrawn(const struct standing *standing);
void standing_settle(struct standing *standing);

void standing_figures(const struct standing *standing, struct standing_figures *out);

#endif
