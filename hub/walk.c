/* walk.c - gives members from the history what they missed. */
#include "walk.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include <utlist.h>

#include <roomcast/log.h>

#include "deadline.h"
#include "left_room.h"

enum { BATCH_EVENTS = 64, BATCHES_PER_TURN = 16 /* then other work of the loop gets its turn */ };

enum walk_state {
	WALK_WAITING, /* for joins */
	WALK_AHEAD,   /* for this hub to get as far */
	WALK_READY,   /* for its turn */
	WALK_BLOCKED, /* for the connection to take what it was given */
	WALK_OVER,
};

#define TO(state) (1u << (state))
static const struct { const char *name; unsigned next; } walk_states[] = {
	[WALK_WAITING] = { "waiting", TO(WALK_READY) | TO(WALK_OVER) },
	[WALK_AHEAD] = { "ahead", TO(WALK_READY) | TO(WALK_OVER) },
	[WALK_READY] = { "ready", TO(WALK_READY) | TO(WALK_AHEAD) | TO(WALK_BLOCKED) | TO(WALK_OVER) },
	[WALK_BLOCKED] = { "blocked", TO(WALK_READY) | TO(WALK_OVER) },
	[WALK_OVER] = { "over", 0 },
};

struct walk {
	struct walk *prev, *next;  /* in the list of its state */
	struct walks *walks;
	struct member *member;
	struct place cursor;
	struct deadline deadline;  /* WAITING and AHEAD */
	enum walk_state state;
	bool has_rooms, has_joined, has_asked;
	struct limit {             /* of rooms that were joined meanwhile */
		const struct room *room;
		struct place since;
	} *limits;
	uint32_t limit_count;
};

struct walks {
	struct walks_settings settings;
	struct walks_figures figures;
	struct walk *ready, *ahead;
	struct deadlines wait, joined_wait, ahead_wait;
	uv_idle_t idle;            /* runs while a walk is ready */
	unsigned open_parts;
	void (*on_closed)(void *data);
	void *on_closed_data;
};

static struct walk **list_of(struct walk *walk)
{
	return walk->state == WALK_READY ? &walk->walks->ready : walk->state == WALK_AHEAD ? &walk->walks->ahead : NULL;
}

static void on_idle(uv_idle_t *idle);

static void set_state(struct walk *walk, enum walk_state state)
{
	assert(walk_states[walk->state].next & TO(state));
	log_debug("msg=walk from=%s to=%s sid=%s", walk_states[walk->state].name, walk_states[state].name, walk->member->sid);
	struct walk **list = list_of(walk);
	if (list)
		DL_DELETE(*list, walk);
	deadline_cancel(&walk->deadline);
	walk->state = state;
	list = list_of(walk);
	if (list)
		DL_APPEND(*list, walk);
	if (state == WALK_READY)
		uv_idle_start(&walk->walks->idle, on_idle);
	else if (state == WALK_AHEAD)
		deadlines_set(&walk->walks->ahead_wait, &walk->deadline);
}

static void leave(struct walk *walk)
{
	set_state(walk, WALK_OVER);
	walk->member->walk = NULL;
	walk->walks->figures.walking--;
	free(walk->limits);
	free(walk);
}

static void go_live(struct walk *walk)
{
	struct walks *walks = walk->walks;
	struct member *member = walk->member;
	leave(walk);
	walks->figures.finished++;
	fanout_go_live(walks->settings.fanout, member);
}

/* --- what is for the member ---------------------------------------------------- */

static void read_missed(const struct walk *walk)
{
	struct history *history = walk->walks->settings.history;
	const struct member *member = walk->member;
	history_read(history, walk->cursor);
	history_read_everyone(history);
	if (member_is_authenticated(member))
		history_read_authenticated(history);
	for (uint32_t i = 0; i < member->memberships.count; i++) {
		const struct room *room = member->memberships.items[i].room;
		if (room->is_named)
			history_read_room(history, (struct bytes){ room->name, room->name_len }, walk_since(walk, room));
	}
	for (const struct left_room *left = member->left; left; left = left->next)
		history_read_room_until(history, (struct bytes){ left->name, left->name_len }, left->since, left->until);
	history_read_room(history, bytes_of(member->sid), (struct place){ 0 });
}

