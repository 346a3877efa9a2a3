/* submission.h - what one request wants to be stored, all of it or nothing, and what became of it. */
#ifndef ROOMCAST_GATEWAY_SUBMISSION_H
#define ROOMCAST_GATEWAY_SUBMISSION_H

#include "authorize.h"
#include "journal.h"
#include "publication.h"

enum { SUBMISSION_MAX = 1000 }; /* publications of one */

struct submission {
	struct publication *items; /* each after publication_init */
	size_t count;
	bool is_batch;             /* its answer lists ids, even of one */
	char api_key[API_KEY_NAME_MAX + 1];
	char idempotency_key[IDEMPOTENCY_KEY_MAX + 1]; /* "": none */
	unsigned char body_hash[BODY_HASH_LEN];        /* of the call and its body */
	/* As they are published, one after the other; packed_ends[i] is where items[i] ends. Written by judge_submission. */
	struct buffer packed;
	size_t *packed_ends; /* in the memory of items */
};

/* For count items, 1 to SUBMISSION_MAX. -1: no memory. */
int submission_init(struct submission *submission, size_t count, struct error *err) MUST_CHECK;
void submission_deinit(struct submission *submission);

/* Makes it repeatable: key has 1 to IDEMPOTENCY_KEY_MAX bytes. */
int submission_set_key(struct submission *submission, struct bytes key, struct bytes path, struct bytes body, struct error *err) MUST_CHECK;

/* Bytes of memory that it holds, now or once it is packed. */
size_t submission_size(const struct submission *submission);

/* The packed message of items[i]. */
struct bytes submission_packed(const struct submission *submission, size_t i);

enum submission_outcome {
	SUBMISSION_STORED,
	SUBMISSION_REPEATED,   /* its key was answered before, with the same body: nothing was stored now */
	SUBMISSION_MISMATCH,   /* its key was answered before, with another body */
	SUBMISSION_CONFLICT,   /* an ifVersion is not the entity's version */
	SUBMISSION_INVALID,    /* the journal can never store it */
	SUBMISSION_OVERLOADED, /* too much waits */
	SUBMISSION_REFUSED,    /* certainly not stored */
	SUBMISSION_UNKNOWN,    /* may or may not be stored */
};

struct submission_result {
	enum submission_outcome outcome;
	struct place place;       /* STORED, REPEATED: of its last event */
	struct buffer answer;     /* STORED, REPEATED: members of the JSON answer: "id":"1.2","version":3 */
	/* CONFLICT */
	size_t conflict_at;       /* which item */
	int64_t server_version;   /* 0: the entity was never seen */
	struct buffer server_data; /* raw JSON */
	struct error err;         /* why, in all other cases */
};

void submission_result_deinit(struct submission_result *result);

/* The answer of a stored submission; place is of its last event. */
void submission_add_answer(const struct submission *submission, struct place place, struct buffer *out);
/* The place that such an answer names. */
bool submission_answer_place(struct bytes answer, struct place *out);

#endif
