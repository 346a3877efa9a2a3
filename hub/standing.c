/* standing.c - grants and blocks by user. */
#include "standing.h"

#include <stdlib.h>

#include <uthash.h>

#include <roomcast/log.h>

enum { MEANWHILE_BYTES_MAX = 4 << 20 }; /* control events that come while a load is under way */

struct room_name {
	size_t len;
	char text[];
};

struct user {
	uint64_t blocked_until; /* wall clock ms; 0: no */
	struct room_name **rooms;
	size_t room_count, room_capacity;
	UT_hash_handle hh;
	size_t name_len;
	char name[];
};

struct table {
	struct user *users;
	uint64_t grants, blocks;
	size_t bytes;
};

struct standing {
	size_t entries_max, bytes_max;
	struct table current, coming, withdrawn;
	struct buffer meanwhile; /* control events since the load began: length, then the packed message */
	uint64_t next_index;     /* of a STANDING; 0: none is under way */
	uint64_t loads, left_out;
	struct log_limit limit;
};

/* --- one table -------------------------------------------------------------- */

static struct user *find_user(const struct table *table, struct bytes name)
{
	struct user *user;
	HASH_FIND(hh, table->users, name.data, name.len, user);
	return user;
}

static void drop_user_when_empty(struct table *table, struct user *user)
{
	if (user->room_count || user->blocked_until)
		return;
	table->bytes -= sizeof(*user) + user->name_len + user->room_capacity * sizeof(*user->rooms);
	HASH_DELETE(hh, table->users, user);
	free(user->rooms);
	free(user);
}

static void drop_room(struct table *table, struct user *user, size_t index)
{
	struct room_name *room = user->rooms[index];
	user->rooms[index] = user->rooms[--user->room_count];
	table->bytes -= sizeof(*room) + room->len;
	table->grants--;
	free(room);
}

static void table_clear(struct table *table)
{
	struct user *user, *next;
	HASH_ITER(hh, table->users, user, next) {
		while (user->room_count)
			drop_room(table, user, user->room_count - 1);
		user->blocked_until = 0;
		drop_user_when_empty(table, user);
	}
	*table = (struct table){ 0 };
}

static size_t find_room(const struct user *user, struct bytes name)
{
	size_t i = 0;
	while (i < user->room_count && !bytes_equal((struct bytes){ user->rooms[i]->text, user->rooms[i]->len }, name))
		i++;
	return i;
}

static bool has_room_for(const struct standing *standing, const struct table *table, size_t bytes)
{
	return table->grants + table->blocks < standing->entries_max && table->bytes + bytes <= standing->bytes_max;
}

static struct user *make_user(struct table *table, struct bytes name)
{
	struct user *user = find_user(table, name);
	if (user)
		return user;
	user = calloc(1, sizeof(*user) + name.len);
	if (!user)
		return NULL;
	user->name_len = name.len;
	memcpy(user->name, name.data, name.len);
	HASH_ADD_KEYPTR(hh, table->users, user->name, user->name_len, user);
	table->bytes += sizeof(*user) + name.len;
	return user;
}

static bool grow_rooms(const struct standing *standing, struct table *table, struct user *user)
{
	if (user->room_count < user->room_capacity)
		return true;
	size_t more = user->room_capacity ? user->room_capacity * 2 : 2;
	if (table->bytes + more * sizeof(*user->rooms) > standing->bytes_max)
		return false;
	struct room_name **rooms = realloc(user->rooms, more * sizeof(struct room_name *));
	if (!rooms)
		return false;
	table->bytes += (more - user->room_capacity) * sizeof(*rooms);
	user->rooms = rooms;
	user->room_capacity = more;
	return true;
}

static void leave_out(struct standing *standing, struct bytes name)
{
	standing->left_out++;
	log_limited(&standing->limit, "msg=\"a grant or block is left out: past the bound, or malformed\" user=\"%.*s\"", (int)name.len, name.data);
}

static void add_grant(struct standing *standing, struct table *table, struct bytes name, struct bytes room)
{
	if (!name.len || !room.len || !has_room_for(standing, table, sizeof(struct user) + sizeof(struct room_name) + 2 * sizeof(struct room_name *) + name.len + room.len)) {
		leave_out(standing, name);
		return;
	}
	struct user *user = make_user(table, name);
	if (user && find_room(user, room) < user->room_count)
		return;
	struct room_name *copy = user && user->room_count < STANDING_ROOMS_MAX && grow_rooms(standing, table, user) ? malloc(sizeof(*copy) + room.len) : NULL;
	if (!copy) {
		if (user)
			drop_user_when_empty(table, user);
		leave_out(standing, name);
		return;
	}
	copy->len = room.len;
	memcpy(copy->text, room.data, room.len);
	user->rooms[user->room_count++] = copy;
	table->grants++;
	table->bytes += sizeof(*copy) + room.len;
}

