/* sequence.h - puts journaled events into their order: finds gaps, holds back what came after them.
 *
 * No sockets, no clock. The subscriber offers it whatever arrives, by whichever way, and delivers what it gives back. */
#ifndef ROOMCAST_HUB_SEQUENCE_H
#define ROOMCAST_HUB_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"

enum { SEQUENCE_ASK_MAX = 256 }; /* events asked for at once */

enum sequence_verdict {
	SEQUENCE_READY,     /* something can be taken now */
	SEQUENCE_GAP,       /* kept back, or dropped past the bound: something before it is missing */
	SEQUENCE_OLD,       /* was here already, or is of an earlier epoch; dropped */
	SEQUENCE_NEW_EPOCH, /* of a later epoch than we follow; dropped: greet the gateway first */
};

struct sequence_counters {
	uint64_t duplicates;
	uint64_t gaps;      /* times that something was found missing */
	uint64_t lost;      /* events that the journal no longer had */
	uint64_t epochs;    /* that were started */
};

struct sequence {
	uint64_t epoch;     /* 0: none followed yet */
	uint64_t next_seq;  /* what is delivered next */
	uint64_t known_seq; /* the highest that exists as far as we heard */
	struct event *ready; /* offered in its turn, waiting to be taken */
	struct held_event *held;
	size_t held_bytes, held_max;
	bool is_in_gap;
	struct sequence_counters counters;
};

void sequence_init(struct sequence *sequence, size_t held_max);
void sequence_deinit(struct sequence *sequence);

/* Follow this epoch from next_seq on; what was held back is dropped. */
void sequence_start(struct sequence *sequence, uint64_t epoch, uint64_t next_seq);
/* Takes the reference. */
enum sequence_verdict sequence_offer(struct sequence *sequence, struct event *event);
/* What comes next, the caller's reference; NULL: it is not here yet. */
struct event *sequence_take(struct sequence *sequence);
/* A heartbeat says that events up to last_seq exist. */
void sequence_hear(struct sequence *sequence, uint64_t last_seq);
/* The journal has nothing before first_seq any more. Returns how many are lost by that. */
uint64_t sequence_skip(struct sequence *sequence, uint64_t first_seq);
/* What to ask for, at most SEQUENCE_ASK_MAX events. false: nothing is missing. */
bool sequence_missing(struct sequence *sequence, uint64_t *from, uint64_t *to);

#endif
