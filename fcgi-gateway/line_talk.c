/* line_talk.c - what hubs are told, and what they say. */
#include "line_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>

enum { INBOUND_BURST = 256 }; /* messages read before the rest gets its turn */

static const char standby[] = "this gateway is a standby";
static const char behind[] = "this gateway cannot write, and the journal that it reads ends before this hub's epoch";

void line_send_heartbeat(struct line *line, uint64_t now_ms)
{
	static struct log_limit limit;
	char names[HUBS_MAX][HUB_NAME_MAX + 24];
	struct bytes items[HUBS_MAX];
	for (size_t i = 0; i < line->hubs.count; i++) {
		int len = snprintf(names[i], sizeof(names[i]), "%s=%" PRIu64, line->hubs.items[i].name, line->hubs.items[i].clients);
		items[i] = (struct bytes){ names[i], (size_t)len };
	}
	pthread_mutex_lock(&line->lock);
	struct place published = line->published;
	bool wants_report = line->confirming;
	line->wants_report = false;
	pthread_mutex_unlock(&line->lock);
	struct message message = {
		.kind = MESSAGE_HEARTBEAT, .epoch = published.epoch, .last_seq = published.seq, .wants_report = wants_report,
		.time_ms = clock_wall_ms(), .clients = hubs_clients(&line->hubs), .instance = line_numbering(line),
		.hubs = { items, line->hubs.count },
	};
	struct buffer packed = { 0 };
	struct error err = { 0 };
	if (message_pack(&message, &packed, &err))
		log_limited(&limit, "msg=\"no heartbeat\" error=\"%s\"", err.text);
	else if (zmq_send(line->publisher, packed.data, packed.len, ZMQ_DONTWAIT) < 0)
		log_limited(&limit, "msg=\"no heartbeat\" error=\"%s\"", zmq_strerror(errno));
	buffer_deinit(&packed);
	line->last_heartbeat_ms = now_ms;
	line->heartbeat_at_ms = now_ms + line->settings.heartbeat_ms;
	line->is_changed = false;
}

static void refuse(struct line *line, const struct routing_id *to, const char *reason)
{
	struct message refusal = { .kind = MESSAGE_REFUSAL, .reason = bytes_of(reason) };
	(void)line_send(line, to, &refusal);
}

static void hubs_changed(struct line *line)
{
	atomic_store(&line->hub_count, line->hubs.count);
	line->is_changed = true;
}

/* Says something to which a hub that is there has nothing to do: that what it has is not needed any more. */
static bool is_reachable(struct line *line, const struct hub *hub)
{
	struct message nothing = { .kind = MESSAGE_GONE, .epoch = hub->epoch, .first_seq = hub->seq ? hub->seq : 1 };
	return !hub->epoch || line_send(line, &hub->routing, &nothing) != DELIVERY_GONE;
}

static void on_hello(struct line *line, const struct routing_id *from, const struct message *hello, uint64_t now_ms)
{
	static const char *const reasons[] = {
		[HELLO_TAKEN] = "a hub of that name is alive",
		[HELLO_BAD_NAME] = "a hub's name has 1 to 32 letters, digits, _ or -",
		[HELLO_FULL] = "too many hubs",
	};
	struct hub *hub = NULL;
	if (!line_is_active(line)) {
		refuse(line, from, standby);
		return;
	}
	/* In its present epoch an older copy of the journal must not be taken for a new one: it is not followed before there is one. */
	if (!line_numbering(line) && hello->epoch > line_published(line).epoch) {
		refuse(line, from, behind);
		return;
	}
	pthread_mutex_lock(&line->lock);
	enum hello_result result = hubs_hello(&line->hubs, hello, from, now_ms, &hub);
	pthread_mutex_unlock(&line->lock);
	/* A hub that was killed and started again need not wait until it counts as silent: its old connection is gone. */
	if (result == HELLO_TAKEN && !is_reachable(line, hub)) {
		pthread_mutex_lock(&line->lock);
		hubs_remove(&line->hubs, hub);
		result = hubs_hello(&line->hubs, hello, from, now_ms, &hub);
		pthread_mutex_unlock(&line->lock);
	}
	if (result != HELLO_WELCOME) {
		static struct log_limit limit;
		line_count(line, LINE_REFUSED_HELLOS);
		log_limited(&limit, "msg=\"hub refused\" hub=%.*s reason=\"%s\"", (int)hello->hub.len, hello->hub.data, reasons[result]);
		(void)line_send(line, from, &(struct message){
			.kind = MESSAGE_REFUSAL, .reason = bytes_of(reasons[result]), .status = result == HELLO_TAKEN ? REFUSAL_NAME_TAKEN : 0,
		});
		return;
	}
	log_info("msg=\"hub is here\" hub=%s epoch=%" PRIu64 " seq=%" PRIu64, hub->name, hub->epoch, hub->seq);
	hubs_changed(line);
	line_greet_hub(line, hub, hello);
}

static void on_report(struct line *line, struct hub *hub, const struct message *report, uint64_t now_ms)
{
	pthread_mutex_lock(&line->lock);
	struct place before = { hub->epoch, hub->seq }, position = { report->epoch, report->seq };
	bool is_changed = hub_report(hub, report, now_ms);
	repair_hear(&hub->repair, before, position, line->published, now_ms);
	if (line->confirming)
		pthread_cond_broadcast(&line->reported);
	pthread_mutex_unlock(&line->lock);
	if (is_changed)
		line->is_changed = true;
	line_repair_hub(line, hub);
}

