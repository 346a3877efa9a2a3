/* fanout.c - broadcasts in chunks, in one order for every member. */
#include "fanout.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include <roomcast/log.h>

enum { JOB_EVENTS_MAX = EVENTS_TOGETHER_MAX, PREFETCHED_TOGETHER = 16, PATIENCE_PER_MEMBER_NS = 25, PATIENCE_MAX_NS = 100000 };

/* Broadcasts by size: up to half a chunk, up to so many times that, and so on. */
enum { SIZES = 5, SIZE_STEP = 4 };

/* One broadcast: events for the same rooms, and how far they were given. */
struct job {
	struct job *prev, *next;
	struct event *events[JOB_EVENTS_MAX];
	uint32_t event_count;
	struct frames_together together[FRAMING_COUNT];
	bool is_tried[FRAMING_COUNT]; /* whether they can be put together */
	uint64_t joins;      /* rooms->joins when it was made: whoever joined since is not meant */
	bool is_started;
	uint64_t members;    /* slots of all targets */
	int size;            /* 0 to SIZES - 1 */
	uint32_t room_index; /* where to go on: the room, and the slot in it */
	uint32_t slot;
	uint32_t room_count;
	struct target {
		struct room *room;    /* pinned */
		uint32_t slot_limit;  /* slots from here on joined later */
	} targets[];
};

struct fanout {
	struct rooms *rooms;
	struct fanout_settings settings;
	struct fanout_counters counters;
	struct job *jobs;    /* in the order of their positions */
	size_t waiting[SIZES];
	uint64_t position;
	size_t backlog;      /* bytes */
	bool is_running;
	uv_idle_t idle;      /* runs while something is unfinished */
	void (*on_closed)(void *data);
	void *on_closed_data;
};

static void on_idle(uv_idle_t *idle)
{
	fanout_run(idle->data);
}

struct fanout *fanout_new(uv_loop_t *loop, struct rooms *rooms, const struct fanout_settings *settings, struct error *err)
{
	struct fanout *fanout = calloc(1, sizeof(*fanout));
	if (!fanout) {
		error_set(err, ERROR_SYSTEM, "no memory");
		return NULL;
	}
	fanout->rooms = rooms;
	fanout->settings = *settings;
	uv_idle_init(loop, &fanout->idle);
	fanout->idle.data = fanout;
	return fanout;
}

static void job_free(struct fanout *fanout, struct job *job)
{
	DL_DELETE(fanout->jobs, job);
	fanout->waiting[job->size]--;
	for (uint32_t i = 0; i < job->event_count; i++) {
		fanout->backlog -= job->events[i]->message.body.len;
		event_unref(job->events[i]);
	}
	for (int framing = 0; framing < FRAMING_COUNT; framing++)
		frame_unref(job->together[framing].wire);
	for (uint32_t i = 0; i < job->room_count; i++)
		room_unpin(fanout->rooms, job->targets[i].room);
	free(job);
}

static void on_idle_closed(uv_handle_t *handle)
{
	struct fanout *fanout = handle->data;
	void (*on_closed)(void *) = fanout->on_closed;
	void *data = fanout->on_closed_data;
	free(fanout);
	if (on_closed)
		on_closed(data);
}

void fanout_close(struct fanout *fanout, void (*on_closed)(void *data), void *data)
{
	while (fanout->jobs)
		job_free(fanout, fanout->jobs);
	fanout->on_closed = on_closed;
	fanout->on_closed_data = data;
	uv_close((uv_handle_t *)&fanout->idle, on_idle_closed);
}

/* --- who gets an event ------------------------------------------------------ */

static bool is_in_any(const struct fanout *fanout, const struct member *member, const struct message_list *names)
{
	for (size_t i = 0; i < names->count; i++)
		if (rooms_have(fanout->rooms, member, names->items[i]))
			return true;
	return false;
}

