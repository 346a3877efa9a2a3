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
 *   EVENT      E, and L inside a repair   a journaled event: epoch, seq, time, rooms, except, body; of a data-change also
 *                  entity type, entity id and action, which tell whether a later one may replace it (coalesce)
 *   CONTROL    E, and L inside a repair   journaled too, in the same numbering: an operation on the sockets that `user`, `sid` or
 *                  `room` names (exactly one): JOIN and LEAVE of rooms, DISCONNECT (close, until_ms: see below)
 *   VOLATILE   E   not journaled: either relayed for a hub (hub, instance, counter: user:activity), or a publisher's
 *                  volatile event (droppable = 1: a client that is not ready for it at once goes without)
 *   HEARTBEAT  E   the gateway's last (epoch, seq), and the clients of every live hub; wants_report = 1: a publisher waits
 *                  for acknowledgements, so each hub sends its REPORT at once
 *   HELLO      L   hub -> gateway: name, instance, and its position (epoch, seq; none: 0) with the bounds of its history window, from
 *                  which a hub without a position is told where to begin
 *   WELCOME    L   gateway -> hub: events endpoint, epoch and last seq, the epochs that the journal knows, oldest first, each with its last
 *                  seq; start_epoch and start_seq: the place after which the history window begins; the key of MACs
 *   STANDING   L   gateway -> hub, after each WELCOME: every grant and active block, in chunks: index 0 starts anew,
 *                  is_last = 1 ends. (epoch, seq): everything up to there is in it, and perhaps something later; what a hub did
 *                  after that place while the chunks were under way it must do again, over them
 *   REFUSAL    L   gateway -> hub: a hub of that name is alive (status REFUSAL_NAME_TAKEN: it must not serve), or say hello first (reason)
 *   REPORT     L   hub -> gateway: every second and on change: position (a cumulative acknowledgement), clients, rooms
 *   ASK        L   hub -> gateway: events from seq to last_seq of epoch
 *   GONE       L   gateway -> hub: of what was asked, everything before (epoch, first_seq) is no longer in the journal; epoch may
 *                  be later than the one that was asked for
 *   RELAY      L   hub -> gateway: publish this VOLATILE (counter, body)
 *   FORWARD    L   front end -> active gateway: an HTTP request as it came, a counter to know its answer by, and deadline_ms (wall
 *                  clock), after which nobody waits for it
 *   ANSWER     L   active gateway -> front end: status and body for that counter
 *
 * A block: DISCONNECT of a user with until_ms > time_ms keeps the user out until then; with until_ms = 1 it ends a block.
 * A grant: JOIN by user holds for the user's later sockets too, until LEAVE.
 */
#ifndef ROOMCAST_MESSAGE_H
#define ROOMCAST_MESSAGE_H

#include <stdint.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

enum message_kind {
	MESSAGE_EVENT = 1, MESSAGE_VOLATILE, MESSAGE_HEARTBEAT, MESSAGE_HELLO, MESSAGE_WELCOME,
	MESSAGE_REFUSAL, MESSAGE_REPORT, MESSAGE_ASK, MESSAGE_GONE, MESSAGE_RELAY,
	MESSAGE_CONTROL, MESSAGE_STANDING, MESSAGE_FORWARD, MESSAGE_ANSWER,
	MESSAGE_KIND_END,
};

enum control_operation { CONTROL_NONE, CONTROL_JOIN, CONTROL_LEAVE, CONTROL_DISCONNECT, CONTROL_END };

enum entity_action { ACTION_NONE, ACTION_CREATE, ACTION_UPDATE, ACTION_DELETE, ACTION_END };

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
	MESSAGE_EPOCHS_MAX = 256,    /* that a WELCOME names: the newest */
	MESSAGE_HEADER_MAX = 16 << 10, /* bytes of one of a FORWARD's texts */
	MAC_KEY_LEN = 32,
	REFUSAL_NAME_TAKEN = 409,
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
	uint64_t operation;      /* enum control_operation */
	uint64_t until_ms;       /* wall clock: end of a block */
	uint64_t close;          /* 1: DISCONNECT closes the transport too */
	uint64_t action;         /* enum entity_action */
	uint64_t wants_report;   /* 1 or 0 */
	uint64_t window_ms, window_events, window_bytes; /* bounds of a hub's history; 0: none is wanted */
	uint64_t start_epoch, start_seq;
	uint64_t index, is_last; /* of STANDING */
	uint64_t deadline_ms;    /* wall clock */
	uint64_t status;         /* HTTP status; of REFUSAL as said above */
	uint64_t retry_after_s;
	uint64_t content_length; /* as announced by the client, plus 1; 0: not announced, or malformed when is_malformed_length */
	uint64_t is_malformed_length, is_too_large; /* 1 or 0 */
	struct bytes hub;        /* name: 1 to HUB_NAME_MAX of A-Z a-z 0-9 _ - */
	struct bytes endpoint;   /* ZeroMQ endpoint of the PUB socket */
	struct bytes reason;
	struct bytes exclude_user; /* user id */
	struct bytes exclude_sid;  /* Socket.IO id of the one client that does not get it */
	struct bytes user, sid, room; /* whom CONTROL is for */
	struct bytes entity_type;  /* decoded */
	struct bytes entity_id;    /* data.id: a string decoded, a number as written; empty: none */
	struct bytes key;          /* MAC_KEY_LEN bytes */
	/* Of FORWARD; path is below the mount. allow: of ANSWER. */
	struct bytes method, path, query, content_type, authorization, idempotency_key, allow;
	/* The inside of the Socket.IO argument array, as it goes to the clients: `"data-change",{...}`. */
	struct bytes body;
	struct message_list rooms;
	struct message_list except;
	struct message_list hubs;  /* HEARTBEAT: "name=clients", each live hub */
	struct message_list epochs; /* WELCOME: "<epoch>.<last seq>" (place.h), oldest first */
	struct message_list grants; /* STANDING: "<user id>\n<room>" */
	struct message_list blocks; /* STANDING: "<user id>\n<until_ms>" */
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
