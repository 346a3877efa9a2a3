/* hubs.c - the table of live hubs. */
#include "hubs.h"

#include <ctype.h>

static bool is_name(struct bytes name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!isalnum((unsigned char)name.data[i]) && name.data[i] != '_' && name.data[i] != '-')
			return false;
	return name.len >= 1 && name.len <= HUB_NAME_MAX;
}

static bool is_same_id(const struct routing_id *a, const struct routing_id *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

const struct hub *hubs_find_name(const struct hubs *hubs, struct bytes name)
{
	for (size_t i = 0; i < hubs->count; i++)
		if (bytes_equal_text(name, hubs->items[i].name))
			return &hubs->items[i];
	return NULL;
}

static struct hub *find_name(struct hubs *hubs, struct bytes name)
{
	const struct hub *found = hubs_find_name(hubs, name);
	return found ? &hubs->items[found - hubs->items] : NULL;
}

struct hub *hubs_find(struct hubs *hubs, const struct routing_id *from)
{
	for (size_t i = 0; i < hubs->count; i++)
		if (is_same_id(&hubs->items[i].routing, from))
			return &hubs->items[i];
	return NULL;
}

struct hub *hubs_find_instance(struct hubs *hubs, const char *name, uint64_t instance)
{
	struct hub *hub = find_name(hubs, bytes_of(name));
	return hub && hub->instance == instance ? hub : NULL;
}

static void forget_silent(struct hubs *hubs, size_t i)
{
	hubs->silent_count--;
	memmove(&hubs->silent[i], &hubs->silent[i + 1], (hubs->silent_count - i) * sizeof(hubs->silent[0]));
}

static void forget_silent_name(struct hubs *hubs, const char *name)
{
	for (size_t i = hubs->silent_count; i-- > 0;)
		if (strcmp(hubs->silent[i].name, name) == 0)
			forget_silent(hubs, i);
}

static void remember_silent(struct hubs *hubs, const struct hub *hub)
{
	forget_silent_name(hubs, hub->name);
	if (hubs->silent_count == HUBS_MAX)
		forget_silent(hubs, 0);
	struct silent_hub *silent = &hubs->silent[hubs->silent_count++];
	*silent = (struct silent_hub){ .epoch = hub->epoch, .seq = hub->seq, .heard_ms = hub->heard_ms };
	memcpy(silent->name, hub->name, sizeof(silent->name));
}

enum hello_result hubs_hello(struct hubs *hubs, const struct message *hello, const struct routing_id *from, uint64_t now_ms, struct hub **hub)
{
	if (!is_name(hello->hub))
		return HELLO_BAD_NAME;
	struct hub *known = find_name(hubs, hello->hub), *same_line = hubs_find(hubs, from);
	if (known && known->instance != hello->instance) {
		*hub = known;
		return HELLO_TAKEN;
	}
	if (same_line && same_line != known) { /* it calls itself something else now */
		hubs_remove(hubs, same_line);
		known = find_name(hubs, hello->hub);
	}
	if (!known) {
		if (hubs->count == HUBS_MAX)
			return HELLO_FULL;
		known = &hubs->items[hubs->count++];
		*known = (struct hub){ .instance = hello->instance };
		memcpy(known->name, hello->hub.data, hello->hub.len);
	}
	forget_silent_name(hubs, known->name);
	known->clients = hello->clients;
	known->rooms = hello->room_count;
	known->routing = *from;
	known->is_departed = false;
	known->epoch = hello->epoch;
	known->seq = hello->seq;
	known->heard_ms = now_ms;
	repair_begin(&known->repair, now_ms);
	*hub = known;
	return HELLO_WELCOME;
}

int hub_check(const struct hub *hub, const struct message *message)
{
	return hub->instance == message->instance && bytes_equal_text(message->hub, hub->name) ? 0 : -1;
}

bool hub_report(struct hub *hub, const struct message *report, uint64_t now_ms)
{
	bool is_changed = hub->clients != report->clients || hub->rooms != report->room_count;
	hub->clients = report->clients;
	hub->rooms = report->room_count;
	hub->epoch = report->epoch;
	hub->seq = report->seq;
	hub->heard_ms = now_ms;
	return is_changed;
}

bool hub_relays(struct hub *hub, const struct message *relay)
{
	if (relay->counter <= hub->relay_counter)
		return false;
	hub->relay_counter = relay->counter;
	return true;
}

void hubs_remove(struct hubs *hubs, struct hub *hub)
{
	*hub = hubs->items[--hubs->count];
}

size_t hubs_expire(struct hubs *hubs, uint64_t now_ms, uint64_t silence_ms, void (*gone)(const struct hub *hub))
{
	size_t removed = 0;
	while (hubs->silent_count && now_ms - hubs->silent[0].heard_ms > HUBS_REMEMBER_MS)
		forget_silent(hubs, 0);
	for (size_t i = 0; i < hubs->count;) {
		if (!hubs->items[i].is_departed && now_ms - hubs->items[i].heard_ms <= silence_ms) {
			i++;
			continue;
		}
		gone(&hubs->items[i]);
		remember_silent(hubs, &hubs->items[i]);
		hubs_remove(hubs, &hubs->items[i]);
		removed++;
	}
	return removed;
}

uint64_t hubs_clients(const struct hubs *hubs)
{
	uint64_t clients = 0;
	for (size_t i = 0; i < hubs->count; i++)
		clients += hubs->items[i].clients;
	return clients;
}
