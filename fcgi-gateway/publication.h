/* publication.h - what one publishing or control call asks for, and the builders that read it out of a request body.
 *
 * The publisher's bytes are cut out of the body raw and go to the clients as they are; decoding serves only to check
 * them and to name rooms. */
#ifndef ROOMCAST_GATEWAY_PUBLICATION_H
#define ROOMCAST_GATEWAY_PUBLICATION_H

#include <stdbool.h>
#include <stdint.h>

#include <roomcast/bytes.h>
#include <roomcast/clock.h>
#include <roomcast/message.h>
#include <roomcast/place.h>
#include <roomcast/token.h>

#include "journal.h"
#include "response.h"

enum {
	ENTITY_TYPE_MAX = 128, /* bytes, decoded */
	ENTITY_ID_MAX = 256,
	ROOM_NAME_MAX = 256,        /* bytes of a room that a publisher names */
	EVENT_NAME_MAX = 256,
	NOTIFICATION_TYPE_MAX = 64,         /* bytes of a notification's type */
	SOCKET_ID_MAX = 128,
	BLOCK_SECONDS_MAX = 315360000,      /* ten years */
	BLOCK_NONE = -1,
};

/* Grows a text of rooms; their places are offsets, because the text moves. */
struct room_set {
	struct buffer text;
	struct bytes *items; /* valid after room_set_finish */
	struct bytes only;   /* where items points when there is one */
	size_t count;
};

/* Owns all its memory; publication_init before anything else. Texts are decoded, "" when there is none. */
struct publication {
	enum control_operation operation; /* CONTROL_NONE: an event */
	bool is_in_batch;                 /* its member `type` names the call */
	bool is_volatile;
	uint64_t time_ms;                 /* written by publication_stamp */
	char user_id[USER_ID_MAX + 1];    /* the publisher's, as it said */
	/* An event: who gets it. A control event: `rooms` are what is joined or left. */
	enum message_audience audience;
	struct room_set rooms, except;
	char exclude_user[USER_ID_MAX + 1];
	char event[EVENT_NAME_MAX + 1];
	/* Of a data-change. An entity without an id has no version to compare and none that is kept. */
	enum entity_action action;
	char entity_type[ENTITY_TYPE_MAX + 1];
	char entity_id[ENTITY_ID_MAX + 1];
	int64_t version;                  /* data.version, or VERSION_NONE until publication_set_version */
	int64_t if_version;               /* or VERSION_NONE: whatever is there */
	size_t data_at, data_len;         /* in body */
	/* Of a control event: whose sockets, exactly one of them. */
	char user[USER_ID_MAX + 1], sid[SOCKET_ID_MAX + 1], room[ROOM_NAME_MAX + 1];
	bool closes;                      /* DISCONNECT: the transport too */
	int64_t block_seconds;            /* 0 ends a block; BLOCK_NONE */
	uint64_t until_ms;                /* written by publication_stamp */
	/* The inside of the Socket.IO argument array; empty in a control event. */
	struct buffer body;
	/* Where in body the TIMESTAMP_SIZE - 1 bytes of the time stand, 0: nowhere. Written by publication_stamp, so that times
	 * have the order of the log. */
	size_t stamp_at;
};

void publication_init(struct publication *publication);
void publication_deinit(struct publication *publication);
/* Sets the time and what follows from it, and writes it into the body. */
void publication_stamp(struct publication *publication, uint64_t wall_ms);
/* Of one that has an entity id, but no version of its own: writes it into the body; never fails. */
void publication_set_version(struct publication *publication, int64_t version);
/* What is journaled of it at that place; of a volatile one its message alone. Views into publication. */
void publication_record(const struct publication *publication, struct place place, struct journal_record *out);
/* Bytes of memory that it holds, itself included. */
size_t publication_size(const struct publication *publication);

/* Reads body, which json_check must have accepted, into a publication after publication_init. -1: response says what was
 * wrong and where; the publication must still be deinited. */
typedef int publication_builder(struct bytes body, struct publication *publication, struct response *response);
publication_builder publication_from_data_change;
publication_builder publication_from_notification;
publication_builder publication_from_system_notification;
publication_builder publication_from_emit;
publication_builder publication_from_join;
publication_builder publication_from_leave;
publication_builder publication_from_disconnect;

#endif
