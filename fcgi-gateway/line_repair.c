/* line_repair.c - hubs are greeted and sent again what they missed, with what the journal's reader found. */
#include "line_parts.h"

#include <inttypes.h>
#include <stdlib.h>

#include <utlist.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>

#include "line_reader.h"

static struct question *new_question(struct line *line, const struct hub *hub, enum question_kind kind)
{
	static struct log_limit limit;
	struct question *question = calloc(1, sizeof(*question));
	if (!question) {
		log_limited(&limit, "msg=\"no memory to read the journal\" hub=%s", hub->name);
		return NULL;
	}
	question->kind = kind;
	question->instance = hub->instance;
	question->published = line_published(line);
	memcpy(question->hub, hub->name, sizeof(question->hub));
	return question;
}

/* --- greeting --- */

static void set_greeted(struct line *line, struct hub *hub, bool is_greeted)
{
	pthread_mutex_lock(&line->lock);
	hub->is_greeted = is_greeted;
	pthread_mutex_unlock(&line->lock);
}

void line_greet_hub(struct line *line, struct hub *hub, const struct message *hello)
{
	struct question *question = hub->is_greeted ? NULL : new_question(line, hub, QUESTION_GREETING);
	if (!question)
		return; /* it will say hello again if need be */
	question->after = (struct place){ hub->epoch, hub->seq };
	question->window_ms = hello->window_ms;
	question->window_events = hello->window_events;
	question->window_bytes = hello->window_bytes;
	set_greeted(line, hub, true);
	line_reader_ask(line->reader, question);
}

/* Epochs as text. What is committed but not published yet is not said of the current one. */
struct epoch_texts {
	char texts[MESSAGE_EPOCHS_MAX][PLACE_TEXT_SIZE];
	struct bytes items[MESSAGE_EPOCHS_MAX];
};

static struct message_list list_epochs(struct place published, const struct question *question, struct epoch_texts *out)
{
	struct message_list list = { out->items, 0 };
	for (long i = 0; i < question->epoch_count; i++) {
		struct place place = question->epochs[i].epoch == published.epoch ? published : question->epochs[i];
		if (place.epoch > published.epoch)
			break; /* another gateway's, already: we shall hear that we are none any more */
		place_format(place, out->texts[i]);
		out->items[list.count++] = bytes_of(out->texts[i]);
	}
	return list;
}

static enum delivery send_welcome(struct line *line, const struct hub *hub, const struct question *question)
{
	struct place published = line_published(line);
	uint64_t instance = line_numbering(line);
	struct epoch_texts *epochs = malloc(sizeof(*epochs));
	if (!epochs)
		return DELIVERY_FULL;
	struct message welcome = {
		.kind = MESSAGE_WELCOME, .epoch = published.epoch, .last_seq = published.seq, .time_ms = clock_wall_ms(),
		.instance = instance, .endpoint = bytes_of(line->endpoint), .epochs = list_epochs(published, question, epochs),
		.start_epoch = question->start.epoch, .start_seq = question->start.seq,
		.key = { (const char *)question->key, question->has_key ? sizeof(question->key) : 0 },
	};
	enum delivery delivery = line_send(line, &hub->routing, &welcome);
	free(epochs);
	return delivery;
}

static void on_greeting(struct line *line, struct hub *hub, struct question *question)
{
	const struct parcel *parcel;
	set_greeted(line, hub, false);
	/* A hub in the present epoch need not know of others, nor what it was told before: it is welcome to whatever else there is. */
	if (question->has_failed && hub->epoch != line_published(line).epoch)
		return;
	if (question->has_failed)
		question_forget(question);
	enum delivery delivery = send_welcome(line, hub, question);
	DL_FOREACH(question->parcels, parcel)
		if (delivery == DELIVERED)
			delivery = line_send_packed(line, &hub->routing, buffer_bytes(&parcel->packed));
	if (delivery == DELIVERY_FULL)
		log_warning("msg=\"hub reads too slowly to be greeted\" hub=%s", hub->name);
}

/* --- repairs --- */

static bool is_wanted(struct line *line, struct hub *hub, unsigned question)
{
	pthread_mutex_lock(&line->lock);
	bool result = repair_is_wanted(&hub->repair, question);
	pthread_mutex_unlock(&line->lock);
	return result;
}

void line_repair_hub(struct line *line, struct hub *hub)
{
	struct place after, last;
	pthread_mutex_lock(&line->lock);
	bool is_due = repair_next(&hub->repair, (struct place){ hub->epoch, hub->seq }, &after, &last);
	pthread_mutex_unlock(&line->lock);
	if (!is_due)
		return;
	struct question *question = new_question(line, hub, QUESTION_MISSING);
	if (!question) {
		(void)is_wanted(line, hub, hub->repair.question);
		return;
	}
	question->number = hub->repair.question;
	question->after = after;
	question->last = last;
	line_reader_ask(line->reader, question);
}

void line_push_repairs(struct line *line, uint64_t now_ms)
{
	for (size_t i = 0; i < line->hubs.count; i++) {
		struct hub *hub = &line->hubs.items[i];
		struct place position = { hub->epoch, hub->seq };
		pthread_mutex_lock(&line->lock);
		repair_hear(&hub->repair, position, position, line->published, now_ms);
		repair_push(&hub->repair, position, line->published, now_ms);
		pthread_mutex_unlock(&line->lock);
		line_repair_hub(line, hub);
	}
}

static enum delivery tell_gone(struct line *line, struct hub *hub, const struct question *question)
{
	struct message gone = { .kind = MESSAGE_GONE, .epoch = question->gone.epoch, .first_seq = question->gone.seq };
	enum delivery delivery = line_send(line, &hub->routing, &gone);
	if (delivery != DELIVERED || !question->is_loss)
		return delivery;
	line_count(line, LINE_GONE);
	log_warning("msg=\"hub asked for events that are gone\" hub=%s after=%" PRIu64 ".%" PRIu64 " first=%" PRIu64 ".%" PRIu64, hub->name,
	            question->after.epoch, question->after.seq, question->gone.epoch, question->gone.seq);
	return delivery;
}

static void on_missing(struct line *line, struct hub *hub, struct question *question)
{
	const struct parcel *parcel;
	struct place end = { 0 };
	uint64_t sent = 0;
	if (!is_wanted(line, hub, question->number) || question->has_failed)
		return;
	enum delivery delivery = question->gone.epoch ? tell_gone(line, hub, question) : DELIVERED;
	DL_FOREACH(question->parcels, parcel) {
		if (delivery == DELIVERED)
			delivery = line_send_packed(line, &hub->routing, buffer_bytes(&parcel->packed));
		if (delivery != DELIVERED)
			break;
		end = parcel->place;
		sent++;
	}
	if (!sent)
		return;
	pthread_mutex_lock(&line->lock);
	repair_sent(&hub->repair, end, clock_monotonic_ms());
	line->counters[LINE_REPAIRED] += sent;
	pthread_mutex_unlock(&line->lock);
}

void line_take_answers(struct line *line)
{
	static void (*const handle[])(struct line *line, struct hub *hub, struct question *question) = {
		[QUESTION_GREETING] = on_greeting, [QUESTION_MISSING] = on_missing,
	};
	struct question *question;
	while ((question = line_reader_answer(line->reader))) {
		struct hub *hub = hubs_find_instance(&line->hubs, question->hub, question->instance);
		if (hub)
			handle[question->kind](line, hub, question);
		if (hub)
			line_repair_hub(line, hub);
		question_free(question);
	}
}
