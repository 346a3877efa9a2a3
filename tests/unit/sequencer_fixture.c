/* sequencer_fixture.c - see sequencer_fixture.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sequencer_fixture.h"

struct told sink = { .lock = PTHREAD_MUTEX_INITIALIZER };
struct failing_journal *journal;
struct sequencer *sequencer;

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

void open_settings(struct sequencer_settings settings)
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

void open_with(size_t queue, uint64_t timeout_ms)
{
	sink.count = sink.active = sink.activations = sink.deactivations = sink.stand_bys = 0;
	journal = failing_journal_new();
	open_settings((struct sequencer_settings){ .queue_events = queue, .timeout_ms = timeout_ms, .stall_ms = DEADLINE_MS });
}

void close_all(void)
{
	sequencer_free(sequencer);
	assert_int_equal(journal->writers, 0);
	failing_journal_free(journal);
}

void build(struct submission *submission, const char *const *bodies, size_t count, const char *key)
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

const char plain[] = "{\"entityType\":\"t\",\"action\":\"CREATE\",\"data\":1}";
const char versioned[] = "{\"entityType\":\"t\",\"action\":\"UPDATE\",\"data\":{\"id\":7}}";

enum submission_outcome submit(const char *body, const char *key, struct submission_result *result)
{
	struct submission submission;
	build(&submission, &body, 1, key);
	*result = (struct submission_result){ 0 };
	sequencer_submit(sequencer, &submission, result);
	assert_null(submission.items);
	return result->outcome;
}

enum submission_outcome submit_plain(struct place *place)
{
	struct submission_result result;
	enum submission_outcome outcome = submit(plain, NULL, &result);
	*place = result.place;
	submission_result_deinit(&result);
	return outcome;
}

bool is_state(enum sequencer_state state)
{
	struct sequencer_figures figures;
	sequencer_figures(sequencer, &figures);
	return figures.state == state;
}

void wait_for_state(enum sequencer_state state)
{
	for (int i = 0; i < DEADLINE_MS / 2 && !is_state(state); i++)
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	assert_true(is_state(state));
}

bool has_activated(unsigned times)
{
	pthread_mutex_lock(&sink.lock);
	bool is_so = sink.activations == times;
	pthread_mutex_unlock(&sink.lock);
	return is_so;
}

void *wait_for_result(void *data)
{
	struct waiter *waiter = data;
	submit(waiter->body, waiter->key, &waiter->result);
	return NULL;
}

size_t waiting(void)
{
	struct sequencer_figures figures;
	sequencer_figures(sequencer, &figures);
	return figures.waiting;
}
