/* test_sequencer.c - order, groups, failures at every step, time limits and the writer's life. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <roomcast/json.h>

#include "failing_journal.h"
#include "sequencer.h"

enum { PUBLISHERS = 8, EACH = 200, PUBLISHED_MAX = 4 * PUBLISHERS * EACH, DEADLINE_MS = 30000 };

/* What the sink was told. */
static struct {
	pthread_mutex_t lock;
	struct place published[PUBLISHED_MAX];
	size_t count, ended; /* and at the end of the last group */
	uint64_t active; /* the epoch; 0: not */
	unsigned activations, deactivations, read_ons, stand_bys;
	struct place read_on;
} sink = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct failing_journal *journal;
static struct sequencer *sequencer;

static void on_activate(void *data, uint64_t epoch)
{
	(void)data;
	pthread_mutex_lock(&sink.lock);
	sink.active = epoch;
	sink.activations++;
	pthread_mutex_unlock(&sink.lock);
}

static void on_opened(void *data)
{
	(void)data;
	pthread_mutex_lock(&sink.lock);
	if (!sink.active)
		abort();
	pthread_mutex_unlock(&sink.lock);
}

static void on_deactivate(void *data)
{
	(void)data;
	pthread_mutex_lock(&sink.lock);
	sink.active = 0;
	sink.deactivations++;
	pthread_mutex_unlock(&sink.lock);
}

static void on_read_on(void *data, struct place last)
{
	(void)data;
	pthread_mutex_lock(&sink.lock);
	sink.read_ons++;
	sink.read_on = last;
	pthread_mutex_unlock(&sink.lock);
}

static void on_stand_by(void *data)
{
	(void)data;
	pthread_mutex_lock(&sink.lock);
	sink.stand_bys++;
	pthread_mutex_unlock(&sink.lock);
}

/* abort() and not cmocka's assertions: this is another thread. */
static void on_publish(void *data, uint64_t epoch, uint64_t seq, struct bytes packed)
{
	(void)data;
	struct message message;
	if (message_unpack(packed, &message, NULL) || message.epoch != epoch || message.seq != seq || message.time_ms != 5000)
		abort();
	message_deinit(&message);
	pthread_mutex_lock(&sink.lock);
	if (sink.active != epoch || sink.count == PUBLISHED_MAX)
		abort();
	sink.published[sink.count++] = (struct place){ epoch, seq };
	pthread_mutex_unlock(&sink.lock);
}

static void on_end_group(void *data)
{
	(void)data;
	pthread_mutex_lock(&sink.lock);
	sink.ended = sink.count;
	pthread_mutex_unlock(&sink.lock);
}

static uint64_t fixed_time(void)
{
	return 5000;
}

static void open_settings(struct sequencer_settings settings)
{
	settings.queue_bytes = 1 << 20;
	settings.group_events = 16;
	settings.retry_ms = 20;
	settings.check_ms = settings.check_ms ? settings.check_ms : 10 * DEADLINE_MS;
	settings.line_endpoint = "ipc://here";
	settings.wall_ms = fixed_time;
	sequencer = sequencer_new(&journal->journal, &settings, (struct sequencer_sink){ on_activate, on_opened, on_deactivate, on_read_on, on_stand_by, on_publish, on_end_group, NULL }, NULL);
	assert_non_null(sequencer);
	sequencer_wait_opened(sequencer, DEADLINE_MS);
}

static void open_with(size_t queue, uint64_t timeout_ms)
{
	sink.count = sink.active = sink.activations = sink.deactivations = sink.stand_bys = 0;
	journal = failing_journal_new();
	open_settings((struct sequencer_settings){ .queue_events = queue, .timeout_ms = timeout_ms, .stall_ms = DEADLINE_MS });
}

static void close_all(void)
{
	sequencer_free(sequencer);
	assert_int_equal(journal->writers, 0);
	failing_journal_free(journal);
}

static void build(struct submission *submission, const char *const *bodies, size_t count, const char *key)
{
	assert_int_equal(submission_init(submission, count, NULL), 0);
	submission->is_batch = count > 1;
	for (size_t i = 0; i < count; i++) {
		struct response response = { 0 };
		if (publication_from_data_change(bytes_of(bodies[i]), &submission->items[i], &response))
			fail_msg("%s", response.body.data);
	}
	snprintf(submission->api_key, sizeof(submission->api_key), "app");
	if (key)
		assert_int_equal(submission_set_key(submission, bytes_of(key), bytes_of("/x"), bytes_of(bodies[0]), NULL), 0);
}

static const char plain[] = "{\"entityType\":\"t\",\"action\":\"CREATE\",\"data\":1}";
static const char versioned[] = "{\"entityType\":\"t\",\"action\":\"UPDATE\",\"data\":{\"id\":7}}";

static enum submission_outcome submit(const char *body, const char *key, struct submission_result *result)
{
	struct submission submission;
	build(&submission, &body, 1, key);
	*result = (struct submission_result){ 0 };
	sequencer_submit(sequencer, &submission, result);
	assert_null(submission.items);
	return result->outcome;
}

static enum submission_outcome submit_plain(struct place *place)
{
	struct submission_result result;
	enum submission_outcome outcome = submit(plain, NULL, &result);
	*place = result.place;
	submission_result_deinit(&result);
	return outcome;
}

static bool is_state(enum sequencer_state state)
{
	struct sequencer_figures figures;
	sequencer_figures(sequencer, &figures);
	return figures.state == state;
}

static void wait_for_state(enum sequencer_state state)
{
	for (int i = 0; i < DEADLINE_MS / 2 && !is_state(state); i++)
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	assert_true(is_state(state));
}

static bool has_activated(unsigned times)
{
	pthread_mutex_lock(&sink.lock);
	bool is_so = sink.activations == times;
	pthread_mutex_unlock(&sink.lock);
	return is_so;
}

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

struct waiter {
	pthread_t thread;
	const char *body, *key;
	struct submission_result result;
};

static void *wait_for_result(void *data)
{
	struct waiter *waiter = data;
	submit(waiter->body, waiter->key, &waiter->result);
	return NULL;
}

static size_t waiting(void)
{
	struct sequencer_figures figures;
	sequencer_figures(sequencer, &figures);
	return figures.waiting;
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
		cmocka_unit_test(test_several_keep_their_order),
		cmocka_unit_test(test_several_that_are_too_many_or_too_late),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
