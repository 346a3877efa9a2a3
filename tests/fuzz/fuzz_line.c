/* fuzz_line.c - a gateway that says anything to a hub: nothing comes out of order or twice, and every bound holds.
 *
 * Input: messages, each with one byte before it (bit 0: on the line, else with the events) and two of its length. */
#include <stdint.h>
#include <stdlib.h>

#include "standing.h"
#include "subscriber_inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HELD_MAX = 20000, ENTRIES_MAX = 50, BYTES_MAX = 20000 };

static uv_loop_t loop;
static struct subscriber *subscriber; /* its loop never runs: it hears what we say, and speaks to nobody */
static struct standing *standing;
static struct place last;             /* delivered */

static void must(bool condition)
{
	if (!condition)
		abort();
}

static void on_event(void *data, struct event *event, bool is_history)
{
	(void)data;
	must(!is_history || event->message.kind != MESSAGE_VOLATILE);
	if (event->message.kind != MESSAGE_VOLATILE) {
		must(place_compare(last, event->place) < 0);
		last = event->place;
	}
	if (event->message.kind == MESSAGE_CONTROL)
		standing_apply(standing, &event->message);
	event_unref(event);
}

static bool on_standing(void *data, const struct message *message)
{
	(void)data;
	return standing_load(standing, message) == STANDING_LOADED;
}

/* Only then may the order begin anew. */
static void on_loss(void *data)
{
	(void)data;
	if (place_compare(subscriber->sequence.position, last) < 0)
		last = (struct place){ 0 };
}

static void on_round(void *data)
{
	(void)data;
}

static bool is_full(void *data)
{
	(void)data;
	return false;
}

static uint64_t none(void *data)
{
	(void)data;
	return 0;
}

static void open_once(void)
{
	struct error err;
	if (subscriber)
		return;
	log_open("fuzz_line", LOG_LEVEL_ERROR);
	uv_loop_init(&loop);
	subscriber = subscriber_new(&loop, &(struct subscriber_settings){
		.hub_name = "fuzz", .line = "ipc://fuzz-nobody-a.sock,ipc://fuzz-nobody-b.sock", .window_events = 1, .on_event = on_event,
		.on_standing = on_standing, .on_loss = on_loss, .on_round = on_round, .is_full = is_full, .clients = none, .rooms = none,
	}, &err);
	must(subscriber != NULL);
}

static void begin(void)
{
	sequence_deinit(&subscriber->sequence);
	sequence_init(&subscriber->sequence, HELD_MAX);
	standing_free(standing);
	standing = standing_new(ENTRIES_MAX, BYTES_MAX);
	must(standing != NULL);
	last = subscriber->window_end = subscriber->told_end = subscriber->report_place = subscriber->confirm_place = (struct place){ 0 };
	subscriber->state = STATE_SEEKING;
	subscriber->gateway_instance = subscriber->asked_to = subscriber->served_wall_ms = 0;
	subscriber->has_history = subscriber->is_ready = subscriber->is_standing_due = false;
}

static void check(void)
{
	const struct sequence *sequence = &subscriber->sequence;
	struct standing_figures figures;
	struct place from;
	uint64_t to;
	must(sequence->held_bytes <= HELD_MAX && sequence->epoch_count <= MESSAGE_EPOCHS_MAX);
	must(place_compare(sequence->complete_since, sequence->position) <= 0);
	must(sequence->ready == NULL);
	if (sequence_missing(sequence, &from, &to))
		must(from.seq <= to && to - from.seq < SEQUENCE_ASK_MAX && sequence_lag(sequence) > 0);
	standing_figures(standing, &figures);
	must(figures.grants + figures.blocks <= ENTRIES_MAX && figures.bytes <= BYTES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	open_once();
	begin();
	while (size >= 3) {
		size_t len = (size_t)data[1] << 8 | data[2];
		struct error err = { 0 };
		if (len > size - 3)
			len = size - 3;
		int result = subscriber_hear(subscriber, (struct bytes){ (const char *)data + 3, len }, data[0] & 1, &err);
		must(result == 0 || err.text[0]);
		subscriber_repair(subscriber, data[0]);
		check();
		data += 3 + len;
		size -= 3 + len;
	}
	return 0;
}
