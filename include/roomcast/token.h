/* token.h - JSON Web Tokens (RFC 7519): who a client is.
 *
 * The algorithm is the key's, never the token's: a header that names another is refused before anything is
 * verified. */
#ifndef ROOMCAST_TOKEN_H
#define ROOMCAST_TOKEN_H

#include <stdint.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

enum { TOKEN_MAX = 8192, USER_ID_MAX = 128, USERNAME_MAX = 256, ROLE_MAX = 64 };

/* What a good token says. Strings are UTF-8, terminated, without control characters. An unusable user id refuses
 * the token; an unusable name or role is as good as none. */
struct identity {
	char user_id[USER_ID_MAX + 1];
	char username[USERNAME_MAX + 1]; /* claim username, else name, else "" */
	char role[ROLE_MAX + 1];         /* claim role, else "" */
	uint64_t expires_s;              /* unix seconds, 0: never. Without the leeway */
};

/* Verifies an HS256 token. now_s: unix seconds. leeway_s widens exp and nbf. The user id is the claim userId,
 * else sub (null is as good as absent); numbers that are integers count. -1 names the reason ("token expired 12 s
 * ago"), never the token. */
int token_verify(struct bytes token, struct bytes secret, uint64_t now_s, unsigned leeway_s,
                 struct identity *out, struct error *err) MUST_CHECK;

/* An HS256 token with userId, username and role (left out when empty), iat and exp. On the heap; NULL and err. */
char *token_issue(const struct identity *identity, struct bytes secret, uint64_t now_s, struct error *err);

#endif
