/* line.c - the line thread: events out, hubs in. */
#include "line.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <utlist.h>
#include <zmq.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>

#include "socket_path.h"

enum {
	PUB_HIGH_WATER = 10000,        /* messages a hub; what is dropped past it is repaired */
	ROUTER_HIGH_WATER = 1000,
	INBOUND_MAX = 2 << 20,         /* bytes of one message from a hub */
	INBOUND_BURST = 256,           /* messages read before the rest gets its turn */
	PEER_HEARTBEAT_MS = 1000,      /* ZMTP's own: notices a stopped or unreachable peer */
	PEER_TIMEOUT_MS = 3000,
	HANDSHAKE_MS = 5000,
	LINGER_MS = 300,               /* at the end: what was answered as published should leave */
	COUNTS_HEARTBEAT_MS = 100,     /* at most one a so many ms for changed counts */
};

/* To be sent on PUB. */
struct outgoing {
	struct outgoing *prev, *next;
	uint64_t epoch, seq; /* 0: volatile */
	zmq_msg_t message;
};

struct line {
	struct journal *journal;
	struct line_settings settings;
	void *context, *publisher, *router;
	char endpoint[MESSAGE_NAME_MAX]; /* of publisher, as hubs reach it */
	int wake_fd;
	pthread_t thread;
	atomic_size_t hub_count;
	uint64_t instance;

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t drained;
	struct outgoing *queue; /* utlist, oldest first */
	size_t queue_bytes;
	bool is_stopping;
	struct hubs hubs;       /* written by the line thread only */
	uint64_t published_epoch, published_seq;
	uint64_t counters[LINE_COUNTER_COUNT];

	/* The line thread's own. */
	uint64_t heartbeat_at_ms, last_heartbeat_ms;
	bool is_changed; /* counts, since the last heartbeat */
};

static const char *const counter_names[LINE_COUNTER_COUNT] = {
	[LINE_PUBLISHED] = "published",
	[LINE_VOLATILE] = "volatile",
	[LINE_RELAYED] = "relayed",
	[LINE_RELAY_REPEATS] = "relayRepeats",
	[LINE_REPAIRED] = "repaired",
	[LINE_GONE] = "gone",
	[LINE_MALFORMED] = "malformedMessages",
	[LINE_UNEXPECTED] = "unexpectedMessages",
	[LINE_REFUSED_HELLOS] = "refusedHellos",
};

const char *line_counter_name(enum line_counter counter)
{
	return counter_names[counter];
}

static void count(struct line *line, enum line_counter counter)
{
	pthread_mutex_lock(&line->lock);
	line->counters[counter]++;
	pthread_mutex_unlock(&line->lock);
}

/* --- what other threads hand over --- */

static void wake(struct line *line)
{
	uint64_t one = 1;
	if (write(line->wake_fd, &one, sizeof(one)) < 0)
		return; /* already awake as can be */
}

static struct outgoing *outgoing_new(uint64_t epoch, uint64_t seq, struct bytes packed)
{
	struct outgoing *outgoing = malloc(sizeof(*outgoing));
	if (!outgoing || zmq_msg_init_size(&outgoing->message, packed.len)) {
		free(outgoing);
		return NULL;
	}
	outgoing->epoch = epoch;
	outgoing->seq = seq;
	memcpy(zmq_msg_data(&outgoing->message), packed.data, packed.len);
	return outgoing;
}

/* Called with the lock held. */
static void enqueue(struct line *line, struct outgoing *outgoing)
{
	while (line->queue && line->queue_bytes >= line->settings.queue_bytes && !line->is_stopping)
		pthread_cond_wait(&line->drained, &line->lock);
	bool was_empty = !line->queue;
	DL_APPEND(line->queue, outgoing);
	line->queue_bytes += zmq_msg_size(&outgoing->message);
	if (was_empty)
		wake(line);
}

