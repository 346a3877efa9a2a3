/* source_line.c - the gateway's side of the line, as far as hubs need it to be given events: they are welcomed, hear a heartbeat,
 * and what they ask for again they get from the last events. */
#include "source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include <zmq.h>

#include <roomcast/clock.h>
#include <roomcast/message.h>

enum { KEPT = 8192 /* events, for repairs */, HEARTBEAT_MS = 250, ROUTING_MAX = 256 };

struct line {
	void *context, *publisher, *router;
	char endpoint[512];
	uint64_t epoch, seq, flushed, instance, heartbeat_at_ms;
	unsigned char key[MAC_KEY_LEN];
	uint32_t wanted;
	struct { uint64_t instance; bool has_reported; } hubs[64];
	uint32_t hub_count, reporting;
	struct buffer kept[KEPT]; /* event seq lies at seq % KEPT */
	struct buffer packed;
};

static int open_socket(struct line *line, void **socket, int type, const char *endpoint, struct error *err)
{
	int unlimited = 0;
	*socket = zmq_socket(line->context, type);
	if (!*socket || zmq_setsockopt(*socket, ZMQ_SNDHWM, &unlimited, sizeof(unlimited)) ||
	    zmq_setsockopt(*socket, ZMQ_LINGER, &unlimited, sizeof(unlimited)) || zmq_bind(*socket, endpoint))
		return error_set(err, ERROR_SYSTEM, "%s: %s", endpoint, zmq_strerror(zmq_errno()));
	return 0;
}

static void close_line(void *data)
{
	struct line *line = data;
	if (line->publisher)
		zmq_close(line->publisher);
	if (line->router)
		zmq_close(line->router);
	zmq_ctx_term(line->context);
	for (size_t i = 0; i < KEPT; i++)
		buffer_deinit(&line->kept[i]);
	buffer_deinit(&line->packed);
	free(line);
}

static void *open_line(const char *directory, uint32_t servers, struct error *err)
{
	char endpoint[512];
	struct line *line = calloc(1, sizeof(*line));
	if (!line) {
		error_set(err, ERROR_SYSTEM, "no memory");
		return NULL;
	}
	line->context = zmq_ctx_new();
	line->epoch = (uint64_t)time(NULL);
	line->wanted = servers;
	snprintf(line->endpoint, sizeof(line->endpoint), "ipc://%s/events.sock", directory);
	snprintf(endpoint, sizeof(endpoint), "ipc://%s/line.sock", directory);
	if (getrandom(&line->instance, sizeof(line->instance), 0) > 0 && getrandom(line->key, sizeof(line->key), 0) > 0 &&
	    open_socket(line, &line->publisher, ZMQ_PUB, line->endpoint, err) == 0 &&
	    open_socket(line, &line->router, ZMQ_ROUTER, endpoint, err) == 0)
		return line;
	close_line(line);
	return NULL;
}

/* --- out ------------------------------------------------------------------- */

/* All at once, as the gateway does with what was committed together. */
static int flush(void *data, struct error *err)
{
	struct line *line = data;
	while (line->flushed < line->seq) {
		const struct buffer *packed = &line->kept[++line->flushed % KEPT];
		if (zmq_send(line->publisher, packed->data, packed->len, 0) < 0)
			return error_set(err, ERROR_SYSTEM, "publish: %s", zmq_strerror(zmq_errno()));
	}
	return 0;
}

static int publish(void *data, uint32_t room, struct bytes object, struct error *err)
{
	struct line *line = data;
	struct buffer *packed = &line->kept[(line->seq + 1) % KEPT], body = { 0 };
	char name[32];
	int len = snprintf(name, sizeof(name), "sync-bench-%u", room);
	struct bytes rooms[] = { { name, (size_t)len } };
	buffer_add_text(&body, "\"data-change\",");
	buffer_add_bytes(&body, object);
	buffer_clear(packed);
	int result = message_pack(&(struct message){
		.kind = MESSAGE_EVENT, .epoch = line->epoch, .seq = line->seq + 1, .time_ms = clock_wall_ms(),
		.audience = AUDIENCE_ROOMS, .rooms = { rooms, 1 }, .body = buffer_bytes(&body),
	}, packed, err);
	buffer_deinit(&body);
	if (result)
		return -1;
	line->seq++;
	return line->seq - line->flushed < KEPT ? 0 : flush(line, err);
}

static int say(struct line *line, struct bytes to, const struct message *message, struct error *err)
{
	buffer_clear(&line->packed);
	if (message_pack(message, &line->packed, err))
		return -1;
	if (to.len && zmq_send(line->router, to.data, to.len, ZMQ_SNDMORE) < 0)
		return 0; /* that hub has gone */
	zmq_send(to.len ? line->router : line->publisher, line->packed.data, line->packed.len, 0);
	return 0;
}

