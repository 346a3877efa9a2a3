/* test_sequence.c - order, gaps, losses and epochs of journaled events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <roomcast/clock.h>

#include "sequence.h"

#define PLACE(epoch, seq) ((struct place){ epoch, seq })
#define KNOW(sequence, ...) \
	sequence_know(sequence, (const struct place[]){ __VA_ARGS__ }, sizeof((const struct place[]){ __VA_ARGS__ }) / sizeof(struct place))

static struct event *make(uint64_t epoch, uint64_t seq)
{
	struct error err;
	struct message message = { .kind = MESSAGE_EVENT, .epoch = epoch, .seq = seq, .body = bytes_of("\"e\"") };
	struct event *event = event_from_message(&message, &err);
	assert_non_null(event);
	return event;
}

static enum sequence_verdict offer(struct sequence *sequence, uint64_t epoch, uint64_t seq)
{
	return sequence_offer(sequence, make(epoch, seq));
}

/* Takes everything that is ready; returns the place of the last, all 0 for none, and demands that they ascend. */
static struct place take_all(struct sequence *sequence)
{
	struct place last = { 0 };
	struct event *event;
	while ((event = sequence_take(sequence))) {
		struct place place = { event->message.epoch, event->message.seq };
		assert_true(place_compare(last, place) < 0);
		last = place;
		event_unref(event);
	}
	return last;
}

#define ASSERT_PLACE(actual, expected_epoch, expected_seq) \
	do { \
		struct place checked = (actual); \
		assert_int_equal(checked.epoch, expected_epoch); \
		assert_int_equal(checked.seq, expected_seq); \
	} while (0)

/* Follows epoch 7, which goes on, after seq; up to known exists. */
static void follow(struct sequence *sequence, uint64_t seq, uint64_t known)
{
	sequence_init(sequence, 1 << 20);
	assert_int_equal(KNOW(sequence, { 7, known }), SEQUENCE_AGREES);
	sequence_start(sequence, PLACE(7, seq));
}

static void assert_missing(const struct sequence *sequence, uint64_t epoch, uint64_t from, uint64_t to)
{
	struct place place;
	uint64_t last;
	assert_true(sequence_missing(sequence, &place, &last));
	ASSERT_PLACE(place, epoch, from);
	assert_int_equal(last, to);
}

static void assert_nothing_missing(const struct sequence *sequence)
{
	struct place place;
	uint64_t last;
	assert_false(sequence_missing(sequence, &place, &last));
	assert_int_equal(sequence_lag(sequence), 0);
}

static void test_in_order(void **state)
{
	(void)state;
	struct sequence sequence;
	follow(&sequence, 4, 4);
	assert_null(sequence_take(&sequence));
	for (uint64_t seq = 5; seq < 10; seq++) {
		assert_int_equal(offer(&sequence, 7, seq), SEQUENCE_READY);
		ASSERT_PLACE(take_all(&sequence), 7, seq);
	}
	assert_int_equal(offer(&sequence, 7, 9), SEQUENCE_OLD);
	assert_int_equal(sequence.counters.duplicates, 1);
	assert_int_equal(sequence.counters.gaps, 0);
	ASSERT_PLACE(sequence.complete_since, 7, 4);
	sequence_deinit(&sequence);
}

static void test_gap_is_filled(void **state)
{
	(void)state;
	struct sequence sequence;
	follow(&sequence, 0, 0);
	assert_nothing_missing(&sequence);
	assert_int_equal(offer(&sequence, 7, 4), SEQUENCE_GAP);
	assert_int_equal(offer(&sequence, 7, 5), SEQUENCE_GAP);
	assert_int_equal(offer(&sequence, 7, 5), SEQUENCE_GAP); /* twice: once is kept */
	assert_int_equal(sequence.counters.gaps, 1);
	assert_int_equal(sequence_lag(&sequence), 5);
	assert_missing(&sequence, 7, 1, 3);
	assert_int_equal(offer(&sequence, 7, 1), SEQUENCE_READY);
	ASSERT_PLACE(take_all(&sequence), 7, 1);
	assert_int_equal(offer(&sequence, 7, 3), SEQUENCE_GAP);
	assert_int_equal(offer(&sequence, 7, 2), SEQUENCE_READY);
	ASSERT_PLACE(take_all(&sequence), 7, 5);
	assert_nothing_missing(&sequence);
	assert_int_equal(sequence.held_bytes, 0);
	ASSERT_PLACE(sequence.complete_since, 7, 0);
	sequence_deinit(&sequence);
}