void line_publish(void *data, uint64_t epoch, uint64_t seq, struct bytes packed)
{
	static struct log_limit limit;
	struct line *line = data;
	struct outgoing *outgoing = outgoing_new(epoch, seq, packed);
	if (!outgoing) { /* the next heartbeat lets the hubs ask for it */
		log_limited(&limit, "msg=\"no memory to publish an event\" seq=%" PRIu64, seq);
		return;
	}
	pthread_mutex_lock(&line->lock);
	enqueue(line, outgoing);
	pthread_mutex_unlock(&line->lock);
}

int line_publish_volatile(struct line *line, struct publication *publication, struct error *err)
{
	struct buffer packed = { 0 };
	int result = -1;
	publication_stamp(publication, clock_wall_ms());
	if (publication_pack(publication, &(struct message){ 0 }, &packed, err))
		goto out;
	struct outgoing *outgoing = outgoing_new(0, 0, buffer_bytes(&packed));
	if (!outgoing) {
		error_set(err, ERROR_UNAVAILABLE, "no memory");
		goto out;
	}
	pthread_mutex_lock(&line->lock);
	line->counters[LINE_VOLATILE]++;
	enqueue(line, outgoing);
	pthread_mutex_unlock(&line->lock);
	result = 0;
out:
	buffer_deinit(&packed);
	return result;
}

size_t line_hub_count(const struct line *line)
{
	return atomic_load(&line->hub_count);
}

void line_figures(struct line *line, struct line_figures *out)
{
	pthread_mutex_lock(&line->lock);
	out->hubs = line->hubs;
	out->now_ms = clock_monotonic_ms();
	out->epoch = line->published_epoch;
	out->published_seq = line->published_seq;
	memcpy(out->counters, line->counters, sizeof(out->counters));
	pthread_mutex_unlock(&line->lock);
}

/* --- the line thread: out --- */

static void send_queue(struct line *line)
{
	pthread_mutex_lock(&line->lock);
	struct outgoing *queue = line->queue, *outgoing, *next;
	line->queue = NULL;
	line->queue_bytes = 0;
	pthread_cond_broadcast(&line->drained);
	pthread_mutex_unlock(&line->lock);
	uint64_t epoch = 0, seq = 0, events = 0;
	DL_FOREACH_SAFE(queue, outgoing, next) {
		if (zmq_msg_send(&outgoing->message, line->publisher, ZMQ_DONTWAIT) < 0)
			zmq_msg_close(&outgoing->message);
		if (outgoing->seq) {
			epoch = outgoing->epoch;
			seq = outgoing->seq;
			events++;
		}
		free(outgoing);
	}
	if (!events)
		return;
	pthread_mutex_lock(&line->lock);
	line->published_epoch = epoch;
	line->published_seq = seq;
	line->counters[LINE_PUBLISHED] += events;
	pthread_mutex_unlock(&line->lock);
}

