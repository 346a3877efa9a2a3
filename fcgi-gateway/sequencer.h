/* sequencer.h - the one thread that decides order: it takes what waits as a group, numbers it, stores it, publishes it,
 * and only then answers.
 *
 * What waits is bounded; past the bound a publish is refused at once. */
#ifndef ROOMCAST_GATEWAY_SEQUENCER_H
#define ROOMCAST_GATEWAY_SEQUENCER_H

#include <stdint.h>

#include "publication.h"
#include "journal.h"

struct sequencer;

struct sequencer_settings {
	size_t queue_events;
	size_t queue_bytes;
	size_t group_events;     /* at most in one transaction */
	uint64_t timeout_ms;     /* a publish that waited longer is given up */
	uint64_t (*wall_ms)(void);
};

/* Called on the sequencer's thread, in order, after the commit and before the publisher is answered. */
struct sequencer_sink {
	void (*publish)(void *data, uint64_t epoch, uint64_t seq, struct bytes packed);
	void *data;
};

enum publish_outcome {
	PUBLISH_STORED,
	PUBLISH_REFUSED,  /* certainly not stored */
	PUBLISH_UNKNOWN,  /* the time was up while it was being stored */
};

struct sequencer_figures {
	uint64_t epoch, last_seq;
	uint64_t stored, failed; /* events since the start */
	size_t waiting;
};

/* Takes the writer, also on failure. Starts the thread. */
struct sequencer *sequencer_new(struct journal_writer *writer, const struct sequencer_settings *settings, struct sequencer_sink sink, struct error *err);

/* Any thread; waits. The publication's content is taken (it becomes all zero). On PUBLISH_STORED *seq is its place
 * in the epoch of the writer, else err says why: ERROR_TOO_LARGE: the queue is full. */
enum publish_outcome sequencer_publish(struct sequencer *sequencer, struct publication *publication, uint64_t *seq, struct error *err) MUST_CHECK;

void sequencer_figures(struct sequencer *sequencer, struct sequencer_figures *out);

/* Serves what waits, refuses what comes, and ends the thread. Nobody may be inside sequencer_publish when it is freed. */
void sequencer_free(struct sequencer *sequencer);

#endif
