/* line_repair.c - sends hubs again what they missed, a chunk at a time. */
#include "line_parts.h"

#include <inttypes.h>

#include <roomcast/log.h>

#include "journal_record.h"

struct repair {
	struct line *line;
	struct hub *hub;
	enum delivery delivery;
	uint64_t sent;
	struct buffer packed;
};

static void send_repair(void *data, const struct journal_record *record)
{
	static struct log_limit limit;
	struct repair *repair = data;
	struct error err = { 0 };
	uint64_t seq = record->message.seq;
	if (repair->delivery != DELIVERED)
		return;
	buffer_clear(&repair->packed);
	if (journal_record_pack(record, &repair->packed, &err)) {
		log_limited(&limit, "msg=\"event not sent again\" seq=%" PRIu64 " error=\"%s\"", seq, err.text);
		repair->delivery = DELIVERY_FULL;
		return;
	}
	repair->delivery = line_send_packed(repair->line, &repair->hub->routing, buffer_bytes(&repair->packed));
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
	if (line_send(line, &hub->routing, &gone) != DELIVERED)
		return; /* it will ask again */
	hub->ask_next = first;
	line_count(line, LINE_GONE);
	log_warning("msg=\"hub asked for events that are gone\" hub=%s epoch=%" PRIu64 " first=%" PRIu64, hub->name, hub->ask_epoch, first);
}

/* The first that is still there of what the hub asked for; past its end when nothing is. */
static uint64_t first_there(struct line *line, const struct hub *hub)
{
	struct journal_extent extent;
	struct error err = { 0 };
	if (line->reader->operations->extent(line->reader, &extent, &err))
		return hub->ask_next; /* nobody knows: it will ask again */
	if (hub->ask_epoch != extent.first.epoch)
		return hub->ask_epoch == line->published.epoch || (hub->ask_epoch > extent.first.epoch && hub->ask_epoch <= extent.last.epoch)
		    ? hub->ask_next : hub->ask_last + 1;
	return extent.first.seq > hub->ask_next ? extent.first.seq : hub->ask_next;
}

void line_repair_hub(struct line *line, struct hub *hub)
{
	if (hub->ask_next > hub->ask_last)
		return;
	struct error err = { 0 };
	uint64_t first = first_there(line, hub);
	if (hub->ask_next < first)
		tell_gone(line, hub, first);
	struct repair repair = { .line = line, .hub = hub, .delivery = DELIVERED };
	struct place after = { hub->ask_epoch, hub->ask_next - 1 }, last = { hub->ask_epoch, hub->ask_last };
	if (hub->ask_next <= hub->ask_last
	    && line->reader->operations->read(line->reader, after, last, line->settings.chunk, send_repair, &repair, &err) < 0)
		log_warning("msg=\"repair failed\" hub=%s error=\"%s\"", hub->name, err.text);
	buffer_deinit(&repair.packed);
	pthread_mutex_lock(&line->lock);
	line->counters[LINE_REPAIRED] += repair.sent;
	pthread_mutex_unlock(&line->lock);
}
