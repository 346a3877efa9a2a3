/* subscriber.c - the line to the gateway: its states, its clock, its life. */
#include "subscriber.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include <openssl/rand.h>
#include <zmq.h>

#include <roomcast/clock.h>

#include "subscriber_inside.h"

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	unsigned next;
} states[STATE_COUNT] = {
	[STATE_SEEKING] = { "seeking", TO(STATE_FOLLOWING) | TO(STATE_CLOSED) },
	[STATE_FOLLOWING] = { "following", TO(STATE_SEEKING) | TO(STATE_CLOSED) },
	[STATE_CLOSED] = { "closed", 0 },
};

void subscriber_set_state(struct subscriber *subscriber, enum subscriber_state state)
{
	if (subscriber->state == state)
		return;
	assert(states[subscriber->state].next & TO(state));
	log_info("msg=\"gateway line\" from=%s to=%s line=%s epoch=%" PRIu64 " seq=%" PRIu64, states[subscriber->state].name, states[state].name,
	         subscriber->endpoints[subscriber->endpoint].data, subscriber->sequence.position.epoch, subscriber->sequence.position.seq);
	subscriber->state = state;
}

void subscriber_seek(struct subscriber *subscriber)
{
	uint64_t now = clock_monotonic_ms();
	subscriber_set_state(subscriber, STATE_SEEKING);
	subscriber->endpoint_at = now;
	subscriber->hello_at = 0;
	subscriber->is_refused = false;
	subscriber_say_hello(subscriber, now);
}

/* --- messages and time ------------------------------------------------------ */

static void drop_malformed(struct subscriber *subscriber, const char *reason)
{
	subscriber->counters.malformed++;
	log_limited(&subscriber->malformed_limit, "msg=\"message dropped\" reason=\"%s\"", reason);
}

static void on_events_message(void *data, struct bytes packed)
{
	struct error err;
	if (subscriber_hear(data, packed, false, &err))
		drop_malformed(data, err.text);
}

static void on_line_message(void *data, struct bytes packed)
{
	struct error err;
	if (subscriber_hear(data, packed, true, &err))
		drop_malformed(data, err.text);
}

static void on_multipart(void *data)
{
	drop_malformed(data, "several parts");
}

static void on_round(void *data)
{
	struct subscriber *subscriber = data;
	uint64_t now = clock_monotonic_ms();
	subscriber_repair(subscriber, now);
	if (subscriber->state == STATE_FOLLOWING && subscriber->confirm_place.epoch &&
	    place_compare(subscriber->sequence.position, subscriber->confirm_place) >= 0)
		subscriber_report(subscriber, now);
	subscriber_check_ready(subscriber, now);
	subscriber->settings.on_round(subscriber->settings.data);
}

static uint64_t on_patience(void *data)
{
	const struct subscriber *subscriber = data;
	return subscriber->settings.patience_ns(subscriber->settings.data);
}

static bool on_is_full(void *data)
{
	const struct subscriber *subscriber = data;
	return subscriber->settings.is_full(subscriber->settings.data);
}

static void seek_on(struct subscriber *subscriber, uint64_t now)
{
	uint64_t patience = subscriber->is_refused ? ENDPOINT_LEAST : ENDPOINT_TIMEOUT;
	if (subscriber->endpoint_count > 1 && now - subscriber->endpoint_at >= patience) {
		subscriber_next_endpoint(subscriber, now);
		return; /* what is sent in this turn might still go to the old one */
	}
	if (!subscriber->hello_at || now - subscriber->hello_at >= HELLO_INTERVAL)
		subscriber_say_hello(subscriber, now);
}

/* A gateway that was killed is not waited for: where there is another one, it is asked next. */
static void leave_broken_line(struct subscriber *subscriber)
{
	if (subscriber->state == STATE_FOLLOWING)
		subscriber_seek(subscriber);
	subscriber->is_refused = true;
}

static void on_tick(uv_timer_t *timer)
{
	struct subscriber *subscriber = timer->data;
	zmq_watch_poll(&subscriber->events); /* re-subscribes after a restart of the gateway only when called */
	zmq_watch_poll(&subscriber->line);
	uint64_t now = clock_monotonic_ms();
	if (subscriber_hears_break(subscriber))
		leave_broken_line(subscriber);
	bool is_silent = now - subscriber->heard_at > subscriber->settings.silence_ms;
	if (is_silent)
		subscriber->other_clients = 0;
	if (is_silent && subscriber->state == STATE_FOLLOWING) {
		log_warning("msg=\"the gateway is silent\" ms=%" PRIu64, now - subscriber->heard_at);
		subscriber_seek(subscriber);
	}
	subscriber_check_ready(subscriber, now);
	if (subscriber->state == STATE_SEEKING) {
		seek_on(subscriber, now);
		return;
	}
	/* Lost with a connection, or the gateway could not read it then. */
	if (subscriber->is_standing_due && now - subscriber->hello_at >= GATEWAY_TIMEOUT)
		subscriber_greet(subscriber);
	if (subscriber->is_greeting_due && now - subscriber->hello_at >= HELLO_INTERVAL)
		subscriber_say_hello(subscriber, now);
	if (now - subscriber->report_at >= (subscriber->is_report_due ? REPORT_SOON : REPORT_INTERVAL))
		subscriber_report(subscriber, now);
	subscriber_repair(subscriber, now);
}

