/* sequencer.h - the one thread that decides order: it takes what waits as a group, judges and numbers it, stores it, publishes it,
 * and only then answers.
 *
 * It owns the journal's writer: while there is none (another process has it, or the store cannot be reached) it tries to open one, and
 * refuses at once what comes. A writer that is lost is opened anew, in a new epoch. What waits is bounded; past the bound a
 * submission is refused at once too. */
#ifndef ROOMCAST_GATEWAY_SEQUENCER_H
#define ROOMCAST_GATEWAY_SEQUENCER_H

#include <stdint.h>

#include "journal.h"
#include "submission.h"

struct sequencer;

struct sequencer_settings {
	size_t queue_events;
	size_t queue_bytes;
	size_t group_events;     /* about so many in one transaction */
	uint64_t timeout_ms;     /* a submission that waited longer is given up */
	uint64_t stall_ms;       /* a group is under way for longer: what comes is refused */
	uint64_t retry_ms;       /* between attempts to open a writer */
	uint64_t check_ms;       /* an idle writer is asked so often whether it is still good */
	const char *line_endpoint; /* where others reach this process once it is the writer; kept by pointer */
	uint64_t (*wall_ms)(void);
};

/* Called on the sequencer's thread. */
struct sequencer_sink {
	void (*activate)(void *data, uint64_t epoch); /* a writer is open; before the first publish of its epoch */
	void (*opened)(void *data);                   /* then: submissions are taken from now on. It must not call the sequencer */
	void (*deactivate)(void *data);               /* it is lost */
	/* After each attempt to open one that failed: this process has the writers' lock all the same, and last is known to be stored; or not. */
	void (*read_on)(void *data, struct place last);
	void (*stand_by)(void *data);
	/* In order, after the commit and before the publisher is answered. */
	void (*publish)(void *data, uint64_t epoch, uint64_t seq, struct bytes packed);
	void (*end_group)(void *data);                /* so many were published; no more at once */
	void *data;
};

enum sequencer_state {
	SEQUENCER_OPENING,     /* the first attempt to open a writer is under way */
	SEQUENCER_ACTIVE,
	SEQUENCER_READING,     /* this process is to be the writer, and the journal cannot be written: reason */
	SEQUENCER_STANDBY,     /* another process is the writer, or the store cannot be reached */
	SEQUENCER_FAILED,      /* the store is there, and no writer can be opened: reason */
};
const char *sequencer_state_name(enum sequencer_state state);

struct sequencer_figures {
	enum sequencer_state state;
	char reason[256];       /* why there is no writer, or why the last group was not stored; "" */
	uint64_t epoch, last_seq; /* of the last writer; 0: there was none */
	uint64_t stored, failed; /* events since the start */
	uint64_t groups;         /* since the start */
	size_t waiting;          /* events */
	uint64_t busy_ms;        /* how long the group under way takes already */
};

/* The journal must outlive it. Starts the thread, which tries to open a writer at once. */
struct sequencer *sequencer_new(struct journal *journal, const struct sequencer_settings *settings, struct sequencer_sink sink, struct error *err);

/* Waits until the first attempt has ended, at most timeout_ms. */
void sequencer_wait_opened(struct sequencer *sequencer, uint64_t timeout_ms);

/* Any thread; waits. The submission's content is taken (nothing is left to deinit). result comes all zero. */
void sequencer_submit(struct sequencer *sequencer, struct submission *submission, struct submission_result *result);
/* Several in this order, each for itself. Behind one that is not known to be stored and may be tried again (OVERLOADED, REFUSED, UNKNOWN) none
 * is stored before it: those are refused too. */
void sequencer_submit_all(struct sequencer *sequencer, struct submission *submissions, struct submission_result *results, size_t count);

/* Is told once, on any thread, and must be quick. The result's content is taken. */
typedef void submission_done(void *data, struct submission_result *result);
/* Any thread, at once; the same without waiting. The time limit holds too, to within a sixteenth. on_result may be called before it returns. */
void sequencer_start(struct sequencer *sequencer, struct submission *submission, submission_done *on_result, void *data);

/* Any thread that starts several at once: between true and false, which must follow soon, none is taken, so that they share a group. */
void sequencer_hold(struct sequencer *sequencer, bool is_held);

/* Any thread, at once. */
bool sequencer_is_active(const struct sequencer *sequencer);
void sequencer_figures(struct sequencer *sequencer, struct sequencer_figures *out);

/* Serves what waits, refuses what comes, ends the thread and closes the writer. All results are told. Nobody may be inside another function when it is freed. */
void sequencer_free(struct sequencer *sequencer);

#endif
