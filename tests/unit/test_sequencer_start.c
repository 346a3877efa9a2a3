/* test_sequencer_start.c - submissions that nobody waits for, and several that keep their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "sequencer_fixture.h"

/* --- without waiting --- */

enum { STARTED_MAX = 100 };

static struct {
	pthread_mutex_t lock;
	unsigned told[STARTED_MAX], count;
	enum submission_outcome outcomes[STARTED_MAX];
	uint64_t seqs[STARTED_MAX];
} results_told = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void on_result(void *data, struct submission_result *result)
{
	size_t i = (size_t)((unsigned *)data - results_told.told);
	pthread_mutex_lock(&results_told.lock);
	results_told.told[i]++;
	results_told.count++;
	results_told.outcomes[i] = result->outcome;
	results_told.seqs[i] = result->place.seq;
	pthread_mutex_unlock(&results_told.lock);
	submission_result_deinit(result);
}

static void start(size_t i, const char *body)
{
	struct submission submission;
	build(&submission, &body, 1, NULL);
	sequencer_start(sequencer, &submission, on_result, &results_told.told[i]);
	assert_null(submission.items);
}

static void wait_told(unsigned count)
{
	bool is_told = false;
	for (int i = 0; i < DEADLINE_MS / 2 && !is_told; i++) {
		pthread_mutex_lock(&results_told.lock);
		is_told = results_told.count >= count;
		pthread_mutex_unlock(&results_told.lock);
		if (!is_told)
			nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	}
	assert_true(is_told);
}

static void forget_told(void)
{
	memset(results_told.told, 0, sizeof(results_told.told));
	results_told.count = 0;
}

static void test_nobody_waits(void **state)
{
	(void)state;
	struct sequencer_figures figures;
	forget_told();
	open_with(1000, DEADLINE_MS);
	failing_journal_hold(journal, true);
	start(0, plain);
	failing_journal_wait_inside(journal);
	for (size_t i = 1; i < STARTED_MAX; i++)
		start(i, i % 2 ? versioned : plain);
	assert_int_equal(results_told.count, 0);
	failing_journal_hold(journal, false);
	wait_told(STARTED_MAX);
	for (size_t i = 0; i < STARTED_MAX; i++)
		assert_true(results_told.told[i] == 1 && results_told.outcomes[i] == SUBMISSION_STORED && results_told.seqs[i] == i + 1);
	sequencer_figures(sequencer, &figures);
	assert_int_equal(figures.groups, 1 + (STARTED_MAX - 1 + 15) / 16);
	close_all();
}

static void test_held_ones_share_a_group(void **state)
{
	(void)state;
	struct sequencer_figures figures;
	forget_told();
	open_with(1000, DEADLINE_MS);
	sequencer_hold(sequencer, true);
	sequencer_hold(sequencer, true); /* by two threads */
	for (size_t i = 0; i < 8; i++)
		start(i, plain);
	sequencer_hold(sequencer, false);
	for (size_t i = 8; i < 16; i++)
		start(i, plain);
	sequencer_hold(sequencer, false);
	wait_told(16);
	sequencer_figures(sequencer, &figures);
	assert_int_equal(figures.groups, 1);
	/* Who does not end it holds nothing up for long. */
	failing_journal_hold(journal, true);
	start(16, plain);
	failing_journal_wait_inside(journal);
	sequencer_hold(sequencer, true);
	start(17, plain);
	failing_journal_hold(journal, false);
	wait_told(18);
	sequencer_hold(sequencer, false);
	close_all();
}

static void test_the_end_tells_all(void **state)
{
	(void)state;
	forget_told();
	open_with(1000, DEADLINE_MS);
	for (size_t i = 0; i < STARTED_MAX; i++)
		start(i, plain);
	sequencer_free(sequencer);
	assert_int_equal(results_told.count, STARTED_MAX);
	for (size_t i = 0; i < STARTED_MAX; i++)
		assert_true(results_told.told[i] == 1 && results_told.outcomes[i] == SUBMISSION_STORED);
	failing_journal_free(journal);
}

static void test_time_is_up_for_nobody(void **state)
{
	(void)state;
	struct place place;
	forget_told();
	open_with(10, 100);
	failing_journal_hold(journal, true);
	start(0, plain);
	failing_journal_wait_inside(journal);
	start(1, plain);
	wait_told(2);
	assert_true(results_told.outcomes[0] == SUBMISSION_UNKNOWN && results_told.outcomes[1] == SUBMISSION_REFUSED);
	failing_journal_hold(journal, false);
	assert_int_equal(submit_plain(&place), SUBMISSION_STORED);
	assert_int_equal(place.seq, 2);
	assert_true(results_told.told[0] == 1 && results_told.told[1] == 1 && results_told.count == 2);
	close_all();
}

