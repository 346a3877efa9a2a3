/* test_sequencer.c - order, groups, failures at every step, time limits and the writer's life. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "sequencer_fixture.h"

static void *publish_many(void *data)
{
	(void)data;
	struct place last = { 0 };
	for (int i = 0; i < EACH; i++) {
		struct submission_result result = { 0 };
		struct submission submission;
		if (submission_init(&submission, 1, NULL))
			return (void *)1;
		buffer_add_text(&submission.items[0].body, "\"e\"");
		sequencer_submit(sequencer, &submission, &result);
		if (result.outcome != SUBMISSION_STORED || place_compare(result.place, last) <= 0)
			return (void *)1;
		last = result.place;
		submission_result_deinit(&result);
	}
	return NULL;
}

static void test_one_order_without_holes(void **state)
{
	(void)state;
	pthread_t threads[PUBLISHERS];
	struct sequencer_figures figures;
	open_with(1000, DEADLINE_MS);
	for (int i = 0; i < PUBLISHERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, publish_many, NULL), 0);
	for (int i = 0; i < PUBLISHERS; i++) {
		void *failure;
		pthread_join(threads[i], &failure);
		assert_null(failure);
	}
	assert_int_equal(sink.count, PUBLISHERS * EACH);
	assert_int_equal(sink.ended, sink.count);
	for (size_t i = 0; i < sink.count; i++)
		assert_true(sink.published[i].seq == i + 1 && sink.published[i].epoch == 5);
	sequencer_figures(sequencer, &figures);
	assert_true(figures.last_seq == sink.count && figures.stored == sink.count && figures.failed == 0 && figures.epoch == 5);
	assert_true(figures.groups > 0 && figures.groups <= sink.count && figures.waiting == 0);
	assert_string_equal(figures.reason, "");
	close_all();
}

static const struct {
	enum step step;
	enum manner manner;
	enum submission_outcome outcome;
	bool is_lost;
} failures[] = {
	{ STEP_BEGIN, FAIL_ALONE, SUBMISSION_REFUSED, false },
	{ STEP_FIND_KEY, FAIL_ALONE, SUBMISSION_REFUSED, false },
	{ STEP_FIND_ENTITY, FAIL_ALONE, SUBMISSION_REFUSED, false },
	{ STEP_SAVEPOINT, FAIL_ALONE, SUBMISSION_REFUSED, false },
	{ STEP_APPEND, FAIL_ALONE, SUBMISSION_REFUSED, false },
	{ STEP_APPEND, FAIL_INVALID, SUBMISSION_INVALID, false },
	{ STEP_KEEP_KEY, FAIL_ALONE, SUBMISSION_REFUSED, false },
	{ STEP_RELEASE, FAIL_ALONE, SUBMISSION_REFUSED, false },
	{ STEP_COMMIT, FAIL_ALONE, SUBMISSION_REFUSED, false },
	{ STEP_BEGIN, FAIL_LOST, SUBMISSION_REFUSED, true },
	{ STEP_FIND_KEY, FAIL_LOST, SUBMISSION_REFUSED, true },
	{ STEP_FIND_ENTITY, FAIL_LOST, SUBMISSION_REFUSED, true },
	{ STEP_SAVEPOINT, FAIL_LOST, SUBMISSION_REFUSED, true },
	{ STEP_APPEND, FAIL_LOST, SUBMISSION_REFUSED, true },
	{ STEP_KEEP_KEY, FAIL_LOST, SUBMISSION_REFUSED, true },
	{ STEP_RELEASE, FAIL_LOST, SUBMISSION_REFUSED, true },
	{ STEP_COMMIT, FAIL_LOST, SUBMISSION_REFUSED, true },
	{ STEP_COMMIT, FAIL_UNKNOWN, SUBMISSION_UNKNOWN, true },
};

/* What failed is as if it had never been, and the next is stored; a lost writer is opened again in a new epoch. */
static void test_failures_at_every_step(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		struct submission_result result;
		char expected[32];
		bool is_unknown = failures[i].outcome == SUBMISSION_UNKNOWN;
		open_with(10, DEADLINE_MS);
		failing_journal_set(journal, failures[i].step, failures[i].manner, 1);
		assert_int_equal(submit(versioned, "key", &result), failures[i].outcome);
		snprintf(expected, sizeof(expected), "step %d failed", (int)failures[i].step);
		assert_string_equal(result.err.text, expected);
		assert_int_equal(sink.count, 0);
		submission_result_deinit(&result);
		if (failures[i].is_lost) {
			wait_for_state(SEQUENCER_ACTIVE);
			assert_true(sink.activations == 2 && sink.deactivations == 1 && sink.active == 6);
		}
		/* The lost answer to a commit: the event is there, and its key says so. */
		assert_int_equal(submit(versioned, "key", &result), is_unknown ? SUBMISSION_REPEATED : SUBMISSION_STORED);
		assert_true(result.place.seq == 1 && result.place.epoch == (failures[i].is_lost && !is_unknown ? 6 : 5));
		assert_int_equal(sink.count, is_unknown ? 0 : 1);
		submission_result_deinit(&result);
		assert_int_equal(submit(versioned, NULL, &result), SUBMISSION_STORED);
		assert_non_null(strstr(result.answer.data, "\"version\":2"));
		submission_result_deinit(&result);
		close_all();
	}
}

