/* subscriber_hear.c - what a hub hears from the gateway, and does about it. */
#include "subscriber_inside.h"

#include <inttypes.h>
#include <stdlib.h>

#include <roomcast/clock.h>

/* --- events ----------------------------------------------------------------- */

static void check_history(struct subscriber *subscriber)
{
	const struct sequence *sequence = &subscriber->sequence;
	if (subscriber->has_history || !sequence->position.epoch || place_compare(sequence->position, subscriber->window_end) < 0)
		return;
	subscriber->has_history = true;
	log_info("msg=\"history is here\" events=%" PRIu64 " epoch=%" PRIu64 " seq=%" PRIu64, subscriber->counters.history, sequence->position.epoch,
	         sequence->position.seq);
}

/* Clients that were let in before any gateway answered are not owed what is older than that. */
static bool is_history(const struct subscriber *subscriber, const struct event *event)
{
	return !subscriber->has_history && place_compare(event->place, subscriber->window_end) <= 0 &&
	       (!subscriber->served_wall_ms || event->message.time_ms < subscriber->served_wall_ms);
}

static void deliver_ready(struct subscriber *subscriber)
{
	struct event *event;
	while ((event = sequence_take(&subscriber->sequence))) {
		bool is_old = is_history(subscriber, event);
		subscriber->counters.events++;
		subscriber->counters.history += is_old;
		subscriber->settings.on_event(subscriber->settings.data, event, is_old);
		check_history(subscriber);
	}
	check_history(subscriber);
}

/* Takes the reference. */
static void on_volatile(struct subscriber *subscriber, struct event *event)
{
	if (event->message.instance == subscriber->instance) {
		event_unref(event); /* our own, back from the gateway */
		return;
	}
	subscriber->counters.volatiles++;
	subscriber->settings.on_event(subscriber->settings.data, event, false);
}

/* Takes the reference. What is missing is asked for when the round of messages ends. */
static void on_journaled(struct subscriber *subscriber, struct event *event)
{
	enum sequence_verdict verdict = sequence_offer(&subscriber->sequence, event);
	if (verdict == SEQUENCE_READY)
		deliver_ready(subscriber);
	else if (verdict == SEQUENCE_NEW_EPOCH && subscriber->state == STATE_FOLLOWING)
		subscriber_seek(subscriber);
}

/* --- the gateway ------------------------------------------------------------ */

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

static int on_heartbeat(struct subscriber *subscriber, const struct message *message, struct error *err)
{
	(void)err;
	struct place last = { message->epoch, message->last_seq };
	bool is_other = message->instance && subscriber->gateway_instance && message->instance != subscriber->gateway_instance;
	if (is_other || !sequence_hear(&subscriber->sequence, last)) {
		if (subscriber->state == STATE_FOLLOWING)
			subscriber_seek(subscriber);
		return 0;
	}
	subscriber->other_clients = count_others(subscriber, &message->hubs);
	if (!message->wants_report || subscriber->state != STATE_FOLLOWING)
		return 0;
	subscriber->confirm_place = last;
	subscriber_report(subscriber, clock_monotonic_ms());
	return 0;
}

/* The known epochs, oldest first; the last one is the message's own. A gateway of the first release names no others. Returns how many, or -1. */
static int read_epochs(const struct message *message, struct place out[static MESSAGE_EPOCHS_MAX], struct error *err)
{
	size_t count = 0;
	struct place own = { message->epoch, message->last_seq }, previous = { 0 };
	for (size_t i = 0; i < message->epochs.count; i++) {
		struct place place;
		if (!place_parse(message->epochs.items[i], &place) || place.epoch <= previous.epoch || place.epoch > own.epoch || place.seq == UINT64_MAX)
			return error_set(err, ERROR_INVALID, "welcome: epochs are not ascending places up to its own");
		previous = place;
		if (place.epoch == own.epoch) {
			own = place_larger(own, place);
			continue;
		}
		if (count == MESSAGE_EPOCHS_MAX - 1) /* the oldest goes */
			memmove(out, out + 1, --count * sizeof(*out));
		out[count++] = place;
	}
	if (own.epoch == UINT64_MAX || own.seq == UINT64_MAX)
		return error_set(err, ERROR_INVALID, "welcome: no such place");
	out[count++] = own;
	return (int)count;
}

