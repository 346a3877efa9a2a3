/* authentication.h - who a connecting client is.
 *
 * The token is the first of these that is present: `token` in the CONNECT packet's payload, `Authorization: Bearer`, the query
 * parameter `token`, the cookie. The first present one decides: a bad one is not rescued by a later one. The cookie counts only
 * when the request's Origin is an allowed one, our own, or absent. */
#ifndef ROOMCAST_HUB_AUTHENTICATION_H
#define ROOMCAST_HUB_AUTHENTICATION_H

#include <stdint.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>
#include <roomcast/token.h>

#include "cors.h"
#include "request.h"

struct authentication {
	struct bytes secret;      /* empty: no token can be verified */
	const char *cookie_name;
	const struct cors *cors;
	unsigned leeway_s;
};

enum authentication_result {
	AUTHENTICATION_NONE,       /* no token at all */
	AUTHENTICATION_BAD,        /* err says why */
	AUTHENTICATION_BY_CONNECT, /* good, and every CONNECT brings it along */
	AUTHENTICATION_BY_REQUEST, /* good, from the request */
};

/* auth: the CONNECT packet's payload, checked JSON. request: the one that carried it. now_s: unix seconds. */
enum authentication_result authenticate(const struct authentication *authentication, struct bytes auth,
                                        const struct request_info *request, uint64_t now_s,
                                        struct identity *identity, struct error *err) MUST_CHECK;

#endif