static void test_while_there_is_no_writer(void **state)
{
	(void)state;
	struct place place;
	struct submission_result result;
	struct sequencer_figures figures;
	sink.count = sink.active = sink.activations = sink.stand_bys = 0;
	journal = failing_journal_new();
	failing_journal_set(journal, STEP_OPEN, FAIL_ALONE, 1000000);
	open_settings((struct sequencer_settings){ .queue_events = 10, .timeout_ms = DEADLINE_MS, .stall_ms = DEADLINE_MS });
	assert_false(sequencer_is_active(sequencer));
	assert_int_equal(submit(plain, NULL, &result), SUBMISSION_REFUSED);
	assert_string_equal(result.err.text, "nothing can be stored now: step 1 failed");
	submission_result_deinit(&result);
	sequencer_figures(sequencer, &figures);
	assert_true(figures.state == SEQUENCER_STANDBY && sink.stand_bys > 0 && sink.activations == 0);
	assert_string_equal(figures.reason, "step 1 failed");
	failing_journal_set(journal, STEP_OPEN, FAIL_INVALID, 1000000);
	wait_for_state(SEQUENCER_FAILED);
	failing_journal_set(journal, STEP_NONE, FAIL_ALONE, 0);
	wait_for_state(SEQUENCER_ACTIVE);
	assert_true(sequencer_is_active(sequencer) && sink.activations == 1);
	assert_int_equal(submit_plain(&place), SUBMISSION_STORED);
	assert_int_equal(place.seq, 1);
	close_all();
}

static void test_the_lock_without_a_writer(void **state)
{
	(void)state;
	struct place place;
	struct submission_result result;
	sink.count = sink.active = sink.activations = sink.stand_bys = sink.read_ons = 0;
	journal = failing_journal_new();
	journal->holds_lock = true;
	failing_journal_set(journal, STEP_OPEN, FAIL_ALONE, 1000000);
	open_settings((struct sequencer_settings){ .queue_events = 10, .timeout_ms = DEADLINE_MS, .stall_ms = DEADLINE_MS });
	wait_for_state(SEQUENCER_READING);
	assert_false(sequencer_is_active(sequencer));
	assert_int_equal(submit(plain, NULL, &result), SUBMISSION_REFUSED);
	submission_result_deinit(&result);
	failing_journal_set(journal, STEP_NONE, FAIL_ALONE, 0);
	wait_for_state(SEQUENCER_ACTIVE);
	assert_true(sink.read_ons > 0 && sink.stand_bys == 0 && sink.activations == 1);
	assert_int_equal(place_compare(sink.read_on, (struct place){ 5, 7 }), 0);
	assert_int_equal(submit_plain(&place), SUBMISSION_STORED);
	close_all();
}

static void test_an_idle_writer_that_is_lost(void **state)
{
	(void)state;
	struct place place;
	sink.count = sink.active = sink.activations = sink.deactivations = 0;
	journal = failing_journal_new();
	open_settings((struct sequencer_settings){ .queue_events = 10, .timeout_ms = DEADLINE_MS, .stall_ms = DEADLINE_MS, .check_ms = 5 });
	failing_journal_set(journal, STEP_BEGIN, FAIL_LOST, 1);
	for (int i = 0; i < DEADLINE_MS && !has_activated(2); i++)
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	assert_true(has_activated(2));
	wait_for_state(SEQUENCER_ACTIVE);
	assert_int_equal(submit_plain(&place), SUBMISSION_STORED);
	assert_true(place.epoch == 6 && place.seq == 1);
	close_all();
}

/* The first is alone in its group, which is held; all others are in the next, and each group's steps fail as was set. */
static enum submission_outcome submit_together(struct waiter *waiters, size_t count)
{
	struct waiter first = { .body = plain };
	failing_journal_hold(journal, true);
	assert_int_equal(pthread_create(&first.thread, NULL, wait_for_result, &first), 0);
	failing_journal_wait_inside(journal);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(pthread_create(&waiters[i].thread, NULL, wait_for_result, &waiters[i]), 0);
		while (waiting() != i + 1)
			sched_yield();
	}
	failing_journal_hold(journal, false);
	for (size_t i = 0; i < count; i++)
		pthread_join(waiters[i].thread, NULL);
	pthread_join(first.thread, NULL);
	submission_result_deinit(&first.result);
	return first.result.outcome;
}

