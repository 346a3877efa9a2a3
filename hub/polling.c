/* polling.c - the HTTP long-polling transport: a held GET for what the server says, POSTs for what the client says. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <roomcast/log.h>

#include "transport.h"
#include "utf8.h"

struct polling {
	struct http_exchange *get;  /* held: nothing is queued */
	struct http_exchange *post; /* its body is coming */
	struct buffer body;
	bool is_corked; /* a POST's packets are acted on: what they cause leaves in one answer */
};

/* --- answers ------------------------------------------------------------- */

static void answer_packets(struct http_exchange *get, struct bytes packets)
{
	http_answer(get, &(struct http_answer){ .status = 200, .content_type = "text/plain; charset=UTF-8", .body = packets });
}

static void answer_ok(struct http_exchange *post)
{
	http_answer(post, &(struct http_answer){ .status = 200, .content_type = "text/html", .body = bytes_of("ok") });
}

/* The first frames, as one payload; returns how many. */
static size_t answer_frames(struct session *session, struct http_exchange *get, struct frame *const *frames, size_t count)
{
	struct buffer *scratch = &session->engine->scratch;
	if (count > ENGINEIO_PACKETS_PER_ANSWER)
		count = ENGINEIO_PACKETS_PER_ANSWER;
	buffer_clear(scratch);
	for (size_t i = 0; i < count; i++)
		engineio_payload_add(scratch, (struct bytes){ frame_payload(frames[i]), frames[i]->payload_len }, frames[i]->is_binary);
	if (scratch->has_failed)
		http_cut(get); /* out of memory: its client comes again, or not */
	else
		answer_packets(get, buffer_bytes(scratch));
	return count;
}

static void answer_queued(struct session *session, struct http_exchange *get)
{
	session_drop_queue(session, answer_frames(session, get, session->queue + session->queue_head, session->queue_len));
}

static void release_get(struct session *session, const char *packet)
{
	struct http_exchange *get = session->polling->get;
	session->polling->get = NULL;
	if (get)
		answer_packets(get, bytes_of(packet));
}

/* --- the transport ------------------------------------------------------- */

static bool is_writable(const struct session *session)
{
	return session->polling->get && !session->polling->is_corked;
}

static size_t send_frames(struct session *session, struct frame *const *frames, size_t count)
{
	if (!is_writable(session))
		return 0;
	struct http_exchange *get = session->polling->get;
	session->polling->get = NULL;
	return answer_frames(session, get, frames, count);
}

static bool end(struct session *session, enum farewell farewell, enum close_reason reason)
{
	struct polling *polling = session->polling;
	(void)reason;
	if (farewell == FAREWELL_POLITE && session->queue_len > 0 && polling->get) {
		struct http_exchange *get = polling->get;
		polling->get = NULL;
		answer_queued(session, get);
		return true;
	}
	/* a client may drop what comes with `1`: it stands alone */
	if (farewell == FAREWELL_POLITE && !polling->get)
		return true;
	release_get(session, farewell == FAREWELL_NOOP ? "6" : "1");
	if (polling->post)
		http_cut(polling->post);
	polling->post = NULL;
	return false;
}

const struct transport polling_transport = { .name = "polling", .is_writable = is_writable, .send = send_frames, .end = end };

void polling_release(struct session *session)
{
	struct polling *polling = session->polling;
	if (!polling->get || polling->is_corked)
		return;
	release_get(session, "6");
}

void polling_free(struct session *session)
{
	struct polling *polling = session->polling;
	if (!polling)
		return;
	release_get(session, "6");
	if (polling->post)
		http_cut(polling->post);
	buffer_deinit(&polling->body);
	free(polling);
	session->polling = NULL;
}

/* --- GET ----------------------------------------------------------------- */

static void on_get_abort(struct http_exchange *exchange, void *data)
{
	struct session *session = data;
	(void)exchange;
	session->polling->get = NULL;
	session_end(session, CLOSE_TRANSPORT_CLOSE, FAREWELL_NONE);
}

static const struct http_exchange_handler get_handler = { .on_abort = on_get_abort };

static void refuse_second(struct session *session, struct http_exchange *exchange)
{
	session_end(session, CLOSE_TRANSPORT_ERROR, FAREWELL_NOW);
	engine_refuse(session->engine, exchange, ENGINE_BAD_REQUEST);
}

static void serve_get(struct session *session, struct http_exchange *exchange)
{
	struct polling *polling = session->polling;
	if (polling->get) {
		refuse_second(session, exchange);
	} else if (session->queue_len > 0) {
		answer_queued(session, exchange);
	} else if (session->state == SESSION_CLOSING) {
		answer_packets(exchange, bytes_of("1"));
		session_finish_lingering(session);
	} else if (session->state == SESSION_UPGRADING) {
		answer_packets(exchange, bytes_of("6"));
	} else {
		polling->get = exchange;
		http_await(exchange, &get_handler, session);
	}
}

