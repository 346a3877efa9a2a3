/* authorize.h - who may call what: named API keys with scopes, kept as SHA-256 and compared in constant time. */
#ifndef ROOMCAST_GATEWAY_AUTHORIZE_H
#define ROOMCAST_GATEWAY_AUTHORIZE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

#include "bucket.h"

/* A bit a call. */
enum scope {
	SCOPE_DATA_CHANGE = 1 << 0,
	SCOPE_NOTIFICATION = 1 << 1,
	SCOPE_SYSTEM_NOTIFICATION = 1 << 2,
	SCOPE_EMIT = 1 << 3,
	SCOPE_JOIN = 1 << 4,
	SCOPE_LEAVE = 1 << 5,
	SCOPE_DISCONNECT = 1 << 6,
	SCOPE_EVENTS = 1 << 7,
	SCOPE_STATUS = 1 << 8,
	SCOPE_PUBLISH = SCOPE_DATA_CHANGE | SCOPE_NOTIFICATION | SCOPE_SYSTEM_NOTIFICATION | SCOPE_EMIT,
	SCOPE_CONTROL = SCOPE_JOIN | SCOPE_LEAVE | SCOPE_DISCONNECT,
	SCOPE_ALL = SCOPE_PUBLISH | SCOPE_CONTROL | SCOPE_EVENTS | SCOPE_STATUS,
};

enum { API_KEY_MAX = 512, API_KEYS_MAX = 64, API_KEY_NAME_MAX = 32, API_KEY_DIGEST_LEN = 32, API_KEY_TYPES_MAX = 256, API_KEY_RATE_MAX = 1000000 };

struct api_key {
	char name[API_KEY_NAME_MAX + 1];
	unsigned char digest[API_KEY_DIGEST_LEN];
	unsigned scopes;     /* enum scope, or-ed */
	char **types;        /* entity types that it is for; none: for all */
	size_t type_count;
	pthread_mutex_t lock; /* of limit */
	struct bucket limit; /* of what it publishes and asks */
};

/* All zero holds no key and lets nobody in. Written before threads start, then only read, but for the limits. Not to be copied. */
struct authorizer {
	struct api_key keys[API_KEYS_MAX];
	size_t count;
};

int api_key_digest(struct bytes secret, unsigned char out[static API_KEY_DIGEST_LEN], struct error *err) MUST_CHECK;

/* A key that nothing is allowed to yet; valid until authorizer_deinit. NULL and err: the name is bad or taken, or there are too many. */
struct api_key *authorizer_add(struct authorizer *authorizer, struct bytes name, struct error *err);
/* A key with this secret. */
int authorizer_add_secret(struct authorizer *authorizer, const char *name, struct bytes secret, unsigned scopes, struct error *err) MUST_CHECK;
void authorizer_deinit(struct authorizer *authorizer);

/* header: the value of Authorization, "Bearer <key>". NULL when it names no key of ours. */
struct api_key *authorize(struct authorizer *authorizer, struct bytes header);

bool api_key_allows_type(const struct api_key *key, struct bytes entity_type);
/* Any thread. As bucket_take. */
bool api_key_take(struct api_key *key, uint64_t count, uint64_t now_ms, unsigned *wait_s);

#endif