static void on_ask(struct line *line, struct hub *hub, const struct message *ask, uint64_t now_ms)
{
	pthread_mutex_lock(&line->lock);
	repair_ask(&hub->repair, (struct place){ ask->epoch, ask->seq - 1 }, (struct place){ ask->epoch, ask->last_seq }, now_ms);
	pthread_mutex_unlock(&line->lock);
	line_repair_hub(line, hub);
}

static void on_relay(struct line *line, struct hub *hub, const struct message *relay, uint64_t now_ms)
{
	(void)now_ms;
	if (!hub_relays(hub, relay)) {
		line_count(line, LINE_RELAY_REPEATS);
		return;
	}
	struct message published = *relay;
	published.kind = MESSAGE_VOLATILE;
	published.time_ms = clock_wall_ms();
	published.epoch = published.seq = 0;
	struct buffer packed = { 0 };
	struct error err = { 0 };
	zmq_msg_t content;
	if (message_pack(&published, &packed, &err) == 0 && zmq_msg_init_size(&content, packed.len) == 0) {
		memcpy(zmq_msg_data(&content), packed.data, packed.len);
		if (line_send_volatile(line, &content))
			line_count(line, LINE_RELAYED);
	}
	buffer_deinit(&packed);
}

/* What a hub may say once it is known; HELLO, and front ends' FORWARD, are apart. */
static const struct {
	void (*handle)(struct line *line, struct hub *hub, const struct message *message, uint64_t now_ms);
	bool names_sender;
} inbound[MESSAGE_KIND_END] = {
	[MESSAGE_REPORT] = { on_report, true },
	[MESSAGE_ASK] = { on_ask, false },
	[MESSAGE_RELAY] = { on_relay, true },
};

static void unexpected(struct line *line, const struct routing_id *from, const struct message *message, const char *reason)
{
	static struct log_limit limit;
	line_count(line, LINE_UNEXPECTED);
	log_limited(&limit, "msg=\"message dropped\" kind=%s reason=\"%s\"", message_kind_name(message->kind), reason);
	refuse(line, from, reason);
}

static void on_message(struct line *line, const struct routing_id *from, struct bytes packed, uint64_t now_ms)
{
	static struct log_limit limit;
	struct message message;
	struct error err = { 0 };
	if (message_unpack(packed, &message, &err)) {
		line_count(line, LINE_MALFORMED);
		log_limited(&limit, "msg=\"unreadable message dropped\" bytes=%zu error=\"%s\"", packed.len, err.text);
		return;
	}
	struct hub *hub = hubs_find(&line->hubs, from);
	if (message.kind == MESSAGE_HELLO)
		on_hello(line, from, &message, now_ms);
	else if (message.kind == MESSAGE_FORWARD)
		line_take_forward(line, from, &message, packed);
	else if (!inbound[message.kind].handle)
		unexpected(line, from, &message, "hubs do not say that");
	else if (!hub)
		unexpected(line, from, &message, line_is_active(line) ? "say hello first" : standby);
	else if (inbound[message.kind].names_sender && hub_check(hub, &message))
		unexpected(line, from, &message, "that is not who said hello here");
	else
		inbound[message.kind].handle(line, hub, &message, now_ms);
	message_deinit(&message);
}

void line_receive_all(struct line *line)
{
	static struct log_limit limit;
	struct routing_id from;
	zmq_msg_t content;
	bool is_whole;
	zmq_msg_init(&content);
	for (int i = 0; i < INBOUND_BURST && line_receive(line, &from, &content, &is_whole); i++) {
		if (is_whole) {
			on_message(line, &from, (struct bytes){ zmq_msg_data(&content), zmq_msg_size(&content) }, clock_monotonic_ms());
			continue;
		}
		line_count(line, LINE_MALFORMED);
		log_limited(&limit, "msg=\"message of several parts dropped\"");
	}
	zmq_msg_close(&content);
}

void line_dismiss_hubs(struct line *line)
{
	for (size_t i = 0; i < line->hubs.count; i++)
		refuse(line, &line->hubs.items[i].routing, standby);
	pthread_mutex_lock(&line->lock);
	line->hubs.count = 0;
	pthread_mutex_unlock(&line->lock);
	hubs_changed(line);
}

static void on_gone(const struct hub *hub)
{
	log_warning("msg=\"hub is %s\" hub=%s clients=%" PRIu64, hub->is_departed ? "gone" : "silent", hub->name, hub->clients);
}

/* The router learns a little after its monitor that it cannot reach somebody any more, so it is asked more than once. */
void line_notice_departures(struct line *line, uint64_t now_ms)
{
	if (line_hears_departure(line))
		line->departure_ms = now_ms;
	if (now_ms > line->departure_ms + LINE_DEPARTURE_MS || now_ms < line->departed_look_ms + LINE_DEPARTURE_LOOK_MS)
		return;
	line->departed_look_ms = now_ms;
	for (size_t i = 0; i < line->hubs.count; i++) {
		struct hub *hub = &line->hubs.items[i];
		if (hub->heard_ms > line->departure_ms || is_reachable(line, hub))
			continue;
		pthread_mutex_lock(&line->lock);
		hub->is_departed = true;
		pthread_mutex_unlock(&line->lock);
	}
}

void line_expire_hubs(struct line *line, uint64_t now_ms)
{
	pthread_mutex_lock(&line->lock);
	size_t gone = hubs_expire(&line->hubs, now_ms, line->settings.silence_ms, on_gone);
	pthread_mutex_unlock(&line->lock);
	if (gone)
		hubs_changed(line);
}
