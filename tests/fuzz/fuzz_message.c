/* fuzz_message.c - what unpacks can be packed again, and is the same then. */
#include <roomcast/message.h>

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message first, second;
	struct buffer packed = { 0 }, again = { 0 };
	struct error err = { 0 };
	if (message_unpack((struct bytes){ (const char *)data, size }, &first, &err)) {
		must(err.text[0] != '\0');
		return 0;
	}
	/* A field that is there but empty is as good as absent, so it may be missing afterwards; once packed nothing changes. */
	if (message_pack(&first, &packed, &err) == 0) {
		must(message_unpack(buffer_bytes(&packed), &second, &err) == 0);
		must(message_pack(&second, &again, &err) == 0);
		must(bytes_equal(buffer_bytes(&packed), buffer_bytes(&again)));
		message_deinit(&second);
	}
	message_deinit(&first);
	buffer_deinit(&packed);
	buffer_deinit(&again);
	return 0;
}