static struct place window_start(const struct message *message, struct place end)
{
	struct place start = { message->start_epoch, message->start_seq };
	return start.epoch && place_compare(start, end) <= 0 ? start : end;
}

/* Finds out where we are in what the gateway knows. */
static void agree(struct subscriber *subscriber, const struct message *message, const struct place *epochs, int count)
{
	static const char *const breaks[] = {
		[SEQUENCE_BEYOND] = "the journal ends before what was delivered here", [SEQUENCE_UNKNOWN] = "the journal does not know our epoch",
		[SEQUENCE_WENT_BACK] = "the gateway's epoch went back",
	};
	struct sequence *sequence = &subscriber->sequence;
	struct place before = sequence->position, end = epochs[count - 1];
	bool is_restarted = before.epoch && before.epoch == message->epoch && message->instance && subscriber->gateway_instance &&
	                    message->instance != subscriber->gateway_instance;
	if (is_restarted)
		sequence_restart_epoch(sequence);
	enum sequence_agreement agreement = sequence_know(sequence, epochs, (size_t)count);
	subscriber->gateway_instance = message->instance;
	subscriber->told_end = end;
	if (!before.epoch) {
		sequence_start(sequence, window_start(message, end));
		subscriber->window_end = end;
	} else if (is_restarted || agreement != SEQUENCE_AGREES) {
		subscriber->window_end = end;
		log_warning("msg=\"another journal than before\" reason=\"%s\" from_epoch=%" PRIu64 " from_seq=%" PRIu64 " to_epoch=%" PRIu64 " to_seq=%" PRIu64,
		            is_restarted ? "our epoch was begun once more" : breaks[agreement], before.epoch, before.seq, sequence->position.epoch,
		            sequence->position.seq);
		subscriber->settings.on_loss(subscriber->settings.data);
	}
}

static int on_welcome(struct subscriber *subscriber, const struct message *message, struct error *err)
{
	struct place epochs[MESSAGE_EPOCHS_MAX];
	int count = read_epochs(message, epochs, err);
	if (count < 0 || subscriber_connect_events(subscriber, message->endpoint, err))
		return -1;
	subscriber->counters.welcomes++;
	if (message->key.len == MAC_KEY_LEN) {
		memcpy(subscriber->mac_key, message->key.data, MAC_KEY_LEN);
		subscriber->has_mac_key = true;
		/* A gateway that has a key tells grants and blocks too, right after this. */
		subscriber->is_standing_due = !subscriber->is_ready;
	}
	agree(subscriber, message, epochs, count);
	subscriber_set_state(subscriber, STATE_FOLLOWING);
	deliver_ready(subscriber);
	subscriber->asked_to = 0; /* the gateway forgot what was asked before */
	subscriber_report(subscriber, clock_monotonic_ms());
	return 0;
}

static int on_standing(struct subscriber *subscriber, const struct message *message, struct error *err)
{
	(void)err;
	if (subscriber->settings.on_standing(subscriber->settings.data, message))
		subscriber->is_standing_due = false;
	return 0;
}

static int on_refusal(struct subscriber *subscriber, const struct message *message, struct error *err)
{
	(void)err;
	subscriber->counters.refusals++;
	log_limited(&subscriber->refusal_limit, "msg=\"the gateway refuses this hub\" line=%s reason=\"%.*s\"",
	            subscriber->endpoints[subscriber->endpoint].data, (int)message->reason.len, message->reason.data);
	if (subscriber->state == STATE_FOLLOWING)
		subscriber_seek(subscriber);
	subscriber->is_refused = true;
	if (message->status == REFUSAL_NAME_TAKEN)
		subscriber->name_taken_at = clock_monotonic_ms();
	return 0;
}

