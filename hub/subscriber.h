/* subscriber.h - this hub's line to the gateway: greets it, loads the history window, follows its events in order, asks for what is missing,
 * reports what it has. See include/roomcast/message.h for who says what. Loop thread only.
 *
 * It outlives gateways: one that restarts, moves its events elsewhere, or begins anew with another journal; of several endpoints the next is
 * tried when one does not welcome us. While none answers the stream waits. */
#ifndef ROOMCAST_HUB_SUBSCRIBER_H
#define ROOMCAST_HUB_SUBSCRIBER_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include <roomcast/curve.h>
#include <roomcast/error.h>
#include <roomcast/place.h>

#include "event.h"
#include "sequence.h"

struct subscriber;

/* Texts are kept by pointer. */
struct subscriber_settings {
	const char *hub_name;
	const struct curve *curve;   /* of tcp endpoints; NULL: none. Outlives it */
	const char *line;            /* ROUTER endpoints of gateways, separated by commas */
	uint64_t silence_ms;         /* a gateway that says nothing for so long is sought again; 0: 3 s */
	uint64_t start_patience_ms;  /* without an answer the hub serves nevertheless after so long */
	size_t held_max;             /* bytes of events held back behind a gap */
	/* Bounds of the history that is wanted at the start, see HELLO; all 0: none, begin with what comes next. */
	uint64_t window_ms, window_events, window_bytes;
	/* Takes the reference. Journaled events and control events come in the order of the log, each once; is_history: it belongs to the
	 * window loaded at the start, and is not for clients that are live. Volatile ones come as they come. */
	void (*on_event)(void *data, struct event *event, bool is_history);
	/* A STANDING, as it came. true: with it all are here. */
	bool (*on_standing)(void *data, const struct message *message);
	/* Events were lost, or the journal is not the one that we followed: what control events did may be wrong now. A STANDING follows. */
	void (*on_loss)(void *data);
	void (*on_round)(void *data);  /* after a number of events */
	bool (*is_full)(void *data);   /* true: events wait in ZeroMQ, later in the journal */
	uint64_t (*patience_ns)(void *data); /* how long a round may wait for one more event */
	uint64_t (*clients)(void *data);
	uint64_t (*rooms)(void *data);
	void *data;
};

struct subscriber_counters {
	uint64_t events, history, volatiles, malformed, asked, relayed, relays_lost, welcomes, refusals;
};

struct subscriber *subscriber_new(uv_loop_t *loop, const struct subscriber_settings *settings, struct error *err);
void subscriber_close(struct subscriber *subscriber, void (*on_closed)(void *data), void *data);

/* Has the gateway publish this event of ours to the other hubs; once, or not at all when no gateway is there. */
void subscriber_relay(struct subscriber *subscriber, struct message *message);
/* Counts changed: say so soon. */
void subscriber_touch(struct subscriber *subscriber);
/* Greet the gateway again soon, though we follow it: a fresh STANDING is wanted. */
void subscriber_greet(struct subscriber *subscriber);

bool subscriber_is_following(const struct subscriber *subscriber); /* the gateway is there and we are welcome */
/* Whether the hub may serve: it has the window, and every grant and block; or it has waited long enough for an answer. Not
 * while another hub has its name. Once true it stays so. */
bool subscriber_is_ready(const struct subscriber *subscriber);
/* The window asked for at the start is here. */
bool subscriber_has_history(const struct subscriber *subscriber);
/* Nothing is missing up to what the newest WELCOME told. */
bool subscriber_is_caught_up(const struct subscriber *subscriber);

struct place subscriber_position(const struct subscriber *subscriber);       /* delivered or given up */
struct place subscriber_complete_since(const struct subscriber *subscriber); /* every event after it, up to the position, was delivered */
/* The last seq of an epoch; of the newest, as far as heard. false: the journal does not know the epoch. */
bool subscriber_epoch_end(const struct subscriber *subscriber, uint64_t epoch, uint64_t *last);
/* MAC_KEY_LEN bytes; NULL before the first WELCOME that brings it. */
const unsigned char *subscriber_mac_key(const struct subscriber *subscriber);

uint64_t subscriber_other_clients(const struct subscriber *subscriber); /* on the other live hubs */
uint64_t subscriber_instance(const struct subscriber *subscriber);
const char *subscriber_state(const struct subscriber *subscriber);
const struct sequence *subscriber_sequence(const struct subscriber *subscriber);
const struct subscriber_counters *subscriber_counters(const struct subscriber *subscriber);

#endif
