/* authorize.c - API keys. */
#include "authorize.h"

#include <stdio.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

_Static_assert(API_KEY_DIGEST_LEN == 32, "SHA-256");

static int digest(struct bytes secret, unsigned char out[static API_KEY_DIGEST_LEN])
{
	unsigned len = 0;
	return EVP_Digest(secret.data, secret.len, out, &len, EVP_sha256(), NULL) == 1 && len == API_KEY_DIGEST_LEN ? 0 : -1;
}

int authorizer_add(struct authorizer *authorizer, const char *name, struct bytes secret, unsigned scopes, struct error *err)
{
	if (authorizer->count == API_KEYS_MAX)
		return error_set(err, ERROR_TOO_LARGE, "more than %d API keys", API_KEYS_MAX);
	if (secret.len == 0 || secret.len > API_KEY_MAX)
		return error_set(err, ERROR_INVALID, "an API key has 1 to %d bytes, this one %zu", API_KEY_MAX, secret.len);
	struct api_key *key = &authorizer->keys[authorizer->count];
	snprintf(key->name, sizeof(key->name), "%s", name);
	key->scopes = scopes;
	if (digest(secret, key->digest))
		return error_set(err, ERROR_SYSTEM, "SHA-256 is not available");
	authorizer->count++;
	return 0;
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

const struct api_key *authorize(const struct authorizer *authorizer, struct bytes header)
{
	struct bytes credentials;
	unsigned char given[API_KEY_DIGEST_LEN];
	if (!bearer(header, &credentials) || digest(credentials, given))
		return NULL;
	/* Every key is compared, so that time tells neither which one nor how much of it fitted. */
	const struct api_key *found = NULL;
	for (size_t i = 0; i < authorizer->count; i++)
		if (CRYPTO_memcmp(given, authorizer->keys[i].digest, sizeof(given)) == 0)
			found = &authorizer->keys[i];
	return found;
}
