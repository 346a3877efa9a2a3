/* sequence.c - the order of journaled events, gaps included. */
#include "sequence.h"

#include <stdlib.h>

#include <uthash.h>

struct held_event {
	uint64_t seq;
	struct event *event;
	UT_hash_handle hh;
};

static size_t event_size(const struct event *event)
{
	return sizeof(struct held_event) + sizeof(*event) + event->message.body.len;
}

static struct event *take_held(struct sequence *sequence, struct held_event *held)
{
	struct event *event = held->event;
	HASH_DEL(sequence->held, held);
	sequence->held_bytes -= event_size(event);
	free(held);
	return event;
}

static struct held_event *find_held(const struct sequence *sequence, uint64_t seq)
{
	struct held_event *held;
	HASH_FIND(hh, sequence->held, &seq, sizeof(seq), held);
	return held;
}

static void drop_held(struct sequence *sequence)
{
	event_unref(sequence->ready);
	sequence->ready = NULL;
	struct held_event *held, *next;
	HASH_ITER(hh, sequence->held, held, next)
		event_unref(take_held(sequence, held));
}

void sequence_init(struct sequence *sequence, size_t held_max)
{
	*sequence = (struct sequence){ .held_max = held_max };
}

void sequence_deinit(struct sequence *sequence)
{
	drop_held(sequence);
}

void sequence_start(struct sequence *sequence, uint64_t epoch, uint64_t next_seq)
{
	drop_held(sequence);
	sequence->epoch = epoch;
	sequence->next_seq = next_seq;
	sequence->known_seq = next_seq - 1;
	sequence->is_in_gap = false;
	sequence->counters.epochs++;
}

/* Past the bound an event is dropped; it is asked for again when its turn comes. */
static void hold(struct sequence *sequence, struct event *event)
{
	struct held_event *held = NULL;
	bool is_welcome = sequence->held_bytes + event_size(event) <= sequence->held_max &&
	                  !find_held(sequence, event->message.seq);
	if (is_welcome)
		held = malloc(sizeof(*held));
	if (!held) {
		event_unref(event);
		return;
	}
	*held = (struct held_event){ .seq = event->message.seq, .event = event };
	sequence->held_bytes += event_size(event);
	HASH_ADD(hh, sequence->held, seq, sizeof(held->seq), held);
}

enum sequence_verdict sequence_offer(struct sequence *sequence, struct event *event)
{
	uint64_t epoch = event->message.epoch, seq = event->message.seq;
	if (epoch != sequence->epoch) {
		event_unref(event);
		return epoch > sequence->epoch ? SEQUENCE_NEW_EPOCH : SEQUENCE_OLD;
	}
	if (seq < sequence->next_seq) {
		sequence->counters.duplicates++;
		event_unref(event);
		return SEQUENCE_OLD;
	}
	sequence_hear(sequence, seq);
	if (seq == sequence->next_seq) {
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
	struct held_event *held = sequence->held ? find_held(sequence, sequence->next_seq) : NULL;
	struct event *event = sequence->ready;
	if (held) {
		event_unref(event);
		event = take_held(sequence, held);
	}
	sequence->ready = NULL;
	if (event) {
		sequence->next_seq++;
		sequence->is_in_gap = false;
	}
	return event;
}

void sequence_hear(struct sequence *sequence, uint64_t last_seq)
{
	if (last_seq > sequence->known_seq)
		sequence->known_seq = last_seq;
}

uint64_t sequence_skip(struct sequence *sequence, uint64_t first_seq)
{
	if (first_seq <= sequence->next_seq)
		return 0;
	/* What is held of the range is not lost; the caller takes it from next_seq on. */
	for (const struct held_event *held = sequence->held; held; held = held->hh.next)
		if (held->seq < first_seq)
			first_seq = held->seq;
	uint64_t lost = first_seq - sequence->next_seq;
	sequence->next_seq = first_seq;
	if (sequence->known_seq < first_seq - 1)
		sequence->known_seq = first_seq - 1;
	sequence->counters.lost += lost;
	return lost;
}

bool sequence_missing(struct sequence *sequence, uint64_t *from, uint64_t *to)
{
	uint64_t end = sequence->next_seq;
	while (end <= sequence->known_seq && end - sequence->next_seq < SEQUENCE_ASK_MAX && !find_held(sequence, end))
		end++;
	if (end == sequence->next_seq)
		return false;
	*from = sequence->next_seq;
	*to = end - 1;
	return true;
}
