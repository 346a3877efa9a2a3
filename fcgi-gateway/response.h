/* response.h - what a handler answers, and the one table of all refusals.
 *
 * A refusal's word is part of the API: programs decide by it. */
#ifndef ROOMCAST_GATEWAY_RESPONSE_H
#define ROOMCAST_GATEWAY_RESPONSE_H

#include <stdbool.h>

#include <roomcast/bytes.h>

enum refusal {
	REFUSAL_NONE,
	REFUSAL_MALFORMED_JSON,
	REFUSAL_BODY_LENGTH,        /* fewer or more bytes than announced, or a length that is no number */
	REFUSAL_UNAUTHORIZED,
	REFUSAL_FORBIDDEN,
	REFUSAL_NOT_FOUND,
	REFUSAL_METHOD_NOT_ALLOWED,
	REFUSAL_LENGTH_REQUIRED,
	REFUSAL_TOO_LARGE,
	REFUSAL_UNSUPPORTED_MEDIA_TYPE,
	REFUSAL_INVALID_FIELD,
	REFUSAL_RESERVED_EVENT,
	REFUSAL_IDEMPOTENCY_MISMATCH, /* the key was used for something else */
	REFUSAL_VERSION_CONFLICT,
	REFUSAL_RATE_LIMITED,
	REFUSAL_OVERLOADED,         /* too much waits already; nothing was stored */
	REFUSAL_UNAVAILABLE,        /* cannot store now; nothing was stored */
	REFUSAL_OUTCOME_UNKNOWN,    /* may or may not have been stored */
	REFUSAL_COUNT,
};

unsigned refusal_status(enum refusal refusal);
const char *refusal_word(enum refusal refusal);

/* All zero is a response not yet decided. */
struct response {
	unsigned status;
	enum refusal refusal;
	char allow[32];             /* for 405: "POST"; else "" */
	unsigned retry_after_s;     /* 0: not said */
	char where[24];             /* of what is looked at, in front of a refusal's text: "events[3]"; else "" */
	struct buffer body;         /* JSON */
	bool is_late;               /* by the request's origin: everything else here does not count */
};

/* Embedded in what such an answer is made of. */
struct late_answer {
	/* A thread of the carrier's: completes the response, which comes all zero, and frees what this is a part of. */
	void (*write)(struct late_answer *answer, struct response *response);
};

const char *status_reason(unsigned status);

/* Replaces what was there by {"success":false,"error":"<text>","code":"<word>"}. */
void response_refuse(struct response *response, enum refusal refusal, const char *format, ...) PRINTF_LIKE(3, 4);
void response_deinit(struct response *response);

#endif
