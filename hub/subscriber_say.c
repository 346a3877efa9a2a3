/* subscriber_say.c - what a hub says to the gateway: hello, reports, questions, relays. */
#include "subscriber_inside.h"

#include <inttypes.h>

#include <roomcast/clock.h>

int subscriber_say(struct subscriber *subscriber, struct message *message)
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

static void add_state(const struct subscriber *subscriber, struct message *message)
{
	message->epoch = subscriber->sequence.position.epoch;
	message->seq = subscriber->sequence.position.seq;
	message->clients = subscriber->settings.clients(subscriber->settings.data);
	message->room_count = subscriber->settings.rooms(subscriber->settings.data);
}

void subscriber_say_hello(struct subscriber *subscriber, uint64_t now)
{
	const struct subscriber_settings *settings = &subscriber->settings;
	struct message message = {
		.kind = MESSAGE_HELLO, .window_ms = settings->window_ms, .window_events = settings->window_events, .window_bytes = settings->window_bytes,
	};
	add_state(subscriber, &message);
	if (subscriber_say(subscriber, &message)) {
		log_debug("msg=\"no gateway to greet yet\" line=%s", subscriber->endpoints[subscriber->endpoint].data);
		return;
	}
	subscriber->hello_at = now;
	subscriber->is_greeting_due = false;
}

void subscriber_report(struct subscriber *subscriber, uint64_t now)
{
	struct message message = { .kind = MESSAGE_REPORT };
	add_state(subscriber, &message);
	subscriber->report_at = now;
	subscriber->is_report_due = subscriber_say(subscriber, &message) != 0;
	if (subscriber->is_report_due)
		return;
	subscriber->report_place = subscriber->sequence.position;
	if (place_compare(subscriber->report_place, subscriber->confirm_place) >= 0)
		subscriber->confirm_place = (struct place){ 0 };
}

static void ask(struct subscriber *subscriber, struct place from, uint64_t to, uint64_t now)
{
	struct message message = { .kind = MESSAGE_ASK, .epoch = from.epoch, .seq = from.seq, .last_seq = to };
	subscriber->ask_at = now;
	subscriber->asked_from = from;
	subscriber->asked_to = to;
	subscriber->counters.asked++;
	if (subscriber_say(subscriber, &message))
		log_debug("msg=\"cannot ask for missing events\" epoch=%" PRIu64 " seq=%" PRIu64, from.epoch, from.seq);
}

/* The gateway answers in chunks and goes on when the last one is acknowledged; so what is asked for next, or the acknowledgement, leaves as
 * soon as something arrived. An answer that does not come is asked for again, ever less often. */
void subscriber_repair(struct subscriber *subscriber, uint64_t now)
{
	struct place from;
	uint64_t to;
	if (subscriber->state != STATE_FOLLOWING)
		return;
	if (!sequence_missing(&subscriber->sequence, &from, &to)) {
		subscriber->asked_to = 0;
		return;
	}
	bool is_asked = subscriber->asked_to && from.epoch == subscriber->asked_from.epoch && from.seq >= subscriber->asked_from.seq &&
	                from.seq <= subscriber->asked_to;
	if (!is_asked) {
		subscriber->ask_wait_ms = ASK_AGAIN;
		ask(subscriber, from, to, now);
	} else if (place_compare(subscriber->sequence.position, subscriber->report_place) > 0) {
		subscriber->ask_wait_ms = ASK_AGAIN;
		subscriber->ask_at = now;
		subscriber_report(subscriber, now);
	} else if (now - subscriber->ask_at >= subscriber->ask_wait_ms) {
		if (subscriber->ask_wait_ms < ASK_AGAIN_MAX)
			subscriber->ask_wait_ms *= 2;
		ask(subscriber, from, to, now);
	}
}
