/* fuzz_query.c - any query of a URL: refused, or values that are no longer than they were and without a byte 0. */
#include <roomcast/json.h>

#include <stdint.h>
#include <stdlib.h>

#include "query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct query_parameter parameters[] = { { .name = "after" }, { .name = "limit" }, { .name = "entityType" }, { .name = NULL } };
	struct bytes query = { (const char *)data, size };
	for (int ignores_unknown = 0; ignores_unknown < 2; ignores_unknown++) {
		struct buffer scratch = { 0 };
		struct response response = { 0 };
		size_t len = 0;
		if (query_read(query, parameters, ignores_unknown, &scratch, &response) == 0) {
			for (struct query_parameter *parameter = parameters; parameter->name; parameter++) {
				must(!parameter->value.len || !memchr(parameter->value.data, 0, parameter->value.len));
				must(!parameter->value.data || (parameter->value.data >= scratch.data && parameter->value.data + parameter->value.len <= scratch.data + scratch.len));
				len += parameter->value.len;
			}
			must(len <= size);
		} else {
			must(response.status == 422 && json_check(buffer_bytes(&response.body), JSON_DEPTH_DEFAULT, NULL) == 0);
		}
		buffer_deinit(&scratch);
		response_deinit(&response);
	}
	return 0;
}
