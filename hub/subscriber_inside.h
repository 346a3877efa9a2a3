/* subscriber_inside.h - what the subscriber's files share: its state, what it says, what it hears, its sockets. */
#ifndef ROOMCAST_HUB_SUBSCRIBER_INSIDE_H
#define ROOMCAST_HUB_SUBSCRIBER_INSIDE_H

#include <roomcast/endpoint.h>
#include <roomcast/log.h>
#include <roomcast/message.h>

#include "subscriber.h"
#include "zmq_watch.h"

/* Milliseconds. */
enum {
	TICK = 100, HELLO_INTERVAL = 500, ENDPOINT_TIMEOUT = 700, ENDPOINT_LEAST = 100, REPORT_INTERVAL = 1000, REPORT_SOON = 100,
	ASK_AGAIN = 250, ASK_AGAIN_MAX = 2000, GATEWAY_TIMEOUT = 3000,
};

enum subscriber_state { STATE_SEEKING, STATE_FOLLOWING, STATE_CLOSED, STATE_COUNT };

struct subscriber {
	struct subscriber_settings settings;
	void *context;
	struct zmq_watch events; /* SUB */
	struct zmq_watch line;   /* DEALER */
	void *line_monitor;      /* tells of its connections that ended, and of those that cannot be made */
	uv_timer_t tick;
	struct sequence sequence;
	struct subscriber_counters counters;
	enum subscriber_state state;
	struct bytes endpoints[ENDPOINTS_MAX]; /* of gateways, terminated: cut from memory */
	size_t endpoint_count, endpoint;       /* the one that the line is connected to */
	char *memory;
	char events_endpoint[MESSAGE_NAME_MAX + 1]; /* connected to; "" when not */
	uint64_t instance, gateway_instance;
	uint64_t relay_counter;
	uint64_t other_clients;
	unsigned char mac_key[MAC_KEY_LEN];
	bool has_mac_key;
	struct place window_end;  /* what the window is loaded up to */
	struct place told_end;    /* the newest place when the newest WELCOME was written */
	struct place report_place; /* of the last report */
	struct place confirm_place; /* a publisher waits for our report of it */
	struct place asked_from;
	uint64_t asked_to, ask_wait_ms;
	uint64_t served_wall_ms;  /* since when clients are served without the history; 0: they are not */
	/* Monotonic milliseconds. */
	uint64_t started_at, hello_at, endpoint_at, report_at, ask_at, heard_at, line_heard_at, name_taken_at;
	bool is_report_due, is_greeting_due;
	bool is_refused;         /* whoever is at the endpoint is not active, or nobody is there */
	bool is_standing_due, has_history, is_ready;
	struct log_limit malformed_limit, refusal_limit, lost_limit;
	int closing;
	void (*on_closed)(void *data);
	void *on_closed_data;
};

/* subscriber.c */
void subscriber_set_state(struct subscriber *subscriber, enum subscriber_state state);
/* Looks for the gateway again, at once. */
void subscriber_seek(struct subscriber *subscriber);

/* subscriber_say.c */
void subscriber_say_hello(struct subscriber *subscriber, uint64_t now);
void subscriber_report(struct subscriber *subscriber, uint64_t now);
/* Asks for what is missing, or has a repair that is under way go on. */
void subscriber_repair(struct subscriber *subscriber, uint64_t now);
int subscriber_say(struct subscriber *subscriber, struct message *message) MUST_CHECK;

/* subscriber_hear.c */
int subscriber_hear(struct subscriber *subscriber, struct bytes packed, bool is_line, struct error *err) MUST_CHECK;
void subscriber_check_ready(struct subscriber *subscriber, uint64_t now);

/* subscriber_sockets.c */
int subscriber_open_sockets(struct subscriber *subscriber, void **events, void **line, struct error *err) MUST_CHECK;
/* Before its line is closed: libzmq would leak what it tells to a monitor that nobody reads any more. */
void subscriber_close_monitor(struct subscriber *subscriber, void *line);
/* Whether the line's connection broke, or could not be made, since this was last asked. */
bool subscriber_hears_break(struct subscriber *subscriber);
int subscriber_connect_events(struct subscriber *subscriber, struct bytes endpoint, struct error *err) MUST_CHECK;
void subscriber_next_endpoint(struct subscriber *subscriber, uint64_t now);

#endif