static void free_results(struct waiter *waiters, size_t count)
{
	for (size_t i = 0; i < count; i++)
		submission_result_deinit(&waiters[i].result);
}

static void test_keys_and_versions_within_a_group(void **state)
{
	(void)state;
	static const char if_new[] = "{\"entityType\":\"t\",\"action\":\"UPDATE\",\"data\":{\"id\":7},\"ifVersion\":0}";
	struct waiter waiters[] = {
		{ .body = if_new }, { .body = if_new }, { .body = versioned, .key = "k" }, { .body = versioned, .key = "k" }, { .body = plain, .key = "k" },
	};
	open_with(100, DEADLINE_MS);
	assert_int_equal(submit_together(waiters, 5), SUBMISSION_STORED);
	assert_int_equal(waiters[0].result.outcome, SUBMISSION_STORED);
	assert_string_equal(waiters[0].result.answer.data, "\"id\":\"5.2\",\"version\":1");
	assert_int_equal(waiters[1].result.outcome, SUBMISSION_CONFLICT);
	assert_true(waiters[1].result.server_version == 1 && waiters[1].result.conflict_at == 0);
	assert_string_equal(waiters[1].result.server_data.data, "{\"id\":7}");
	assert_int_equal(waiters[2].result.outcome, SUBMISSION_STORED);
	assert_int_equal(waiters[3].result.outcome, SUBMISSION_REPEATED);
	assert_string_equal(waiters[3].result.answer.data, "\"id\":\"5.3\",\"version\":2");
	assert_int_equal(waiters[3].result.place.seq, 3);
	assert_int_equal(waiters[4].result.outcome, SUBMISSION_MISMATCH);
	assert_int_equal(sink.count, 3);
	free_results(waiters, 5);
	close_all();
}

/* Nobody is told what only a group had seen that was not stored. */
static void test_judgements_of_a_failed_group_do_not_stand(void **state)
{
	(void)state;
	static const char if_new[] = "{\"entityType\":\"t\",\"action\":\"UPDATE\",\"data\":{\"id\":7},\"ifVersion\":0}";
	static const struct { enum step step; enum manner manner; unsigned times; enum submission_outcome first; } cases[] = {
		{ STEP_COMMIT, FAIL_ALONE, 2, SUBMISSION_REFUSED },
		{ STEP_KEEP_KEY, FAIL_LOST, 1, SUBMISSION_STORED },
	};
	for (size_t i = 0; i < 2; i++) {
		struct waiter waiters[] = { { .body = if_new, .key = "k" }, { .body = if_new, .key = "k" }, { .body = if_new }, { .body = plain, .key = "k" } };
		open_with(100, DEADLINE_MS);
		failing_journal_set(journal, cases[i].step, cases[i].manner, cases[i].times);
		assert_int_equal(submit_together(waiters, 4), cases[i].first);
		for (size_t w = 0; w < 4; w++)
			assert_int_equal(waiters[w].result.outcome, SUBMISSION_REFUSED);
		free_results(waiters, 4);
		close_all();
	}
}

static void test_one_that_fails_leaves_the_others(void **state)
{
	(void)state;
	struct waiter waiters[] = { { .body = plain }, { .body = versioned }, { .body = plain } };
	open_with(100, DEADLINE_MS);
	failing_journal_set(journal, STEP_FIND_ENTITY, FAIL_ALONE, 1);
	assert_int_equal(submit_together(waiters, 3), SUBMISSION_STORED);
	assert_int_equal(waiters[0].result.outcome, SUBMISSION_STORED);
	assert_int_equal(waiters[1].result.outcome, SUBMISSION_REFUSED);
	assert_int_equal(waiters[2].result.outcome, SUBMISSION_STORED);
	assert_int_equal(waiters[2].result.place.seq, 3);
	free_results(waiters, 3);
	close_all();
}

