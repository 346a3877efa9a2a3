/* journal.h - where events are kept: the order of all, what hubs are repaired from, what publishers' keys and versions are judged by.
 *
 * struct journal         where: made once for the process's life, any thread. Making it touches no store.
 * struct journal_writer  the one process that holds the journal's lock, one thread (the sequencer's). Opening it starts a new epoch, known
 *                        to be on disk before it returns. A writer whose lock or store is lost is closed and opened anew.
 * struct journal_reader  sees what is committed and nothing else; any number, each used by one thread at a time. It needs no writer, and
 *                        connects again by itself after a failure.
 *
 * Writer and readers are closed before the journal. An implementation embeds each as its first member. Views given to visitors are valid
 * until they return; a visitor must not call the journal. All functions return 0, or -1 and err, unless said. Texts (rooms, ids, types,
 * names) are UTF-8 without control characters; bodies, data and keys are any bytes. */
#ifndef ROOMCAST_GATEWAY_JOURNAL_H
#define ROOMCAST_GATEWAY_JOURNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>
#include <roomcast/message.h>
#include <roomcast/place.h>

struct journal;
struct journal_writer;
struct journal_reader;

enum {
	BODY_HASH_LEN = 32,
	IDEMPOTENCY_KEY_MAX = 255,
	VERSION_NONE = -1,
	KEY_LIFE_MS = 24 * 3600 * 1000, /* of an idempotency key */
};

/* One journaled event or control event. Views, never owned. */
struct journal_record {
	/* As hubs get it: kind EVENT or CONTROL, epoch, seq, time_ms, audience, rooms, except, exclude_user, body, entity, operation...
	 * What is appended has the writer's epoch and the seq that follows the last. */
	struct message message;
	/* What only the journal keeps; empty when there is none. */
	struct bytes event;       /* name, decoded */
	int64_t version;          /* of (message.entity_type, message.entity_id), or VERSION_NONE */
	struct bytes data;        /* a data-change's data, raw JSON: what a later conflict is answered with. Not read back by read and query */
	struct bytes user_id;     /* the publisher's, as it said */
	struct bytes api_key;     /* name */
	struct bytes idempotency_key;
	struct bytes body_hash;   /* BODY_HASH_LEN bytes, or empty */
};

/* What was answered to a key: judged by (api_key, key). */
struct journal_key {
	struct bytes api_key, key;
	unsigned char body_hash[BODY_HASH_LEN];
	uint64_t time_ms;
	struct bytes answer;      /* members of the JSON answer, as the publisher was told */
};

/* The newest state of an entity. */
struct journal_entity {
	int64_t version;
	struct bytes data;        /* raw JSON, empty after a DELETE */
};

/* Oldest and newest that the journal has; both all zero when it has none. The newest is never trimmed. */
struct journal_extent {
	struct place first, last;
};

struct journal_bound {
	size_t events;
	size_t bytes; /* as journal_record_size counts; the first event is given whatever its size */
};

/* Retention. 0: no bound. Versions, keys younger than KEY_LIFE_MS, grants and blocks live outside it. */
struct journal_retention {
	uint64_t age_ms;
	uint64_t bytes;       /* as journal_record_size counts */
	uint64_t events;
};

enum journal_durability {
	DURABILITY_NORMAL, /* what was answered survives a crash of the process */
	DURABILITY_FULL,   /* and the machine's loss of power */
};

/* GET /events; what is empty or 0 does not restrict. */
struct journal_query {
	struct place after;
	struct bytes entity_type, entity_id; /* an id only together with a type */
	size_t limit;
};

enum journal_outcome {
	JOURNAL_STORED,
	JOURNAL_NOT_STORED, /* certainly nothing of the group */
	JOURNAL_UNKNOWN,    /* the answer to COMMIT was lost. The writer is lost too; once a writer is open again, readers tell */
};

typedef void journal_visit(void *data, const struct journal_record *record);

struct journal_writer {
	const struct journal_writer_operations *operations;
	struct place last; /* committed; at opening: epoch of this opening, seq 0 */
};

/* One group: begin, the requests' effects each between savepoint and release or undo, then commit or rollback. After a failure between
 * savepoint and release only undo or rollback may follow.
 *
 * events: how many the request appends at most. A store may save nothing for one: judged before it is appended, it can only fail with the store,
 * and is undone together with its group then, which commit tells. */
struct journal_writer_operations {
	int (*begin)(struct journal_writer *writer, struct error *err);
	int (*savepoint)(struct journal_writer *writer, size_t events, struct error *err);
	int (*release)(struct journal_writer *writer, struct error *err);
	void (*undo)(struct journal_writer *writer); /* back to the savepoint, which is gone; also after a failed release */
	enum journal_outcome (*commit)(struct journal_writer *writer, struct error *err); /* the group has ended, whatever it returns */
	void (*rollback)(struct journal_writer *writer);

