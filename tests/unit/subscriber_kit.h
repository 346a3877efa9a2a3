/* subscriber_kit.h - a subscriber on the loop of a test, its gateway played by the test, and what came through written down. */
#ifndef ROOMCAST_TESTS_SUBSCRIBER_KIT_H
#define ROOMCAST_TESTS_SUBSCRIBER_KIT_H

#include "fake_gateway.h"
#include "subscriber.h"

#define PLACE(epoch, seq) ((struct place){ epoch, seq })
#define NOWHERE PLACE(0, 0)

enum { GOT_MAX = 4000 };

/* One for each program, since a subscriber has one line. */
extern struct subscriber_kit {
	uv_loop_t loop;
	char directory[64];
	struct fake_gateway gateway;
	struct subscriber *subscriber;
	uint64_t start_patience_ms, silence_ms; /* for kit_start; set before */
	/* What came through, in its order. */
	struct got {
		struct place place;
		enum message_kind kind;
		bool is_history;
	} got[GOT_MAX];
	size_t got_count, losses, standings;
	bool is_closed;
} kit;

/* cmocka's setup and teardown. */
int kit_setup(void **state);
int kit_teardown(void **state);

/* Starts the subscriber. window_events 0: it wants no history. */
void kit_start(const char *line, uint64_t window_events);
/* Starts it, and welcomes it as a gateway that knows epoch 6 up to seq, from there on. */
void kit_follow(uint64_t seq);

/* The next question is that one. */
void kit_assert_asked(uint64_t epoch, uint64_t from, uint64_t to);
/* Sends events, as an answer or to everybody. */
void kit_repair(uint64_t epoch, uint64_t from, uint64_t to);
void kit_publish(uint64_t epoch, uint64_t seq);
/* Until exactly so many came through; and that one is that. */
void kit_wait(size_t count);
void kit_assert_got(size_t index, uint64_t epoch, uint64_t seq, bool is_history);

#endif
