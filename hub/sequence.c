/* sequence.c - the order of journaled events, gaps and epochs included. */
#include "sequence.h"

#include <assert.h>
#include <stdlib.h>

#include <uthash.h>

struct held_event {
	struct place place;
	struct event *event;
	UT_hash_handle hh;
};

/* --- epochs ----------------------------------------------------------------- */

/* Index of the epoch, or of the first later one (epoch_count: there is none). */
static size_t epoch_index(const struct sequence *sequence, uint64_t epoch)
{
	size_t low = 0, high = sequence->epoch_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (sequence->epochs[middle].epoch < epoch)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool sequence_epoch_end(const struct sequence *sequence, uint64_t epoch, uint64_t *last)
{
	size_t index = epoch_index(sequence, epoch);
	bool is_known = index < sequence->epoch_count && sequence->epochs[index].epoch == epoch;
	*last = is_known ? sequence->epochs[index].seq : 0;
	return is_known;
}

struct place sequence_newest(const struct sequence *sequence)
{
	return sequence->epoch_count ? sequence->epochs[sequence->epoch_count - 1] : (struct place){ 0 };
}

static uint64_t last_of(const struct sequence *sequence, uint64_t epoch)
{
	uint64_t last;
	sequence_epoch_end(sequence, epoch, &last);
	return last;
}

/* Events that exist after `after` and before `before`, as far as we know. */
static uint64_t events_between(const struct sequence *sequence, struct place after, struct place before)
{
	if (after.epoch == before.epoch)
		return before.seq - after.seq - 1;
	uint64_t last = last_of(sequence, after.epoch), count = last > after.seq ? last - after.seq : 0;
	for (size_t i = epoch_index(sequence, after.epoch + 1); i < sequence->epoch_count && sequence->epochs[i].epoch < before.epoch; i++)
		count += sequence->epochs[i].seq;
	return count + before.seq - 1;
}

uint64_t sequence_lag(const struct sequence *sequence)
{
	struct place newest = sequence_newest(sequence);
	newest.seq++;
	return place_compare(sequence->position, newest) < 0 ? events_between(sequence, sequence->position, newest) : 0;
}

/* --- events held back ------------------------------------------------------- */

static size_t held_size(const struct event *event)
{
	return sizeof(struct held_event) + event->size;
}

static struct event *take_held(struct sequence *sequence, struct held_event *held)
{
	struct event *event = held->event;
	HASH_DEL(sequence->held, held);
	sequence->held_bytes -= held_size(event);
	free(held);
	return event;
}

static struct held_event *find_held(const struct sequence *sequence, struct place place)
{
	struct held_event *held;
	HASH_FIND(hh, sequence->held, &place, sizeof(place), held);
	return held;
}

static struct held_event *first_held(const struct sequence *sequence)
{
	struct held_event *first = NULL;
	for (struct held_event *held = sequence->held; held; held = held->hh.next)
		if (!first || place_compare(held->place, first->place) < 0)
			first = held;
	return first;
}

static void drop_all(struct sequence *sequence)
{
	struct held_event *held, *next;
	event_unref(sequence->ready);
	sequence->ready = NULL;
	HASH_ITER(hh, sequence->held, held, next)
		event_unref(take_held(sequence, held));
	sequence->is_in_gap = false;
}

/* Past the bound an event is dropped; it is asked for again when its turn comes. */
static void hold(struct sequence *sequence, struct event *event)
{
	struct place place = event->place;
	struct held_event *held = NULL;
	if (sequence->held_bytes + held_size(event) <= sequence->held_max && !find_held(sequence, place))
		held = malloc(sizeof(*held));
	if (!held) {
		event_unref(event);
		return;
	}
	*held = (struct held_event){ .place = place, .event = event };
	sequence->held_bytes += held_size(event);
	HASH_ADD(hh, sequence->held, place, sizeof(held->place), held);
}

/* --- the position ----------------------------------------------------------- */

void sequence_init(struct sequence *sequence, size_t held_max)
{
	*sequence = (struct sequence){ .held_max = held_max };
}

void sequence_deinit(struct sequence *sequence)
{
	drop_all(sequence);
}

/* Gives up what lies between the position and the event at `to`, which comes next. */
static uint64_t move_before(struct sequence *sequence, struct place to)
{
	uint64_t lost = events_between(sequence, sequence->position, to);
	sequence->position = (struct place){ to.epoch, to.seq - 1 };
	if (lost)
		sequence->complete_since = sequence->position;
	sequence->counters.lost += lost;
	return lost;
}

/* At the end of an epoch that is over: on to the next. What is held of it past that end was accepted before the journal lost it, so it is
 * given out all the same. */
static void advance(struct sequence *sequence)
{
	for (;;) {
		size_t next = epoch_index(sequence, sequence->position.epoch + 1);
		if (next == sequence->epoch_count || sequence->position.seq < last_of(sequence, sequence->position.epoch))
			return;
		const struct held_event *held = sequence->held ? first_held(sequence) : NULL;
		if (held && held->place.epoch == sequence->position.epoch) {
			move_before(sequence, held->place);
			return;
		}
		sequence->position = (struct place){ sequence->epochs[next].epoch, 0 };
		sequence->counters.epochs++;
	}
}

void sequence_start(struct sequence *sequence, struct place position)
{
	drop_all(sequence);
	sequence->position = sequence->complete_since = position;
	sequence->counters.epochs++;
	advance(sequence);
}

void sequence_restart_epoch(struct sequence *sequence)
{
	sequence->epoch_count = 0;
	sequence->counters.breaks++;
	sequence_start(sequence, (struct place){ sequence->position.epoch, 0 });
}

enum sequence_agreement sequence_know(struct sequence *sequence, const struct place *epochs, size_t count)
{
	assert(count && count <= MESSAGE_EPOCHS_MAX);
	struct place newest = sequence_newest(sequence);
	memcpy(sequence->epochs, epochs, count * sizeof(*epochs));
	sequence->epoch_count = count;
	struct place *last = &sequence->epochs[count - 1];
	if (last->epoch == newest.epoch && last->seq < newest.seq)
		last->seq = newest.seq; /* an event may overtake what was known when the gateway wrote this */
	uint64_t epoch = sequence->position.epoch, end;
	if (!epoch)
		return SEQUENCE_AGREES;
	if (epoch > last->epoch) {
		sequence->counters.breaks++;
		sequence_start(sequence, (struct place){ last->epoch, 0 });
		return SEQUENCE_WENT_BACK;
	}
	bool is_known = sequence_epoch_end(sequence, epoch, &end);
	bool is_beyond = epoch < last->epoch && sequence->position.seq > end;
	advance(sequence);
	if (is_known && !is_beyond)
		return SEQUENCE_AGREES;
	sequence->counters.breaks++;
	if (!is_known)
		sequence->complete_since = sequence->position;
	return is_known ? SEQUENCE_BEYOND : SEQUENCE_UNKNOWN;
}

enum sequence_verdict sequence_offer(struct sequence *sequence, struct event *event)
{
	struct place place = event->place, newest = sequence_newest(sequence);
	uint64_t end;
	bool is_later = !sequence->position.epoch || place.epoch > newest.epoch;
	if (place_compare(place, sequence->position) <= 0 || place.seq == UINT64_MAX ||
	    (!is_later && !sequence_epoch_end(sequence, place.epoch, &end))) {
		sequence->counters.duplicates++;
		event_unref(event);
		return SEQUENCE_OLD;
	}
	if (is_later) {
		hold(sequence, event);
		return SEQUENCE_NEW_EPOCH;
	}
	sequence_hear(sequence, place);
	if (place.epoch == sequence->position.epoch && place.seq == sequence->position.seq + 1) {
		event_unref(sequence->ready);
		sequence->ready = event;
		return SEQUENCE_READY;
	}
	hold(sequence, event);
	if (!sequence->is_in_gap) {
		sequence->is_in_gap = true;
		sequence->counters.gaps++;
	}
	return SEQUENCE_GAP;
}

struct event *sequence_take(struct sequence *sequence)
{
	struct place next = { sequence->position.epoch, sequence->position.seq + 1 };
	struct held_event *held = sequence->held && next.epoch ? find_held(sequence, next) : NULL;
	struct event *event = sequence->ready;
	if (held) {
		event_unref(event);
		event = take_held(sequence, held);
	}
	sequence->ready = NULL;
	if (event) {
		sequence->position = next;
		sequence->is_in_gap = false;
		advance(sequence);
	}
	return event;
}

bool sequence_hear(struct sequence *sequence, struct place last)
{
	if (!sequence->epoch_count || last.epoch != sequence_newest(sequence).epoch)
		return false;
	struct place *newest = &sequence->epochs[sequence->epoch_count - 1];
	if (last.seq > newest->seq && last.seq < UINT64_MAX)
		newest->seq = last.seq;
	return true;
}

uint64_t sequence_skip(struct sequence *sequence, struct place first)
{
	struct place newest = sequence_newest(sequence);
	uint64_t end = last_of(sequence, first.epoch);
	if (!sequence->position.epoch || first.epoch > newest.epoch)
		return 0; /* of an epoch that we will hear of first */
	if (first.seq == UINT64_MAX)
		first.seq--;
	if (first.epoch < newest.epoch && first.seq > end + 1)
		first.seq = end + 1;
	const struct held_event *held = first_held(sequence);
	if (held && place_compare(held->place, first) < 0)
		first = held->place;
	if (first.seq == 0 || place_compare(first, (struct place){ sequence->position.epoch, sequence->position.seq + 1 }) <= 0)
		return 0;
	sequence_hear(sequence, (struct place){ first.epoch, first.seq - 1 });
	uint64_t lost = move_before(sequence, first);
	advance(sequence);
	return lost;
}

bool sequence_missing(const struct sequence *sequence, struct place *from, uint64_t *to)
{
	uint64_t last = last_of(sequence, sequence->position.epoch);
	struct place end = { sequence->position.epoch, sequence->position.seq + 1 };
	*from = end;
	while (end.seq <= last && end.seq - from->seq < SEQUENCE_ASK_MAX && !find_held(sequence, end))
		end.seq++;
	*to = end.seq - 1;
	return end.seq != from->seq;
}