static int on_gone(struct subscriber *subscriber, const struct message *message, struct error *err)
{
	(void)err;
	struct sequence *sequence = &subscriber->sequence;
	uint64_t lost = sequence->counters.lost;
	/* Events that are held here are delivered between. */
	struct place before;
	do {
		before = sequence->position;
		sequence_skip(sequence, (struct place){ message->epoch, message->first_seq });
		deliver_ready(subscriber);
	} while (place_compare(before, sequence->position) < 0);
	lost = sequence->counters.lost - lost;
	if (!lost)
		return 0;
	log_error("msg=\"events lost: the journal no longer has them\" count=%" PRIu64 " epoch=%" PRIu64 " next_seq=%" PRIu64, lost,
	          sequence->position.epoch, sequence->position.seq + 1);
	subscriber->settings.on_loss(subscriber->settings.data);
	subscriber_greet(subscriber);
	return 0;
}

/* --- who may say what ------------------------------------------------------- */

/* The kinds that a gateway may say to a hub, and on which socket. Events are unpacked once, into what keeps them. */
static const struct {
	int (*on_message)(struct subscriber *subscriber, const struct message *message, struct error *err);
	void (*on_event)(struct subscriber *subscriber, struct event *event);
	bool by_events, by_line;
	bool is_answer; /* while such arrive, a start waits for more */
} conversation[MESSAGE_KIND_END] = {
	[MESSAGE_EVENT] = { .on_event = on_journaled, .by_events = true, .by_line = true, .is_answer = true },
	[MESSAGE_CONTROL] = { .on_event = on_journaled, .by_events = true, .by_line = true, .is_answer = true },
	[MESSAGE_VOLATILE] = { .on_event = on_volatile, .by_events = true },
	[MESSAGE_HEARTBEAT] = { .on_message = on_heartbeat, .by_events = true },
	[MESSAGE_WELCOME] = { .on_message = on_welcome, .by_line = true, .is_answer = true },
	[MESSAGE_STANDING] = { .on_message = on_standing, .by_line = true, .is_answer = true },
	[MESSAGE_REFUSAL] = { .on_message = on_refusal, .by_line = true },
	[MESSAGE_GONE] = { .on_message = on_gone, .by_line = true, .is_answer = true },
};

static int hear_message(struct subscriber *subscriber, enum message_kind kind, struct bytes packed, struct error *err)
{
	struct message message;
	if (message_unpack(packed, &message, err))
		return -1;
	int result = conversation[kind].on_message(subscriber, &message, err);
	message_deinit(&message);
	return result;
}

int subscriber_hear(struct subscriber *subscriber, struct bytes packed, bool is_line, struct error *err)
{
	enum message_kind kind = message_peek(packed);
	if (!(is_line ? conversation[kind].by_line : conversation[kind].by_events))
		return error_set(err, ERROR_INVALID, "%s message where none is expected", message_kind_name(kind));
	if (conversation[kind].on_event) {
		struct event *event = event_new(packed, err);
		if (!event)
			return -1;
		conversation[kind].on_event(subscriber, event);
	} else if (hear_message(subscriber, kind, packed, err)) {
		return -1;
	}
	subscriber->heard_at = clock_monotonic_ms();
	if (is_line && conversation[kind].is_answer)
		subscriber->line_heard_at = subscriber->heard_at;
	return 0;
}

void subscriber_check_ready(struct subscriber *subscriber, uint64_t now)
{
	if (subscriber->is_ready)
		return;
	uint64_t since = subscriber->line_heard_at > subscriber->started_at ? subscriber->line_heard_at : subscriber->started_at;
	bool is_loaded = subscriber->has_history && !subscriber->is_standing_due;
	bool is_taken = subscriber->name_taken_at && now - subscriber->name_taken_at < GATEWAY_TIMEOUT;
	if (!is_loaded && (is_taken || now - since < subscriber->settings.start_patience_ms))
		return;
	subscriber->is_ready = true;
	if (is_loaded)
		return;
	subscriber->served_wall_ms = clock_wall_ms();
	log_warning("msg=\"ready without the gateway: nothing before this is recovered until it answers\" state=%s", subscriber_state(subscriber));
}
