/* line_queue.c - from other threads to PUB. */
#include "line_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include <utlist.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>

#include "journal_record.h"

/* To be sent on PUB. */
struct outgoing {
	struct outgoing *prev, *next;
	struct place place; /* zero: volatile */
	zmq_msg_t message;
};

void line_wake(struct line *line)
{
	uint64_t one = 1;
	if (write(line->wake_fd, &one, sizeof(one)) < 0)
		return; /* already awake as can be */
}

static struct outgoing *outgoing_new(struct place place, struct bytes packed)
{
	struct outgoing *outgoing = malloc(sizeof(*outgoing));
	if (!outgoing || zmq_msg_init_size(&outgoing->message, packed.len)) {
		free(outgoing);
		return NULL;
	}
	outgoing->place = place;
	memcpy(zmq_msg_data(&outgoing->message), packed.data, packed.len);
	return outgoing;
}

/* Called with the lock held. */
static void enqueue(struct line *line, struct outgoing *outgoing)
{
	while (line->queue && line->queue_bytes >= line->settings.queue_bytes && !line->is_stopping) {
		line_wake(line);
		pthread_cond_wait(&line->drained, &line->lock);
	}
	DL_APPEND(line->queue, outgoing);
	line->queue_bytes += zmq_msg_size(&outgoing->message);
}

void line_flush(struct line *line)
{
	pthread_mutex_lock(&line->lock);
	bool has_work = line->queue;
	pthread_mutex_unlock(&line->lock);
	if (has_work)
		line_wake(line);
}

void line_publish(struct line *line, uint64_t epoch, uint64_t seq, struct bytes packed)
{
	static struct log_limit limit;
	struct outgoing *outgoing = outgoing_new((struct place){ epoch, seq }, packed);
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
	struct journal_record record;
	int result = -1;
	publication_stamp(publication, clock_wall_ms());
	publication_record(publication, (struct place){ 0 }, &record);
	if (journal_record_pack(&record, &packed, err))
		goto out;
	struct outgoing *outgoing = outgoing_new((struct place){ 0 }, buffer_bytes(&packed));
	if (!outgoing) {
		error_set(err, ERROR_UNAVAILABLE, "no memory");
		goto out;
	}
	pthread_mutex_lock(&line->lock);
	line->counters[LINE_VOLATILE]++;
	enqueue(line, outgoing);
	pthread_mutex_unlock(&line->lock);
	line_wake(line);
	result = 0;
out:
	buffer_deinit(&packed);
	return result;
}

bool line_send_volatile(struct line *line, zmq_msg_t *message)
{
	uint64_t second = clock_monotonic_ms() / 1000;
	size_t size = zmq_msg_size(message);
	if (second != line->large_second)
		line->large_bytes = 0;
	line->large_second = second;
	bool has_room = size <= LINE_PUB_MAX || line->large_bytes + size <= LINE_VOLATILE_LARGE_MAX;
	if (has_room && size > LINE_PUB_MAX)
		line->large_bytes += size;
	if (!has_room)
		line_count(line, LINE_VOLATILE_DROPPED);
	if (!has_room || zmq_msg_send(message, line->publisher, ZMQ_DONTWAIT) < 0)
		zmq_msg_close(message);
	return has_room;
}

/* Takes the message. */
static void send_event(struct line *line, zmq_msg_t *message)
{
	if (zmq_msg_size(message) > LINE_PUB_MAX) {
		line_count(line, LINE_LARGE);
		line->heartbeat_at_ms = 0; /* by which the hubs hear of it */
	} else if (zmq_msg_send(message, line->publisher, ZMQ_DONTWAIT) >= 0) {
		return;
	}
	zmq_msg_close(message);
}

void line_send_queue(struct line *line)
{
	pthread_mutex_lock(&line->lock);
	struct outgoing *queue = line->queue, *outgoing, *next;
	line->queue = NULL;
	line->queue_bytes = 0;
	pthread_cond_broadcast(&line->drained);
	pthread_mutex_unlock(&line->lock);
	struct place last = { 0 };
	uint64_t events = 0;
	DL_FOREACH_SAFE(queue, outgoing, next) {
		if (outgoing->place.seq) {
			send_event(line, &outgoing->message);
			last = outgoing->place;
			events++;
		} else {
			(void)line_send_volatile(line, &outgoing->message);
		}
		free(outgoing);
	}
	if (!events)
		return;
	pthread_mutex_lock(&line->lock);
	line->published = place_larger(line->published, last);
	line->counters[LINE_PUBLISHED] += events;
	pthread_mutex_unlock(&line->lock);
}
