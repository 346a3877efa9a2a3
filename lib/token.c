/* token.c - HS256 tokens: libjwt verifies the signature, everything that the token says is judged here. */
#include <roomcast/token.h>

#include <inttypes.h>
#include <limits.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>

#include <roomcast/base64.h>
#include <roomcast/json.h>

enum {
	TOKEN_DEPTH_MAX = 16,
	TIME_TEXT_MAX = 40,
};
#define TIME_MAX_S 253402300799.0 /* the end of the year 9999; later is as good as never */

/* --- the parts of a token -------------------------------------------------------------------------- */

struct parts {
	struct bytes header, payload; /* base64url */
};

static int split(struct bytes token, struct parts *out, struct error *err)
{
	unsigned char signature[TOKEN_MAX];
	if (token.len == 0 || token.len > TOKEN_MAX)
		return error_set(err, ERROR_INVALID, token.len ? "token of %zu bytes, at most %d are allowed" : "token is empty",
		                 token.len, TOKEN_MAX);
	const char *end = token.data + token.len, *first = memchr(token.data, '.', token.len);
	const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
	if (!second || base64url_decode((struct bytes){ second + 1, (size_t)(end - second - 1) }, signature) <= 0)
		return error_set(err, ERROR_INVALID, "token is not three parts of base64url");
	out->header = (struct bytes){ token.data, (size_t)(first - token.data) };
	out->payload = (struct bytes){ first + 1, (size_t)(second - first - 1) };
	return 0;
}

/* Decodes one part, which must be a JSON object, into out; *json is a view into out. */
static int decode_part(struct bytes part, const char *what, char out[static TOKEN_MAX], struct bytes *json, struct error *err)
{
	long len = base64url_decode(part, (unsigned char *)out);
	if (len <= 0)
		return error_set(err, ERROR_INVALID, "token's %s is not base64url", what);
	*json = (struct bytes){ out, (size_t)len };
	if (json_check(*json, TOKEN_DEPTH_MAX, err))
		return error_context(err, "token's %s", what);
	if (json_kind(*json) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, "token's %s is not a JSON object", what);
	return 0;
}

/* libjwt believes the header's algorithm, so the header is judged before libjwt sees the token. */
static int check_header(struct bytes header, struct error *err)
{
	char decoded[TOKEN_MAX];
	struct bytes json, value;
	if (decode_part(header, "header", decoded, &json, err))
		return -1;
	if (!json_member(json, "alg", &value) || json_kind(value) != JSON_STRING)
		return error_set(err, ERROR_DENIED, "token names no algorithm");
	if (!json_string_equals(value, "HS256"))
		return error_set(err, ERROR_DENIED, "token is not signed with HS256");
	/* RFC 7515, 4.1.11: whoever does not know the extensions must refuse. */
	if (json_member(json, "crit", &value))
		return error_set(err, ERROR_DENIED, "token demands extensions");
	return 0;
}

static int check_signature(struct bytes token, struct bytes secret, struct error *err)
{
	if (secret.len == 0 || secret.len > INT_MAX)
		return error_set(err, ERROR_DENIED, "no secret to verify a token with");
	char *text = bytes_dup(token);
	if (!text)
		return error_set(err, ERROR_SYSTEM, "no memory");
	jwt_t *jwt = NULL;
	int result = jwt_decode(&jwt, text, (const unsigned char *)secret.data, (int)secret.len);
	if (result == 0 && jwt_get_alg(jwt) != JWT_ALG_HS256)
		result = -1;
	jwt_free(jwt);
	free(text);
	return result ? error_set(err, ERROR_DENIED, "token's signature is wrong") : 0;
}

/* --- claims ---------------------------------------------------------------------------------------- */

/* Seconds since 1970, fractions allowed (RFC 7519, 2). 1 when the claim is there, 0 when not, -1 when it is no time. */
static int claim_time(struct bytes claims, const char *name, uint64_t *out, struct error *err)
{
	struct bytes value;
	char text[TIME_TEXT_MAX + 1];
	if (!json_member(claims, name, &value))
		return 0;
	if (json_kind(value) != JSON_NUMBER || value.len > TIME_TEXT_MAX)
		return error_set(err, ERROR_DENIED, "token's %s is not a time", name);
	memcpy(text, value.data, value.len);
	text[value.len] = '\0';
	double seconds = strtod(text, NULL);
	*out = seconds < 0 ? 0 : seconds > TIME_MAX_S ? (uint64_t)TIME_MAX_S : (uint64_t)seconds;
	return 1;
}

