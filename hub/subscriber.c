/* subscriber.c - SUB for events, DEALER for the conversation with the gateway. */
#include "subscriber.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <openssl/rand.h>
#include <zmq.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>
#include <roomcast/message.h>

#include "zmq_watch.h"

/* Milliseconds. */
enum {
	TICK = 100, HELLO_INTERVAL = 1000, REPORT_INTERVAL = 1000, REPORT_SOON = 100, ASK_AGAIN = 250,
	GATEWAY_TIMEOUT = 3000, READY_WITHOUT_GATEWAY = 5000,
};

enum { RECEIVE_MESSAGES_MAX = 50000, LINE_MESSAGES_MAX = 10000 };

enum state { STATE_SEEKING, STATE_FOLLOWING, STATE_CLOSED };

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[] = {
	[STATE_SEEKING] = { "seeking", TO(STATE_FOLLOWING) | TO(STATE_CLOSED) },
	[STATE_FOLLOWING] = { "following", TO(STATE_SEEKING) | TO(STATE_CLOSED) },
	[STATE_CLOSED] = { "closed", 0 },
};

struct subscriber {
	struct subscriber_settings settings;
	void *context;
	struct zmq_watch events; /* SUB */
	struct zmq_watch line;   /* DEALER */
	uv_timer_t tick;
	struct sequence sequence;
	struct subscriber_counters counters;
	enum state state;
	char events_endpoint[MESSAGE_NAME_MAX + 1]; /* connected to; "" when not */
	uint64_t instance;
	uint64_t relay_counter;
	uint64_t other_clients;
	/* Monotonic milliseconds. */
	uint64_t started_at, hello_at, report_at, ask_at, heard_at;
	bool is_report_due;
	struct log_limit malformed_limit, refusal_limit;
	int closing;
	void (*on_closed)(void *data);
	void *on_closed_data;
};

static void set_state(struct subscriber *subscriber, enum state state)
{
	if (subscriber->state == state)
		return;
	assert(states[subscriber->state].next & TO(state));
	log_info("msg=\"gateway line\" from=%s to=%s epoch=%" PRIu64 " next_seq=%" PRIu64, states[subscriber->state].name,
	         states[state].name, subscriber->sequence.epoch, subscriber->sequence.next_seq);
	subscriber->state = state;
}

/* --- what we say ------------------------------------------------------------ */

static int say(struct subscriber *subscriber, struct message *message)
{
	struct buffer packed = { 0 };
	struct error err;
	message->hub = bytes_of(subscriber->settings.hub_name);
	message->instance = subscriber->instance;
	int result = message_pack(message, &packed, &err);
	if (result)
		log_error("msg=\"cannot speak to the gateway\" error=\"%s\"", err.text);
	else
		result = zmq_watch_send(&subscriber->line, buffer_bytes(&packed));
	buffer_deinit(&packed);
	return result;
}

static void add_counts(const struct subscriber *subscriber, struct message *message)
{
	message->epoch = subscriber->sequence.epoch;
	message->seq = subscriber->sequence.next_seq ? subscriber->sequence.next_seq - 1 : 0;
	message->clients = subscriber->settings.clients(subscriber->settings.data);
	message->room_count = subscriber->settings.rooms(subscriber->settings.data);
}

static void say_hello(struct subscriber *subscriber, uint64_t now)
{
	struct message message = { .kind = MESSAGE_HELLO };
	add_counts(subscriber, &message);
	subscriber->hello_at = now;
	if (say(subscriber, &message))
		log_debug("msg=\"no gateway to greet yet\" line=%s", subscriber->settings.line);
}

static void report(struct subscriber *subscriber, uint64_t now)
{
	struct message message = { .kind = MESSAGE_REPORT };
	add_counts(subscriber, &message);
	subscriber->report_at = now;
	subscriber->is_report_due = say(subscriber, &message) != 0;
}

