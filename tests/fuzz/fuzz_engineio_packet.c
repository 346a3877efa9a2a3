/* fuzz_engineio_packet.c - any bytes as a polling body: packets lie inside it, and what is written again reads the same. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "engineio_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *body = malloc(size ? size : 1);
	if (!body)
		return 0;
	if (size)
		memcpy(body, data, size);
	struct engineio_payload payload = { .rest = body, .len = size };
	struct engineio_packet packet;
	struct error err;
	size_t total = 0;
	while (engineio_payload_next(&payload, &packet, &err) > 0) {
		assert(packet.data.data >= body && packet.data.data + packet.data.len <= body + size);
		assert(packet.type <= ENGINEIO_NOOP);
		total += packet.data.len;
		struct buffer again = { 0 };
		if (packet.is_binary) {
			engineio_payload_add(&again, packet.data, true);
			struct engineio_packet second;
			assert(engineio_packet_parse(buffer_bytes(&again), again.data, &second, &err) == 0);
			assert(bytes_equal(second.data, packet.data));
		}
		buffer_deinit(&again);
	}
	assert(total <= size);
	free(body);
	return 0;
}