static void test_heartbeat_tells_of_a_lost_tail(void **state)
{
	(void)state;
	struct sequence sequence;
	follow(&sequence, 0, 0);
	assert_true(sequence_hear(&sequence, PLACE(7, 10000)));
	assert_missing(&sequence, 7, 1, SEQUENCE_ASK_MAX);
	assert_true(sequence_hear(&sequence, PLACE(7, 3))); /* an old one */
	assert_int_equal(sequence_lag(&sequence), 10000);
	assert_false(sequence_hear(&sequence, PLACE(8, 0))); /* the gateway must tell first how 7 ended */
	assert_false(sequence_hear(&sequence, PLACE(6, 0)));
	sequence_deinit(&sequence);
}

static void test_bound_drops_the_later_never_the_next(void **state)
{
	(void)state;
	struct sequence sequence;
	follow(&sequence, 0, 0);
	sequence.held_max = 1; /* nothing can be held */
	assert_int_equal(offer(&sequence, 7, 3), SEQUENCE_GAP);
	assert_int_equal(sequence.held_bytes, 0);
	assert_int_equal(offer(&sequence, 7, 1), SEQUENCE_READY);
	ASSERT_PLACE(take_all(&sequence), 7, 1);
	assert_missing(&sequence, 7, 2, 3);
	sequence_deinit(&sequence);
}

static void test_bound_counts_bytes(void **state)
{
	(void)state;
	struct sequence sequence;
	follow(&sequence, 0, 0);
	sequence.held_max = 64 << 10;
	for (uint64_t seq = 2; seq < 1000; seq++)
		assert_int_equal(offer(&sequence, 7, seq), SEQUENCE_GAP);
	assert_in_range(sequence.held_bytes, 60 << 10, 64 << 10);
	sequence_deinit(&sequence);
}

static void test_what_the_journal_lost_is_counted(void **state)
{
	(void)state;
	struct sequence sequence;
	follow(&sequence, 0, 0);
	assert_int_equal(offer(&sequence, 7, 3), SEQUENCE_GAP);
	assert_int_equal(offer(&sequence, 7, 9), SEQUENCE_GAP);
	assert_int_equal(sequence_skip(&sequence, PLACE(7, 8)), 2); /* 1 and 2; 3 is here */
	ASSERT_PLACE(sequence.complete_since, 7, 2);
	ASSERT_PLACE(take_all(&sequence), 7, 3);
	assert_int_equal(sequence_skip(&sequence, PLACE(7, 8)), 4);
	ASSERT_PLACE(sequence.complete_since, 7, 7);
	assert_int_equal(offer(&sequence, 7, 8), SEQUENCE_READY);
	ASSERT_PLACE(take_all(&sequence), 7, 9);
	assert_int_equal(sequence.counters.lost, 6);
	assert_int_equal(sequence_skip(&sequence, PLACE(7, 2)), 0);
	assert_int_equal(sequence_skip(&sequence, PLACE(6, 100)), 0);
	assert_int_equal(sequence_skip(&sequence, PLACE(8, 1)), 0); /* of an epoch that we will hear of first */
	ASSERT_PLACE(sequence.complete_since, 7, 7);
	assert_int_equal(sequence_skip(&sequence, PLACE(7, UINT64_MAX)), UINT64_MAX - 11); /* ends at once */
	sequence_deinit(&sequence);
}

