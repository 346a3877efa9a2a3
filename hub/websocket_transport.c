/* websocket_transport.c - the WebSocket transport: a packet is a message. */
#include <stdlib.h>

#include <roomcast/base64.h>
#include <roomcast/log.h>

#include "transport.h"

static bool is_writable(const struct session *session)
{
	return websocket_is_writable(session->websocket);
}

/* For a client that takes no binary: `b` and base64, as text. */
static struct frame *as_base64(struct frame *frame)
{
	if (!frame->is_binary)
		return frame_ref(frame);
	struct frame *text = frame_new(1 + base64_encoded_len(frame->payload_len), false);
	if (!text)
		return NULL;
	frame_payload(text)[0] = 'b';
	base64_encode((struct bytes){ frame_payload(frame), frame->payload_len }, frame_payload(text) + 1);
	return text;
}

static size_t send_as_base64(struct session *session, struct frame *const *frames, size_t count)
{
	size_t taken = 0, written = 1;
	while (taken < count && written) {
		struct frame *frame = as_base64(frames[taken]);
		written = frame ? websocket_write(session->websocket, &frame, 1) : 0;
		taken += written;
		frame_unref(frame);
	}
	return taken;
}

static size_t send_frames(struct session *session, struct frame *const *frames, size_t count)
{
	return session->is_base64 ? send_as_base64(session, frames, count) : websocket_write(session->websocket, frames, count);
}

static enum websocket_code code_of(enum close_reason reason)
{
	return reason == CLOSE_SHUTTING_DOWN ? WEBSOCKET_GOING_AWAY :
	       reason == CLOSE_PARSE_ERROR || reason == CLOSE_TRANSPORT_ERROR ? WEBSOCKET_PROTOCOL_ERROR :
	       reason == CLOSE_SLOW ? WEBSOCKET_POLICY : WEBSOCKET_NORMAL;
}

static bool end(struct session *session, enum farewell farewell, enum close_reason reason)
{
	if (farewell == FAREWELL_POLITE)
		session_flush(session);
	session->engine->counters.websocket_sessions--;
	if (farewell != FAREWELL_NONE)
		websocket_close(session->websocket, code_of(reason));
	session->websocket = NULL;
	return false;
}

const struct transport websocket_transport = { .name = "websocket", .takes_wire = true, .is_writable = is_writable, .send = send_frames, .end = end };

/* --- what the WebSocket says --------------------------------------------- */

static void on_open(void *data)
{
	struct session *session = data;
	struct engine *engine = session->engine;
	engine->counters.websocket_sessions++;
	buffer_clear(&engine->scratch);
	session_write_open(session, false, &engine->scratch);
	struct frame *frame = engine->scratch.has_failed ? NULL : frame_from_bytes(buffer_bytes(&engine->scratch), false);
	/* in front of anything that the layer above may send when it begins */
	if (frame && websocket_write(session->websocket, &frame, 1) == 1) {
		frame_unref(frame);
		session_begin(session);
		return;
	}
	frame_unref(frame);
	session_set_state(session, SESSION_CLOSED);
	end(session, FAREWELL_NOW, CLOSE_TRANSPORT_ERROR);
	engine_bury(session);
}

/* Base64 is decoded into memory of its own, in *room. */
static int parse(struct bytes message, char **room, struct engineio_packet *packet, struct error *err)
{
	if (message.len && message.data[0] == 'b' && !(*room = malloc(message.len)))
		return error_set(err, ERROR_SYSTEM, "no memory");
	return engineio_packet_parse(message, *room, packet, err);
}

static void on_message(void *data, struct bytes message, bool is_binary)
{
	static const struct request_info forgotten;
	struct session *session = data;
	struct engineio_packet packet = { ENGINEIO_MESSAGE, true, message };
	char *room = NULL;
	struct error err = { 0 };
	if (is_binary || parse(message, &room, &packet, &err) == 0) {
		session_receive(session, &packet, session->request ? session->request : &forgotten);
	} else {
		log_debug("msg=\"malformed packet\" error=\"%s\"", err.text);
		session_end(session, CLOSE_PARSE_ERROR, FAREWELL_NOW);
	}
	free(room);
}

static void on_writable(void *data)
{
	session_flush(data);
}

static void on_close(void *data, bool is_error)
{
	struct session *session = data;
	if (session->state == SESSION_OPENING) {
		session->websocket = NULL;
		session_set_state(session, SESSION_CLOSED);
		engine_bury(session);
		return;
	}
	session_end(session, is_error ? CLOSE_TRANSPORT_ERROR : CLOSE_TRANSPORT_CLOSE, FAREWELL_NONE);
}

static const struct websocket_handler handler = {
	.on_open = on_open, .on_message = on_message, .on_writable = on_writable, .on_close = on_close,
};

void websocket_handshake(struct engine *engine, struct http_exchange *exchange, bool is_base64)
{
	const struct http_request *request = http_request(exchange);
	struct session *session = engine_admit(engine, exchange, &websocket_transport);
	if (!session)
		return;
	session->is_base64 = is_base64;
	session->request = request_info_dup(&request->info);
	session->websocket = session->request ? websocket_new(engine->websockets, request->websocket_key, engine->settings.max_payload,
	                                                      &handler, session) : NULL;
	if (!session->websocket) {
		session_set_state(session, SESSION_CLOSED);
		engine_bury(session);
		http_answer_error(exchange, 503, "out_of_memory", "no memory");
		return;
	}
	http_detach(exchange, websocket_start, session->websocket);
}

void websocket_take_over(struct session *session, struct websocket *websocket)
{
	session->transport = &websocket_transport;
	session->websocket = websocket;
	session->engine->counters.websocket_sessions++;
	websocket_set_handler(websocket, &handler, session);
}
