/* sequence.h - puts journaled events into their order, across epochs: finds gaps, holds back what came after them.
 *
 * No sockets, no clock. The subscriber offers it whatever arrives, by whichever way, and delivers what it gives back.
 *
 * The position is the place up to which everything was delivered or given up. At the end of an epoch that is over it goes on before the
 * first event of the next one that the gateway knows; so it does where the journal knows less than was delivered here (a restored backup, a
 * tail that power loss took): an event of a later epoch is never taken for one that was seen. */
#ifndef ROOMCAST_HUB_SEQUENCE_H
#define ROOMCAST_HUB_SEQUENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <roomcast/message.h>
#include <roomcast/place.h>

#include "event.h"

enum { SEQUENCE_ASK_MAX = 512 }; /* events asked for at once */

enum sequence_verdict {
	SEQUENCE_READY,     /* something can be taken now */
	SEQUENCE_GAP,       /* kept back, or dropped past the bound: something before it is missing */
	SEQUENCE_OLD,       /* was here already, or is of an epoch that nobody knows; dropped */
	SEQUENCE_NEW_EPOCH, /* likewise kept back: of a later epoch than we know, so the gateway must be greeted */
};

/* How what the gateway knows agrees with what was delivered here. */
enum sequence_agreement {
	SEQUENCE_AGREES,
	SEQUENCE_BEYOND,    /* we are past the end of our epoch, which is over: went on with the next one */
	SEQUENCE_UNKNOWN,   /* the journal does not know our epoch: went on with the next one */
	SEQUENCE_WENT_BACK, /* the newest epoch is older than ours: begun anew with its first event */
};

struct sequence_counters {
	uint64_t duplicates;
	uint64_t gaps;      /* times that something was found missing */
	uint64_t lost;      /* events that the journal no longer had */
	uint64_t epochs;    /* that were started */
	uint64_t breaks;    /* disagreements, see above: what was between is not known, so not counted as lost */
};

struct sequence {
	struct place position;       /* epoch 0: none is followed yet */
	struct place complete_since; /* nothing after it, up to the position, is missing */
	struct place epochs[MESSAGE_EPOCHS_MAX]; /* known, oldest first, each with its last seq; the newest still grows */
	size_t epoch_count;
	struct event *ready; /* offered in its turn, waiting to be taken */
	struct held_event *held;
	size_t held_bytes, held_max;
	bool is_in_gap;
	struct sequence_counters counters;
};

void sequence_init(struct sequence *sequence, size_t held_max);
void sequence_deinit(struct sequence *sequence);

/* What the gateway knows: strictly ascending epochs (at least one, at most MESSAGE_EPOCHS_MAX), the last of which goes on. */
enum sequence_agreement sequence_know(struct sequence *sequence, const struct place *epochs, size_t count);
/* Another gateway process began the epoch that we follow once more: its events are others than ours. To be called before sequence_know. */
void sequence_restart_epoch(struct sequence *sequence);
/* Go on after this place, as if all before it had been delivered; what was held back is dropped. */
void sequence_start(struct sequence *sequence, struct place position);
/* Takes the reference. */
enum sequence_verdict sequence_offer(struct sequence *sequence, struct event *event);
/* What comes next, the caller's reference; NULL: it is not here yet. */
struct event *sequence_take(struct sequence *sequence);
/* A heartbeat says that events up to last exist. false: its epoch is not the newest that we know, so the gateway must be greeted. */
bool sequence_hear(struct sequence *sequence, struct place last);
/* The journal has nothing before first any more. Returns how many are lost by that; when one of them is held here, those before it, and it can
 * be taken. */
uint64_t sequence_skip(struct sequence *sequence, struct place first);
/* What to ask for: up to SEQUENCE_ASK_MAX events of one epoch, from `from` up to seq `to`. false: nothing is missing. */
bool sequence_missing(const struct sequence *sequence, struct place *from, uint64_t *to);

struct place sequence_newest(const struct sequence *sequence); /* known to exist */
uint64_t sequence_lag(const struct sequence *sequence);        /* events known to exist, not yet delivered */
/* The last seq of an epoch as the gateway told; of the newest, as far as heard. false: an unknown epoch. */
bool sequence_epoch_end(const struct sequence *sequence, uint64_t epoch, uint64_t *last);

#endif
