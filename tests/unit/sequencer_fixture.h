/* sequencer_fixture.h - a sequencer over a journal that fails as it is told, and what its sink was told. One at a time. */
#ifndef ROOMCAST_TEST_SEQUENCER_FIXTURE_H
#define ROOMCAST_TEST_SEQUENCER_FIXTURE_H

#include <pthread.h>
#include <stdbool.h>

#include "failing_journal.h"
#include "sequencer.h"

enum { PUBLISHERS = 8, EACH = 200, PUBLISHED_MAX = 4 * PUBLISHERS * EACH, DEADLINE_MS = 30000 };

/* What the sink was told. */
extern struct told {
	pthread_mutex_t lock;
	struct place published[PUBLISHED_MAX];
	size_t count, ended; /* and at the end of the last group */
	uint64_t active; /* the epoch; 0: not */
	unsigned activations, deactivations, read_ons, stand_bys;
	struct place read_on;
} sink;
extern struct failing_journal *journal;
extern struct sequencer *sequencer;

/* Bodies of a data-change: of nothing that has a version, and of something that has. */
extern const char plain[], versioned[];

/* On the journal that is there. What settings leave out is the fixture's. */
void open_settings(struct sequencer_settings settings);
/* On a new journal. */
void open_with(size_t queue, uint64_t timeout_ms);
void close_all(void);

/* key: NULL without one. */
void build(struct submission *submission, const char *const *bodies, size_t count, const char *key);
/* Waits for the result, which is the caller's to free. */
enum submission_outcome submit(const char *body, const char *key, struct submission_result *result);
enum submission_outcome submit_plain(struct place *place);

bool is_state(enum sequencer_state state);
void wait_for_state(enum sequencer_state state);
bool has_activated(unsigned times);
/* How many submissions wait for their group. */
size_t waiting(void);

/* A thread's: submits, and waits. */
struct waiter {
	pthread_t thread;
	const char *body, *key;
	struct submission_result result;
};
void *wait_for_result(void *waiter);

#endif