static void remove_grant(struct table *table, struct bytes name, struct bytes room)
{
	struct user *user = find_user(table, name);
	size_t index = user ? find_room(user, room) : 0;
	if (!user || index == user->room_count)
		return;
	drop_room(table, user, index);
	drop_user_when_empty(table, user);
}

/* until 0: not blocked. */
static void set_block(struct standing *standing, struct table *table, struct bytes name, uint64_t until_ms)
{
	struct user *user = find_user(table, name);
	if (!user && !until_ms)
		return;
	if (!user && name.len && has_room_for(standing, table, sizeof(struct user) + name.len))
		user = make_user(table, name);
	if (!user) {
		leave_out(standing, name);
		return;
	}
	table->blocks += (until_ms != 0) - (user->blocked_until != 0);
	user->blocked_until = until_ms;
	drop_user_when_empty(table, user);
}

/* Blocks end by themselves; those that did are cleared away when others come. */
static void drop_ended_blocks(struct table *table, uint64_t now_ms)
{
	struct user *user, *next;
	HASH_ITER(hh, table->users, user, next) {
		if (!user->blocked_until || user->blocked_until > now_ms)
			continue;
		user->blocked_until = 0;
		table->blocks--;
		drop_user_when_empty(table, user);
	}
}

/* --- control events --------------------------------------------------------- */

static void apply(struct standing *standing, struct table *table, const struct message *control)
{
	struct bytes user = control->user;
	if (control->operation == CONTROL_DISCONNECT) {
		if (control->until_ms && !has_room_for(standing, table, sizeof(struct user) + user.len))
			drop_ended_blocks(table, control->time_ms);
		if (control->until_ms)
			set_block(standing, table, user, control->until_ms > control->time_ms ? control->until_ms : 0);
		return;
	}
	for (size_t i = 0; i < control->rooms.count; i++) {
		if (control->operation == CONTROL_JOIN)
			add_grant(standing, table, user, control->rooms.items[i]);
		else if (control->operation == CONTROL_LEAVE)
			remove_grant(table, user, control->rooms.items[i]);
	}
}

/* Kept until the load is complete, which may be older than this. */
static void remember(struct standing *standing, const struct message *control)
{
	struct buffer packed = { 0 };
	struct error err;
	if (message_pack(control, &packed, &err) == 0) {
		buffer_add(&standing->meanwhile, &packed.len, sizeof(packed.len));
		buffer_add_bytes(&standing->meanwhile, buffer_bytes(&packed));
	}
	standing->meanwhile.has_failed |= packed.has_failed;
	buffer_deinit(&packed);
}

void standing_apply(struct standing *standing, const struct message *control)
{
	if (!control->user.len)
		return;
	apply(standing, &standing->current, control);
	if (standing->next_index)
		remember(standing, control);
}

/* --- loading ---------------------------------------------------------------- */

static bool cut(struct bytes line, struct bytes *user, struct bytes *rest)
{
	const char *newline = line.len ? memchr(line.data, '\n', line.len) : NULL;
	if (!newline)
		return false;
	*user = (struct bytes){ line.data, (size_t)(newline - line.data) };
	*rest = (struct bytes){ newline + 1, line.len - user->len - 1 };
	return true;
}

static void load_lists(struct standing *standing, const struct message *message)
{
	struct bytes user, rest;
	for (size_t i = 0; i < message->grants.count; i++) {
		if (cut(message->grants.items[i], &user, &rest))
			add_grant(standing, &standing->coming, user, rest);
		else
			leave_out(standing, message->grants.items[i]);
	}
	for (size_t i = 0; i < message->blocks.count; i++) {
		char number[24] = "";
		bool is_whole = cut(message->blocks.items[i], &user, &rest) && rest.len < sizeof(number);
		if (is_whole && rest.len)
			memcpy(number, rest.data, rest.len);
		uint64_t until = strtoull(number, NULL, 10);
		if (is_whole && until)
			set_block(standing, &standing->coming, user, until);
		else
			leave_out(standing, message->blocks.items[i]);
	}
}

