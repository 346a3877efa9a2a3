/* line_fixture.h - a real line on ipc sockets, over a journal of the test's own, and peers that speak to it. */
#ifndef ROOMCAST_TEST_LINE_FIXTURE_H
#define ROOMCAST_TEST_LINE_FIXTURE_H

#include <pthread.h>
#include <stdbool.h>

#include "line.h"

enum { FIXTURE_RECORDS = 64, PATIENCE_MS = 20000, HEARTBEAT_MS = 30, SILENCE_MS = 1500, LONG_SILENCE_MS = 15000 };

/* Readable from any thread; nothing is ever written to it but by the test. */
struct fixture_journal {
	struct journal journal;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t changed;
	struct place places[FIXTURE_RECORDS]; /* of its events */
	size_t count;
	struct place epochs[8];
	size_t epoch_count;
	struct place window; /* what window() answers */
	bool fails, is_held; /* every read; while it is held nobody gets an answer */
	size_t held;         /* readers that wait */
};

struct fixture {
	char dir[64];
	char events[128], endpoint[128];
	struct fixture_journal journal;
	struct line *line;
};

/* Nothing is in the journal yet, the line is a standby. A hub is silent after LONG_SILENCE_MS, so that a slow machine is not taken for one. */
void fixture_open(struct fixture *fixture);
/* The same, silent after SILENCE_MS: for a test that waits for it. */
void fixture_open_impatient(struct fixture *fixture);
/* The same on tcp, for peers with a key; both outlive it. */
void fixture_open_secured(struct fixture *fixture, const struct curve *curve, const struct zap_peers *peers);
void fixture_close(struct fixture *fixture);
/* Journals events first..last of an epoch. */
void fixture_store(struct fixture *fixture, uint64_t epoch, uint64_t first, uint64_t last);
/* Publishes what is journaled. */
void fixture_publish(struct fixture *fixture, uint64_t epoch, uint64_t first, uint64_t last);
void fixture_hold(struct fixture *fixture, bool is_held);

/* A hub, or whoever pretends to be one. */
struct peer {
	void *context, *line, *events;
	const char *name;
	uint64_t instance;
	const struct curve *curve; /* of a peer by tcp; NULL: none */
	struct buffer packed;
	struct message message; /* the last received; views */
};

void peer_open(struct peer *peer, struct fixture *fixture, const char *name, uint64_t instance);
void peer_open_secured(struct peer *peer, struct fixture *fixture, const char *name, uint64_t instance, const struct curve *curve);
void peer_close(struct peer *peer);
/* Fills in hub and instance. */
void peer_say(struct peer *peer, struct message message);
void peer_report(struct peer *peer, uint64_t epoch, uint64_t seq);
/* The next message of the line, which must be of that kind, into peer->message. */
void peer_expect(struct peer *peer, enum message_kind kind);
/* The next on SUB of that kind; others are passed over. */
void peer_expect_published(struct peer *peer, enum message_kind kind);
/* Nothing comes on the line for so long. */
void peer_expect_silence(struct peer *peer, long ms);
/* Says hello until it is welcomed, and takes the STANDING behind it. */
void peer_greet(struct peer *peer, uint64_t epoch, uint64_t seq);

/* Waits until it is so; fails past PATIENCE_MS. */
#define eventually(condition) \
	do { \
		for (int tries_ = 0; !(condition); tries_++) { \
			assert_true(tries_ < PATIENCE_MS); \
			usleep(1000); \
		} \
	} while (0)

#endif
