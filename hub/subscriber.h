/* subscriber.h - this hub's line to the gateway: greets it, follows its events in order, asks for what is missing,
 * reports what it has. See include/roomcast/message.h for who says what. Loop thread only. */
#ifndef ROOMCAST_HUB_SUBSCRIBER_H
#define ROOMCAST_HUB_SUBSCRIBER_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include <roomcast/error.h>

#include "event.h"
#include "sequence.h"

struct subscriber;

/* Texts are kept by pointer. */
struct subscriber_settings {
	const char *hub_name;
	const char *line;            /* the gateway's ROUTER endpoint */
	size_t held_max;             /* bytes of events held back behind a gap */
	void (*on_event)(void *data, struct event *event); /* takes the reference; journaled ones in order, volatile ones as they come */
	void (*on_round)(void *data);  /* after a number of events */
	bool (*is_full)(void *data);   /* true: events wait in ZeroMQ, later in the journal */
	uint64_t (*clients)(void *data);
	uint64_t (*rooms)(void *data);
	void *data;
};

struct subscriber_counters {
	uint64_t events, volatiles, malformed, asked, relayed, relays_lost;
};

struct subscriber *subscriber_new(uv_loop_t *loop, const struct subscriber_settings *settings, struct error *err);
void subscriber_close(struct subscriber *subscriber, void (*on_closed)(void *data), void *data);

/* Has the gateway publish this event of ours to the other hubs; once, or not at all when no gateway is there. */
void subscriber_relay(struct subscriber *subscriber, struct message *message);
/* Counts changed: say so soon. */
void subscriber_touch(struct subscriber *subscriber);

bool subscriber_is_following(const struct subscriber *subscriber); /* the gateway is there and we are welcome */
/* Whether the hub may serve: it follows, or it has waited long enough for the first answer. */
bool subscriber_is_ready(const struct subscriber *subscriber);
uint64_t subscriber_other_clients(const struct subscriber *subscriber); /* on the other live hubs */
uint64_t subscriber_instance(const struct subscriber *subscriber);
const char *subscriber_state(const struct subscriber *subscriber);
const struct sequence *subscriber_sequence(const struct subscriber *subscriber);
const struct subscriber_counters *subscriber_counters(const struct subscriber *subscriber);

#endif
