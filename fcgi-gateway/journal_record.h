/* journal_record.h - what all journals do with a record: copy it, size it, read a control event's effects, write lists as text. */
#ifndef ROOMCAST_GATEWAY_JOURNAL_RECORD_H
#define ROOMCAST_GATEWAY_JOURNAL_RECORD_H

#include "journal.h"

/* Bytes that it counts for in every bound of size: body, rooms and names, and a little for itself. */
size_t journal_record_size(const struct journal_record *record);

/* As it goes to the hubs, appended to out. */
int journal_record_pack(const struct journal_record *record, struct buffer *out, struct error *err) MUST_CHECK;

/* One block on the heap with copies of all that it views, but for data, which becomes empty; freed by free(). NULL: no memory. */
struct journal_record *journal_record_dup(const struct journal_record *record);

/* -1: something that could not be stored and read back as it is: a control character in a text, an operation without its user. */
int journal_record_check(const struct journal_record *record, struct place last, struct error *err) MUST_CHECK;

/* What a CONTROL leaves standing (message.h); the callbacks return -1 to stop, which is then the result. until_ms 0 ends a block. */
struct standing_change {
	int (*grant)(void *data, struct bytes user, struct bytes room, bool is_granted, struct error *err);
	int (*block)(void *data, struct bytes user, uint64_t until_ms, struct error *err);
	void *data;
};
int journal_record_standing(const struct journal_record *record, const struct standing_change *change, struct error *err) MUST_CHECK;

/* A list in a column: each item ends with a newline. Items point into text; freed by the caller. */
void message_list_write(struct message_list list, struct buffer *out);
int message_list_read(struct bytes text, struct message_list *out, struct error *err) MUST_CHECK;

#endif