static void test_later_epoch_is_held_until_the_old_one_is_whole(void **state)
{
	(void)state;
	struct sequence sequence;
	follow(&sequence, 3, 3);
	assert_int_equal(offer(&sequence, 9, 1), SEQUENCE_NEW_EPOCH);
	assert_int_equal(offer(&sequence, 9, 2), SEQUENCE_NEW_EPOCH);
	assert_null(sequence_take(&sequence));
	/* 4 and 5 of epoch 7 never came; 8 had no event at all. */
	assert_int_equal(KNOW(&sequence, { 7, 5 }, { 8, 0 }, { 9, 2 }), SEQUENCE_AGREES);
	assert_null(sequence_take(&sequence));
	assert_int_equal(sequence_lag(&sequence), 4);
	assert_missing(&sequence, 7, 4, 5);
	assert_int_equal(offer(&sequence, 7, 4), SEQUENCE_READY);
	ASSERT_PLACE(take_all(&sequence), 7, 4);
	assert_int_equal(offer(&sequence, 7, 5), SEQUENCE_READY);
	ASSERT_PLACE(take_all(&sequence), 9, 2);
	assert_int_equal(sequence.counters.lost, 0);
	assert_int_equal(sequence.counters.breaks, 0);
	ASSERT_PLACE(sequence.complete_since, 7, 3);
	assert_nothing_missing(&sequence);
	sequence_deinit(&sequence);
}

static void test_first_event_of_the_next_epoch(void **state)
{
	(void)state;
	struct sequence sequence;
	uint64_t last;
	follow(&sequence, 3, 3);
	assert_int_equal(KNOW(&sequence, { 7, 3 }, { 9, 0 }), SEQUENCE_AGREES);
	ASSERT_PLACE(sequence.position, 9, 0); /* nothing of 7 can follow any more */
	assert_int_equal(offer(&sequence, 9, 1), SEQUENCE_READY);
	ASSERT_PLACE(take_all(&sequence), 9, 1);
	assert_int_equal(offer(&sequence, 7, 4), SEQUENCE_OLD);
	assert_true(sequence_epoch_end(&sequence, 7, &last));
	assert_int_equal(last, 3);
	assert_true(sequence_epoch_end(&sequence, 9, &last));
	assert_int_equal(last, 1);
	assert_false(sequence_epoch_end(&sequence, 8, &last));
	sequence_deinit(&sequence);
}

/* The journal is an older copy of itself: what it forgot was delivered, and what it says next is new. */
static void test_beyond_the_end(void **state)
{
	(void)state;
	struct sequence sequence;
	follow(&sequence, 20, 20);
	assert_int_equal(KNOW(&sequence, { 7, 10 }, { 8, 2 }), SEQUENCE_BEYOND);
	assert_missing(&sequence, 8, 1, 2);
	assert_int_equal(offer(&sequence, 8, 1), SEQUENCE_READY);
	ASSERT_PLACE(take_all(&sequence), 8, 1);
	assert_int_equal(sequence.counters.lost, 0);
	assert_int_equal(sequence.counters.breaks, 1);
	sequence_deinit(&sequence);
}

/* So old a copy that it does not know our epoch. */
static void test_unknown_epoch(void **state)
{
	(void)state;
	struct sequence sequence;
	follow(&sequence, 20, 20);
	assert_int_equal(KNOW(&sequence, { 5, 90 }, { 8, 0 }, { 9, 1 }), SEQUENCE_UNKNOWN);
	ASSERT_PLACE(sequence.position, 9, 0);
	ASSERT_PLACE(sequence.complete_since, 9, 0);
	assert_int_equal(offer(&sequence, 8, 1), SEQUENCE_OLD);
	assert_int_equal(offer(&sequence, 9, 1), SEQUENCE_READY);
	ASSERT_PLACE(take_all(&sequence), 9, 1);
	sequence_deinit(&sequence);
}

