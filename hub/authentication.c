/* authentication.c - finds a client's token and verifies it. */
#include "authentication.h"

#include <stdbool.h>
#include <stdlib.h>
#include <strings.h>

#include <roomcast/json.h>

enum finding { ABSENT, FOUND, MALFORMED };

struct search {
	const struct authentication *authentication;
	struct bytes auth;
	const struct request_info *request;
	char *text; /* the decoded token, on the heap */
	size_t len;
};

static enum finding keep(struct search *search, struct bytes token)
{
	search->text = bytes_dup(token);
	search->len = token.len;
	return search->text ? FOUND : MALFORMED;
}

/* Pages write `auth: { token }` with null or "" when nobody is logged in. */
static enum finding from_connect(struct search *search)
{
	struct bytes value;
	enum json_kind kind = json_member(search->auth, "token", &value) ? json_kind(value) : JSON_NULL;
	if (kind == JSON_NULL || (kind == JSON_STRING && json_string_equals(value, "")))
		return ABSENT;
	if (kind != JSON_STRING || value.len > TOKEN_MAX)
		return MALFORMED;
	search->text = malloc(value.len + 1);
	long len = search->text ? json_string_decode(value, search->text, value.len + 1) : -1;
	search->len = len < 0 ? 0 : (size_t)len;
	return len < 0 ? MALFORMED : FOUND;
}

static enum finding from_header(struct search *search)
{
	static const char scheme[] = "Bearer ";
	struct bytes value = search->request->authorization;
	size_t skip = sizeof(scheme) - 1;
	if (value.len <= skip || strncasecmp(value.data, scheme, skip) != 0)
		return ABSENT;
	while (skip < value.len && value.data[skip] == ' ')
		skip++;
	if (skip == value.len)
		return ABSENT;
	return keep(search, (struct bytes){ value.data + skip, value.len - skip });
}

static enum finding from_query(struct search *search)
{
	search->text = request_query_value(search->request->query, "token", &search->len);
	return search->text && search->len ? FOUND : ABSENT;
}

/* Browsers send cookies along for every page that opens a connection to us; Origin says whose page it is. */
static enum finding from_cookie(struct search *search)
{
	const struct request_info *request = search->request;
	struct bytes value = request_cookie(request->cookie, search->authentication->cookie_name);
	if (!value.len)
		return ABSENT;
	if (request->origin.len && !cors_allows(search->authentication->cors, request->origin) &&
	    !cors_is_own(request->origin, request->host))
		return ABSENT;
	return keep(search, value);
}

static enum finding (*const places[])(struct search *) = { from_connect, from_header, from_query, from_cookie };

enum authentication_result authenticate(const struct authentication *authentication, struct bytes auth, const struct request_info *request,
                                        uint64_t now_s, struct identity *identity, struct error *err)
{
	struct search search = { .authentication = authentication, .auth = auth, .request = request };
	enum finding finding = ABSENT;
	size_t place = 0;
	for (; place < sizeof(places) / sizeof(places[0]); place++) {
		finding = places[place](&search);
		if (finding != ABSENT)
			break;
		free(search.text);
		search.text = NULL;
	}
	enum authentication_result result = AUTHENTICATION_BAD;
	if (finding == ABSENT)
		result = AUTHENTICATION_NONE;
	else if (finding == MALFORMED)
		error_set(err, ERROR_INVALID, "the token is not a text of at most %d bytes", TOKEN_MAX);
	else if (!authentication->secret.len)
		error_set(err, ERROR_UNAVAILABLE, "no secret is configured to verify tokens with");
	else if (token_verify((struct bytes){ search.text, search.len }, authentication->secret, now_s, authentication->leeway_s, identity, err) == 0)
		result = places[place] == from_connect ? AUTHENTICATION_BY_CONNECT : AUTHENTICATION_BY_REQUEST;
	free(search.text);
	return result;
}
