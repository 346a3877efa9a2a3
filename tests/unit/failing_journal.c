/* failing_journal.c - wraps the journal in memory. */
#include "failing_journal.h"

#include <stdlib.h>

struct failing_writer {
	struct journal_writer writer;
	struct failing_journal *journal;
	struct journal_writer *memory;
};

static struct failing_writer *self_of(struct journal_writer *writer)
{
	return (struct failing_writer *)writer;
}

/* -1 when this step is to fail now; *manner says how. */
static int reach(struct failing_journal *journal, enum step step, enum manner *manner, struct error *err)
{
	pthread_mutex_lock(&journal->lock);
	bool fails = journal->fails_at == step && journal->fails_left;
	*manner = journal->manner;
	if (fails)
		journal->fails_left--;
	if (fails && (journal->manner == FAIL_LOST || journal->manner == FAIL_UNKNOWN))
		journal->is_lost = true;
	pthread_mutex_unlock(&journal->lock);
	return fails ? error_set(err, *manner == FAIL_INVALID ? ERROR_INVALID : ERROR_UNAVAILABLE, "step %d failed", (int)step) : 0;
}

static int pass(struct journal_writer *writer, enum step step, struct error *err)
{
	enum manner manner;
	return reach(self_of(writer)->journal, step, &manner, err);
}

static int failing_begin(struct journal_writer *writer, struct error *err)
{
	struct failing_writer *self = self_of(writer);
	struct failing_journal *journal = self->journal;
	pthread_mutex_lock(&journal->lock);
	journal->is_inside = true;
	pthread_cond_broadcast(&journal->changed);
	while (journal->is_held)
		pthread_cond_wait(&journal->changed, &journal->lock);
	journal->is_inside = false;
	pthread_mutex_unlock(&journal->lock);
	return pass(writer, STEP_BEGIN, err) || self->memory->operations->begin(self->memory, err) ? -1 : 0;
}

static int failing_savepoint(struct journal_writer *writer, size_t events, struct error *err)
{
	struct journal_writer *memory = self_of(writer)->memory;
	return pass(writer, STEP_SAVEPOINT, err) || memory->operations->savepoint(memory, events, err) ? -1 : 0;
}

static int failing_release(struct journal_writer *writer, struct error *err)
{
	struct journal_writer *memory = self_of(writer)->memory;
	return pass(writer, STEP_RELEASE, err) || memory->operations->release(memory, err) ? -1 : 0;
}

static void failing_undo(struct journal_writer *writer)
{
	struct journal_writer *memory = self_of(writer)->memory;
	memory->operations->undo(memory);
}

static enum journal_outcome failing_commit(struct journal_writer *writer, struct error *err)
{
	struct failing_writer *self = self_of(writer);
	enum manner manner;
	if (reach(self->journal, STEP_COMMIT, &manner, err) == 0) {
		enum journal_outcome outcome = self->memory->operations->commit(self->memory, err);
		self->writer.last = self->memory->last;
		return outcome;
	}
	if (manner != FAIL_UNKNOWN) {
		self->memory->operations->rollback(self->memory);
		return JOURNAL_NOT_STORED;
	}
	(void)self->memory->operations->commit(self->memory, NULL);
	return JOURNAL_UNKNOWN;
}

static void failing_rollback(struct journal_writer *writer)
{
	struct journal_writer *memory = self_of(writer)->memory;
	memory->operations->rollback(memory);
}

static void failing_expect(struct journal_writer *writer, struct bytes first, struct bytes second)
{
	(void)writer, (void)first, (void)second;
}

static int failing_find_key(struct journal_writer *writer, struct bytes api_key, struct bytes key, struct journal_key *out, struct error *err)
{
	struct journal_writer *memory = self_of(writer)->memory;
	return pass(writer, STEP_FIND_KEY, err) ? -1 : memory->operations->find_key(memory, api_key, key, out, err);
}

static int failing_find_entity(struct journal_writer *writer, struct bytes type, struct bytes id, struct journal_entity *out, struct error *err)
{
	struct journal_writer *memory = self_of(writer)->memory;
	return pass(writer, STEP_FIND_ENTITY, err) ? -1 : memory->operations->find_entity(memory, type, id, out, err);
}

static int failing_keep_key(struct journal_writer *writer, const struct journal_key *key, struct error *err)
{
	struct journal_writer *memory = self_of(writer)->memory;
	return pass(writer, STEP_KEEP_KEY, err) || memory->operations->keep_key(memory, key, err) ? -1 : 0;
}