static void ask_for_missing(struct subscriber *subscriber, uint64_t now)
{
	struct message message = { .kind = MESSAGE_ASK, .epoch = subscriber->sequence.epoch };
	if (!sequence_missing(&subscriber->sequence, &message.seq, &message.last_seq))
		return;
	subscriber->ask_at = now;
	subscriber->counters.asked++;
	if (say(subscriber, &message))
		log_debug("msg=\"cannot ask for missing events\" seq=%" PRIu64, message.seq);
}

/* --- what we hear ----------------------------------------------------------- */

static void seek(struct subscriber *subscriber)
{
	set_state(subscriber, STATE_SEEKING);
	say_hello(subscriber, clock_monotonic_ms());
}

static void deliver_ready(struct subscriber *subscriber)
{
	struct event *event;
	while ((event = sequence_take(&subscriber->sequence))) {
		subscriber->counters.events++;
		subscriber->settings.on_event(subscriber->settings.data, event);
	}
}

/* Takes the reference. */
static void on_volatile(struct subscriber *subscriber, struct event *event)
{
	if (event->message.instance == subscriber->instance) {
		event_unref(event); /* our own, back from the gateway */
		return;
	}
	subscriber->counters.volatiles++;
	subscriber->settings.on_event(subscriber->settings.data, event);
}

/* Takes the reference. */
static void on_journaled(struct subscriber *subscriber, struct event *event)
{
	switch (sequence_offer(&subscriber->sequence, event)) {
	case SEQUENCE_READY:
		deliver_ready(subscriber);
		return;
	case SEQUENCE_GAP:
		if (clock_monotonic_ms() - subscriber->ask_at >= ASK_AGAIN)
			ask_for_missing(subscriber, clock_monotonic_ms());
		return;
	case SEQUENCE_NEW_EPOCH:
		if (subscriber->state == STATE_FOLLOWING)
			seek(subscriber);
		return;
	case SEQUENCE_OLD:
		return;
	}
}

/* "name=clients" of each live hub. */
static uint64_t count_others(const struct subscriber *subscriber, const struct message_list *hubs)
{
	uint64_t others = 0;
	struct bytes own = bytes_of(subscriber->settings.hub_name);
	for (size_t i = 0; i < hubs->count; i++) {
		char text[MESSAGE_NAME_MAX + 1];
		struct bytes item = hubs->items[i];
		memcpy(text, item.data, item.len);
		text[item.len] = '\0';
		char *equals = strchr(text, '=');
		if (equals && !bytes_equal((struct bytes){ text, (size_t)(equals - text) }, own))
			others += strtoull(equals + 1, NULL, 10);
	}
	return others;
}

static void on_heartbeat(struct subscriber *subscriber, const struct message *message)
{
	if (message->epoch != subscriber->sequence.epoch) {
		if (subscriber->state == STATE_FOLLOWING)
			seek(subscriber);
		return;
	}
	subscriber->other_clients = count_others(subscriber, &message->hubs);
	sequence_hear(&subscriber->sequence, message->last_seq);
	if (clock_monotonic_ms() - subscriber->ask_at >= ASK_AGAIN)
		ask_for_missing(subscriber, clock_monotonic_ms());
}

static void connect_events(struct subscriber *subscriber, struct bytes endpoint)
{
	if (bytes_equal_text(endpoint, subscriber->events_endpoint))
		return;
	if (subscriber->events_endpoint[0])
		zmq_disconnect(subscriber->events.socket, subscriber->events_endpoint);
	memcpy(subscriber->events_endpoint, endpoint.data, endpoint.len);
	subscriber->events_endpoint[endpoint.len] = '\0';
	if (zmq_connect(subscriber->events.socket, subscriber->events_endpoint)) {
		log_error("msg=\"cannot subscribe\" endpoint=%s error=\"%s\"", subscriber->events_endpoint, zmq_strerror(errno));
		subscriber->events_endpoint[0] = '\0';
	}
}

