/* line_forward.c - requests that front ends send: a bounded queue, a few threads, answers by routing id. */
#include "line_parts.h"

#include <stdlib.h>

#include <utlist.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>

#include "forward_message.h"

enum { QUEUE_MAX = 1024, QUEUE_BYTES = 64 << 20, THREADS_MAX = 64 };

/* A request that waits, then its answer. */
struct forwarded {
	struct forwarded *prev, *next;
	struct routing_id from;
	uint64_t deadline_ms; /* wall clock */
	struct buffer packed;
};

struct line_forwards {
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t work;
	struct forwarded *requests, *answers; /* utlists */
	size_t count, bytes;                  /* of requests */
	bool is_serving;
	void (*handle)(void *data, const struct request *request, struct response *response);
	void *data;
	pthread_t threads[THREADS_MAX];
	size_t thread_count;
};

static void forwarded_free(struct forwarded *forwarded)
{
	buffer_deinit(&forwarded->packed);
	free(forwarded);
}

struct line_forwards *line_forwards_new(void)
{
	struct line_forwards *forwards = calloc(1, sizeof(*forwards));
	if (!forwards)
		return NULL;
	pthread_mutex_init(&forwards->lock, NULL);
	pthread_cond_init(&forwards->work, NULL);
	return forwards;
}

static void free_all(struct forwarded **list)
{
	struct forwarded *forwarded, *next;
	DL_FOREACH_SAFE(*list, forwarded, next)
		forwarded_free(forwarded);
	*list = NULL;
}

void line_forwards_free(struct line_forwards *forwards)
{
	if (!forwards)
		return;
	free_all(&forwards->requests);
	free_all(&forwards->answers);
	pthread_cond_destroy(&forwards->work);
	pthread_mutex_destroy(&forwards->lock);
	free(forwards);
}

/* --- the line thread --- */

static void turn_away(struct line *line, const struct routing_id *from, uint64_t counter, const char *reason)
{
	struct buffer packed = { 0 };
	struct error err = { 0 };
	if (forward_pack_unhandled(reason, counter, &packed, &err) == 0)
		(void)line_send_packed(line, from, buffer_bytes(&packed));
	buffer_deinit(&packed);
}

static void refuse_overload(struct line *line, const struct routing_id *from, uint64_t counter)
{
	struct response response = { 0 };
	struct buffer packed = { 0 };
	struct error err = { 0 };
	response_refuse(&response, REFUSAL_OVERLOADED, "%d requests of front ends wait already", QUEUE_MAX);
	response.retry_after_s = 1;
	if (forward_pack_response(&response, counter, &packed, &err) == 0)
		(void)line_send_packed(line, from, buffer_bytes(&packed));
	buffer_deinit(&packed);
	response_deinit(&response);
}

static bool keep(struct line_forwards *forwards, const struct routing_id *from, struct bytes packed)
{
	struct forwarded *forwarded = calloc(1, sizeof(*forwarded));
	if (!forwarded)
		return false;
	forwarded->from = *from;
	buffer_add_bytes(&forwarded->packed, packed);
	pthread_mutex_lock(&forwards->lock);
	bool has_place = !forwarded->packed.has_failed && forwards->count < QUEUE_MAX && forwards->bytes + packed.len <= QUEUE_BYTES;
	if (has_place) {
		DL_APPEND(forwards->requests, forwarded);
		forwards->count++;
		forwards->bytes += packed.len;
		pthread_cond_signal(&forwards->work);
	}
	pthread_mutex_unlock(&forwards->lock);
	if (!has_place)
		forwarded_free(forwarded);
	return has_place;
}

void line_take_forward(struct line *line, const struct routing_id *from, const struct message *message, struct bytes packed)
{
	pthread_mutex_lock(&line->forwards->lock);
	bool is_serving = line->forwards->is_serving;
	pthread_mutex_unlock(&line->forwards->lock);
	if (!is_serving || !line_is_active(line)) {
		turn_away(line, from, message->counter, "this gateway is a standby");
		return;
	}
	if (keep(line->forwards, from, packed))
		return;
	line_count(line, LINE_FORWARDS_TURNED_AWAY);
	refuse_overload(line, from, message->counter);
}

