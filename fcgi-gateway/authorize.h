/* authorize.h - who may call what: named API keys with scopes, kept as SHA-256 and compared in constant time. */
#ifndef ROOMCAST_GATEWAY_AUTHORIZE_H
#define ROOMCAST_GATEWAY_AUTHORIZE_H

#include <stdbool.h>
#include <stddef.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

enum scope {
	SCOPE_PUBLISH = 1 << 0,
	SCOPE_STATUS = 1 << 1,
	SCOPE_ALL = SCOPE_PUBLISH | SCOPE_STATUS,
};

enum { API_KEY_MAX = 512, API_KEYS_MAX = 64, API_KEY_DIGEST_LEN = 32 };

struct api_key {
	char name[33];
	unsigned char digest[API_KEY_DIGEST_LEN];
	unsigned scopes; /* enum scope, or-ed */
};

/* All zero holds no key and lets nobody in. Written before threads start, then only read. */
struct authorizer {
	struct api_key keys[API_KEYS_MAX];
	size_t count;
};

int authorizer_add(struct authorizer *authorizer, const char *name, struct bytes secret, unsigned scopes, struct error *err) MUST_CHECK;

/* header: the value of Authorization, "Bearer <key>". NULL when it names no key of ours. */
const struct api_key *authorize(const struct authorizer *authorizer, struct bytes header);

#endif