static void on_welcome(struct subscriber *subscriber, const struct message *message)
{
	struct sequence *sequence = &subscriber->sequence;
	connect_events(subscriber, message->endpoint);
	if (message->epoch != sequence->epoch) {
		/* The first epoch is joined at its end; a later one began while we were here, and is ours from its first event on. */
		bool is_first = sequence->epoch == 0;
		if (message->epoch < sequence->epoch)
			log_warning("msg=\"the gateway's epoch went back\" from=%" PRIu64 " to=%" PRIu64, sequence->epoch, message->epoch);
		sequence_start(sequence, message->epoch, is_first ? message->last_seq + 1 : 1);
	}
	sequence_hear(sequence, message->last_seq);
	set_state(subscriber, STATE_FOLLOWING);
	report(subscriber, clock_monotonic_ms());
	ask_for_missing(subscriber, clock_monotonic_ms());
}

static void on_refusal(struct subscriber *subscriber, const struct message *message)
{
	log_limited(&subscriber->refusal_limit, "msg=\"the gateway refuses this hub\" reason=\"%.*s\"", (int)message->reason.len, message->reason.data);
	if (subscriber->state == STATE_FOLLOWING)
		seek(subscriber);
}

static void on_gone(struct subscriber *subscriber, const struct message *message)
{
	if (message->epoch != subscriber->sequence.epoch)
		return;
	uint64_t lost = sequence_skip(&subscriber->sequence, message->first_seq);
	if (lost)
		log_error("msg=\"events lost: the journal no longer has them\" count=%" PRIu64 " epoch=%" PRIu64 " next_seq=%" PRIu64, lost,
		          subscriber->sequence.epoch, subscriber->sequence.next_seq);
	deliver_ready(subscriber);
	ask_for_missing(subscriber, clock_monotonic_ms());
}

/* The kinds that a gateway may say to a hub, and on which socket. Events are unpacked once, into what keeps them. */
static const struct {
	void (*on_message)(struct subscriber *subscriber, const struct message *message);
	void (*on_event)(struct subscriber *subscriber, struct event *event);
	bool by_events, by_line;
} conversation[MESSAGE_KIND_END] = {
	[MESSAGE_EVENT] = { .on_event = on_journaled, .by_events = true, .by_line = true },
	[MESSAGE_VOLATILE] = { .on_event = on_volatile, .by_events = true },
	[MESSAGE_HEARTBEAT] = { .on_message = on_heartbeat, .by_events = true },
	[MESSAGE_WELCOME] = { .on_message = on_welcome, .by_line = true },
	[MESSAGE_REFUSAL] = { .on_message = on_refusal, .by_line = true },
	[MESSAGE_GONE] = { .on_message = on_gone, .by_line = true },
};

static int hear(struct subscriber *subscriber, struct bytes packed, bool is_line, struct error *err)
{
	enum message_kind kind = message_peek(packed);
	if (!(is_line ? conversation[kind].by_line : conversation[kind].by_events))
		return error_set(err, ERROR_INVALID, "%s message where none is expected", message_kind_name(kind));
	if (conversation[kind].on_event) {
		struct event *event = event_new(packed, err);
		if (!event)
			return -1;
		conversation[kind].on_event(subscriber, event);
		return 0;
	}
	struct message message;
	if (message_unpack(packed, &message, err))
		return -1;
	conversation[kind].on_message(subscriber, &message);
	message_deinit(&message);
	return 0;
}

static void drop_malformed(struct subscriber *subscriber, const char *reason)
{
	subscriber->counters.malformed++;
	log_limited(&subscriber->malformed_limit, "msg=\"message dropped\" reason=\"%s\"", reason);
}

static void on_any_message(struct subscriber *subscriber, struct bytes packed, bool is_line)
{
	struct error err;
	if (hear(subscriber, packed, is_line, &err))
		drop_malformed(subscriber, err.text);
	else
		subscriber->heard_at = clock_monotonic_ms();
}

static void on_events_message(void *data, struct bytes packed)
{
	on_any_message(data, packed, false);
}

static void on_line_message(void *data, struct bytes packed)
{
	on_any_message(data, packed, true);
}

static void on_multipart(void *data)
{
	drop_malformed(data, "several parts");
}

