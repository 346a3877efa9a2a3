/* journal_columns.h - a record as a row: the columns that SQL journals have between the row's id and nothing else.
 *
 * The id counts rows from 1 without a hole; that of (epoch, seq) is the epoch's base + seq. total counts all bytes up to and including the
 * row, size the row's alone (journal_record_size), so that bounds of size need no sums. */
#ifndef ROOMCAST_GATEWAY_JOURNAL_COLUMNS_H
#define ROOMCAST_GATEWAY_JOURNAL_COLUMNS_H

#include "journal_record.h"

enum column_type {
	COLUMN_NUMBER, /* uint64_t below 2^63; where it is optional, 0 is NULL */
	COLUMN_KIND,   /* enum message_kind */
	COLUMN_VERSION, /* int64_t, VERSION_NONE is NULL */
	COLUMN_TEXT,   /* struct bytes, UTF-8; empty is NULL */
	COLUMN_BLOB,   /* struct bytes; empty is NULL */
	COLUMN_LIST,   /* struct message_list as message_list_write writes it */
};

struct journal_column {
	const char *name;
	enum column_type type;
	size_t offset; /* in struct journal_record */
	bool is_optional;
};

enum { JOURNAL_COLUMN_COUNT = 25 };
extern const struct journal_column journal_columns[JOURNAL_COLUMN_COUNT];

/* The value as SQL has it. */
struct journal_value {
	bool is_null;
	int64_t number;    /* NUMBER, KIND, VERSION */
	struct bytes text; /* the others; a list's is in the buffer given */
};

/* list: where a COLUMN_LIST is written; cleared first. Must live as long as the value. */
void journal_column_get(const struct journal_column *column, const struct journal_record *record, struct buffer *list, struct journal_value *out);
/* Lists are then the record's: freed by journal_record_release. */
int journal_column_set(const struct journal_column *column, const struct journal_value *value, struct journal_record *record, struct error *err) MUST_CHECK;
void journal_record_release(struct journal_record *record);

/* Appends sql with the columns' names, "name, name, ...", in place of #columns. */
void journal_columns_expand(const char *sql, struct buffer *out);
/* Appends "name type, ...", types by enum column_type. */
void journal_columns_add_definitions(const char *const types[], struct buffer *out);

/* Where a place stands in the order of ids: the newest id that is not after it. */
struct journal_epoch {
	uint64_t epoch, base;
};
/* following: the two oldest epochs that are not older than the place's, as far as there are any. */
uint64_t journal_id_of(struct place place, const struct journal_epoch *following, size_t count);

/* The oldest id in first..last that the window has room for, last + 1 when for none. fits asks about one row: 1, 0, or -1. */
int journal_window_find(uint64_t first, uint64_t last, int (*fits)(void *data, uint64_t id, struct error *err), void *data, uint64_t *out,
                        struct error *err) MUST_CHECK;

#endif