static bool is_for(const struct walk *walk, struct history_item *item)
{
	const struct member *member = walk->member;
	bool is_judged = true, is_excluded = item->exclude_user.len && member->user_id && bytes_equal_text(item->exclude_user, member->user_id);
	while (item->except_count && !is_excluded) {
		struct bytes name = history_next_except(item);
		is_excluded = rooms_have(walk->walks->settings.rooms, member, name) || left_rooms_have(member->left, name, item->place);
		is_judged = is_judged && (walk->has_rooms || history_is_user_room(name));
	}
	if (!is_excluded && !is_judged)
		walk->walks->figures.withheld++;
	return !is_excluded && is_judged;
}

/* --- one batch ------------------------------------------------------------------ */

struct batch {
	struct frame *frames[BATCH_EVENTS];
	size_t count, bytes;
	bool is_last; /* nothing is behind it */
};

/* Reads on until the batch is full. A frame past the bound goes alone. */
static void fill(struct walk *walk, struct batch *batch)
{
	struct walks *walks = walk->walks;
	struct history_item item;
	read_missed(walk);
	while (batch->count < BATCH_EVENTS) {
		if (!history_next(walks->settings.history, &item)) {
			batch->is_last = !history_read_has_failed(walks->settings.history);
			return;
		}
		struct frame *frame = item.frame;
		bool is_given = item.is_replaced ? walks->figures.replaced++, false : is_for(walk, &item);
		if (is_given && batch->count && batch->bytes + frame_wire_len(frame) > walks->settings.batch_bytes)
			return;
		walk->cursor = item.place;
		if (!is_given)
			continue;
		batch->frames[batch->count++] = frame;
		batch->bytes += frame_wire_len(frame);
	}
}

static void arrive(struct walk *walk)
{
	struct place newest = walk->walks->settings.newest(walk->walks->settings.data);
	if (place_compare(walk->cursor, newest) > 0)
		set_state(walk, WALK_AHEAD);
	else
		go_live(walk);
}

static void serve(struct walk *walk)
{
	struct walks *walks = walk->walks;
	struct member *member = walk->member;
	struct batch batch;
	batch.count = batch.bytes = 0;
	batch.is_last = false;
	if (place_compare(walk->cursor, walks->settings.reach(walks->settings.data)) < 0) {
		walks->figures.outrun++;
		walks->settings.close(member);
		return;
	}
	fill(walk, &batch);
	walks->figures.given += batch.count;
	if (batch.count)
		walks->settings.send(member, batch.frames, batch.count);
	if (member->walk != walk) /* sending ended it */
		return;
	if (batch.is_last) {
		arrive(walk);
	} else if (walks->settings.is_queued(member)) {
		set_state(walk, WALK_BLOCKED);
		walks->settings.await_drained(member);
	} else {
		set_state(walk, WALK_READY); /* behind the others */
	}
}

static void on_idle(uv_idle_t *idle)
{
	struct walks *walks = idle->data;
	for (unsigned i = 0; i < BATCHES_PER_TURN && walks->ready; i++)
		serve(walks->ready);
	if (!walks->ready)
		uv_idle_stop(idle);
}

/* --- what happens to a walk ------------------------------------------------------ */

int walk_start(struct walks *walks, struct member *member, struct place after, bool has_rooms, struct error *err)
{
	assert(!member->walk);
	struct walk *walk = calloc(1, sizeof(*walk));
	if (!walk)
		return error_set(err, ERROR_SYSTEM, "no memory for a walk");
	*walk = (struct walk){ .walks = walks, .member = member, .cursor = after, .state = WALK_WAITING, .has_rooms = has_rooms };
	member->walk = walk;
	member->position = POSITION_BEHIND;
	walks->figures.walking++;
	walks->figures.started++;
	if (has_rooms)
		set_state(walk, WALK_READY);
	else
		deadlines_set(&walks->wait, &walk->deadline);
	return 0;
}

void walk_on_join(struct member *member)
{
	struct walk *walk = member->walk;
	if (!walk || walk->state != WALK_WAITING || walk->has_joined)
		return;
	walk->has_joined = true;
	walk->has_asked = false;
	deadlines_set(&walk->walks->joined_wait, &walk->deadline);
}

void walk_on_drained(struct member *member)
{
	if (member->walk && member->walk->state == WALK_BLOCKED)
		set_state(member->walk, WALK_READY);
}

void walk_on_echo(struct member *member)
{
	if (member->walk && member->walk->state == WALK_WAITING && member->walk->has_asked)
		set_state(member->walk, WALK_READY);
}

void walk_end(struct member *member)
{
	if (member->walk)
		leave(member->walk);
}