static void on_round(void *data)
{
	struct subscriber *subscriber = data;
	/* A repair goes on as soon as its last piece arrived. */
	uint64_t from, to;
	if (subscriber->state == STATE_FOLLOWING && sequence_missing(&subscriber->sequence, &from, &to) &&
	    clock_monotonic_ms() - subscriber->ask_at >= ASK_AGAIN)
		ask_for_missing(subscriber, clock_monotonic_ms());
	subscriber->settings.on_round(subscriber->settings.data);
}

static bool on_is_full(void *data)
{
	const struct subscriber *subscriber = data;
	return subscriber->settings.is_full(subscriber->settings.data);
}

/* --- time ------------------------------------------------------------------- */

static void on_tick(uv_timer_t *timer)
{
	struct subscriber *subscriber = timer->data;
	zmq_watch_poll(&subscriber->events); /* re-subscribes after a restart of the gateway only when called */
	zmq_watch_poll(&subscriber->line);
	uint64_t now = clock_monotonic_ms();
	if (subscriber->state == STATE_FOLLOWING && now - subscriber->heard_at > GATEWAY_TIMEOUT) {
		log_warning("msg=\"the gateway is silent\" ms=%" PRIu64, now - subscriber->heard_at);
		subscriber->other_clients = 0;
		set_state(subscriber, STATE_SEEKING);
	}
	if (subscriber->state == STATE_SEEKING) {
		if (now - subscriber->hello_at >= HELLO_INTERVAL)
			say_hello(subscriber, now);
		return;
	}
	if (now - subscriber->report_at >= (subscriber->is_report_due ? REPORT_SOON : REPORT_INTERVAL))
		report(subscriber, now);
	if (now - subscriber->ask_at >= ASK_AGAIN)
		ask_for_missing(subscriber, now);
}

/* --- life ------------------------------------------------------------------- */

static int set_number(void *socket, int option, int value)
{
	return zmq_setsockopt(socket, option, &value, sizeof(value));
}

static void *open_socket(void *context, int type, int messages_max, struct error *err)
{
	void *socket = zmq_socket(context, type);
	int64_t size_max = MESSAGE_BODY_MAX + (1 << 20);
	if (!socket || set_number(socket, ZMQ_LINGER, 0) || set_number(socket, ZMQ_IMMEDIATE, 1) ||
	    set_number(socket, ZMQ_RCVHWM, messages_max) || set_number(socket, ZMQ_SNDHWM, messages_max) ||
	    set_number(socket, ZMQ_RECONNECT_IVL, 50) || set_number(socket, ZMQ_RECONNECT_IVL_MAX, 1000) ||
	    set_number(socket, ZMQ_HEARTBEAT_IVL, 1000) || set_number(socket, ZMQ_HEARTBEAT_TIMEOUT, 5000) ||
	    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &size_max, sizeof(size_max)) ||
	    (type == ZMQ_SUB && zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0))) {
		error_set(err, ERROR_SYSTEM, "zmq: %s", zmq_strerror(errno));
		if (socket)
			zmq_close(socket);
		return NULL;
	}
	return socket;
}

static void on_part_closed(void *data)
{
	struct subscriber *subscriber = data;
	if (--subscriber->closing)
		return;
	zmq_ctx_term(subscriber->context);
	sequence_deinit(&subscriber->sequence);
	void (*on_closed)(void *) = subscriber->on_closed;
	void *on_closed_data = subscriber->on_closed_data;
	free(subscriber);
	if (on_closed)
		on_closed(on_closed_data);
}

static void on_tick_closed(uv_handle_t *handle)
{
	on_part_closed(handle->data);
}