static void test_a_batch_is_whole(void **state)
{
	(void)state;
	static const char *const bodies[] = {
		versioned, plain, "{\"entityType\":\"t\",\"action\":\"UPDATE\",\"data\":{\"id\":7},\"ifVersion\":1}",
		"{\"entityType\":\"t\",\"action\":\"UPDATE\",\"data\":{\"id\":7},\"ifVersion\":1}",
	};
	struct submission submission;
	struct submission_result result = { 0 };
	open_with(100, DEADLINE_MS);
	build(&submission, bodies, 4, NULL);
	sequencer_submit(sequencer, &submission, &result);
	assert_int_equal(result.outcome, SUBMISSION_CONFLICT);
	assert_true(result.conflict_at == 3 && result.server_version == 2);
	assert_int_equal(sink.count, 0);
	submission_result_deinit(&result);

	result = (struct submission_result){ 0 };
	build(&submission, bodies, 3, "k");
	sequencer_submit(sequencer, &submission, &result);
	assert_int_equal(result.outcome, SUBMISSION_STORED);
	assert_string_equal(result.answer.data, "\"id\":\"5.3\",\"ids\":[\"5.1\",\"5.2\",\"5.3\"],\"versions\":[1,null,2]");
	assert_int_equal(sink.count, 3);
	submission_result_deinit(&result);

	result = (struct submission_result){ 0 };
	build(&submission, bodies, 3, "k");
	sequencer_submit(sequencer, &submission, &result);
	assert_int_equal(result.outcome, SUBMISSION_REPEATED);
	assert_int_equal(sink.count, 3);
	submission_result_deinit(&result);
	close_all();
}

static void test_time_is_up(void **state)
{
	(void)state;
	struct waiter first = { .body = plain };
	struct place place;
	open_with(10, 200);
	failing_journal_hold(journal, true);
	assert_int_equal(pthread_create(&first.thread, NULL, wait_for_result, &first), 0);
	failing_journal_wait_inside(journal);
	/* The first is being stored: nobody knows. The second was not begun: it is taken back. */
	assert_int_equal(submit_plain(&place), SUBMISSION_REFUSED);
	pthread_join(first.thread, NULL);
	assert_int_equal(first.result.outcome, SUBMISSION_UNKNOWN);
	failing_journal_hold(journal, false);
	assert_int_equal(submit_plain(&place), SUBMISSION_STORED);
	assert_int_equal(place.seq, 2);
	submission_result_deinit(&first.result);
	close_all();
}

static void test_a_journal_that_does_not_answer(void **state)
{
	(void)state;
	struct waiter first = { .body = plain };
	struct sequencer_figures figures;
	struct submission_result result;
	sink.count = sink.active = 0;
	journal = failing_journal_new();
	open_settings((struct sequencer_settings){ .queue_events = 10, .timeout_ms = DEADLINE_MS, .stall_ms = 50 });
	failing_journal_hold(journal, true);
	assert_int_equal(pthread_create(&first.thread, NULL, wait_for_result, &first), 0);
	failing_journal_wait_inside(journal);
	do
		sequencer_figures(sequencer, &figures);
	while (figures.busy_ms <= 50);
	assert_int_equal(submit(plain, NULL, &result), SUBMISSION_REFUSED);
	assert_non_null(strstr(result.err.text, "has not answered"));
	submission_result_deinit(&result);
	failing_journal_hold(journal, false);
	pthread_join(first.thread, NULL);
	assert_int_equal(first.result.outcome, SUBMISSION_STORED);
	submission_result_deinit(&first.result);
	close_all();
}

static void test_a_full_queue_refuses_at_once(void **state)
{
	(void)state;
	struct waiter waiters[] = { { .body = plain }, { .body = plain } };
	struct submission_result result;
	open_with(1, DEADLINE_MS);
	failing_journal_hold(journal, true);
	assert_int_equal(pthread_create(&waiters[0].thread, NULL, wait_for_result, &waiters[0]), 0);
	failing_journal_wait_inside(journal);
	assert_int_equal(pthread_create(&waiters[1].thread, NULL, wait_for_result, &waiters[1]), 0);
	while (waiting() == 0)
		sched_yield();
	assert_int_equal(submit(plain, NULL, &result), SUBMISSION_OVERLOADED);
	assert_int_equal(result.err.code, ERROR_TOO_LARGE);
	submission_result_deinit(&result);
	failing_journal_hold(journal, false);
	for (int i = 0; i < 2; i++) {
		pthread_join(waiters[i].thread, NULL);
		assert_int_equal(waiters[i].result.outcome, SUBMISSION_STORED);
	}
	free_results(waiters, 2);
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_order_without_holes),
		cmocka_unit_test(test_failures_at_every_step),
		cmocka_unit_test(test_while_there_is_no_writer),
		cmocka_unit_test(test_the_lock_without_a_writer),
		cmocka_unit_test(test_an_idle_writer_that_is_lost),
		cmocka_unit_test(test_keys_and_versions_within_a_group),
		cmocka_unit_test(test_judgements_of_a_failed_group_do_not_stand),
		cmocka_unit_test(test_one_that_fails_leaves_the_others),
		cmocka_unit_test(test_a_batch_is_whole),
		cmocka_unit_test(test_time_is_up),
		cmocka_unit_test(test_a_journal_that_does_not_answer),
		cmocka_unit_test(test_a_full_queue_refuses_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