static void send_heartbeat(struct line *line, uint64_t now_ms)
{
	static struct log_limit limit;
	char names[HUBS_MAX][HUB_NAME_MAX + 24];
	struct bytes items[HUBS_MAX];
	for (size_t i = 0; i < line->hubs.count; i++) {
		int len = snprintf(names[i], sizeof(names[i]), "%s=%" PRIu64, line->hubs.items[i].name, line->hubs.items[i].clients);
		items[i] = (struct bytes){ names[i], (size_t)len };
	}
	struct message message = {
		.kind = MESSAGE_HEARTBEAT, .epoch = line->published_epoch, .last_seq = line->published_seq,
		.time_ms = clock_wall_ms(), .clients = hubs_clients(&line->hubs), .instance = line->instance,
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

enum delivery { DELIVERED, DELIVERY_FULL, DELIVERY_GONE };

static enum delivery send_packed(struct line *line, const struct routing_id *to, struct bytes packed)
{
	if (zmq_send(line->router, to->data, to->len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
		return errno == EAGAIN ? DELIVERY_FULL : DELIVERY_GONE;
	return zmq_send(line->router, packed.data, packed.len, ZMQ_DONTWAIT) < 0 ? DELIVERY_GONE : DELIVERED;
}

static enum delivery send_message(struct line *line, const struct routing_id *to, const struct message *message)
{
	static struct log_limit limit;
	struct buffer packed = { 0 };
	struct error err = { 0 };
	enum delivery delivery = DELIVERY_FULL;
	if (message_pack(message, &packed, &err))
		log_limited(&limit, "msg=\"message not sent\" error=\"%s\"", err.text);
	else
		delivery = send_packed(line, to, buffer_bytes(&packed));
	buffer_deinit(&packed);
	return delivery;
}

static enum delivery send_welcome(struct line *line, const struct routing_id *to)
{
	struct journal_extent extent = { 1, 0 };
	struct error err = { 0 };
	if (line->journal->operations->extent(line->journal, line->published_epoch, &extent, &err))
		log_warning("msg=\"journal does not know its epoch\" error=\"%s\"", err.text);
	struct message welcome = {
		.kind = MESSAGE_WELCOME, .epoch = line->published_epoch, .last_seq = line->published_seq, .first_seq = extent.first,
		.time_ms = clock_wall_ms(), .instance = line->instance, .endpoint = bytes_of(line->endpoint),
	};
	return send_message(line, to, &welcome);
}

static void refuse(struct line *line, const struct routing_id *to, const char *reason)
{
	struct message refusal = { .kind = MESSAGE_REFUSAL, .reason = bytes_of(reason) };
	(void)send_message(line, to, &refusal);
}

/* --- the line thread: repairs --- */

struct repair {
	struct line *line;
	struct hub *hub;
	enum delivery delivery;
	uint64_t sent;
};

static void send_repair(void *data, uint64_t seq, struct bytes packed)
{
	struct repair *repair = data;
	if (repair->delivery != DELIVERED)
		return;
	repair->delivery = send_packed(repair->line, &repair->hub->routing, packed);
	if (repair->delivery != DELIVERED)
		return;
	repair->hub->ask_next = seq + 1;
	repair->hub->chunk_end = seq;
	repair->sent++;
}

/* Says what is no longer there and moves the hub's question past it. */
static void tell_gone(struct line *line, struct hub *hub, uint64_t first)
{
	struct message gone = { .kind = MESSAGE_GONE, .epoch = hub->ask_epoch, .first_seq = first };
	if (send_message(line, &hub->routing, &gone) != DELIVERED)
		return; /* it will ask again */
	hub->ask_next = first;
	count(line, LINE_GONE);
	log_warning("msg=\"hub asked for events that are gone\" hub=%s epoch=%" PRIu64 " first=%" PRIu64, hub->name, hub->ask_epoch, first);
}

/* Sends the next chunk of what the hub asked for; the one before must have been acknowledged. */
static void repair_hub(struct line *line, struct hub *hub)
{
	if (hub->ask_next > hub->ask_last)
		return;
	const struct journal_operations *operations = line->journal->operations;
	struct journal_extent extent;
	struct error err = { 0 };
	if (operations->extent(line->journal, hub->ask_epoch, &extent, &err))
		extent = (struct journal_extent){ hub->ask_last + 1, hub->ask_last };
	if (hub->ask_next < extent.first)
		tell_gone(line, hub, extent.first);
	struct repair repair = { .line = line, .hub = hub, .delivery = DELIVERED };
	if (hub->ask_next <= hub->ask_last && hub->ask_next <= extent.last
	    && operations->read(line->journal, hub->ask_epoch, hub->ask_next, hub->ask_last, line->settings.chunk, send_repair, &repair, &err) < 0)
		log_warning("msg=\"repair failed\" hub=%s error=\"%s\"", hub->name, err.text);
	pthread_mutex_lock(&line->lock);
	line->counters[LINE_REPAIRED] += repair.sent;
	pthread_mutex_unlock(&line->lock);
}

/* --- the line thread: in --- */

static void hubs_changed(struct line *line)
{
	atomic_store(&line->hub_count, line->hubs.count);
	line->is_changed = true;
}

static void on_hello(struct line *line, const struct routing_id *from, const struct message *hello, uint64_t now_ms)
{
	static const char *const reasons[] = {
		[HELLO_TAKEN] = "a hub of that name is alive",
		[HELLO_BAD_NAME] = "a hub's name has 1 to 32 letters, digits, _ or -",
		[HELLO_FULL] = "too many hubs",
	};
	struct hub *hub = NULL;
	pthread_mutex_lock(&line->lock);
	enum hello_result result = hubs_hello(&line->hubs, hello, from, now_ms, &hub);
	pthread_mutex_unlock(&line->lock);
	/* A hub that was killed and started again need not wait until it counts as silent: its old connection is gone. */
	if (result == HELLO_TAKEN && send_welcome(line, &hub->routing) == DELIVERY_GONE) {
		pthread_mutex_lock(&line->lock);
		hubs_remove(&line->hubs, hub);
		result = hubs_hello(&line->hubs, hello, from, now_ms, &hub);
		pthread_mutex_unlock(&line->lock);
	}
	if (result != HELLO_WELCOME) {
		static struct log_limit limit;
		count(line, LINE_REFUSED_HELLOS);
		log_limited(&limit, "msg=\"hub refused\" hub=%.*s reason=\"%s\"", (int)hello->hub.len, hello->hub.data, reasons[result]);
		refuse(line, from, reasons[result]);
		return;
	}
	log_info("msg=\"hub is here\" hub=%s epoch=%" PRIu64 " seq=%" PRIu64, hub->name, hub->epoch, hub->seq);
	hubs_changed(line);
	(void)send_welcome(line, from);
}

static void on_report(struct line *line, struct hub *hub, const struct message *report, uint64_t now_ms)
{
	pthread_mutex_lock(&line->lock);
	bool is_changed = hub_report(hub, report, now_ms);
	pthread_mutex_unlock(&line->lock);
	if (is_changed)
		line->is_changed = true;
	if (hub->epoch == hub->ask_epoch && hub->seq >= hub->chunk_end)
		repair_hub(line, hub);
}

static void on_ask(struct line *line, struct hub *hub, const struct message *ask, uint64_t now_ms)
{
	(void)now_ms;
	hub->ask_epoch = ask->epoch;
	hub->ask_next = ask->seq;
	hub->ask_last = ask->last_seq;
	hub->chunk_end = 0;
	repair_hub(line, hub);
}

static void on_relay(struct line *line, struct hub *hub, const struct message *relay, uint64_t now_ms)
{
	(void)now_ms;
	if (!hub_relays(hub, relay)) {
		count(line, LINE_RELAY_REPEATS);
		return;
	}
	struct message published = *relay;
	published.kind = MESSAGE_VOLATILE;
	published.time_ms = clock_wall_ms();
	published.epoch = published.seq = 0;
	struct buffer packed = { 0 };
	struct error err = { 0 };
	if (message_pack(&published, &packed, &err) == 0 && zmq_send(line->publisher, packed.data, packed.len, ZMQ_DONTWAIT) >= 0)
		count(line, LINE_RELAYED);
	buffer_deinit(&packed);
}

/* What a hub may say once it is known; HELLO is apart. */
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
	count(line, LINE_UNEXPECTED);
	log_limited(&limit, "msg=\"message dropped\" kind=%s reason=\"%s\"", message_kind_name(message->kind), reason);
	refuse(line, from, reason);
}

static void on_message(struct line *line, const struct routing_id *from, struct bytes packed, uint64_t now_ms)
{
	static struct log_limit limit;
	struct message message;
	struct error err = { 0 };
	if (message_unpack(packed, &message, &err)) {
		count(line, LINE_MALFORMED);
		log_limited(&limit, "msg=\"unreadable message dropped\" bytes=%zu error=\"%s\"", packed.len, err.text);
		return;
	}
	struct hub *hub = hubs_find(&line->hubs, from);
	if (message.kind == MESSAGE_HELLO)
		on_hello(line, from, &message, now_ms);
	else if (!inbound[message.kind].handle)
		unexpected(line, from, &message, "hubs do not say that");
	else if (!hub)
		unexpected(line, from, &message, "say hello first");
	else if (inbound[message.kind].names_sender && hub_check(hub, &message))
		unexpected(line, from, &message, "that is not who said hello here");
	else
		inbound[message.kind].handle(line, hub, &message, now_ms);
	message_deinit(&message);
}

/* Reads one message of exactly two parts: routing id and content. False when there is none. */
static bool receive(struct line *line, struct routing_id *from, zmq_msg_t *content, bool *is_whole)
{
	int len = zmq_recv(line->router, from->data, sizeof(from->data), ZMQ_DONTWAIT);
	if (len < 0)
		return false;
	from->len = (size_t)len;
	size_t parts = 1;
	int has_more = 0;
	size_t size = sizeof(has_more);
	zmq_getsockopt(line->router, ZMQ_RCVMORE, &has_more, &size);
	while (has_more && zmq_msg_recv(content, line->router, ZMQ_DONTWAIT) >= 0) {
		parts++;
		has_more = zmq_msg_more(content);
	}
	*is_whole = parts == 2 && from->len <= sizeof(from->data);
	return true;
}

static void receive_all(struct line *line)
{
	static struct log_limit limit;
	struct routing_id from;
	zmq_msg_t content;
	bool is_whole;
	zmq_msg_init(&content);
	for (int i = 0; i < INBOUND_BURST && receive(line, &from, &content, &is_whole); i++) {
		if (is_whole) {
			on_message(line, &from, (struct bytes){ zmq_msg_data(&content), zmq_msg_size(&content) }, clock_monotonic_ms());
			continue;
		}
		count(line, LINE_MALFORMED);
		log_limited(&limit, "msg=\"message of several parts dropped\"");
	}
	zmq_msg_close(&content);
}

static void on_gone(const struct hub *hub)
{
	log_warning("msg=\"hub is silent\" hub=%s clients=%" PRIu64, hub->name, hub->clients);
}

static void expire_hubs(struct line *line, uint64_t now_ms)
{
	pthread_mutex_lock(&line->lock);
	size_t gone = hubs_expire(&line->hubs, now_ms, line->settings.silence_ms, on_gone);
	pthread_mutex_unlock(&line->lock);
	if (gone)
		hubs_changed(line);
}

static void *run(void *data)
{
	struct line *line = data;
	zmq_pollitem_t items[] = {
		{ .socket = line->router, .events = ZMQ_POLLIN },
		{ .fd = line->wake_fd, .events = ZMQ_POLLIN },
	};
	for (bool is_stopping = false; !is_stopping;) {
		uint64_t now_ms = clock_monotonic_ms();
		if (now_ms >= line->heartbeat_at_ms || (line->is_changed && now_ms >= line->last_heartbeat_ms + COUNTS_HEARTBEAT_MS))
			send_heartbeat(line, now_ms);
		uint64_t until_ms = line->is_changed ? line->last_heartbeat_ms + COUNTS_HEARTBEAT_MS : line->heartbeat_at_ms;
		zmq_poll(items, 2, until_ms > now_ms ? (long)(until_ms - now_ms) : 0);
		if (items[1].revents) {
			uint64_t times;
			if (read(line->wake_fd, &times, sizeof(times)) < 0 && errno != EAGAIN)
				log_error("msg=\"line cannot be woken\" error=\"%s\"", strerror(errno));
		}
		pthread_mutex_lock(&line->lock);
		is_stopping = line->is_stopping;
		pthread_mutex_unlock(&line->lock);
		send_queue(line);
		receive_all(line);
		expire_hubs(line, clock_monotonic_ms());
	}
	send_queue(line);
	return NULL;
}

/* --- begin and end --- */

struct socket_option {
	int name, value;
};

static void *open_socket(struct line *line, int type, const char *endpoint, const struct socket_option *options, size_t option_count, struct error *err)
{
	/* Bound to the listener with the socket, so set before it; without it libzmq allocates whatever length a stranger names. */
	static const int64_t inbound_max = INBOUND_MAX;
	if (socket_path_clear_endpoint(endpoint, err))
		return NULL;
	void *socket = zmq_socket(line->context, type);
	if (socket && zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &inbound_max, sizeof(inbound_max))) {
		zmq_close(socket);
		socket = NULL;
	}
	for (size_t i = 0; socket && i < option_count; i++) {
		if (zmq_setsockopt(socket, options[i].name, &options[i].value, sizeof(options[i].value)) == 0)
			continue;
		zmq_close(socket);
		socket = NULL;
	}
	if (socket && zmq_bind(socket, endpoint) == 0)
		return socket;
	error_set(err, ERROR_SYSTEM, "%s: %s", endpoint, zmq_strerror(errno));
	if (socket)
		zmq_close(socket);
	return NULL;
}

static int open_sockets(struct line *line, struct error *err)
{
	static const struct socket_option publisher_options[] = {
		{ ZMQ_LINGER, LINGER_MS }, { ZMQ_SNDHWM, PUB_HIGH_WATER }, { ZMQ_HEARTBEAT_IVL, PEER_HEARTBEAT_MS },
		{ ZMQ_HEARTBEAT_TIMEOUT, PEER_TIMEOUT_MS }, { ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS }, { ZMQ_IPV6, 1 },
	};
	static const struct socket_option router_options[] = {
		{ ZMQ_LINGER, 0 }, { ZMQ_SNDHWM, ROUTER_HIGH_WATER }, { ZMQ_RCVHWM, ROUTER_HIGH_WATER }, { ZMQ_ROUTER_MANDATORY, 1 },
		{ ZMQ_HEARTBEAT_IVL, PEER_HEARTBEAT_MS }, { ZMQ_HEARTBEAT_TIMEOUT, PEER_TIMEOUT_MS }, { ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS },
		{ ZMQ_IPV6, 1 },
	};
	size_t size = sizeof(line->endpoint);
	line->context = zmq_ctx_new();
	if (!line->context)
		return error_set(err, ERROR_SYSTEM, "ZeroMQ: %s", zmq_strerror(errno));
	line->publisher = open_socket(line, ZMQ_PUB, line->settings.events_endpoint, publisher_options,
	                              sizeof(publisher_options) / sizeof(publisher_options[0]), err);
	if (!line->publisher)
		return -1;
	line->router = open_socket(line, ZMQ_ROUTER, line->settings.line_endpoint, router_options,
	                           sizeof(router_options) / sizeof(router_options[0]), err);
	if (!line->router)
		return -1;
	if (zmq_getsockopt(line->publisher, ZMQ_LAST_ENDPOINT, line->endpoint, &size))
		return error_set(err, ERROR_SYSTEM, "ZeroMQ: %s", zmq_strerror(errno));
	return 0;
}

static void line_release(struct line *line)
{
	if (line->publisher)
		zmq_close(line->publisher);
	if (line->router)
		zmq_close(line->router);
	if (line->context)
		zmq_ctx_term(line->context);
	if (line->wake_fd >= 0)
		close(line->wake_fd);
	pthread_cond_destroy(&line->drained);
	pthread_mutex_destroy(&line->lock);
	free(line);
}

struct line *line_new(struct journal *journal, const struct line_settings *settings, struct error *err)
{
	struct line *line = calloc(1, sizeof(*line));
	if (!line) {
		error_set(err, ERROR_SYSTEM, "no memory for the line");
		return NULL;
	}
	line->journal = journal;
	line->settings = *settings;
	line->published_epoch = journal->epoch;
	line->published_seq = journal->last_seq;
	pthread_mutex_init(&line->lock, NULL);
	pthread_cond_init(&line->drained, NULL);
	line->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (line->wake_fd < 0 || getrandom(&line->instance, sizeof(line->instance), 0) != (ssize_t)sizeof(line->instance)) {
		error_set(err, ERROR_SYSTEM, "line: %s", strerror(errno));
		goto fail;
	}
	line->instance |= 1; /* 0 is no instance */
	if (open_sockets(line, err))
		goto fail;
	int failure = pthread_create(&line->thread, NULL, run, line);
	if (failure == 0)
		return line;
	error_set(err, ERROR_SYSTEM, "line thread: %s", strerror(failure));
fail:
	line_release(line);
	return NULL;
}

void line_free(struct line *line)
{
	if (!line)
		return;
	pthread_mutex_lock(&line->lock);
	line->is_stopping = true;
	pthread_cond_broadcast(&line->drained);
	pthread_mutex_unlock(&line->lock);
	wake(line);
	pthread_join(line->thread, NULL);
	line_release(line);
}