static bool is_excluded(const struct fanout *fanout, const struct event *event, const struct member *member)
{
	const struct message *message = &event->message;
	if (message->exclude_user.len && member->user_id && bytes_equal_text(message->exclude_user, member->user_id))
		return true;
	if (message->exclude_sid.len && bytes_equal_text(message->exclude_sid, member->sid))
		return true;
	return message->except.count && is_in_any(fanout, member, &message->except);
}

/* An earlier event, replaced by one that comes now, need not be given: it may be among those that are given together, or wait for the
 * connection. Returns how many frames are left. */
static size_t withdraw(const struct fanout *fanout, struct member *member, const struct frame *frame, struct frame **frames, size_t count)
{
	if (fanout->settings.is_writable(member))
		return count;
	for (size_t i = 0; i < count; i++) {
		if (frames[i] != frame)
			continue;
		memmove(frames + i, frames + i + 1, (count - i - 1) * sizeof(*frames));
		return count - 1;
	}
	fanout->settings.withdraw(member, frame);
	return count;
}

/* Gives the member those of the events that it was not given and that are for it. */
static void give(struct fanout *fanout, struct member *member, struct event *const *events, size_t count)
{
	struct frame *frames[JOB_EVENTS_MAX];
	size_t frame_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct event *event = events[i];
		if (event->position <= member->position || is_excluded(fanout, event, member))
			continue;
		if (event_is_droppable(event) && !fanout->settings.is_writable(member)) {
			fanout->counters.dropped_volatile++;
			continue;
		}
		struct frame *frame = event_frame(event, member->framing);
		if (event->replaces[member->framing])
			frame_count = withdraw(fanout, member, event->replaces[member->framing], frames, frame_count);
		if (frame)
			frames[frame_count++] = frame;
	}
	if (count && events[count - 1]->position > member->position)
		member->position = events[count - 1]->position;
	if (!frame_count)
		return;
	fanout->counters.deliveries += frame_count;
	fanout->settings.send(member, frames, frame_count);
}

/* Whether the broadcast has the member still before it. */
static bool job_owes(const struct job *job, const struct member *member)
{
	for (uint32_t i = job->room_index; i < job->room_count; i++) {
		int64_t slot = room_slot_of(job->targets[i].room, member);
		if (slot >= 0 && slot < job->targets[i].slot_limit && (i > job->room_index || slot >= job->slot))
			return true;
	}
	return false;
}

/* Everything that broadcasts before `until` (NULL: all) owe the member. */
static void catch_up(struct fanout *fanout, struct member *member, const struct job *until)
{
	for (struct job *job = fanout->jobs; job && job != until; job = job->next)
		if (job->events[job->event_count - 1]->position > member->position && job_owes(job, member))
			give(fanout, member, job->events, job->event_count);
}

void fanout_catch_up(struct fanout *fanout, struct member *member)
{
	catch_up(fanout, member, NULL);
}

void fanout_go_live(const struct fanout *fanout, struct member *member)
{
	member->position = fanout->position;
}

/* --- new events ------------------------------------------------------------- */

/* Clients that an event names by their id are given it at once. May end any client, and with it a room. */
static void give_to_named(struct fanout *fanout, struct event *event)
{
	const struct message_list *names = &event->message.rooms;
	for (size_t i = 0; i < names->count; i++) {
		if (rooms_find(fanout->rooms, names->items[i]))
			continue;
		struct member *member = fanout->settings.find_by_sid(fanout->settings.data, names->items[i]);
		if (member) {
			catch_up(fanout, member, NULL);
			give(fanout, member, &event, 1);
		}
	}
}

/* The rooms of an event that exist here. Returns their number. */
static uint32_t resolve(const struct fanout *fanout, const struct event *event, struct room **rooms)
{
	const struct message *message = &event->message;
	if (message->audience != AUDIENCE_ROOMS) {
		rooms[0] = message->audience == AUDIENCE_EVERYONE ? fanout->rooms->everyone : fanout->rooms->authenticated;
		return 1;
	}
	uint32_t count = 0;
	for (size_t i = 0; i < message->rooms.count; i++) {
		struct room *room = rooms_find(fanout->rooms, message->rooms.items[i]);
		if (room)
			rooms[count++] = room;
	}
	return count;
}