/* --- POST ---------------------------------------------------------------- */

static void on_post_abort(struct http_exchange *exchange, void *data)
{
	struct session *session = data;
	(void)exchange;
	session->polling->post = NULL;
	session_end(session, CLOSE_TRANSPORT_CLOSE, FAREWELL_NOW);
}

static void refuse_too_large(struct session *session, struct http_exchange *exchange)
{
	session->polling->post = NULL;
	buffer_deinit(&session->polling->body); /* what came of it; the session may live long */
	session->engine->counters.bad_requests++;
	http_answer_error(exchange, 413, "payload_too_large", "the body is larger than maxPayload");
}

static void on_post_body(struct http_exchange *exchange, struct bytes piece, void *data)
{
	struct session *session = data;
	struct buffer *body = &session->polling->body;
	buffer_add_bytes(body, piece);
	if (body->has_failed)
		refuse_too_large(session, exchange);
}

/* -1 on a malformed packet, which ends the session. */
static int receive_payload(struct session *session, struct buffer *body, const struct request_info *request)
{
	struct error err = { 0 };
	struct engineio_payload payload = { .rest = body->data, .len = body->len };
	struct engineio_packet packet;
	int status = -1;
	if (!utf8_is_valid(buffer_bytes(body)))
		error_set(&err, ERROR_INVALID, "not UTF-8");
	else
		while (session_is_open(session) && (status = engineio_payload_next(&payload, &packet, &err)) > 0)
			session_receive(session, &packet, request);
	if (status >= 0)
		return 0;
	log_debug("msg=\"malformed payload\" error=\"%s\"", err.text);
	session_end(session, CLOSE_PARSE_ERROR, FAREWELL_NOW);
	return -1;
}

static void on_post_complete(struct http_exchange *exchange, void *data)
{
	struct session *session = data;
	struct polling *polling = session->polling;
	struct buffer body = polling->body;
	polling->body = (struct buffer){ 0 };
	polling->post = NULL;
	if (!session_is_open(session)) { /* its last packets wait: what it says no longer counts */
		answer_ok(exchange);
		buffer_deinit(&body);
		return;
	}
	polling->is_corked = true;
	int status = receive_payload(session, &body, &http_request(exchange)->info);
	polling->is_corked = false;
	buffer_deinit(&body);
	if (session_is_open(session)) {
		session_flush(session);
		if (session->state == SESSION_UPGRADING)
			polling_release(session);
	}
	if (status < 0)
		engine_refuse(session->engine, exchange, ENGINE_BAD_REQUEST);
	else
		answer_ok(exchange);
}

static const struct http_exchange_handler post_handler = {
	.on_body = on_post_body, .on_complete = on_post_complete, .on_abort = on_post_abort,
};

static bool is_octet_stream(struct bytes content_type)
{
	static const char name[] = "application/octet-stream";
	size_t len = sizeof(name) - 1;
	return content_type.len >= len && strncasecmp(content_type.data, name, len) == 0;
}

static void serve_post(struct session *session, struct http_exchange *exchange)
{
	struct polling *polling = session->polling;
	const struct http_request *request = http_request(exchange);
	size_t max = session->engine->settings.max_payload;
	if (polling->post) {
		refuse_second(session, exchange);
	} else if (is_octet_stream(request->content_type)) {
		session_end(session, CLOSE_TRANSPORT_ERROR, FAREWELL_NOW);
		engine_refuse(session->engine, exchange, ENGINE_BAD_REQUEST);
	} else if (request->content_length != HTTP_LENGTH_UNKNOWN && request->content_length > max) {
		refuse_too_large(session, exchange);
	} else {
		buffer_deinit(&polling->body);
		polling->body.max = max;
		polling->post = exchange;
		http_await(exchange, &post_handler, session);
	}
}

void polling_serve(struct session *session, struct http_exchange *exchange)
{
	enum http_verb verb = http_request(exchange)->verb;
	if (verb == HTTP_VERB_GET) {
		serve_get(session, exchange);
	} else if (verb == HTTP_VERB_POST) {
		serve_post(session, exchange);
	} else {
		session->engine->counters.bad_requests++;
		http_answer_not_allowed(exchange, "Allow: GET, POST, OPTIONS\r\n");
	}
}

/* --- handshake ----------------------------------------------------------- */

void polling_handshake(struct engine *engine, struct http_exchange *exchange)
{
	struct session *session = engine_admit(engine, exchange, &polling_transport);
	if (!session)
		return;
	session->polling = calloc(1, sizeof(*session->polling));
	if (!session->polling) {
		session_set_state(session, SESSION_CLOSED);
		engine_bury(session);
		http_answer_error(exchange, 503, "out_of_memory", "no memory");
		return;
	}
	buffer_clear(&engine->scratch);
	session_write_open(session, true, &engine->scratch);
	answer_packets(exchange, buffer_bytes(&engine->scratch));
	session_begin(session);
}