static int start_watches(struct subscriber *subscriber, uv_loop_t *loop, void *events, void *line, struct error *err)
{
	subscriber->events = (struct zmq_watch){
		.on_message = on_events_message, .on_malformed = on_multipart, .on_round = on_round, .is_full = on_is_full, .data = subscriber,
	};
	subscriber->line = (struct zmq_watch){
		.on_message = on_line_message, .on_malformed = on_multipart, .on_round = on_round, .is_full = on_is_full, .data = subscriber,
	};
	if (zmq_watch_start(&subscriber->events, loop, events, err) || zmq_watch_start(&subscriber->line, loop, line, err))
		return -1;
	uv_timer_init(loop, &subscriber->tick);
	subscriber->tick.data = subscriber;
	uv_timer_start(&subscriber->tick, on_tick, 0, TICK);
	return 0;
}

struct subscriber *subscriber_new(uv_loop_t *loop, const struct subscriber_settings *settings, struct error *err)
{
	void *events = NULL, *line = NULL;
	struct subscriber *subscriber = calloc(1, sizeof(*subscriber));
	if (!subscriber) {
		error_set(err, ERROR_SYSTEM, "no memory");
		return NULL;
	}
	subscriber->settings = *settings;
	subscriber->started_at = clock_monotonic_ms();
	sequence_init(&subscriber->sequence, settings->held_max);
	subscriber->context = zmq_ctx_new();
	if (RAND_bytes((unsigned char *)&subscriber->instance, sizeof(subscriber->instance)) != 1 || !subscriber->context) {
		error_set(err, ERROR_SYSTEM, "neither random numbers nor ZeroMQ to be had");
		goto failed;
	}
	subscriber->instance |= 1; /* 0 means unset on the line */
	events = open_socket(subscriber->context, ZMQ_SUB, RECEIVE_MESSAGES_MAX, err);
	line = events ? open_socket(subscriber->context, ZMQ_DEALER, LINE_MESSAGES_MAX, err) : NULL;
	if (!line)
		goto failed;
	if (zmq_connect(line, settings->line)) {
		error_set(err, ERROR_INVALID, "line %s: %s", settings->line, zmq_strerror(errno));
		goto failed;
	}
	if (start_watches(subscriber, loop, events, line, err))
		goto failed;
	return subscriber;
failed:
	if (events)
		zmq_close(events);
	if (line)
		zmq_close(line);
	if (subscriber->context)
		zmq_ctx_term(subscriber->context);
	free(subscriber);
	return NULL;
}

void subscriber_close(struct subscriber *subscriber, void (*on_closed)(void *data), void *data)
{
	set_state(subscriber, STATE_CLOSED);
	subscriber->on_closed = on_closed;
	subscriber->on_closed_data = data;
	subscriber->closing = 3;
	uv_timer_stop(&subscriber->tick);
	uv_close((uv_handle_t *)&subscriber->tick, on_tick_closed);
	zmq_watch_close(&subscriber->events, on_part_closed);
	zmq_watch_close(&subscriber->line, on_part_closed);
}

void subscriber_relay(struct subscriber *subscriber, struct message *message)
{
	message->kind = MESSAGE_RELAY;
	message->counter = ++subscriber->relay_counter;
	if (subscriber->state == STATE_FOLLOWING && say(subscriber, message) == 0)
		subscriber->counters.relayed++;
	else
		subscriber->counters.relays_lost++;
}

void subscriber_touch(struct subscriber *subscriber)
{
	subscriber->is_report_due = true;
}

bool subscriber_is_following(const struct subscriber *subscriber)
{
	return subscriber->state == STATE_FOLLOWING;
}

bool subscriber_is_ready(const struct subscriber *subscriber)
{
	return subscriber->sequence.epoch || clock_monotonic_ms() - subscriber->started_at >= READY_WITHOUT_GATEWAY;
}

uint64_t subscriber_other_clients(const struct subscriber *subscriber)
{
	return subscriber->other_clients;
}

uint64_t subscriber_instance(const struct subscriber *subscriber)
{
	return subscriber->instance;
}

const char *subscriber_state(const struct subscriber *subscriber)
{
	return states[subscriber->state].name;
}

const struct sequence *subscriber_sequence(const struct subscriber *subscriber)
{
	return &subscriber->sequence;
}

const struct subscriber_counters *subscriber_counters(const struct subscriber *subscriber)
{
	return &subscriber->counters;
}
