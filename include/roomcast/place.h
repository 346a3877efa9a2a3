/* place.h - a place in the log of all journaled events: epoch, then sequence number.
 *
 * Each opening of the journal starts a new epoch, in which numbers begin at 1. As text a place is an offset of connection
 * state recovery and the id that a publisher is told: "<epoch>.<seq>", both decimal. */
#ifndef ROOMCAST_PLACE_H
#define ROOMCAST_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include <roomcast/bytes.h>

/* All zero: before everything. seq 0: before the first event of its epoch. */
struct place {
	uint64_t epoch;
	uint64_t seq;
};

static inline int place_compare(struct place a, struct place b)
{
	if (a.epoch != b.epoch)
		return a.epoch < b.epoch ? -1 : 1;
	return a.seq < b.seq ? -1 : a.seq > b.seq;
}

static inline struct place place_larger(struct place a, struct place b)
{
	return place_compare(a, b) < 0 ? b : a;
}

enum { PLACE_TEXT_SIZE = 42 }; /* two numbers of 20 digits, the dot, the 0 */
void place_format(struct place place, char out[static PLACE_TEXT_SIZE]);
/* Exactly what place_format writes: no sign, no leading zero, nothing past 2^64 - 1. */
bool place_parse(struct bytes text, struct place *out);

#endif