static void test_what_is_held_past_the_end_is_given_out(void **state)
{
	(void)state;
	struct sequence sequence;
	follow(&sequence, 3, 3);
	assert_int_equal(offer(&sequence, 7, 5), SEQUENCE_GAP);
	assert_int_equal(offer(&sequence, 8, 1), SEQUENCE_NEW_EPOCH);
	assert_int_equal(KNOW(&sequence, { 7, 3 }, { 8, 1 }), SEQUENCE_AGREES);
	ASSERT_PLACE(sequence.complete_since, 7, 4);
	assert_int_equal(sequence.counters.lost, 1);
	ASSERT_PLACE(take_all(&sequence), 8, 1);
	assert_int_equal(sequence.held_bytes, 0);
	sequence_deinit(&sequence);
}

static void test_gone_into_a_later_epoch(void **state)
{
	(void)state;
	struct sequence sequence;
	follow(&sequence, 3, 3);
	assert_int_equal(KNOW(&sequence, { 7, 10 }, { 8, 4 }, { 9, 20 }), SEQUENCE_AGREES);
	assert_int_equal(offer(&sequence, 8, 2), SEQUENCE_GAP);
	assert_int_equal(sequence_skip(&sequence, PLACE(9, 6)), 8); /* 4 to 10 of 7, 1 of 8 */
	ASSERT_PLACE(take_all(&sequence), 8, 2);
	assert_int_equal(sequence_skip(&sequence, PLACE(9, 6)), 7); /* 3 and 4 of 8, 1 to 5 of 9 */
	ASSERT_PLACE(sequence.position, 9, 5);
	ASSERT_PLACE(sequence.complete_since, 9, 5);
	assert_int_equal(sequence.counters.lost, 15);
	assert_missing(&sequence, 9, 6, 20);
	sequence_deinit(&sequence);
}

static void test_gone_up_to_the_end_of_an_epoch(void **state)
{
	(void)state;
	struct sequence sequence;
	follow(&sequence, 3, 3);
	assert_int_equal(KNOW(&sequence, { 7, 10 }, { 8, 4 }), SEQUENCE_AGREES);
	assert_int_equal(sequence_skip(&sequence, PLACE(7, 500)), 7);
	assert_missing(&sequence, 8, 1, 4);
	sequence_deinit(&sequence);
}

static void test_epoch_goes_back(void **state)
{
	(void)state;
	struct sequence sequence;
	follow(&sequence, 3, 3);
	assert_int_equal(offer(&sequence, 7, 5), SEQUENCE_GAP);
	assert_int_equal(KNOW(&sequence, { 1, 0 }, { 2, 4 }), SEQUENCE_WENT_BACK);
	assert_int_equal(sequence.held_bytes, 0);
	assert_missing(&sequence, 2, 1, 4);
	assert_int_equal(offer(&sequence, 2, 1), SEQUENCE_READY);
	ASSERT_PLACE(take_all(&sequence), 2, 1);
	sequence_deinit(&sequence);
}

static void test_epoch_is_begun_once_more(void **state)
{
	(void)state;
	struct sequence sequence;
	follow(&sequence, 30, 30);
	sequence_restart_epoch(&sequence);
	assert_int_equal(KNOW(&sequence, { 7, 2 }), SEQUENCE_AGREES);
	assert_missing(&sequence, 7, 1, 2);
	assert_int_equal(offer(&sequence, 7, 1), SEQUENCE_READY);
	sequence_deinit(&sequence); /* with an event that nobody took */
}

static void test_nothing_before_the_start(void **state)
{
	(void)state;
	struct sequence sequence;
	sequence_init(&sequence, 1 << 20);
	assert_int_equal(offer(&sequence, 7, 1), SEQUENCE_NEW_EPOCH);
	assert_null(sequence_take(&sequence));
	assert_false(sequence_hear(&sequence, PLACE(7, 1)));
	assert_int_equal(sequence_skip(&sequence, PLACE(7, 1)), 0);
	assert_nothing_missing(&sequence);
	sequence_deinit(&sequence);
}