static int beat(struct line *line, struct error *err)
{
	uint64_t now = clock_monotonic_ms();
	if (now < line->heartbeat_at_ms)
		return 0;
	line->heartbeat_at_ms = now + HEARTBEAT_MS;
	return say(line, (struct bytes){ 0 }, &(struct message){
		.kind = MESSAGE_HEARTBEAT, .epoch = line->epoch, .last_seq = line->seq, .time_ms = clock_wall_ms(), .instance = line->instance,
	}, err);
}

/* --- in -------------------------------------------------------------------- */

static int on_hello(struct line *line, struct bytes from, const struct message *hello, struct error *err)
{
	char place[64];
	int len = snprintf(place, sizeof(place), "%" PRIu64 ".%" PRIu64, line->epoch, line->seq);
	struct bytes places[] = { { place, (size_t)len } };
	uint32_t i = 0;
	while (i < line->hub_count && line->hubs[i].instance != hello->instance)
		i++;
	if (i == line->hub_count && i < sizeof(line->hubs) / sizeof(line->hubs[0]))
		line->hubs[line->hub_count++].instance = hello->instance;
	if (say(line, from, &(struct message){
		.kind = MESSAGE_WELCOME, .epoch = line->epoch, .last_seq = line->seq, .first_seq = line->seq + 1, .time_ms = clock_wall_ms(),
		.instance = line->instance, .endpoint = bytes_of(line->endpoint), .epochs = { places, 1 },
		.start_epoch = line->epoch, .start_seq = line->seq, .key = { (const char *)line->key, sizeof(line->key) },
	}, err))
		return -1;
	return say(line, from, &(struct message){ .kind = MESSAGE_STANDING, .is_last = 1 }, err);
}

static int on_report(struct line *line, struct bytes from, const struct message *report, struct error *err)
{
	(void)from;
	(void)err;
	for (uint32_t i = 0; i < line->hub_count; i++) {
		if (line->hubs[i].instance == report->instance && !line->hubs[i].has_reported) {
			line->hubs[i].has_reported = true;
			line->reporting++;
		}
	}
	return 0;
}

static int on_ask(struct line *line, struct bytes from, const struct message *ask, struct error *err)
{
	uint64_t first = line->seq < KEPT ? 1 : line->seq - KEPT + 1, from_seq = ask->seq > first ? ask->seq : first;
	if (ask->epoch != line->epoch || ask->seq < first) {
		uint64_t left = ask->epoch == line->epoch ? first : 1;
		if (say(line, from, &(struct message){ .kind = MESSAGE_GONE, .epoch = line->epoch, .first_seq = left }, err))
			return -1;
	}
	for (uint64_t seq = from_seq; ask->epoch == line->epoch && seq <= ask->last_seq && seq <= line->seq; seq++) {
		const struct buffer *packed = &line->kept[seq % KEPT];
		if (zmq_send(line->router, from.data, from.len, ZMQ_SNDMORE) < 0)
			return 0;
		zmq_send(line->router, packed->data, packed->len, 0);
	}
	return 0;
}

static int on_message(struct line *line, struct bytes from, struct bytes packed, struct error *err)
{
	static int (*const answers[MESSAGE_KIND_END])(struct line *, struct bytes, const struct message *, struct error *) = {
		[MESSAGE_HELLO] = on_hello, [MESSAGE_REPORT] = on_report, [MESSAGE_ASK] = on_ask,
	};
	struct message message;
	if (message_unpack(packed, &message, err))
		return -1;
	int result = answers[message.kind] ? answers[message.kind](line, from, &message, err) : 0;
	message_deinit(&message);
	return result;
}

static int turn(void *data, struct error *err)
{
	struct line *line = data;
	char routing[ROUTING_MAX];
	int routing_len;
	while ((routing_len = zmq_recv(line->router, routing, sizeof(routing), ZMQ_DONTWAIT)) >= 0) {
		zmq_msg_t part;
		zmq_msg_init(&part);
		int result = 0;
		if (zmq_msg_recv(&part, line->router, ZMQ_DONTWAIT) >= 0)
			result = on_message(line, (struct bytes){ routing, (size_t)routing_len },
			                    (struct bytes){ zmq_msg_data(&part), zmq_msg_size(&part) }, err);
		zmq_msg_close(&part);
		if (result)
			return error_context(err, "a hub's message");
	}
	return beat(line, err);
}

static bool is_ready(const void *data)
{
	const struct line *line = data;
	return line->reporting >= line->wanted;
}

const struct source_kind source_line = { "line", open_line, close_line, publish, flush, turn, is_ready };