static int failing_append(struct journal_writer *writer, const struct journal_record *record, struct error *err)
{
	struct journal_writer *memory = self_of(writer)->memory;
	return pass(writer, STEP_APPEND, err) || memory->operations->append(memory, record, err) ? -1 : 0;
}

static bool failing_is_lost(struct journal_writer *writer)
{
	struct failing_journal *journal = self_of(writer)->journal;
	pthread_mutex_lock(&journal->lock);
	bool is_lost = journal->is_lost;
	pthread_mutex_unlock(&journal->lock);
	return is_lost;
}

static void failing_close_writer(struct journal_writer *writer)
{
	struct failing_writer *self = self_of(writer);
	self->memory->operations->close(self->memory);
	pthread_mutex_lock(&self->journal->lock);
	self->journal->writers--;
	self->journal->is_lost = false;
	pthread_mutex_unlock(&self->journal->lock);
	free(self);
}

static const struct journal_writer_operations writer_operations = {
	.begin = failing_begin, .savepoint = failing_savepoint, .release = failing_release, .undo = failing_undo, .commit = failing_commit,
	.rollback = failing_rollback, .expect_key = failing_expect, .expect_entity = failing_expect, .find_key = failing_find_key,
	.find_entity = failing_find_entity, .keep_key = failing_keep_key, .append = failing_append, .is_lost = failing_is_lost,
	.close = failing_close_writer,
};

static int failing_open_writer(struct journal *journal, uint64_t now_s, const char *line_endpoint, struct journal_writer **out, struct error *err)
{
	struct failing_journal *failing = (struct failing_journal *)journal;
	struct journal *memory = failing->memory;
	enum manner manner;
	if (reach(failing, STEP_OPEN, &manner, err))
		return -1;
	struct failing_writer *self = calloc(1, sizeof(*self));
	if (!self || memory->operations->open_writer(memory, now_s, line_endpoint, &self->memory, err)) {
		free(self);
		return -1;
	}
	self->writer = (struct journal_writer){ &writer_operations, self->memory->last };
	self->journal = failing;
	pthread_mutex_lock(&failing->lock);
	failing->writers++;
	pthread_mutex_unlock(&failing->lock);
	*out = &self->writer;
	return 0;
}

static int failing_open_reader(struct journal *journal, struct journal_reader **out, struct error *err)
{
	struct journal *memory = ((struct failing_journal *)journal)->memory;
	return memory->operations->open_reader(memory, out, err);
}

static bool failing_holds_lock(struct journal *journal, struct place *last)
{
	struct failing_journal *failing = (struct failing_journal *)journal;
	pthread_mutex_lock(&failing->lock);
	bool holds_lock = failing->holds_lock;
	pthread_mutex_unlock(&failing->lock);
	*last = (struct place){ 5, 7 };
	return holds_lock;
}

static const struct journal_operations operations = {
	.name = "failing", .open_writer = failing_open_writer, .holds_lock = failing_holds_lock, .open_reader = failing_open_reader,
};

struct failing_journal *failing_journal_new(void)
{
	struct journal_settings settings = { .retention = { .events = 100000, .bytes = 64 << 20 } };
	struct failing_journal *journal = calloc(1, sizeof(*journal));
	if (!journal)
		abort();
	journal->journal.operations = &operations;
	journal->memory = journal_memory_new(&settings, NULL);
	pthread_mutex_init(&journal->lock, NULL);
	pthread_cond_init(&journal->changed, NULL);
	return journal;
}

void failing_journal_free(struct failing_journal *journal)
{
	journal_close(journal->memory);
	pthread_cond_destroy(&journal->changed);
	pthread_mutex_destroy(&journal->lock);
	free(journal);
}

void failing_journal_set(struct failing_journal *journal, enum step step, enum manner manner, unsigned times)
{
	pthread_mutex_lock(&journal->lock);
	journal->fails_at = step;
	journal->manner = manner;
	journal->fails_left = times;
	pthread_mutex_unlock(&journal->lock);
}

void failing_journal_hold(struct failing_journal *journal, bool is_held)
{
	pthread_mutex_lock(&journal->lock);
	journal->is_held = is_held;
	pthread_cond_broadcast(&journal->changed);
	pthread_mutex_unlock(&journal->lock);
}

void failing_journal_wait_inside(struct failing_journal *journal)
{
	pthread_mutex_lock(&journal->lock);
	while (!journal->is_inside)
		pthread_cond_wait(&journal->changed, &journal->lock);
	pthread_mutex_unlock(&journal->lock);
}
