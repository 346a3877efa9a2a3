/* fake_gateway.h - a gateway that says what a test makes it say: real sockets on ipc, driven from the loop of the hub under test.
 *
 * Everything waits for a condition, runs the loop meanwhile, and fails the test at a deadline. */
#ifndef ROOMCAST_TESTS_FAKE_GATEWAY_H
#define ROOMCAST_TESTS_FAKE_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include <roomcast/message.h>
#include <roomcast/place.h>

enum { WAIT_MS = 20000 };

struct fake_gateway {
	uv_loop_t *loop;
	void *context, *events, *line; /* XPUB, ROUTER */
	char events_endpoint[128], line_endpoint[128];
	uint64_t instance;
	unsigned char routing[256];    /* of the hub that spoke last */
	size_t routing_len;
	size_t subscribers;
	struct buffer packed;          /* what was heard last */
	struct message heard;          /* views into it */
};

/* The sockets are DIRECTORY/NAME-line.sock and DIRECTORY/NAME-events.sock. */
void fake_gateway_open(struct fake_gateway *gateway, uv_loop_t *loop, const char *directory, const char *name);
void fake_gateway_close(struct fake_gateway *gateway);

/* The next message of that kind, others passed over. */
const struct message *fake_gateway_hear(struct fake_gateway *gateway, enum message_kind kind);
/* Whether one of that kind comes within so many ms. */
bool fake_gateway_hears(struct fake_gateway *gateway, enum message_kind kind, uint64_t within_ms);
void fake_gateway_wait_subscribed(struct fake_gateway *gateway);

/* To the hub that spoke last, and to all who subscribed. */
void fake_gateway_say(struct fake_gateway *gateway, const struct message *message);
void fake_gateway_publish(struct fake_gateway *gateway, const struct message *message);
void fake_gateway_say_raw(struct fake_gateway *gateway, struct bytes packed, bool in_two_parts);

/* A welcome with endpoint and instance filled in. epochs: "5.90", "6.0", ..., NULL. */
void fake_gateway_welcome(struct fake_gateway *gateway, struct place end, struct place start, const char *const *epochs);
void fake_gateway_send_event(struct fake_gateway *gateway, bool by_line, uint64_t epoch, uint64_t seq);
void fake_gateway_heartbeat(struct fake_gateway *gateway, struct place end, bool wants_report);

/* Runs the loop until condition(data). */
#define WAIT_FOR(loop, condition) \
	do { \
		uint64_t wait_until = clock_monotonic_ms() + WAIT_MS; \
		while (!(condition)) { \
			if (clock_monotonic_ms() > wait_until) \
				fail_msg("not within %d ms: %s", WAIT_MS, #condition); \
			fake_gateway_turn(loop); \
		} \
	} while (0)
/* One turn of the loop, or a millisecond of rest. */
void fake_gateway_turn(uv_loop_t *loop);

#endif
