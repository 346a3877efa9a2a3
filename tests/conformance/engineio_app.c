/* engineio_app.c - echoes text and binary messages. */
#include "engineio_app.h"

#include <string.h>

static void on_message(struct session *session, struct bytes message, bool is_binary, const struct request_info *request)
{
	size_t type_len = is_binary ? 0 : 1; /* `4` */
	struct frame *frame = frame_new(type_len + message.len, is_binary);
	(void)request;
	if (!frame) {
		session_close(session, CLOSE_FORCED);
		return;
	}
	if (!is_binary)
		frame_payload(frame)[0] = '4';
	if (message.len)
		memcpy(frame_payload(frame) + type_len, message.data, message.len);
	session_send(session, &frame, 1);
	frame_unref(frame);
}

static void on_close(struct session *session, enum close_reason reason)
{
	(void)session;
	(void)reason;
}

const struct session_handler engineio_app = { .on_message = on_message, .on_close = on_close };
