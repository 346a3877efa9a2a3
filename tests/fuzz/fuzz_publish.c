/* fuzz_publish.c - any request body: refused, or events and control events that every client's parser takes and the journal can keep. The first
 * byte chooses the call. */
#include <roomcast/json.h>

#include <stdint.h>
#include <stdlib.h>

#include "batch.h"
#include "body.h"
#include "journal_record.h"
#include "publication.h"
#include "publish.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

static publication_builder *const builders[] = {
	publication_from_data_change, publication_from_notification, publication_from_system_notification, publication_from_emit,
	publication_from_join, publication_from_leave, publication_from_disconnect,
};
enum { BUILDER_COUNT = sizeof(builders) / sizeof(builders[0]) };

/* The body as it stands in the array that clients get. */
static void check_body(const struct publication *publication)
{
	struct buffer array = { 0 };
	buffer_add_char(&array, '[');
	buffer_add_bytes(&array, buffer_bytes(&publication->body));
	buffer_add_char(&array, ']');
	must(json_check(buffer_bytes(&array), JSON_DEPTH_DEFAULT + 2, NULL) == 0);
	buffer_deinit(&array);
}

static void check_publication(struct publication *publication)
{
	struct journal_record record;
	struct buffer packed = { 0 };
	publication_stamp(publication, UINT64_C(1795424800123));
	if (publication->action && publication->entity_id[0] && publication->version == VERSION_NONE)
		publication_set_version(publication, INT64_MAX);
	must(!!publication->operation == !publication->body.len);
	check_body(publication);
	publication_record(publication, (struct place){ 1, 1 }, &record);
	must(!record.data.len || json_check(record.data, JSON_DEPTH_DEFAULT, NULL) == 0);
	must(journal_record_pack(&record, &packed, NULL) == 0);
	must(publication->is_volatile || journal_record_check(&record, (struct place){ 1, 0 }, NULL) == 0);
	buffer_deinit(&packed);
}

static bool check_single(struct bytes body, publication_builder *build, struct response *response)
{
	struct publication publication;
	publication_init(&publication);
	bool is_built = build(body, &publication, response) == 0;
	if (is_built)
		check_publication(&publication);
	publication_deinit(&publication);
	return is_built;
}

static bool check_batch(struct bytes body, struct response *response)
{
	struct api_key key = { .name = "fuzz", .scopes = SCOPE_ALL };
	struct call call = { .key = &key, .response = response };
	struct submission submission;
	if (batch_read(&call, body, &submission))
		return false;
	for (size_t i = 0; i < submission.count; i++)
		check_publication(&submission.items[i]);
	submission_deinit(&submission);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct response response = { 0 };
	if (size == 0)
		return 0;
	struct request request = {
		.content_type = bytes_of("application/json"), .body = { (const char *)data + 1, size - 1 }, .content_length = (int64_t)size - 1,
	};
	size_t chosen = data[0] % (BUILDER_COUNT + 1);
	bool is_taken = body_check(&request, SIZE_MAX, &response) == 0
	    && (chosen < BUILDER_COUNT ? check_single(json_trim(request.body), builders[chosen], &response) : check_batch(json_trim(request.body), &response));
	must(is_taken || (response.refusal && json_check(buffer_bytes(&response.body), JSON_DEPTH_DEFAULT, NULL) == 0));
	response_deinit(&response);
	return 0;
}