static struct limit *find_limit(const struct walk *walk, const struct room *room)
{
	for (uint32_t i = 0; i < walk->limit_count; i++)
		if (walk->limits[i].room == room)
			return &walk->limits[i];
	return NULL;
}

void walk_limit(struct member *member, const struct room *room, struct place since)
{
	struct walk *walk = member->walk;
	if (!walk)
		return;
	struct limit *limit = find_limit(walk, room);
	if (!limit) {
		struct limit *limits = realloc(walk->limits, (walk->limit_count + 1) * sizeof(*limits));
		if (!limits)
			return;
		walk->limits = limits;
		limit = &limits[walk->limit_count++];
	}
	*limit = (struct limit){ room, since };
}

void walk_unlimit(struct member *member, const struct room *room)
{
	struct limit *limit = member->walk ? find_limit(member->walk, room) : NULL;
	if (limit)
		*limit = member->walk->limits[--member->walk->limit_count];
}

struct place walk_since(const struct walk *walk, const struct room *room)
{
	const struct limit *limit = find_limit(walk, room);
	return limit ? limit->since : (struct place){ 0 };
}

bool walk_is_waiting(const struct walk *walk)
{
	return walk->state == WALK_WAITING;
}

struct place walk_place(const struct walk *walk)
{
	return walk->cursor;
}

void walks_on_news(struct walks *walks)
{
	struct walk *walk, *next;
	if (!walks->ahead)
		return;
	struct place newest = walks->settings.newest(walks->settings.data);
	DL_FOREACH_SAFE(walks->ahead, walk, next)
		if (place_compare(walk->cursor, newest) <= 0)
			set_state(walk, WALK_READY);
}

static struct walk *walk_of(struct deadline *deadline)
{
	return (struct walk *)(void *)((char *)deadline - offsetof(struct walk, deadline));
}

static void on_wait_due(struct deadline *deadline, void *data)
{
	struct walks *walks = data;
	struct walk *walk = walk_of(deadline);
	walk->has_asked = true;
	walks->settings.ask_echo(walk->member); /* may end it */
}

/* What the client claims to have may never come: an offset of a log that is no more. */
static void on_ahead_due(struct deadline *deadline, void *data)
{
	struct walks *walks = data;
	if (walks->settings.may_come(walks->settings.data)) {
		deadlines_set(&walks->ahead_wait, deadline);
		return;
	}
	walks->figures.never_reached++;
	go_live(walk_of(deadline));
}

/* --- all of them ------------------------------------------------------------------ */

static void on_part_closed(void *data)
{
	struct walks *walks = data;
	if (--walks->open_parts)
		return;
	if (walks->on_closed)
		walks->on_closed(walks->on_closed_data);
	free(walks);
}

static void on_idle_closed(uv_handle_t *handle)
{
	on_part_closed(handle->data);
}

struct walks *walks_new(uv_loop_t *loop, const struct walks_settings *settings, struct error *err)
{
	struct walks *walks = calloc(1, sizeof(*walks));
	if (!walks) {
		error_set(err, ERROR_SYSTEM, "no memory");
		return NULL;
	}
	walks->settings = *settings;
	const struct {
		struct deadlines *deadlines;
		uint64_t delay_ms;
		void (*on_due)(struct deadline *deadline, void *data);
	} times[] = {
		{ &walks->wait, settings->wait_ms, on_wait_due },
		{ &walks->joined_wait, settings->joined_wait_ms, on_wait_due },
		{ &walks->ahead_wait, settings->ahead_wait_ms, on_ahead_due },
	};
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (deadlines_init(times[i].deadlines, loop, times[i].delay_ms, times[i].on_due, walks, err))
			abort(); /* cannot fail with a loop that exists */
	uv_idle_init(loop, &walks->idle);
	walks->idle.data = walks;
	walks->open_parts = 4;
	return walks;
}

void walks_close(struct walks *walks, void (*on_closed)(void *data), void *data)
{
	assert(!walks->figures.walking);
	walks->on_closed = on_closed;
	walks->on_closed_data = data;
	deadlines_close(&walks->wait, on_part_closed, walks);
	deadlines_close(&walks->joined_wait, on_part_closed, walks);
	deadlines_close(&walks->ahead_wait, on_part_closed, walks);
	uv_close((uv_handle_t *)&walks->idle, on_idle_closed);
}

const struct walks_figures *walks_figures(const struct walks *walks)
{
	return &walks->figures;
}
