/* test_sequencer.c - order, groups, failures and time limits, with a journal that fails as it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "sequencer.h"

enum { PUBLISHERS = 8, EACH = 200 };

struct fake {
	struct journal_writer writer;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool fails_commit, is_held, is_inside;
	uint64_t published[PUBLISHERS * EACH + 8];
	size_t count;
};

static int fake_begin(struct journal_writer *writer, struct error *err)
{
	struct fake *self = (struct fake *)writer;
	(void)err;
	pthread_mutex_lock(&self->lock);
	self->is_inside = true;
	pthread_cond_broadcast(&self->changed);
	while (self->is_held)
		pthread_cond_wait(&self->changed, &self->lock);
	self->is_inside = false;
	pthread_mutex_unlock(&self->lock);
	return 0;
}

static int fake_step(struct journal_writer *writer, struct error *err)
{
	(void)writer, (void)err;
	return 0;
}

static void fake_undo(struct journal_writer *writer)
{
	(void)writer;
}

static int fake_append(struct journal_writer *writer, const struct journal_record *record, struct error *err)
{
	(void)writer;
	if (bytes_equal_text(record->message.body, "\"bad\""))
		return error_set(err, ERROR_INVALID, "bad alone");
	return 0;
}

static enum journal_outcome fake_commit(struct journal_writer *writer, struct error *err)
{
	struct fake *self = (struct fake *)writer;
	if (!self->fails_commit)
		return JOURNAL_STORED;
	error_set(err, ERROR_UNAVAILABLE, "disk full");
	return JOURNAL_NOT_STORED;
}

static const struct journal_writer_operations fake_operations = {
	.begin = fake_begin, .savepoint = fake_step, .release = fake_step, .undo = fake_undo, .append = fake_append, .commit = fake_commit,
	.close = fake_undo,
};

static void on_publish(void *data, uint64_t epoch, uint64_t seq, struct bytes packed)
{
	struct fake *fake = data;
	struct message message;
	assert_int_equal(message_unpack(packed, &message, NULL), 0);
	assert_true(message.epoch == epoch && message.seq == seq && message.time_ms == 5);
	message_deinit(&message);
	fake->published[fake->count++] = seq;
}

static uint64_t fixed_time(void)
{
	return 5;
}

static struct fake *fake;
static struct sequencer *sequencer;

static int open_with(size_t queue, uint64_t timeout_ms)
{
	struct sequencer_settings settings = {
		.queue_events = queue, .queue_bytes = 1 << 20, .group_events = 16, .timeout_ms = timeout_ms, .wall_ms = fixed_time,
	};
	fake = test_calloc(1, sizeof(*fake));
	fake->writer = (struct journal_writer){ &fake_operations, { 9, 0 } };
	pthread_mutex_init(&fake->lock, NULL);
	pthread_cond_init(&fake->changed, NULL);
	sequencer = sequencer_new(&fake->writer, &settings, (struct sequencer_sink){ on_publish, fake }, NULL);
	return sequencer ? 0 : -1;
}

static void close_all(void)
{
	sequencer_free(sequencer);
	pthread_cond_destroy(&fake->changed);
	pthread_mutex_destroy(&fake->lock);
	test_free(fake);
}

static enum publish_outcome publish(const char *body, uint64_t *seq, struct error *err)
{
	struct publication publication = { .audience = AUDIENCE_EVERYONE };
	buffer_add_text(&publication.body, body);
	return sequencer_publish(sequencer, &publication, seq, err);
}

static void hold(bool is_held)
{
	pthread_mutex_lock(&fake->lock);
	fake->is_held = is_held;
	pthread_cond_broadcast(&fake->changed);
	pthread_mutex_unlock(&fake->lock);
}

static void wait_until_inside(void)
{
	pthread_mutex_lock(&fake->lock);
	while (!fake->is_inside)
		pthread_cond_wait(&fake->changed, &fake->lock);
	pthread_mutex_unlock(&fake->lock);
}

static void *publish_many(void *data)
{
	(void)data;
	uint64_t last = 0;
	for (int i = 0; i < EACH; i++) {
		uint64_t seq = 0;
		enum publish_outcome outcome = publish(i % 10 == 3 ? "\"bad\"" : "\"good\"", &seq, NULL);
		if ((outcome == PUBLISH_STORED) != (i % 10 != 3) || (outcome == PUBLISH_STORED && seq <= last))
			return (void *)1;
		last = seq ? seq : last;
	}
	return NULL;
}

static void test_one_order_without_holes(void **state)
{
	(void)state;
	pthread_t threads[PUBLISHERS];
	struct sequencer_figures figures;
	assert_int_equal(open_with(1000, 10000), 0);
	for (int i = 0; i < PUBLISHERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, publish_many, NULL), 0);
	for (int i = 0; i < PUBLISHERS; i++) {
		void *failure;
		pthread_join(threads[i], &failure);
		assert_null(failure);
	}
	assert_int_equal(fake->count, PUBLISHERS * EACH * 9 / 10);
	for (size_t i = 0; i < fake->count; i++)
		assert_true(fake->published[i] == i + 1);
	sequencer_figures(sequencer, &figures);
	assert_true(figures.last_seq == fake->count && figures.stored == fake->count && figures.failed == PUBLISHERS * EACH / 10 && figures.epoch == 9);
	close_all();
}

static void test_a_failed_commit_publishes_nothing(void **state)
{
	(void)state;
	uint64_t seq = 0;
	struct error err = { 0 };
	assert_int_equal(open_with(10, 10000), 0);
	fake->fails_commit = true;
	assert_int_equal(publish("\"a\"", &seq, &err), PUBLISH_REFUSED);
	assert_string_equal(err.text, "disk full");
	assert_int_equal(fake->count, 0);
	fake->fails_commit = false;
	assert_int_equal(publish("\"a\"", &seq, &err), PUBLISH_STORED);
	assert_int_equal(seq, 1);
	close_all();
}

static void *publish_one(void *data)
{
	uint64_t seq;
	*(enum publish_outcome *)data = publish("\"a\"", &seq, NULL);
	return NULL;
}

static void test_time_is_up(void **state)
{
	(void)state;
	pthread_t thread;
	uint64_t seq = 0;
	struct error err = { 0 };
	enum publish_outcome first = PUBLISH_STORED;
	assert_int_equal(open_with(10, 100), 0);
	hold(true);
	assert_int_equal(pthread_create(&thread, NULL, publish_one, &first), 0);
	wait_until_inside();
	/* The first is being stored: nobody knows. The second was not begun: it is taken back. */
	assert_int_equal(publish("\"b\"", &seq, &err), PUBLISH_REFUSED);
	pthread_join(thread, NULL);
	assert_int_equal(first, PUBLISH_UNKNOWN);
	hold(false);
	assert_int_equal(publish("\"c\"", &seq, &err), PUBLISH_STORED);
	assert_int_equal(seq, 2);
	close_all();
}

static void test_a_full_queue_refuses_at_once(void **state)
{
	(void)state;
	pthread_t threads[2];
	uint64_t seq = 0;
	struct error err = { 0 };
	enum publish_outcome outcomes[2];
	struct sequencer_figures figures;
	assert_int_equal(open_with(1, 10000), 0);
	hold(true);
	assert_int_equal(pthread_create(&threads[0], NULL, publish_one, &outcomes[0]), 0);
	wait_until_inside();
	assert_int_equal(pthread_create(&threads[1], NULL, publish_one, &outcomes[1]), 0);
	do
		sequencer_figures(sequencer, &figures);
	while (figures.waiting == 0);
	assert_int_equal(publish("\"c\"", &seq, &err), PUBLISH_REFUSED);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	hold(false);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(outcomes[i], PUBLISH_STORED);
	}
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_order_without_holes),
		cmocka_unit_test(test_a_failed_commit_publishes_nothing),
		cmocka_unit_test(test_time_is_up),
		cmocka_unit_test(test_a_full_queue_refuses_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
