/* sequencer_parts.h - what the sequencer's files share.
 *
 * sequencer.c        the thread: the writer's life, groups
 * sequencer_queue.c  those who submit: what waits, time limits, results */
#ifndef ROOMCAST_GATEWAY_SEQUENCER_PARTS_H
#define ROOMCAST_GATEWAY_SEQUENCER_PARTS_H

#include "sequencer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/* Owned by the queue, then by the group, then by whoever waits; by the sequencer when nobody waits, or the waiter has gone. */
struct ticket {
	struct ticket *prev, *next;
	struct submission submission;
	struct submission_result result;
	size_t cost;
	uint64_t chain; /* of those that keep their order among themselves; 0: it is alone */
	bool is_started, is_done, is_abandoned;
	pthread_cond_t done;
	/* When nobody waits. */
	submission_done *on_result;
	void *data;
	struct ticket *older, *newer; /* in `late`, until it is done */
	uint64_t give_up_ms;          /* monotonic */
};

struct sequencer {
	struct journal *journal;
	struct sequencer_settings settings;
	struct sequencer_sink sink;
	pthread_t thread, watcher;
	atomic_bool is_active;

	/* The thread's own. */
	struct journal_writer *writer; /* NULL: there is none */
	struct place last;             /* committed */
	uint64_t last_ms;              /* wall clock of the last group */
	uint64_t broken_chain;         /* one of it was refused: so is what comes behind */

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t work;
	pthread_cond_t opened;
	pthread_cond_t watching;
	struct ticket *waiting; /* utlist, oldest first */
	struct ticket *late;    /* utlist by older and newer: those for which nobody waits, as they came */
	struct ticket *done;    /* utlist: of these, whose result is to be told */
	size_t waiting_events, waiting_bytes;
	size_t holds;           /* threads that are about to add to it */
	bool is_stopping, is_over;
	enum sequencer_state state;
	char reason[256];
	uint64_t busy_since_ms; /* monotonic; 0: no group is under way */
	struct place shown;     /* last, for others to see */
	uint64_t stored, failed, groups, chains;
};

void sequencer_ticket_free(struct ticket *ticket);
/* Called with the lock held: why nothing can be stored. */
void sequencer_no_writer(const struct sequencer *sequencer, struct error *err);

/* On the monotonic clock, from now. */
struct timespec sequencer_deadline(uint64_t ms);
void sequencer_cond_init(pthread_cond_t *cond);

/* The watcher's thread: gives up those for which nobody waits, when their time is up. */
void *sequencer_watch(void *sequencer);

#endif