static void test_nobody_waits_for_refusals(void **state)
{
	(void)state;
	forget_told();
	open_with(1, DEADLINE_MS);
	failing_journal_hold(journal, true);
	start(0, plain);
	failing_journal_wait_inside(journal);
	start(1, plain);
	start(2, plain);
	assert_int_equal(results_told.count, 1);
	assert_true(results_told.told[2] == 1 && results_told.outcomes[2] == SUBMISSION_OVERLOADED);
	failing_journal_set(journal, STEP_COMMIT, FAIL_LOST, 1);
	failing_journal_hold(journal, false);
	wait_told(3);
	assert_int_equal(results_told.outcomes[0], SUBMISSION_REFUSED);
	close_all();
}

/* --- several in their order --- */

enum { CHAIN = 40 }; /* more than one group */

/* Submits CHAIN at once; how many of the first were stored, one after the other from first_seq on. What is behind was refused, or one of them
 * ended as `failure` says. */
static size_t submit_chain(uint64_t first_seq, enum submission_outcome failure)
{
	struct submission submissions[CHAIN];
	struct submission_result results[CHAIN] = { 0 };
	const char *body = plain;
	size_t stored = 0, failed = 0;
	for (size_t i = 0; i < CHAIN; i++)
		build(&submissions[i], &body, 1, NULL);
	sequencer_submit_all(sequencer, submissions, results, CHAIN);
	for (size_t i = 0; i < CHAIN; i++) {
		assert_null(submissions[i].items);
		if (results[i].outcome == SUBMISSION_STORED) {
			assert_int_equal(results[i].place.seq, first_seq + stored);
			assert_true(failed == 0 || failure == SUBMISSION_INVALID);
			stored++;
		} else {
			assert_true(results[i].outcome == failure || (failure != SUBMISSION_INVALID && results[i].outcome == SUBMISSION_REFUSED));
			failed++;
		}
		submission_result_deinit(&results[i]);
	}
	return stored;
}

static void test_several_keep_their_order(void **state)
{
	(void)state;
	open_with(1000, DEADLINE_MS);
	assert_int_equal(submit_chain(1, SUBMISSION_REFUSED), CHAIN);
	/* One that can never be stored holds nothing up. */
	failing_journal_set(journal, STEP_APPEND, FAIL_INVALID, 1);
	assert_int_equal(submit_chain(CHAIN + 1, SUBMISSION_INVALID), CHAIN - 1);
	/* Behind one that may be tried again nothing is stored, whether it failed alone or with its group. */
	failing_journal_set(journal, STEP_APPEND, FAIL_ALONE, 1);
	assert_int_equal(submit_chain(0, SUBMISSION_REFUSED), 0);
	failing_journal_set(journal, STEP_BEGIN, FAIL_ALONE, 1);
	assert_int_equal(submit_chain(0, SUBMISSION_REFUSED), 0);
	failing_journal_set(journal, STEP_COMMIT, FAIL_ALONE, 1);
	assert_int_equal(submit_chain(0, SUBMISSION_REFUSED), 0);
	assert_int_equal(submit_chain(2 * CHAIN, SUBMISSION_REFUSED), CHAIN);
	close_all();
}

static void test_several_that_are_too_many_or_too_late(void **state)
{
	(void)state;
	struct waiter first = { .body = plain };
	struct place place;
	open_with(10, 200);
	failing_journal_hold(journal, true);
	assert_int_equal(pthread_create(&first.thread, NULL, wait_for_result, &first), 0);
	failing_journal_wait_inside(journal);
	assert_int_equal(submit_chain(0, SUBMISSION_OVERLOADED), 0);
	pthread_join(first.thread, NULL);
	failing_journal_hold(journal, false);
	assert_int_equal(submit_plain(&place), SUBMISSION_STORED);
	assert_int_equal(place.seq, 2);
	submission_result_deinit(&first.result);
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_waits),
		cmocka_unit_test(test_held_ones_share_a_group),
		cmocka_unit_test(test_the_end_tells_all),
		cmocka_unit_test(test_time_is_up_for_nobody),
		cmocka_unit_test(test_nobody_waits_for_refusals),
		cmocka_unit_test(test_several_keep_their_order),
		cmocka_unit_test(test_several_that_are_too_many_or_too_late),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
