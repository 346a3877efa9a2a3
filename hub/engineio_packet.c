/* engineio_packet.c - Engine.IO packets, one by one and as polling payloads. */
#include "engineio_packet.h"

#include <roomcast/base64.h>

int engineio_packet_parse(struct bytes text, char *room, struct engineio_packet *out, struct error *err)
{
	if (text.len == 0)
		return error_set(err, ERROR_INVALID, "empty packet");
	char type = text.data[0];
	struct bytes data = { text.data + 1, text.len - 1 };
	if (type == 'b') {
		long decoded = base64_decode(data, (unsigned char *)room);
		if (decoded < 0)
			return error_set(err, ERROR_INVALID, "binary packet that is not base64");
		*out = (struct engineio_packet){ ENGINEIO_MESSAGE, true, { room, (size_t)decoded } };
		return 0;
	}
	if (type < '0' || type > '6')
		return error_set(err, ERROR_INVALID, "unknown packet type 0x%02x", (unsigned)(unsigned char)type);
	*out = (struct engineio_packet){ (enum engineio_type)(type - '0'), false, data };
	return 0;
}

int engineio_payload_next(struct engineio_payload *payload, struct engineio_packet *out, struct error *err)
{
	if (payload->is_started && !payload->rest)
		return 0;
	payload->is_started = true;
	char *packet = payload->rest;
	size_t len = payload->len;
	char *end = len ? memchr(packet, ENGINEIO_SEPARATOR, len) : NULL;
	if (end) {
		len = (size_t)(end - packet);
		payload->rest = end + 1;
		payload->len -= len + 1;
	} else {
		payload->rest = NULL;
		payload->len = 0;
	}
	return engineio_packet_parse((struct bytes){ packet, len }, packet, out, err) < 0 ? -1 : 1;
}

void engineio_payload_add(struct buffer *answer, struct bytes payload, bool is_binary)
{
	if (answer->len)
		buffer_add_char(answer, ENGINEIO_SEPARATOR);
	if (!is_binary) {
		buffer_add_bytes(answer, payload);
		return;
	}
	buffer_add_char(answer, 'b');
	size_t len = base64_encoded_len(payload.len);
	char *place = buffer_reserve(answer, len);
	if (!place)
		return;
	base64_encode(payload, place);
	answer->len += len;
	answer->data[answer->len] = '\0';
}

void engineio_open_write(struct buffer *out, const struct engineio_open *open)
{
	buffer_add_text(out, "0{\"sid\":");
	buffer_add_json_string(out, bytes_of(open->sid));
	buffer_add_format(out, ",\"upgrades\":[%s],\"pingInterval\":%llu,\"pingTimeout\":%llu,\"maxPayload\":%llu}",
	                  open->can_upgrade ? "\"websocket\"" : "", open->ping_interval_ms, open->ping_timeout_ms, open->max_payload);
}
