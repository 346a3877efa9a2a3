/* repair.c - chunks for one hub. */
#include "repair.h"

void repair_begin(struct repair *repair, uint64_t now_ms)
{
	*repair = (struct repair){ .question = repair->question + 1, .moved_ms = now_ms, .push_wait_ms = REPAIR_PUSH_MS };
}

static bool is_within(struct place place, struct place begin, struct place end)
{
	return place_compare(begin, place) <= 0 && place_compare(place, end) < 0;
}

void repair_ask(struct repair *repair, struct place after, struct place last, uint64_t now_ms)
{
	repair->asked_ms = now_ms;
	if (repair->state == REPAIR_READING) {
		repair->is_void = place_compare(repair->begin, after) != 0;
		repair->after = after;
		repair->last = last;
		return;
	}
	if (repair->state == REPAIR_SENT && is_within(after, repair->begin, repair->end) && now_ms - repair->sent_ms < REPAIR_AGAIN_MS) {
		repair->last = place_larger(repair->last, last);
		return;
	}
	repair->state = REPAIR_IDLE;
	repair->after = after;
	repair->last = last;
}

void repair_hear(struct repair *repair, struct place before, struct place now, struct place published, uint64_t now_ms)
{
	if (place_compare(before, now) == 0 && place_compare(now, published) < 0)
		return;
	repair->moved_ms = now_ms;
	repair->push_wait_ms = REPAIR_PUSH_MS;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void repair_push(struct repair *repair, struct place position, struct place published, uint64_t now_ms)
{
	uint64_t since_ms = later(repair->moved_ms, later(repair->sent_ms, repair->asked_ms));
	if (!position.epoch || place_compare(position, published) >= 0 || repair->state == REPAIR_READING || now_ms < since_ms + repair->push_wait_ms)
		return;
	repair_ask(repair, position, published, now_ms);
	repair->push_wait_ms = repair->push_wait_ms * 2 < REPAIR_PUSH_MAX_MS ? repair->push_wait_ms * 2 : REPAIR_PUSH_MAX_MS;
}

bool repair_next(struct repair *repair, struct place position, struct place *after, struct place *last)
{
	if (repair->state == REPAIR_SENT && place_compare(position, repair->end) >= 0) {
		repair->state = REPAIR_IDLE;
		repair->after = place_larger(repair->after, position);
	}
	if (repair->state != REPAIR_IDLE || place_compare(repair->after, repair->last) >= 0)
		return false;
	repair->state = REPAIR_READING;
	repair->question++;
	repair->begin = repair->end = *after = repair->after;
	*last = repair->last;
	return true;
}

bool repair_is_wanted(struct repair *repair, unsigned question)
{
	if (repair->state != REPAIR_READING || question != repair->question)
		return false;
	repair->state = REPAIR_IDLE;
	bool is_void = repair->is_void;
	repair->is_void = false;
	if (!is_void)
		repair->after = repair->last;
	return !is_void;
}

void repair_sent(struct repair *repair, struct place end, uint64_t now_ms)
{
	repair->state = REPAIR_SENT;
	repair->after = repair->end = end;
	repair->sent_ms = now_ms;
}
