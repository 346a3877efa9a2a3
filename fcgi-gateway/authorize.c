/* authorize.c - API keys. */
#include "authorize.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

_Static_assert(API_KEY_DIGEST_LEN == 32, "SHA-256");

static EVP_MD *sha256; /* looked up once: each look-up costs as much as the digest */

static void fetch_sha256(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

int api_key_digest(struct bytes secret, unsigned char out[static API_KEY_DIGEST_LEN], struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	unsigned len = 0;
	pthread_once(&once, fetch_sha256);
	if (!sha256 || EVP_Digest(secret.data, secret.len, out, &len, sha256, NULL) != 1 || len != API_KEY_DIGEST_LEN)
		return error_set(err, ERROR_SYSTEM, "SHA-256 is not available");
	return 0;
}

static bool is_name(struct bytes name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!isalnum((unsigned char)name.data[i]) && !strchr("_.-", name.data[i]))
			return false;
	return name.len >= 1 && name.len <= API_KEY_NAME_MAX;
}

struct api_key *authorizer_add(struct authorizer *authorizer, struct bytes name, struct error *err)
{
	if (authorizer->count == API_KEYS_MAX) {
		error_set(err, ERROR_TOO_LARGE, "more than %d API keys", API_KEYS_MAX);
		return NULL;
	}
	if (!is_name(name)) {
		error_set(err, ERROR_INVALID, "an API key's name has 1 to %d letters, digits, _ . or -", API_KEY_NAME_MAX);
		return NULL;
	}
	for (size_t i = 0; i < authorizer->count; i++) {
		if (bytes_equal_text(name, authorizer->keys[i].name)) {
			error_set(err, ERROR_INVALID, "there are two API keys with the name %s", authorizer->keys[i].name);
			return NULL;
		}
	}
	struct api_key *key = &authorizer->keys[authorizer->count++];
	*key = (struct api_key){ .scopes = 0 };
	memcpy(key->name, name.data, name.len);
	pthread_mutex_init(&key->lock, NULL);
	return key;
}

int authorizer_add_secret(struct authorizer *authorizer, const char *name, struct bytes secret, unsigned scopes, struct error *err)
{
	if (secret.len == 0 || secret.len > API_KEY_MAX)
		return error_set(err, ERROR_INVALID, "an API key has 1 to %d bytes, this one %zu", API_KEY_MAX, secret.len);
	struct api_key *key = authorizer_add(authorizer, bytes_of(name), err);
	if (!key || api_key_digest(secret, key->digest, err))
		return -1;
	key->scopes = scopes;
	return 0;
}

void authorizer_deinit(struct authorizer *authorizer)
{
	for (size_t i = 0; i < authorizer->count; i++) {
		struct api_key *key = &authorizer->keys[i];
		for (size_t type = 0; type < key->type_count; type++)
			free(key->types[type]);
		free(key->types);
		pthread_mutex_destroy(&key->lock);
	}
	authorizer->count = 0;
}

/* RFC 6750, 2.1; the scheme's case does not matter. */
static bool bearer(struct bytes header, struct bytes *credentials)
{
	static const char scheme[] = "Bearer ";
	size_t len = sizeof(scheme) - 1;
	if (header.len <= len || strncasecmp(header.data, scheme, len) != 0)
		return false;
	*credentials = (struct bytes){ header.data + len, header.len - len };
	while (credentials->len && credentials->data[0] == ' ') {
		credentials->data++;
		credentials->len--;
	}
	while (credentials->len && credentials->data[credentials->len - 1] == ' ')
		credentials->len--;
	return credentials->len > 0 && credentials->len <= API_KEY_MAX;
}

struct api_key *authorize(struct authorizer *authorizer, struct bytes header)
{
	struct bytes credentials;
	unsigned char given[API_KEY_DIGEST_LEN];
	if (!bearer(header, &credentials) || api_key_digest(credentials, given, NULL))
		return NULL;
	/* Every key is compared, so that time tells neither which one nor how much of it fitted. */
	struct api_key *found = NULL;
	for (size_t i = 0; i < authorizer->count; i++)
		if (CRYPTO_memcmp(given, authorizer->keys[i].digest, sizeof(given)) == 0)
			found = &authorizer->keys[i];
	return found;
}

bool api_key_allows_type(const struct api_key *key, struct bytes entity_type)
{
	for (size_t i = 0; i < key->type_count; i++)
		if (bytes_equal_text(entity_type, key->types[i]))
			return true;
	return key->type_count == 0;
}

bool api_key_take(struct api_key *key, uint64_t count, uint64_t now_ms, unsigned *wait_s)
{
	pthread_mutex_lock(&key->lock);
	bool is_taken = bucket_take(&key->limit, count, now_ms, wait_s);
	pthread_mutex_unlock(&key->lock);
	return is_taken;
}