/* A front end that is gone has told its 504; one that reads slowly is waited for until it has. */
bool line_send_answers(struct line *line)
{
	struct line_forwards *forwards = line->forwards;
	pthread_mutex_lock(&forwards->lock);
	struct forwarded *answers = forwards->answers, *kept = NULL, *answer, *next;
	forwards->answers = NULL;
	pthread_mutex_unlock(&forwards->lock);
	DL_FOREACH_SAFE(answers, answer, next) {
		if (line_send_packed(line, &answer->from, buffer_bytes(&answer->packed)) == DELIVERY_FULL && clock_wall_ms() < answer->deadline_ms)
			DL_APPEND(kept, answer);
		else
			forwarded_free(answer);
	}
	if (!kept)
		return true;
	pthread_mutex_lock(&forwards->lock);
	DL_CONCAT(forwards->answers, kept);
	pthread_mutex_unlock(&forwards->lock);
	return false;
}

/* --- the threads --- */

/* Makes the request its answer; -1 when nobody waits for one. */
static int serve(struct line *line, struct forwarded *forwarded)
{
	static _Thread_local struct log_limit limit;
	struct message message;
	struct request request;
	struct response response = { 0 };
	struct buffer packed = { 0 };
	struct error err = { 0 };
	if (message_unpack(buffer_bytes(&forwarded->packed), &message, &err))
		return -1;
	bool is_late = clock_wall_ms() > message.deadline_ms;
	line_count(line, is_late ? LINE_FORWARDS_LATE : LINE_FORWARDED);
	int result = -1;
	if (is_late) {
		log_limited(&limit, "msg=\"a forwarded request came past its deadline\" late_ms=%lld",
		            (long long)(clock_wall_ms() - message.deadline_ms));
	} else {
		forwarded->deadline_ms = message.deadline_ms;
		forward_read_request(&message, &request);
		line->forwards->handle(line->forwards->data, &request, &response);
		result = forward_pack_response(&response, message.counter, &packed, &err);
		if (result)
			log_limited(&limit, "msg=\"answer not sent\" error=\"%s\"", err.text);
	}
	message_deinit(&message);
	buffer_deinit(&forwarded->packed);
	forwarded->packed = packed;
	response_deinit(&response);
	return result;
}

/* The next request; NULL at the end. */
static struct forwarded *take(struct line_forwards *forwards)
{
	pthread_mutex_lock(&forwards->lock);
	while (!forwards->requests && forwards->is_serving)
		pthread_cond_wait(&forwards->work, &forwards->lock);
	struct forwarded *forwarded = forwards->is_serving ? forwards->requests : NULL;
	if (forwarded) {
		DL_DELETE(forwards->requests, forwarded);
		forwards->count--;
		forwards->bytes -= forwarded->packed.len;
	}
	pthread_mutex_unlock(&forwards->lock);
	return forwarded;
}

static void *run(void *data)
{
	struct line *line = data;
	struct line_forwards *forwards = line->forwards;
	struct forwarded *forwarded;
	while ((forwarded = take(forwards))) {
		if (serve(line, forwarded)) {
			forwarded_free(forwarded);
			continue;
		}
		pthread_mutex_lock(&forwards->lock);
		DL_APPEND(forwards->answers, forwarded);
		pthread_mutex_unlock(&forwards->lock);
		line_wake(line);
	}
	return NULL;
}

int line_serve(struct line *line, size_t threads, void (*handle)(void *data, const struct request *request, struct response *response),
               void *data, struct error *err)
{
	struct line_forwards *forwards = line->forwards;
	pthread_mutex_lock(&forwards->lock);
	forwards->handle = handle;
	forwards->data = data;
	forwards->is_serving = true;
	pthread_mutex_unlock(&forwards->lock);
	for (size_t i = 0; i < threads && i < THREADS_MAX; i++) {
		int failure = pthread_create(&forwards->threads[i], NULL, run, line);
		if (failure) {
			line_stop_serving(line);
			return error_set(err, ERROR_SYSTEM, "thread for front ends: %s", strerror(failure));
		}
		forwards->thread_count++;
	}
	return 0;
}

void line_stop_serving(struct line *line)
{
	struct line_forwards *forwards = line->forwards;
	pthread_mutex_lock(&forwards->lock);
	forwards->is_serving = false;
	pthread_cond_broadcast(&forwards->work);
	pthread_mutex_unlock(&forwards->lock);
	for (size_t i = 0; i < forwards->thread_count; i++)
		pthread_join(forwards->threads[i], NULL);
	forwards->thread_count = 0;
}
