/* failing_journal.h - a journal in memory that fails, stops or is lost where a test says. For test_sequencer and test_publish. */
#ifndef ROOMCAST_TEST_FAILING_JOURNAL_H
#define ROOMCAST_TEST_FAILING_JOURNAL_H

#include <pthread.h>

#include "journal.h"

enum step {
	STEP_NONE, STEP_OPEN, STEP_BEGIN, STEP_FIND_KEY, STEP_FIND_ENTITY, STEP_SAVEPOINT, STEP_APPEND, STEP_KEEP_KEY, STEP_RELEASE, STEP_COMMIT, STEP_END,
};

enum manner {
	FAIL_ALONE,     /* ERROR_UNAVAILABLE; the writer is good afterwards */
	FAIL_INVALID,   /* ERROR_INVALID */
	FAIL_LOST,      /* the writer is lost */
	FAIL_UNKNOWN,   /* of STEP_COMMIT: stored, but nobody hears of it */
};

struct failing_journal {
	struct journal journal;
	struct journal *memory;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t changed;
	enum step fails_at;
	enum manner manner;
	unsigned fails_left;  /* how many times */
	bool is_held;         /* begin waits while it is */
	bool is_inside;       /* somebody waits in begin */
	bool is_lost;
	bool holds_lock;      /* also without a writer; what is known is (5, 7) */
	unsigned writers;     /* open now */
};

struct failing_journal *failing_journal_new(void);
void failing_journal_free(struct failing_journal *journal);

/* The next `times` at that step. */
void failing_journal_set(struct failing_journal *journal, enum step step, enum manner manner, unsigned times);
void failing_journal_hold(struct failing_journal *journal, bool is_held);
void failing_journal_wait_inside(struct failing_journal *journal);

#endif
