/* test_sequence.c - order, gaps, losses and epochs of journaled events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sequence.h"

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

/* Takes everything that is ready; returns the last number taken, 0 for none, and demands that they follow each other. */
static uint64_t take_all(struct sequence *sequence)
{
	uint64_t last = 0;
	struct event *event;
	while ((event = sequence_take(sequence))) {
		if (last)
			assert_int_equal(event->message.seq, last + 1);
		last = event->message.seq;
		event_unref(event);
	}
	return last;
}

static void test_in_order(void **state)
{
	(void)state;
	struct sequence sequence;
	sequence_init(&sequence, 1 << 20);
	sequence_start(&sequence, 7, 5);
	assert_null(sequence_take(&sequence));
	for (uint64_t seq = 5; seq < 10; seq++) {
		assert_int_equal(offer(&sequence, 7, seq), SEQUENCE_READY);
		assert_int_equal(take_all(&sequence), seq);
	}
	assert_int_equal(offer(&sequence, 7, 9), SEQUENCE_OLD);
	assert_int_equal(sequence.counters.duplicates, 1);
	assert_int_equal(sequence.counters.gaps, 0);
	sequence_deinit(&sequence);
}

static void test_gap_is_filled(void **state)
{
	(void)state;
	struct sequence sequence;
	uint64_t from, to;
	sequence_init(&sequence, 1 << 20);
	sequence_start(&sequence, 7, 1);
	assert_false(sequence_missing(&sequence, &from, &to));
	assert_int_equal(offer(&sequence, 7, 4), SEQUENCE_GAP);
	assert_int_equal(offer(&sequence, 7, 5), SEQUENCE_GAP);
	assert_int_equal(offer(&sequence, 7, 5), SEQUENCE_GAP); /* twice: once is kept */
	assert_int_equal(sequence.counters.gaps, 1);
	assert_true(sequence_missing(&sequence, &from, &to));
	assert_int_equal(from, 1);
	assert_int_equal(to, 3);
	assert_int_equal(offer(&sequence, 7, 1), SEQUENCE_READY);
	assert_int_equal(take_all(&sequence), 1);
	assert_int_equal(offer(&sequence, 7, 3), SEQUENCE_GAP);
	assert_int_equal(offer(&sequence, 7, 2), SEQUENCE_READY);
	assert_int_equal(take_all(&sequence), 5);
	assert_false(sequence_missing(&sequence, &from, &to));
	assert_int_equal(sequence.held_bytes, 0);
	sequence_deinit(&sequence);
}

static void test_heartbeat_tells_of_a_lost_tail(void **state)
{
	(void)state;
	struct sequence sequence;
	uint64_t from, to;
	sequence_init(&sequence, 1 << 20);
	sequence_start(&sequence, 7, 1);
	sequence_hear(&sequence, 1000);
	assert_true(sequence_missing(&sequence, &from, &to));
	assert_int_equal(from, 1);
	assert_int_equal(to, SEQUENCE_ASK_MAX);
	sequence_deinit(&sequence);
}

static void test_bound_drops_the_later_never_the_next(void **state)
{
	(void)state;
	struct sequence sequence;
	uint64_t from, to;
	sequence_init(&sequence, 1); /* nothing can be held */
	sequence_start(&sequence, 7, 1);
	assert_int_equal(offer(&sequence, 7, 3), SEQUENCE_GAP);
	assert_int_equal(sequence.held_bytes, 0);
	assert_int_equal(offer(&sequence, 7, 1), SEQUENCE_READY);
	assert_int_equal(take_all(&sequence), 1);
	assert_true(sequence_missing(&sequence, &from, &to));
	assert_int_equal(from, 2);
	assert_int_equal(to, 3);
	sequence_deinit(&sequence);
}

static void test_what_the_journal_lost_is_counted(void **state)
{
	(void)state;
	struct sequence sequence;
	sequence_init(&sequence, 1 << 20);
	sequence_start(&sequence, 7, 1);
	assert_int_equal(offer(&sequence, 7, 3), SEQUENCE_GAP);
	assert_int_equal(offer(&sequence, 7, 9), SEQUENCE_GAP);
	assert_int_equal(sequence_skip(&sequence, 8), 2); /* 1 and 2; 3 is here */
	assert_int_equal(take_all(&sequence), 3);
	assert_int_equal(sequence_skip(&sequence, 8), 4);
	assert_int_equal(offer(&sequence, 7, 8), SEQUENCE_READY);
	assert_int_equal(take_all(&sequence), 9);
	assert_int_equal(sequence.counters.lost, 6);
	assert_int_equal(sequence_skip(&sequence, 2), 0);
	assert_int_equal(sequence_skip(&sequence, UINT64_MAX), UINT64_MAX - 10); /* ends at once */
	sequence_deinit(&sequence);
}

static void test_epochs(void **state)
{
	(void)state;
	struct sequence sequence;
	sequence_init(&sequence, 1 << 20);
	assert_int_equal(offer(&sequence, 7, 1), SEQUENCE_NEW_EPOCH);
	sequence_start(&sequence, 7, 1);
	assert_int_equal(offer(&sequence, 8, 1), SEQUENCE_NEW_EPOCH);
	assert_int_equal(offer(&sequence, 6, 1), SEQUENCE_OLD);
	assert_int_equal(offer(&sequence, 7, 2), SEQUENCE_GAP);
	sequence_start(&sequence, 8, 1); /* what was held is of an epoch that ended */
	assert_int_equal(sequence.held_bytes, 0);
	assert_int_equal(offer(&sequence, 8, 1), SEQUENCE_READY);
	sequence_deinit(&sequence); /* with an event that nobody took */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_gap_is_filled),
		cmocka_unit_test(test_heartbeat_tells_of_a_lost_tail),
		cmocka_unit_test(test_bound_drops_the_later_never_the_next),
		cmocka_unit_test(test_what_the_journal_lost_is_counted),
		cmocka_unit_test(test_epochs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
