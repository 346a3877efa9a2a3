/* fuzz_record.c - any bytes on the FastCGI socket, in two pieces: what is let through is whole. */
#include <stdint.h>
#include <stdlib.h>

#include "record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX = 4096 };

static void must(bool condition)
{
	if (!condition)
		abort();
}

static bool feed_all(struct record_reader *reader, struct bytes input)
{
	struct error err;
	for (;;) {
		enum record_result result = record_feed(reader, &input, &err);
		must(reader->body.len <= BODY_MAX && reader->params.len <= RECORD_PARAMS_MAX);
		must(reader->reply.len <= RECORD_REPLY_MAX + RECORD_HEADER_LEN + 18);
		if (result == RECORD_MALFORMED)
			return false;
		if (result == RECORD_MORE)
			return true;
		must(reader->stage == RECORD_STAGE_READY || reader->stage == RECORD_STAGE_EARLY);
		struct bytes address = record_param(reader, "REQUEST_URI");
		must(address.len <= reader->params.len && !memchr(address.data, '\0', address.len));
		record_next(reader);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record_reader reader = { .max_body = BODY_MAX };
	const char *text = (const char *)data;
	size_t at = size ? data[size - 1] % size : 0;
	if (feed_all(&reader, (struct bytes){ text, at }))
		(void)feed_all(&reader, (struct bytes){ text + at, size - at });
	record_deinit(&reader);
	return 0;
}