static void replay_meanwhile(struct standing *standing)
{
	struct bytes rest = buffer_bytes(&standing->meanwhile);
	while (rest.len) {
		size_t len;
		struct message control;
		struct error err;
		memcpy(&len, rest.data, sizeof(len));
		if (message_unpack((struct bytes){ rest.data + sizeof(len), len }, &control, &err) == 0) {
			apply(standing, &standing->coming, &control);
			message_deinit(&control);
		}
		rest.data += sizeof(len) + len;
		rest.len -= sizeof(len) + len;
	}
}

static void note_withdrawn(struct standing *standing)
{
	for (const struct user *user = standing->current.users; user; user = user->hh.next) {
		struct bytes name = { user->name, user->name_len };
		const struct user *now = find_user(&standing->coming, name);
		for (size_t i = 0; i < user->room_count; i++) {
			struct bytes room = { user->rooms[i]->text, user->rooms[i]->len };
			if (!now || find_room(now, room) == now->room_count)
				add_grant(standing, &standing->withdrawn, name, room);
		}
	}
}

static void stop_loading(struct standing *standing)
{
	table_clear(&standing->coming);
	buffer_clear(&standing->meanwhile);
	standing->next_index = 0;
}

enum standing_progress standing_load(struct standing *standing, const struct message *message)
{
	if (message->index == 0)
		stop_loading(standing);
	if (message->index != standing->next_index || standing->meanwhile.has_failed) {
		stop_loading(standing);
		return STANDING_BROKEN;
	}
	load_lists(standing, message);
	standing->next_index = message->index + 1;
	if (!message->is_last)
		return STANDING_GOES_ON;
	replay_meanwhile(standing);
	note_withdrawn(standing);
	table_clear(&standing->current);
	standing->current = standing->coming;
	standing->coming = (struct table){ 0 };
	stop_loading(standing);
	standing->loads++;
	return STANDING_LOADED;
}

/* --- life and questions ----------------------------------------------------- */

struct standing *standing_new(size_t entries_max, size_t bytes_max)
{
	struct standing *standing = calloc(1, sizeof(*standing));
	if (!standing)
		return NULL;
	standing->entries_max = entries_max ? entries_max : STANDING_ENTRIES_MAX;
	standing->bytes_max = bytes_max ? bytes_max : STANDING_BYTES_MAX;
	standing->meanwhile.max = MEANWHILE_BYTES_MAX;
	return standing;
}

void standing_free(struct standing *standing)
{
	if (!standing)
		return;
	stop_loading(standing);
	buffer_deinit(&standing->meanwhile);
	table_clear(&standing->current);
	table_clear(&standing->withdrawn);
	free(standing);
}

uint64_t standing_blocked_until(const struct standing *standing, struct bytes user, uint64_t now_ms)
{
	const struct user *found = find_user(&standing->current, user);
	return found && found->blocked_until > now_ms ? found->blocked_until : 0;
}

bool standing_is_granted(const struct standing *standing, struct bytes user, struct bytes room)
{
	const struct user *found = find_user(&standing->current, user);
	return found && find_room(found, room) < found->room_count;
}

void standing_each_grant(const struct standing *standing, struct bytes user, void (*visit)(void *data, struct bytes room), void *data)
{
	const struct user *found = find_user(&standing->current, user);
	for (size_t i = 0; found && i < found->room_count; i++)
		visit(data, (struct bytes){ found->rooms[i]->text, found->rooms[i]->len });
}

void standing_each_withdrawn(const struct standing *standing, void (*visit)(void *data, struct bytes user, struct bytes room), void *data)
{
	for (const struct user *user = standing->withdrawn.users; user; user = user->hh.next)
		for (size_t i = 0; i < user->room_count; i++)
			visit(data, (struct bytes){ user->name, user->name_len }, (struct bytes){ user->rooms[i]->text, user->rooms[i]->len });
}

bool standing_has_withdrawn(const struct standing *standing)
{
	return standing->withdrawn.users != NULL;
}

void standing_settle(struct standing *standing)
{
	table_clear(&standing->withdrawn);
}

void standing_figures(const struct standing *standing, struct standing_figures *out)
{
	*out = (struct standing_figures){
		.users = HASH_COUNT(standing->current.users), .grants = standing->current.grants, .blocks = standing->current.blocks,
		.bytes = standing->current.bytes, .loads = standing->loads, .left_out = standing->left_out,
	};
}
