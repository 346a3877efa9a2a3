/* submission.c - a request's publications together. */
#include "submission.h"

#include <inttypes.h>
#include <stdlib.h>

#include <openssl/evp.h>

enum { PACKED_OVERHEAD = 512 }; /* bytes of a packed message besides body and rooms, about */

_Static_assert(BODY_HASH_LEN == 32, "SHA-256");

static const char answer_start[] = "\"id\":\"";

int submission_init(struct submission *submission, size_t count, struct error *err)
{
	*submission = (struct submission){ .count = count };
	submission->items = malloc(count * (sizeof(*submission->items) + sizeof(*submission->packed_ends)));
	if (!submission->items) {
		*submission = (struct submission){ 0 };
		return error_set(err, ERROR_UNAVAILABLE, "out of memory");
	}
	submission->packed_ends = (size_t *)(submission->items + count);
	for (size_t i = 0; i < count; i++) {
		publication_init(&submission->items[i]);
		submission->packed_ends[i] = 0;
	}
	return 0;
}

void submission_deinit(struct submission *submission)
{
	for (size_t i = 0; i < submission->count; i++)
		publication_deinit(&submission->items[i]);
	free(submission->items);
	buffer_deinit(&submission->packed);
	*submission = (struct submission){ 0 };
}

int submission_set_key(struct submission *submission, struct bytes key, struct bytes path, struct bytes body, struct error *err)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	/* The byte 0 parts them: a path has none. The same body means something else to another call. */
	bool is_hashed = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(context, path.data, path.len) == 1
	    && EVP_DigestUpdate(context, "", 1) == 1 && EVP_DigestUpdate(context, body.data, body.len) == 1
	    && EVP_DigestFinal_ex(context, submission->body_hash, NULL) == 1;
	EVP_MD_CTX_free(context);
	if (!is_hashed)
		return error_set(err, ERROR_SYSTEM, "SHA-256 is not available");
	memcpy(submission->idempotency_key, key.data, key.len);
	submission->idempotency_key[key.len] = '\0';
	return 0;
}

size_t submission_size(const struct submission *submission)
{
	size_t size = sizeof(*submission);
	for (size_t i = 0; i < submission->count; i++)
		size += 2 * publication_size(&submission->items[i]) - sizeof(struct publication) + PACKED_OVERHEAD;
	return size;
}

struct bytes submission_packed(const struct submission *submission, size_t i)
{
	size_t start = i ? submission->packed_ends[i - 1] : 0;
	return (struct bytes){ submission->packed.data + start, submission->packed_ends[i] - start };
}

void submission_result_deinit(struct submission_result *result)
{
	buffer_deinit(&result->answer);
	buffer_deinit(&result->server_data);
}

/* -1 where an event has none. */
static int64_t version_of(const struct publication *publication)
{
	return publication->action && publication->entity_id[0] ? publication->version : VERSION_NONE;
}

static void add_version(const struct publication *publication, struct buffer *out)
{
	if (version_of(publication) == VERSION_NONE)
		buffer_add_text(out, "null");
	else
		buffer_add_number(out, (uint64_t)version_of(publication));
}

static void add_lists(const struct submission *submission, struct place last, struct buffer *out)
{
	bool has_versions = false;
	buffer_add_text(out, ",\"ids\":[");
	for (size_t i = 0; i < submission->count; i++) {
		buffer_add_format(out, "%s\"%" PRIu64 ".%" PRIu64 "\"", i ? "," : "", last.epoch, last.seq - (submission->count - 1 - i));
		has_versions = has_versions || version_of(&submission->items[i]) != VERSION_NONE;
	}
	buffer_add_char(out, ']');
	if (!has_versions)
		return;
	buffer_add_text(out, ",\"versions\":[");
	for (size_t i = 0; i < submission->count; i++) {
		if (i)
			buffer_add_char(out, ',');
		add_version(&submission->items[i], out);
	}
	buffer_add_char(out, ']');
}

void submission_add_answer(const struct submission *submission, struct place place, struct buffer *out)
{
	buffer_add_text(out, answer_start);
	buffer_add_number(out, place.epoch);
	buffer_add_char(out, '.');
	buffer_add_number(out, place.seq);
	buffer_add_char(out, '"');
	if (submission->is_batch) {
		add_lists(submission, place, out);
	} else if (version_of(&submission->items[0]) != VERSION_NONE) {
		buffer_add_text(out, ",\"version\":");
		add_version(&submission->items[0], out);
	}
}

bool submission_answer_place(struct bytes answer, struct place *out)
{
	size_t start = sizeof(answer_start) - 1;
	if (answer.len <= start || memcmp(answer.data, answer_start, start) != 0)
		return false;
	struct bytes rest = { answer.data + start, answer.len - start };
	const char *quote = memchr(rest.data, '"', rest.len);
	return quote && place_parse((struct bytes){ rest.data, (size_t)(quote - rest.data) }, out);
}