/* Whether the waiting broadcast would go to exactly the same members. */
static bool job_can_take(const struct fanout *fanout, const struct job *job, struct room *const *rooms, uint32_t count)
{
	if (!job || job->is_started || job->event_count == JOB_EVENTS_MAX || job->joins != fanout->rooms->joins ||
	    job->room_count != count)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (job->targets[i].room != rooms[i])
			return false;
	return true;
}

static int size_of(const struct fanout *fanout, uint64_t members)
{
	int size = 0;
	for (uint64_t limit = fanout->settings.chunk / 2; members > limit && size < SIZES - 1; limit *= SIZE_STEP)
		size++;
	return size;
}

static struct job *job_new(struct fanout *fanout, struct room *const *rooms, uint32_t count)
{
	struct job *job = calloc(1, sizeof(*job) + count * sizeof(job->targets[0]));
	if (!job)
		return NULL;
	job->joins = fanout->rooms->joins;
	job->room_count = count;
	for (uint32_t i = 0; i < count; i++) {
		job->targets[i] = (struct target){ rooms[i], rooms[i]->slot_count };
		job->members += rooms[i]->slot_count;
		room_pin(rooms[i]);
	}
	job->size = size_of(fanout, job->members);
	fanout->waiting[job->size]++;
	DL_APPEND(fanout->jobs, job);
	return job;
}

void fanout_publish(struct fanout *fanout, struct event *event)
{
	event->position = ++fanout->position;
	fanout->counters.events++;
	if (event->message.kind == MESSAGE_VOLATILE)
		event->place = fanout->settings.newest(fanout->settings.data);
	struct room *rooms[MESSAGE_LIST_MAX];
	uint32_t count = resolve(fanout, event, rooms);
	if (event->message.audience == AUDIENCE_ROOMS && count < event->message.rooms.count) {
		give_to_named(fanout, event);
		count = resolve(fanout, event, rooms);
	}
	if (!count) {
		event_unref(event);
		return;
	}
	struct job *last = fanout->jobs ? fanout->jobs->prev : NULL;
	struct job *job = job_can_take(fanout, last, rooms, count) ? last : job_new(fanout, rooms, count);
	if (!job) {
		log_error("msg=\"no memory for a broadcast\" seq=%llu", (unsigned long long)event->message.seq);
		event_unref(event);
		return;
	}
	job->events[job->event_count++] = event;
	fanout->backlog += event->message.body.len;
	uv_idle_start(&fanout->idle, on_idle);
}

/* --- the rounds ------------------------------------------------------------- */

/* The frames of a broadcast, for members to whom all of its events go. */
struct batch {
	bool is_for_all; /* nobody is excluded from any of them, and none may be dropped or replaces another */
	size_t counts[FRAMING_COUNT]; /* 0: not yet looked up */
	struct frame *frames[FRAMING_COUNT][JOB_EVENTS_MAX];
};

/* The frames themselves are left as they are. */
static void batch_init(struct batch *batch, const struct job *job)
{
	memset(batch->counts, 0, sizeof(batch->counts));
	batch->is_for_all = true;
	for (uint32_t i = 0; i < job->event_count; i++) {
		const struct event *event = job->events[i];
		const struct message *message = &event->message;
		if (message->exclude_user.len || message->exclude_sid.len || message->except.count || event_is_droppable(event) || event_replaces(event))
			batch->is_for_all = false;
	}
}

static void look_up_frames(const struct job *job, struct batch *batch, enum event_framing framing)
{
	for (uint32_t i = 0; i < job->event_count; i++) {
		struct frame *frame = event_frame(job->events[i], framing);
		if (frame)
			batch->frames[framing][batch->counts[framing]++] = frame;
	}
}