static int check_times(struct bytes claims, uint64_t now_s, unsigned leeway_s, struct identity *out, struct error *err)
{
	uint64_t expires_s, not_before_s;
	int has_expiry = claim_time(claims, "exp", &expires_s, err);
	if (has_expiry < 0)
		return -1;
	if (has_expiry && now_s >= expires_s + leeway_s)
		return error_set(err, ERROR_DENIED, "token expired %" PRIu64 " s ago", now_s - expires_s);
	int has_start = claim_time(claims, "nbf", &not_before_s, err);
	if (has_start < 0)
		return -1;
	if (has_start && now_s + leeway_s < not_before_s)
		return error_set(err, ERROR_DENIED, "token is not valid before %" PRIu64 " s from now", not_before_s - now_s);
	out->expires_s = has_expiry ? expires_s : 0;
	return 0;
}

/* C0, DEL and C1. text is UTF-8. */
static bool has_control(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < 0x20 || c == 0x7f || (c == 0xc2 && i + 1 < len && (unsigned char)text[i + 1] < 0xa0))
			return true;
	}
	return false;
}

/* Decodes a string of 1 to size - 1 bytes without control characters; otherwise out is "" and the answer -1. */
static int decode_text(struct bytes value, char *out, size_t size)
{
	if (json_kind(value) == JSON_STRING) {
		long len = json_string_decode(value, out, size);
		if (len > 0 && !has_control(out, (size_t)len))
			return 0;
	}
	out[0] = '\0';
	return -1;
}

static int check_user_id(struct bytes claims, struct identity *out, struct error *err)
{
	static const char *const names[] = { "userId", "sub" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct bytes value;
		int64_t number;
		if (!json_member(claims, names[i], &value) || json_kind(value) == JSON_NULL)
			continue;
		if (json_int64(value, &number)) {
			snprintf(out->user_id, sizeof(out->user_id), "%" PRId64, number);
			return 0;
		}
		if (decode_text(value, out->user_id, sizeof(out->user_id)))
			return error_set(err, ERROR_DENIED, "token's %s is no user id", names[i]);
		return 0;
	}
	return error_set(err, ERROR_DENIED, "token names no user");
}

static void read_text_claim(struct bytes claims, const char *name, char *out, size_t size)
{
	struct bytes value;
	if (out[0] == '\0' && json_member(claims, name, &value))
		(void)decode_text(value, out, size);
}

int token_verify(struct bytes token, struct bytes secret, uint64_t now_s, unsigned leeway_s,
                 struct identity *out, struct error *err)
{
	struct parts parts;
	struct bytes claims;
	char decoded[TOKEN_MAX];
	struct identity identity = { .expires_s = 0 };
	if (split(token, &parts, err) || check_header(parts.header, err) || check_signature(token, secret, err) ||
	    decode_part(parts.payload, "payload", decoded, &claims, err) ||
	    check_times(claims, now_s, leeway_s, &identity, err) || check_user_id(claims, &identity, err))
		return -1;
	read_text_claim(claims, "username", identity.username, sizeof(identity.username));
	read_text_claim(claims, "name", identity.username, sizeof(identity.username));
	read_text_claim(claims, "role", identity.role, sizeof(identity.role));
	*out = identity;
	return 0;
}

/* --- issuing --------------------------------------------------------------------------------------- */

static int add_claims(jwt_t *jwt, const struct identity *identity, uint64_t now_s)
{
	if (jwt_add_grant(jwt, "userId", identity->user_id) || jwt_add_grant_int(jwt, "iat", (long)now_s))
		return -1;
	if (identity->username[0] && jwt_add_grant(jwt, "username", identity->username))
		return -1;
	if (identity->role[0] && jwt_add_grant(jwt, "role", identity->role))
		return -1;
	return identity->expires_s ? jwt_add_grant_int(jwt, "exp", (long)identity->expires_s) : 0;
}

char *token_issue(const struct identity *identity, struct bytes secret, uint64_t now_s, struct error *err)
{
	if (secret.len == 0 || secret.len > INT_MAX) {
		error_set(err, ERROR_INVALID, "no secret to sign a token with");
		return NULL;
	}
	if (identity->user_id[0] == '\0' || has_control(identity->user_id, strlen(identity->user_id))) {
		error_set(err, ERROR_INVALID, "a token needs a user id without control characters");
		return NULL;
	}
	jwt_t *jwt = NULL;
	char *encoded = NULL, *token = NULL;
	if (jwt_new(&jwt) == 0 && jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)secret.data, (int)secret.len) == 0 &&
	    add_claims(jwt, identity, now_s) == 0)
		encoded = jwt_encode_str(jwt);
	if (encoded)
		token = bytes_dup(bytes_of(encoded));
	if (!token)
		error_set(err, ERROR_INVALID, "the token cannot be made: is every text UTF-8?");
	free(encoded);
	jwt_free(jwt);
	return token;
}