/* --- life ------------------------------------------------------------------- */

static void subscriber_release(struct subscriber *subscriber)
{
	if (subscriber->context)
		zmq_ctx_term(subscriber->context);
	sequence_deinit(&subscriber->sequence);
	free(subscriber->memory);
	free(subscriber);
}

static void on_part_closed(void *data)
{
	struct subscriber *subscriber = data;
	if (--subscriber->closing)
		return;
	void (*on_closed)(void *) = subscriber->on_closed;
	void *on_closed_data = subscriber->on_closed_data;
	subscriber_release(subscriber);
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
		.on_message = on_events_message, .on_malformed = on_multipart, .on_round = on_round, .is_full = on_is_full,
		.patience_ns = on_patience, .data = subscriber,
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

/* Cuts the list of endpoints into terminated texts. */
static int keep_endpoints(struct subscriber *subscriber, struct error *err)
{
	struct bytes rest = bytes_of(subscriber->settings.line), item;
	char *next = subscriber->memory = malloc(rest.len + 1);
	if (!next)
		return error_set(err, ERROR_SYSTEM, "no memory");
	while (subscriber->endpoint_count < ENDPOINTS_MAX && endpoint_next(&rest, &item)) {
		subscriber->endpoints[subscriber->endpoint_count++] = (struct bytes){ next, item.len };
		memcpy(next, item.data, item.len);
		next[item.len] = '\0';
		next += item.len + 1;
	}
	return 0;
}

struct subscriber *subscriber_new(uv_loop_t *loop, const struct subscriber_settings *settings, struct error *err)
{
	void *events, *line;
	struct subscriber *subscriber = calloc(1, sizeof(*subscriber));
	if (!subscriber) {
		error_set(err, ERROR_SYSTEM, "no memory");
		return NULL;
	}
	subscriber->settings = *settings;
	if (!settings->silence_ms)
		subscriber->settings.silence_ms = GATEWAY_TIMEOUT;
	subscriber->started_at = subscriber->endpoint_at = clock_monotonic_ms();
	sequence_init(&subscriber->sequence, settings->held_max);
	subscriber->context = zmq_ctx_new();
	if (RAND_bytes((unsigned char *)&subscriber->instance, sizeof(subscriber->instance)) != 1 || !subscriber->context) {
		error_set(err, ERROR_SYSTEM, "neither random numbers nor ZeroMQ to be had");
		goto failed;
	}
	subscriber->instance |= 1; /* 0 means unset on the line */
	if (keep_endpoints(subscriber, err) || subscriber_open_sockets(subscriber, &events, &line, err))
		goto failed;
	if (start_watches(subscriber, loop, events, line, err) == 0)
		return subscriber;
	subscriber_close_monitor(subscriber, line);
	zmq_close(events);
	zmq_close(line);
failed:
	subscriber_release(subscriber);
	return NULL;
}

void subscriber_close(struct subscriber *subscriber, void (*on_closed)(void *data), void *data)
{
	subscriber_set_state(subscriber, STATE_CLOSED);
	subscriber->on_closed = on_closed;
	subscriber->on_closed_data = data;
	subscriber->closing = 3;
	uv_timer_stop(&subscriber->tick);
	subscriber_close_monitor(subscriber, subscriber->line.socket);
	uv_close((uv_handle_t *)&subscriber->tick, on_tick_closed);
	zmq_watch_close(&subscriber->events, on_part_closed);
	zmq_watch_close(&subscriber->line, on_part_closed);
}

/* --- what others ask -------------------------------------------------------- */

void subscriber_relay(struct subscriber *subscriber, struct message *message)
{
	message->kind = MESSAGE_RELAY;
	message->counter = ++subscriber->relay_counter;
	if (subscriber->state == STATE_FOLLOWING && subscriber_say(subscriber, message) == 0)
		subscriber->counters.relayed++;
	else
		subscriber->counters.relays_lost++;
}

void subscriber_touch(struct subscriber *subscriber)
{
	subscriber->is_report_due = true;
}

void subscriber_greet(struct subscriber *subscriber)
{
	subscriber->is_greeting_due = true;
}

bool subscriber_is_following(const struct subscriber *subscriber)
{
	return subscriber->state == STATE_FOLLOWING;
}

bool subscriber_is_ready(const struct subscriber *subscriber)
{
	return subscriber->is_ready;
}

bool subscriber_has_history(const struct subscriber *subscriber)
{
	return subscriber->has_history;
}

bool subscriber_is_caught_up(const struct subscriber *subscriber)
{
	return subscriber->told_end.epoch && place_compare(subscriber->sequence.position, subscriber->told_end) >= 0;
}

struct place subscriber_position(const struct subscriber *subscriber)
{
	return subscriber->sequence.position;
}

struct place subscriber_complete_since(const struct subscriber *subscriber)
{
	return subscriber->sequence.complete_since;
}

bool subscriber_epoch_end(const struct subscriber *subscriber, uint64_t epoch, uint64_t *last)
{
	return sequence_epoch_end(&subscriber->sequence, epoch, last);
}

const unsigned char *subscriber_mac_key(const struct subscriber *subscriber)
{
	return subscriber->has_mac_key ? subscriber->mac_key : NULL;
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
