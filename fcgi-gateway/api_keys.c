/* api_keys.c - reads the file of API keys. */
#include "api_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <roomcast/ini_file.h>

static const struct {
	const char *name;
	unsigned scopes;
} scope_names[] = {
	{ "data-change", SCOPE_DATA_CHANGE },
	{ "notification", SCOPE_NOTIFICATION },
	{ "system-notification", SCOPE_SYSTEM_NOTIFICATION },
	{ "emit", SCOPE_EMIT },
	{ "join", SCOPE_JOIN },
	{ "leave", SCOPE_LEAVE },
	{ "disconnect", SCOPE_DISCONNECT },
	{ "events", SCOPE_EVENTS },
	{ "status", SCOPE_STATUS },
	{ "publish", SCOPE_PUBLISH },
	{ "control", SCOPE_CONTROL },
	{ "all", SCOPE_ALL },
};

struct loading {
	struct authorizer *authorizer;
	struct api_key *key; /* of the section under way */
	bool has_secret, has_calls;
	uint64_t rate, burst, now_ms;
};

/* The next of a list of words between commas, which ends with a NULL list. */
static int next_word(const char **list, struct bytes *word, struct error *err)
{
	size_t len = strcspn(*list, ",");
	*word = bytes_trim((struct bytes){ *list, len });
	*list = (*list)[len] ? *list + len + 1 : NULL;
	return word->len ? 0 : error_set(err, ERROR_INVALID, "an empty name in the list");
}

static int add_scope(struct bytes name, unsigned *scopes, struct error *err)
{
	for (size_t i = 0; i < sizeof(scope_names) / sizeof(scope_names[0]); i++) {
		if (bytes_equal_text(name, scope_names[i].name)) {
			*scopes |= scope_names[i].scopes;
			return 0;
		}
	}
	return error_set(err, ERROR_INVALID, "there is no call \"%.*s\"", (int)name.len, name.data);
}

int scopes_parse(const char *list, unsigned *scopes, struct error *err)
{
	struct bytes word;
	while (list)
		if (next_word(&list, &word, err) || add_scope(word, scopes, err))
			return -1;
	return 0;
}

static int set_calls(struct loading *loading, const char *value, struct error *err)
{
	if (!loading->has_calls)
		loading->key->scopes = 0;
	loading->has_calls = true;
	return scopes_parse(value, &loading->key->scopes, err);
}

static int add_type(struct loading *loading, struct bytes name, struct error *err)
{
	struct api_key *key = loading->key;
	if (key->type_count == API_KEY_TYPES_MAX)
		return error_set(err, ERROR_TOO_LARGE, "more than %d entity types", API_KEY_TYPES_MAX);
	char **types = realloc(key->types, (key->type_count + 1) * sizeof(*types));
	if (!types)
		return error_set(err, ERROR_SYSTEM, "no memory");
	key->types = types;
	types[key->type_count] = bytes_dup(name);
	if (!types[key->type_count])
		return error_set(err, ERROR_SYSTEM, "no memory");
	key->type_count++;
	return 0;
}

static int set_types(struct loading *loading, const char *value, struct error *err)
{
	struct bytes word;
	while (value)
		if (next_word(&value, &word, err) || add_type(loading, word, err))
			return -1;
	return 0;
}

static int set_hash(struct loading *loading, const char *value, struct error *err)
{
	static const char prefix[] = "sha256:";
	const char *digits = value + sizeof(prefix) - 1;
	if (strncmp(value, prefix, sizeof(prefix) - 1) != 0 || strlen(digits) != 2 * API_KEY_DIGEST_LEN
	    || strspn(digits, "0123456789abcdefABCDEF") != 2 * API_KEY_DIGEST_LEN)
		return error_set(err, ERROR_INVALID, "must be %s and %d hexadecimal digits", prefix, 2 * API_KEY_DIGEST_LEN);
	for (size_t i = 0; i < API_KEY_DIGEST_LEN; i++)
		loading->key->digest[i] = (unsigned char)strtoul((char[]){ digits[2 * i], digits[2 * i + 1], '\0' }, NULL, 16);
	loading->has_secret = true;
	return 0;
}

static int set_secret(struct loading *loading, const char *value, struct error *err)
{
	if (!*value)
		return error_set(err, ERROR_INVALID, "must not be empty");
	loading->has_secret = true;
	return api_key_digest(bytes_of(value), loading->key->digest, err);
}

static int parse_rate(const char *value, uint64_t *out, struct error *err)
{
	char *end;
	errno = 0;
	unsigned long long number = strtoull(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end || errno || number < 1 || number > API_KEY_RATE_MAX)
		return error_set(err, ERROR_INVALID, "must be a number from 1 to %d", API_KEY_RATE_MAX);
	*out = number;
	return 0;
}

static int set_rate(struct loading *loading, const char *value, struct error *err)
{
	return parse_rate(value, &loading->rate, err);
}

static int set_burst(struct loading *loading, const char *value, struct error *err)
{
	return parse_rate(value, &loading->burst, err);
}

static const struct {
	const char *name;
	int (*set)(struct loading *loading, const char *value, struct error *err);
} entries[] = {
	{ "hash", set_hash }, { "secret", set_secret }, { "calls", set_calls }, { "types", set_types }, { "rate", set_rate }, { "burst", set_burst },
};

/* Of the section that ends. */
static int finish_key(struct loading *loading, struct error *err)
{
	if (!loading->key)
		return 0;
	if (!loading->has_secret)
		return error_set(err, ERROR_INVALID, "the API key %s has neither hash nor secret", loading->key->name);
	if (loading->burst && !loading->rate)
		return error_set(err, ERROR_INVALID, "the API key %s has a burst, but no rate", loading->key->name);
	if (loading->rate)
		bucket_init(&loading->key->limit, loading->rate, loading->burst ? loading->burst : loading->rate, loading->now_ms);
	return 0;
}

static int begin_key(struct loading *loading, const char *name, struct error *err)
{
	if (finish_key(loading, err))
		return -1;
	*loading = (struct loading){ .authorizer = loading->authorizer, .now_ms = loading->now_ms };
	loading->key = authorizer_add(loading->authorizer, bytes_of(name), err);
	if (!loading->key)
		return -1;
	loading->key->scopes = SCOPE_ALL;
	return 0;
}

static int on_entry(void *data, const char *section, const char *name, const char *value, struct error *err)
{
	struct loading *loading = data;
	if ((!loading->key || strcmp(section, loading->key->name) != 0) && begin_key(loading, section, err))
		return -1;
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		if (strcmp(name, entries[i].name) != 0)
			continue;
		return entries[i].set(loading, value, err) ? error_context(err, "%s", name) : 0;
	}
	return error_set(err, ERROR_INVALID, "unknown option %s of an API key", name);
}

int api_keys_load(struct authorizer *authorizer, const char *path, uint64_t now_ms, struct error *err)
{
	struct loading loading = { .authorizer = authorizer, .now_ms = now_ms };
	if (ini_file_read(path, on_entry, &loading, err))
		return -1;
	return finish_key(&loading, err) ? error_context(err, "%s", path) : 0;
}
