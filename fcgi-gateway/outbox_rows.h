/* outbox_rows.h - rows of the outbox: read, made submissions of, deleted or put aside. */
#ifndef ROOMCAST_GATEWAY_OUTBOX_ROWS_H
#define ROOMCAST_GATEWAY_OUTBOX_ROWS_H

#include "gateway.h"
#include "postgres.h"
#include "submission.h"

enum { OUTBOX_ROWS_MAX = 128, OUTBOX_ID_LEN = 36, OUTBOX_CALL_MAX = 64 };

enum outbox_fate {
	OUTBOX_WAITING, /* to be tried again */
	OUTBOX_DONE,    /* journaled: to be deleted */
	OUTBOX_BAD,     /* never to be journaled as it is: to be put aside with the reason */
};

struct outbox_row {
	char id[OUTBOX_ID_LEN + 1];
	char path[OUTBOX_CALL_MAX + 2]; /* "/data-change" */
	struct buffer body;
	bool is_too_large;
	enum outbox_fate fate;
	char reason[256]; /* of a fate that is not OUTBOX_DONE */
};

struct outbox_rows {
	struct outbox_row items[OUTBOX_ROWS_MAX];
	size_t count;
	double oldest_s;   /* age of the first */
	size_t max_body;
};

/* The session's settings and statements. */
int outbox_rows_prepare(struct postgres *session, struct error *err) MUST_CHECK;
/* The oldest that can be seen. out comes all zero but for max_body. */
int outbox_rows_read(struct postgres *session, struct outbox_rows *out, struct error *err) MUST_CHECK;
/* Journals them in order, as far as that goes: sets each fate. */
void outbox_rows_submit(struct outbox_rows *rows, struct gateway *gateway, struct api_key *key);
/* Deletes and puts aside. */
int outbox_rows_settle(struct postgres *session, const struct outbox_rows *rows, struct error *err) MUST_CHECK;
void outbox_rows_clear(struct outbox_rows *rows); /* but for max_body */

#endif
