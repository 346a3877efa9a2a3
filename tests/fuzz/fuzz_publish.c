/* fuzz_publish.c - any request body: refused, or an event that every client's parser takes. The first byte chooses the call. */
#include <roomcast/json.h>

#include <stdint.h>
#include <stdlib.h>

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
};

/* The body as it stands in the array that clients get. */
static void check_event(const struct publication *publication)
{
	struct buffer array = { 0 };
	buffer_add_char(&array, '[');
	buffer_add_bytes(&array, buffer_bytes(&publication->body));
	buffer_add_char(&array, ']');
	must(json_check(buffer_bytes(&array), JSON_DEPTH_DEFAULT + 2, NULL) == 0);
	buffer_deinit(&array);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct publication publication = { 0 };
	struct response response = { 0 };
	struct buffer packed = { 0 };
	struct journal_record record;
	struct error err;
	if (size == 0)
		return 0;
	struct request request = {
		.content_type = bytes_of("application/json"), .body = { (const char *)data + 1, size - 1 }, .content_length = (int64_t)size - 1,
	};
	if (publish_check_body(&request, SIZE_MAX, &response) == 0
	    && builders[data[0] % 4](json_trim(request.body), &publication, &response) == 0) {
		publication_stamp(&publication, UINT64_C(1795424800123));
		check_event(&publication);
		publication_record(&publication, (struct place){ 1, 1 }, &record);
		must(journal_record_pack(&record, &packed, &err) == 0);
	} else {
		must(response.refusal && json_check(buffer_bytes(&response.body), JSON_DEPTH_DEFAULT, NULL) == 0);
	}
	publication_deinit(&publication);
	response_deinit(&response);
	buffer_deinit(&packed);
	return 0;
}
