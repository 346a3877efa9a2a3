/* message.h - what gateway and hubs say to each other over ZeroMQ: one frame, one message.
 *
 * Layout, integers big-endian:
 *   'R' 'C', version (1 byte, now 1), kind (1 byte), then fields until the end:
 *   tag (1 byte), length (4 bytes), that many bytes.
 * A field with an unknown tag is skipped, so that programs of neighbouring releases understand each other;
 * an unknown version or kind, a missing required field, a number not 8 bytes long, a field of one value that
 * stands there twice or a list past its bound is an error. Which fields a kind must have is a table in
 * message.c. No field may appear that is longer than its bound there.
 *
 * Who sends what, where (E: PUB -> SUB, events; L: DEALER <-> ROUTER, line):
 *   EVENT      E, and L inside a repair   a journaled event: epoch, seq, time, rooms, except, body
 *   VOLATILE   E   not journaled: either relayed for a hub (hub, instance, counter: user:activity), or a publisher's
 *                  volatile event (droppable = 1: a client that is not ready for it at once goes without)
 *   HEARTBEAT  E   the gateway's last (epoch, seq), and the clients of every live hub
 *   HELLO      L   hub -> gateway: name, instance, and its position
 *   WELCOME    L   gateway -> hub: events endpoint, epoch, last seq, first seq that the journal has
 *                  (first_seq = last_seq + 1 when it has none)
 *   REFUSAL    L   gateway -> hub: a hub of that name is alive (reason), or say hello first
 *   REPORT     L   hub -> gateway: every second and on change: position (a cumulative acknowledgement), clients, rooms
 *   ASK        L   hub -> gateway: events from seq to last_seq of epoch
 *   GONE       L   gateway -> hub: of what was asked, everything before first_seq is no longer in the journal
 *   RELAY      L   hub -> gateway: publish this VOLATILE (counter, body)
 */
#ifndef ROOMCAST_MESSAGE_H
#define ROOMCAST_MESSAGE_H

#include <stdint.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

enum message_kind {
	MESSAGE_EVENT = 1, MESSAGE_VOLATILE, MESSAGE_HEARTBEAT, MESSAGE_HELLO, MESSAGE_WELCOME,
	MESSAGE_REFUSAL, MESSAGE_REPORT, MESSAGE_ASK, MESSAGE_GONE, MESSAGE_RELAY,
	MESSAGE_KIND_END,
};

enum message_audience {
	AUDIENCE_ROOMS,         /* members of any of rooms, but not of except */
	AUDIENCE_EVERYONE,
	AUDIENCE_AUTHENTICATED, /* every client with an identity */
};

enum {
	MESSAGE_VERSION = 1,
	MESSAGE_LIST_MAX = 1000,    /* entries of one list */
	MESSAGE_NAME_MAX = 512,     /* bytes of a room, user id, hub name or endpoint */
	MESSAGE_BODY_MAX = 17 << 20, /* bytes */
	HUB_NAME_MAX = 32,
};

struct message_list {
	const struct bytes *items;
	size_t count;
};

/* Unset numbers are 0 and unset texts empty; both are left out when packed. Lists are arrays of the caller's. */
struct message {
	enum message_kind kind;
	uint64_t epoch;
	uint64_t seq;
	uint64_t last_seq;
	uint64_t first_seq;
	uint64_t time_ms;        /* wall clock of the gateway */
	uint64_t audience;       /* enum message_audience */
	uint64_t counter;        /* of VOLATILE and RELAY, per hub instance */
	uint64_t clients;
	uint64_t room_count;
	uint64_t instance;       /* random, one per process */
	uint64_t droppable;      /* 1 or 0 */
	struct bytes hub;        /* name: 1 to HUB_NAME_MAX of A-Z a-z 0-9 _ - */
	struct bytes endpoint;   /* ZeroMQ endpoint of the PUB socket */
	struct bytes reason;
	struct bytes exclude_user; /* user id */
	struct bytes exclude_sid;  /* Socket.IO id of the one client that does not get it */
	/* The inside of the Socket.IO argument array, as it goes to the clients: `"data-change",{...}`. */
	struct bytes body;
	struct message_list rooms;
	struct message_list except;
	struct message_list hubs;  /* HEARTBEAT: "name=clients", each live hub */
};

/* Appends to out; the views of message are copied. -1 when a field is past its bound or missing for its kind. */
int message_pack(const struct message *message, struct buffer *out, struct error *err) MUST_CHECK;

/* Views point into packed; the lists are on the heap, freed by message_deinit. On -1 nothing is left to free. */
int message_unpack(struct bytes packed, struct message *out, struct error *err) MUST_CHECK;
void message_deinit(struct message *message);

/* The kind that packed says it is, 0 when it cannot be one of ours. */
enum message_kind message_peek(struct bytes packed);

const char *message_kind_name(enum message_kind kind);

#endif