static bool send_together(struct fanout *fanout, struct member *member, struct job *job)
{
	struct frames_together *together = &job->together[member->framing];
	if (job->event_count < 2 || !fanout->settings.send_together)
		return false;
	if (!job->is_tried[member->framing]) {
		job->is_tried[member->framing] = true;
		event_frames_together(job->events, job->event_count, member->framing, together);
	}
	return together->wire && fanout->settings.send_together(member, together);
}

/* give() for a whole broadcast; the usual member needs no look at each event. */
static void give_batch(struct fanout *fanout, struct member *member, struct job *job, struct batch *batch)
{
	if (!batch->is_for_all || member->position >= job->events[0]->position) {
		give(fanout, member, job->events, job->event_count);
		return;
	}
	member->position = job->events[job->event_count - 1]->position;
	if (send_together(fanout, member, job)) {
		fanout->counters.deliveries += job->event_count;
		return;
	}
	if (!batch->counts[member->framing])
		look_up_frames(job, batch, member->framing);
	fanout->counters.deliveries += batch->counts[member->framing];
	fanout->settings.send(member, batch->frames[member->framing], batch->counts[member->framing]);
}

static void prefetch(const struct fanout *fanout, const struct target *target, uint32_t slot)
{
	uint32_t left = target->slot_limit - slot;
	if (fanout->settings.prefetch)
		fanout->settings.prefetch(target->room->slots + slot, left < PREFETCHED_TOGETHER ? left : PREFETCHED_TOGETHER);
}

/* Goes on with a broadcast for at most *budget slots. Returns whether it is finished. */
static bool job_serve(struct fanout *fanout, struct job *job, uint32_t *budget)
{
	struct batch batch;
	batch_init(&batch, job);
	job->is_started = true;
	for (; job->room_index < job->room_count; job->room_index++, job->slot = 0) {
		const struct target *target = &job->targets[job->room_index];
		while (job->slot < target->slot_limit) {
			if (!*budget)
				return false;
			--*budget;
			if (job->slot % PREFETCHED_TOGETHER == 0)
				prefetch(fanout, target, job->slot);
			struct member *member = target->room->slots[job->slot++].member;
			if (!member)
				continue;
			if (job != fanout->jobs)
				catch_up(fanout, member, job);
			give_batch(fanout, member, job, &batch);
		}
	}
	return true;
}

static void serve(struct fanout *fanout, int size, uint32_t budget)
{
	struct job *job, *next;
	DL_FOREACH_SAFE(fanout->jobs, job, next) {
		if (!budget || !fanout->waiting[size])
			break;
		if (job->size == size && job_serve(fanout, job, &budget))
			job_free(fanout, job);
	}
}

/* One round: a chunk, of which each size of broadcast has the same share, the smaller ones first. So a room waits for no larger one, and takes
 * a few times longer than alone at most. */
void fanout_run(struct fanout *fanout)
{
	if (fanout->is_running)
		return;
	fanout->is_running = true;
	uint32_t sizes = 0;
	for (int size = 0; size < SIZES; size++)
		sizes += fanout->waiting[size] > 0;
	for (int size = 0; size < SIZES; size++)
		serve(fanout, size, fanout->settings.chunk / (sizes ? sizes : 1));
	if (!fanout->jobs)
		uv_idle_stop(&fanout->idle);
	fanout->is_running = false;
}

bool fanout_is_full(const struct fanout *fanout)
{
	return fanout->backlog > fanout->settings.backlog_max;
}

uint64_t fanout_patience_ns(const struct fanout *fanout)
{
	const struct job *last = fanout->jobs ? fanout->jobs->prev : NULL;
	if (!last || last->is_started || last->event_count == JOB_EVENTS_MAX)
		return 0;
	uint64_t patience = last->members * PATIENCE_PER_MEMBER_NS;
	return patience < PATIENCE_MAX_NS ? patience : PATIENCE_MAX_NS;
}

uint64_t fanout_position(const struct fanout *fanout)
{
	return fanout->position;
}

const struct fanout_counters *fanout_counters(const struct fanout *fanout)
{
	return &fanout->counters;
}
