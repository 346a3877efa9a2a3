/* hubs.h - the hubs that are alive, as their reports tell. No sockets, no clock: time comes in.
 *
 * What hubs send is checked here against who they said they were: a routing id alone is no identity. */
#ifndef ROOMCAST_GATEWAY_HUBS_H
#define ROOMCAST_GATEWAY_HUBS_H

#include <stdbool.h>
#include <stdint.h>

#include <roomcast/message.h>

#include "repair.h"

enum { HUBS_MAX = 64, ROUTING_ID_MAX = 255, HUBS_REMEMBER_MS = 10 * 60 * 1000 };

struct routing_id {
	unsigned char data[ROUTING_ID_MAX];
	size_t len;
};

struct hub {
	char name[HUB_NAME_MAX + 1];
	uint64_t instance;
	struct routing_id routing;
	uint64_t epoch, seq;       /* acknowledged: it has everything up to here */
	uint64_t clients, rooms;
	uint64_t heard_ms;         /* last hello or report */
	uint64_t relay_counter;    /* of the last relayed message */
	bool is_greeted;           /* its WELCOME is being written */
	bool is_departed;          /* its connection ended */
	struct repair repair;
};

/* One that was there and says nothing any more. */
struct silent_hub {
	char name[HUB_NAME_MAX + 1];
	uint64_t epoch, seq, heard_ms; /* as they were in struct hub */
};

struct hubs {
	struct hub items[HUBS_MAX];
	size_t count;
	/* Named for HUBS_REMEMBER_MS after their last word, oldest first. */
	struct silent_hub silent[HUBS_MAX];
	size_t silent_count;
};

enum hello_result {
	HELLO_WELCOME,
	HELLO_TAKEN,    /* a hub of that name is alive: *hub is that one */
	HELLO_BAD_NAME,
	HELLO_FULL,
};

/* On HELLO_WELCOME *hub is its entry, new or again. */
enum hello_result hubs_hello(struct hubs *hubs, const struct message *hello, const struct routing_id *from, uint64_t now_ms, struct hub **hub);

/* The hub that speaks from there; NULL when it is not known. */
struct hub *hubs_find(struct hubs *hubs, const struct routing_id *from);

/* The one that is this very process; NULL when it is gone. */
struct hub *hubs_find_instance(struct hubs *hubs, const char *name, uint64_t instance);
const struct hub *hubs_find_name(const struct hubs *hubs, struct bytes name);

/* 0 when name and instance of the message are this hub's. */
int hub_check(const struct hub *hub, const struct message *message) MUST_CHECK;

/* True when clients or rooms changed. */
bool hub_report(struct hub *hub, const struct message *report, uint64_t now_ms);

/* True when the message is newer than any that the hub relayed before. */
bool hub_relays(struct hub *hub, const struct message *relay);

void hubs_remove(struct hubs *hubs, struct hub *hub);
/* Those silent for longer, and those departed, become silent hubs; calls gone for each before. Returns how many. */
size_t hubs_expire(struct hubs *hubs, uint64_t now_ms, uint64_t silence_ms, void (*gone)(const struct hub *hub));

uint64_t hubs_clients(const struct hubs *hubs);

#endif