/* --- a model: one log, a line that loses, repeats and mixes up, gateways that restart, retention ------------- */

enum { LOG_MAX = 4000, EPOCH_MAX = 40, FLIGHT_MAX = 64 };

static struct model {
	uint32_t random;
	struct place log[LOG_MAX];    /* everything that was ever accepted */
	bool is_gone[LOG_MAX];        /* no longer in the journal, and the hub was told so before it had it */
	size_t log_count, trimmed;    /* the oldest `trimmed` are no longer in the journal */
	struct place epochs[EPOCH_MAX]; /* with their last seq */
	size_t epoch_count;
	struct place flight[FLIGHT_MAX]; /* published, under way, in any order */
	size_t flight_count;
	size_t delivered;             /* index in log of what the hub must deliver next, if not gone */
	uint64_t lost;
} model;

static uint32_t chance(uint32_t sides)
{
	model.random ^= model.random << 13;
	model.random ^= model.random >> 17;
	model.random ^= model.random << 5;
	return model.random % sides;
}

static void model_deliver(struct sequence *sequence)
{
	struct event *event;
	while ((event = sequence_take(sequence))) {
		struct place place = { event->message.epoch, event->message.seq };
		while (model.delivered < model.log_count && model.is_gone[model.delivered]) {
			/* What was told to be gone may still have been held here. */
			if (place_compare(model.log[model.delivered], place) == 0)
				break;
			model.lost++;
			model.delivered++;
		}
		assert_true(model.delivered < model.log_count);
		assert_int_equal(place_compare(model.log[model.delivered], place), 0);
		model.delivered++;
		event_unref(event);
	}
}

static void model_arrive(struct sequence *sequence, struct place place)
{
	enum sequence_verdict verdict = offer(sequence, place.epoch, place.seq);
	if (verdict == SEQUENCE_NEW_EPOCH && chance(2)) /* the greeting may take its time */
		assert_int_equal(sequence_know(sequence, model.epochs, model.epoch_count), SEQUENCE_AGREES);
	model_deliver(sequence);
}

static void model_publish(void)
{
	struct place *epoch = &model.epochs[model.epoch_count - 1];
	if (model.log_count == LOG_MAX)
		return;
	epoch->seq++;
	model.log[model.log_count++] = *epoch;
	if (chance(8) && model.flight_count < FLIGHT_MAX)
		model.flight[model.flight_count++] = *epoch;
}

/* One thing under way arrives, or is lost; some arrive twice. */
static void model_fly(struct sequence *sequence)
{
	if (!model.flight_count)
		return;
	size_t which = chance(3) ? 0 : chance((uint32_t)model.flight_count);
	struct place place = model.flight[which];
	if (chance(10))
		memmove(&model.flight[which], &model.flight[which + 1], (--model.flight_count - which) * sizeof(place));
	if (chance(6))
		model_arrive(sequence, place);
}

static void model_new_epoch(void)
{
	if (model.epoch_count == EPOCH_MAX)
		return;
	model.epochs[model.epoch_count] = PLACE(model.epochs[model.epoch_count - 1].epoch + 1 + chance(5), 0);
	model.epoch_count++;
}

static void model_hear(struct sequence *sequence)
{
	if (!sequence_hear(sequence, model.epochs[model.epoch_count - 1]))
		assert_int_equal(sequence_know(sequence, model.epochs, model.epoch_count), SEQUENCE_AGREES);
	model_deliver(sequence);
}

