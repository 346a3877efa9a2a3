/* publication.h - what one publishing call asks to be sent, and the builders that read it out of a request body.
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
#include <roomcast/token.h>

#include "journal.h"
#include "response.h"

enum {
	ENTITY_TYPE_MAX = 128, /* bytes, decoded */
	ROOM_NAME_MAX = 256,        /* bytes of a room that a publisher names */
	EVENT_NAME_MAX = 256,
	NOTIFICATION_TYPE_MAX = 64,         /* bytes of a notification's type */
};

/* Grows a text of rooms; their places are offsets, because the text moves. */
struct room_set {
	struct buffer text;
	struct bytes *items; /* valid after room_set_finish */
	size_t count;
};

/* Owns all its memory; all zero is empty. */
struct publication {
	enum message_audience audience;
	bool is_volatile;
	uint64_t time_ms;
	struct room_set rooms;
	struct room_set except;
	char exclude_user[USER_ID_MAX + 1];
	/* The inside of the Socket.IO argument array. */
	struct buffer body;
	/* Where in body the TIMESTAMP_SIZE - 1 bytes of the time stand, 0: nowhere. Written by publication_stamp, so that times
	 * have the order of the log. */
	size_t stamp_at;
};

void publication_deinit(struct publication *publication);
/* Sets the time and writes it into the body. */
void publication_stamp(struct publication *publication, uint64_t wall_ms);
/* What is journaled of it at that place, or, for a volatile one, its message alone. Views into publication. */
void publication_record(const struct publication *publication, struct place place, struct journal_record *out);

/* Reads body, which json_check must have accepted, into an all zero publication. -1: response says what was
 * wrong and where; the publication must still be deinited. */
typedef int publication_builder(struct bytes body, struct publication *publication, struct response *response);
publication_builder publication_from_data_change;
publication_builder publication_from_notification;
publication_builder publication_from_system_notification;
publication_builder publication_from_emit;

#endif
