/* fuzz_socketio_packet.c - a packet that the codec takes can be taken apart, and sent on as one that it takes again. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include <roomcast/json.h>

#include "socketio_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

static void check_within(struct bytes inner, const uint8_t *data, size_t size)
{
	if (inner.len)
		must((const uint8_t *)inner.data >= data && (const uint8_t *)inner.data + inner.len <= data + size);
}

/* Sent on with its placeholders numbered anew, it is a packet of the same kind. */
static void send_on(const struct socketio_packet *packet)
{
	struct bytes binary[SOCKETIO_ATTACHMENTS_MAX] = { { NULL, 0 } }, sorted[SOCKETIO_ATTACHMENTS_MAX];
	struct buffer json = { 0 }, out = { 0 };
	int count = socketio_packet_add_json(&json, packet->json, binary, packet->attachments, sorted);
	if (count >= 0) {
		enum socketio_type type = packet->type == SOCKETIO_BINARY_EVENT ? SOCKETIO_EVENT :
		                          packet->type == SOCKETIO_BINARY_ACK ? SOCKETIO_ACK : packet->type;
		socketio_packet_add_head(&out, type, (unsigned)count, packet->nsp, packet->id);
		buffer_add_bytes(&out, buffer_bytes(&json));
		struct socketio_packet again;
		struct bytes message = { out.data + 1, out.len - 1 };
		must(socketio_packet_parse(message, &again, NULL) == 0);
		must(again.attachments == (unsigned)count && bytes_equal(again.nsp, packet->nsp) && bytes_equal(again.id, packet->id));
	}
	buffer_deinit(&json);
	buffer_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct socketio_packet packet;
	struct error err = { .code = ERROR_NONE };
	if (socketio_packet_parse((struct bytes){ (const char *)data, size }, &packet, &err)) {
		must(err.code == ERROR_INVALID || err.code == ERROR_TOO_LARGE);
		return 0;
	}
	must(packet.type != SOCKETIO_CONNECT_ERROR && packet.attachments <= SOCKETIO_ATTACHMENTS_MAX);
	must(packet.id.len <= SOCKETIO_ID_DIGITS_MAX && packet.nsp.len <= SOCKETIO_NAMESPACE_MAX && packet.nsp.data[0] == '/');
	check_within(packet.id, data, size);
	check_within(packet.json, data, size);
	if (packet.json.len && (packet.type == SOCKETIO_EVENT || packet.type == SOCKETIO_BINARY_EVENT)) {
		struct bytes name = socketio_event_name(&packet), arguments = socketio_event_arguments(&packet);
		check_within(name, data, size);
		check_within(arguments, data, size);
		must(json_kind(name) == JSON_STRING || json_kind(name) == JSON_NUMBER);
	}
	send_on(&packet);
	return 0;
}