/* The gateway answers what is asked for: GONE, then a part of it. */
static void model_repair(struct sequence *sequence)
{
	struct place from;
	uint64_t to;
	if (!sequence_missing(sequence, &from, &to))
		return;
	assert_true(to - from.seq < SEQUENCE_ASK_MAX);
	struct place first = model.trimmed < model.log_count ? model.log[model.trimmed] : PLACE(model.epochs[model.epoch_count - 1].epoch, 0);
	if (model.trimmed == model.log_count)
		first.seq = model.epochs[model.epoch_count - 1].seq + 1;
	if (place_compare(from, first) < 0) {
		for (size_t i = model.delivered; i < model.trimmed; i++)
			model.is_gone[i] = true;
		struct place before;
		do {
			before = sequence->position;
			sequence_skip(sequence, first);
			model_deliver(sequence);
		} while (place_compare(before, sequence->position) < 0);
	}
	uint64_t some = 1 + chance(8);
	for (size_t i = model.trimmed; i < model.log_count && some; i++) {
		if (model.log[i].epoch != from.epoch || model.log[i].seq < from.seq || model.log[i].seq > to)
			continue;
		some--;
		model_arrive(sequence, model.log[i]);
	}
}

static void model_run(uint32_t seed)
{
	struct sequence sequence;
	model = (struct model){ .random = seed, .epoch_count = 1, .epochs = { { 1000, 0 } } };
	sequence_init(&sequence, chance(3) ? 1 << 20 : 20000);
	assert_int_equal(sequence_know(&sequence, model.epochs, 1), SEQUENCE_AGREES);
	sequence_start(&sequence, model.epochs[0]);
	for (int step = 0; step < 6000; step++) {
		uint32_t what = chance(200);
		if (what < 60)
			model_publish();
		else if (what < 160)
			model_fly(&sequence);
		else if (what < 180)
			model_hear(&sequence);
		else if (what < 196)
			model_repair(&sequence);
		else if (what < 198)
			model_new_epoch();
		else if (chance(3) == 0)
			model.trimmed += chance((uint32_t)(model.log_count - model.trimmed) + 1);
	}
	model_hear(&sequence);
	for (size_t rounds = 0; sequence_lag(&sequence); rounds++) {
		assert_true(rounds < 2 * LOG_MAX);
		model_repair(&sequence);
	}
	while (model.delivered < model.log_count && model.is_gone[model.delivered])
		model.delivered++, model.lost++;
	assert_int_equal(model.delivered, model.log_count);
	assert_int_equal(model.lost, sequence.counters.lost);
	assert_int_equal(sequence.held_bytes, 0);
	assert_int_equal(sequence.counters.breaks, 0);
	sequence_deinit(&sequence);
}

static void test_model(void **state)
{
	(void)state;
	const char *given = getenv("ROOMCAST_SEED");
	uint32_t seed = given ? (uint32_t)strtoul(given, NULL, 10) : (uint32_t)(clock_wall_ms() | 1);
	printf("# model: ROOMCAST_SEED=%" PRIu32 "\n", seed);
	uint64_t delivered = 0, lost = 0;
	for (uint32_t i = 0; i < 60; i++) {
		model_run((seed + i * 7919) | 1);
		delivered += model.delivered;
		lost += model.lost;
	}
	printf("# model: %" PRIu64 " events, %" PRIu64 " of them gone\n", delivered, lost);
	assert_true(lost > 0);
	assert_true(lost < delivered / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_gap_is_filled),
		cmocka_unit_test(test_heartbeat_tells_of_a_lost_tail),
		cmocka_unit_test(test_bound_drops_the_later_never_the_next),
		cmocka_unit_test(test_bound_counts_bytes),
		cmocka_unit_test(test_what_the_journal_lost_is_counted),
		cmocka_unit_test(test_later_epoch_is_held_until_the_old_one_is_whole),
		cmocka_unit_test(test_first_event_of_the_next_epoch),
		cmocka_unit_test(test_beyond_the_end),
		cmocka_unit_test(test_unknown_epoch),
		cmocka_unit_test(test_what_is_held_past_the_end_is_given_out),
		cmocka_unit_test(test_gone_into_a_later_epoch),
		cmocka_unit_test(test_gone_up_to_the_end_of_an_epoch),
		cmocka_unit_test(test_epoch_goes_back),
		cmocka_unit_test(test_epoch_is_begun_once_more),
		cmocka_unit_test(test_nothing_before_the_start),
		cmocka_unit_test(test_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