	/* Hints, between begin and the first find: what this group will look up, so that a distant store can answer in one round trip. The views
	 * must be valid until the first find. */
	void (*expect_key)(struct journal_writer *writer, struct bytes api_key, struct bytes key);
	void (*expect_entity)(struct journal_writer *writer, struct bytes type, struct bytes id);
	/* Both see what is pending in this group; a key older than KEY_LIFE_MS may be found or not. 1: found, 0: not there. Views are valid until
	 * the next call. */
	int (*find_key)(struct journal_writer *writer, struct bytes api_key, struct bytes key, struct journal_key *out, struct error *err);
	int (*find_entity)(struct journal_writer *writer, struct bytes type, struct bytes id, struct journal_entity *out, struct error *err);

	int (*keep_key)(struct journal_writer *writer, const struct journal_key *key, struct error *err);
	/* Stores the record under its message's seq, its entity's version and data (when version is not VERSION_NONE), and for a CONTROL its effect
	 * on grants and blocks. */
	int (*append)(struct journal_writer *writer, const struct journal_record *record, struct error *err);

	/* After a failure: whether lock or store are gone, so that only opening anew can help. */
	bool (*is_lost)(struct journal_writer *writer);
	void (*close)(struct journal_writer *writer);
};

struct journal_reader {
	const struct journal_reader_operations *operations;
};

typedef void journal_visit_grant(void *data, struct bytes user, struct bytes room);
typedef void journal_visit_block(void *data, struct bytes user, uint64_t until_ms);

struct journal_reader_operations {
	int (*extent)(struct journal_reader *reader, struct journal_extent *out, struct error *err);
	/* The newest epochs, at most max, oldest first, each with its last seq (0: no event yet). Returns how many, or -1. */
	long (*epochs)(struct journal_reader *reader, struct place *out, size_t max, struct error *err);
	/* Records after `after` up to and including `last`, in log order across epochs, until a bound is reached. It begins with the next that is
	 * still there: whether something between is gone, the caller sees from extent and epochs. Returns how many, or -1. */
	long (*read)(struct journal_reader *reader, struct place after, struct place last, struct journal_bound bound, journal_visit *visit,
	             void *data, struct error *err);
	/* The place after which the newest events lie that are no older than since_ms (wall clock) and fit into bound. */
	int (*window)(struct journal_reader *reader, uint64_t since_ms, struct journal_bound bound, struct place *after, struct error *err);
	/* Every grant and every block that has not ended at now_ms. */
	int (*standing)(struct journal_reader *reader, uint64_t now_ms, journal_visit_grant *grant, journal_visit_block *block, void *data,
	                struct error *err);
	/* Records that match, in log order, at most limit. Returns how many, or -1. */
	long (*query)(struct journal_reader *reader, const struct journal_query *query, journal_visit *visit, void *data, struct error *err);
	/* As find_entity. */
	int (*entity)(struct journal_reader *reader, struct bytes type, struct bytes id, struct journal_entity *out, struct error *err);
	void (*close)(struct journal_reader *reader);
};

struct journal_operations {
	const char *name; /* "sqlite", "postgres", "off" */
	/* ERROR_UNAVAILABLE: another process is the writer, or the store cannot be reached now. now_s: unix seconds, for the epoch.
	 * line_endpoint: where hubs and front ends reach this process, kept for find_active. */
	int (*open_writer)(struct journal *journal, uint64_t now_s, const char *line_endpoint, struct journal_writer **out, struct error *err);
	/* After open_writer failed: true when this process has the writers' lock all the same, so that nobody else writes, and it can be read what
	 * there is. *last is then the newest place known. The thread of open_writer; NULL: without a writer there is no lock. */
	bool (*holds_lock)(struct journal *journal, struct place *last);
	/* Fails only for want of memory: a reader may be opened before its store is there. */
	int (*open_reader)(struct journal *journal, struct journal_reader **out, struct error *err);
	/* The line endpoint of whoever opened a writer last; "" when it is not known. */
	int (*find_active)(struct journal *journal, char *line_endpoint, size_t size, struct error *err);
	/* One bounded step of retention, on a thread of its own; returns 1 when more is to be done soon, 0 when not, -1. Does nothing while no
	 * writer is open. */
	int (*trim)(struct journal *journal, uint64_t now_ms, struct error *err);
	unsigned trim_pause_ms; /* between steps when there is nothing more to be done */
	void (*close)(struct journal *journal);
};

struct journal {
	const struct journal_operations *operations;
	pthread_mutex_t lock; /* of all below */
	bool has_mac_key;
	unsigned char mac_key[MAC_KEY_LEN];
};

/* The key for MACs of clients' pids, made at the journal's first opening. False until a writer was opened or a reader has read. Any thread. */
bool journal_mac_key(struct journal *journal, unsigned char out[static MAC_KEY_LEN]);

struct journal_settings {
	enum journal_durability durability;
	struct journal_retention retention;
	const char *state_dir;   /* sqlite and off: the lock, and the newest epoch, so that a restored copy uses none twice; sqlite: journal.sqlite */
	const char *connection;  /* postgres: libpq connection string */
	const char *schema;      /* postgres: "roomcast" */
};

/* By the name of its operations. The texts of settings must outlive it. */
struct journal *journal_new(const char *kind, const struct journal_settings *settings, struct error *err);
void journal_close(struct journal *journal); /* may be NULL */

/* The journal "off": events of this process's life, the newest that fit into the retention's events and bytes; keys and versions likewise. */
struct journal *journal_memory_new(const struct journal_settings *settings, struct error *err);

#endif
