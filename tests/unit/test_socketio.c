/* test_socketio.c - the Socket.IO server on sessions that are a test's own: what is sent, when clients come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "socketio.h"

/* --- a session without a transport --- */

struct session {
	const struct session_handler *handler;
	void *above;
	bool is_closed, is_slow;
	enum close_reason reason;
	char sent[4096]; /* each frame in brackets */
};

void *session_above(struct session *session)
{
	return session->above;
}

void *session_data(const struct session *session)
{
	return session->handler->data;
}

bool session_is_open(const struct session *session)
{
	return !session->is_closed;
}

void session_close(struct session *session, enum close_reason reason)
{
	if (session->is_closed)
		return;
	session->is_closed = true;
	session->reason = reason;
	session->handler->on_close(session, reason);
}

bool session_send_together(struct session *session, const struct frames_together *together)
{
	(void)together;
	return !session->is_slow;
}

void session_send(struct session *session, struct frame *const *frames, size_t count)
{
	if (session->is_closed)
		return;
	if (session->is_slow) {
		session_close(session, CLOSE_SLOW);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		size_t used = strlen(session->sent);
		snprintf(session->sent + used, sizeof(session->sent) - used, frames[i]->is_binary ? "<%.*s>" : "[%.*s]",
		         (int)frames[i]->payload_len, frame_payload(frames[i]));
	}
}

/* --- an application that writes down what happened --- */

struct fixture {
	uv_loop_t loop;
	struct socketio *socketio;
	struct session_handler handler;
	struct session session;
	struct client *client; /* the newest */
	enum { ACCEPT, ASK_LATER, REFUSE } manner;
	char story[1024];
};

static void tell(struct fixture *fixture, const char *what, struct bytes text)
{
	size_t used = strlen(fixture->story);
	snprintf(fixture->story + used, sizeof(fixture->story) - used, "%s(%.*s)", what, (int)text.len, text.data);
}

static bool has_namespace(void *data, struct bytes nsp)
{
	(void)data;
	return !bytes_equal_text(nsp, "/unknown");
}

static void on_connect(struct client *client, struct bytes auth, const struct request_info *request)
{
	(void)request;
	struct fixture *fixture = client_data(client);
	assert_int_equal(*(char *)client_above(client), 0);
	fixture->client = client;
	tell(fixture, "connect", auth);
	if (fixture->manner == ACCEPT)
		client_accept(client, NULL);
	else if (fixture->manner == REFUSE)
		client_refuse(client, "not \"you\"", bytes_of("{\"a\":1}"));
}

static void on_event(struct client *client, const struct socketio_packet *packet)
{
	struct fixture *fixture = client_data(client);
	tell(fixture, "event", packet->json);
	for (unsigned i = 0; i < packet->attachments; i++)
		tell(fixture, "binary", packet->binary[i]);
	client_acknowledge(client, packet, bytes_of("\"done\""), NULL, 0);
}

static void on_disconnect(struct client *client, enum close_reason reason)
{
	static const char *const names[CLOSE_REASON_COUNT] = {
		[CLOSE_TRANSPORT_CLOSE] = "left", [CLOSE_PARSE_ERROR] = "broken", [CLOSE_FORCED] = "forced", [CLOSE_SLOW] = "slow",
		[CLOSE_CLIENT_NAMESPACE] = "client", [CLOSE_SERVER_NAMESPACE] = "server",
	};
	struct fixture *fixture = client_data(client);
	tell(fixture, "disconnect", bytes_of(names[reason]));
	client_emit(client, bytes_of("\"too late\""), NULL, 0);
}

static void on_protocol_error(void *data, const struct error *err)
{
	tell(data, "error", bytes_of(err->text));
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	assert_non_null(fixture);
	uv_loop_init(&fixture->loop);
	const struct socketio_settings settings = { .connect_timeout_ms = 20, .attachment_bytes_max = 10 };
	const struct socketio_handler handler = {
		.above_size = 64, .has_namespace = has_namespace, .on_connect = on_connect, .on_event = on_event,
		.on_disconnect = on_disconnect, .on_protocol_error = on_protocol_error, .data = fixture,
	};
	fixture->socketio = socketio_new(&fixture->loop, &settings, &handler, NULL);
	assert_non_null(fixture->socketio);
	fixture->handler = socketio_session_handler(fixture->socketio, NULL);
	fixture->session.handler = &fixture->handler;
	fixture->session.above = calloc(1, fixture->handler.above_size);
	fixture->handler.on_open(&fixture->session);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	session_close(&fixture->session, CLOSE_TRANSPORT_CLOSE);
	socketio_close(fixture->socketio, NULL, NULL);
	uv_run(&fixture->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&fixture->loop), 0);
	free(fixture->session.above);
	free(fixture);
	return 0;
}

static void say(struct fixture *fixture, const char *message)
{
	fixture->handler.on_message(&fixture->session, bytes_of(message), false, NULL);
}

static void say_binary(struct fixture *fixture, const char *message)
{
	fixture->handler.on_message(&fixture->session, bytes_of(message), true, NULL);
}

/* Sids are random: an S stands in their place. */
static void assert_sent(struct fixture *fixture, const char *wanted)
{
	char *sid;
	while ((sid = strstr(fixture->session.sent, "{\"sid\":\"")) && sid[9] != '"')
		memmove(sid + 9, sid + 28, strlen(sid + 28) + 1), sid[8] = 'S';
	assert_string_equal(fixture->session.sent, wanted);
	fixture->session.sent[0] = '\0';
}

static void assert_story(struct fixture *fixture, const char *wanted)
{
	assert_string_equal(fixture->story, wanted);
	fixture->story[0] = '\0';
}

static void test_connect_and_events(void **state)
{
	struct fixture *fixture = *state;
	say(fixture, "0 {\"a\":1} ");
	assert_sent(fixture, "[40{\"sid\":\"S\"}]");
	assert_true(client_is_connected(fixture->client));
	assert_int_equal(strlen(client_sid(fixture->client)), 20);
	assert_true(bytes_equal_text(client_namespace(fixture->client), "/"));
	say(fixture, "20[\"e\"]");
	say(fixture, "2[\"f\",1]");
	say(fixture, "2");
	say(fixture, "31[]");
	assert_sent(fixture, "[430[\"done\"]]");
	assert_story(fixture, "connect({\"a\":1})event([\"e\"])event([\"f\",1])");
	say(fixture, "0/x?y=z");
	assert_true(bytes_equal_text(client_namespace(fixture->client), "/x"));
	say(fixture, "2/x,7[\"e\"]");
	assert_sent(fixture, "[40/x,{\"sid\":\"S\"}][43/x,7[\"done\"]]");
	const struct bytes binary[] = { { "one", 3 }, { "two", 3 } };
	client_emit(fixture->client, bytes_of("\"b\",1"), binary, 2);
	assert_sent(fixture, "[452-/x,[\"b\",1]]<one><two>");
	client_disconnect(fixture->client);
	client_disconnect(fixture->client);
	assert_sent(fixture, "[41/x,]");
	say(fixture, "1");
	assert_story(fixture, "connect({})event([\"e\"])disconnect(server)disconnect(client)");
	say(fixture, "0");
	assert_sent(fixture, "[40{\"sid\":\"S\"}]");
	assert_false(fixture->session.is_closed);
}

static void test_refusals(void **state)
{
	struct fixture *fixture = *state;
	say(fixture, "0/unknown,{}");
	assert_sent(fixture, "[44/unknown,{\"message\":\"Invalid namespace\"}]");
	assert_story(fixture, "");
	fixture->manner = REFUSE;
	say(fixture, "0");
	assert_sent(fixture, "[44{\"message\":\"not \\\"you\\\"\",\"data\":{\"a\":1}}]");
	client_accept(fixture->client, NULL); /* too late */
	assert_sent(fixture, "");
	assert_story(fixture, "connect({})");
	for (int i = 0; i < 100 && !fixture->session.is_closed; i++) {
		say(fixture, "0");
		uv_run(&fixture->loop, UV_RUN_NOWAIT);
	}
	assert_true(fixture->session.is_closed);
}

static void test_answers_that_come_late(void **state)
{
	struct fixture *fixture = *state;
	fixture->manner = ASK_LATER;
	say(fixture, "0");
	assert_sent(fixture, "");
	uv_run(&fixture->loop, UV_RUN_NOWAIT);
	client_emit(fixture->client, bytes_of("\"early\""), NULL, 0);
	client_accept(fixture->client, "p\"id");
	client_accept(fixture->client, NULL);
	assert_sent(fixture, "[40{\"sid\":\"S\",\"pid\":\"p\\\"id\"}]");
}

static void test_gone_before_the_answer(void **state)
{
	struct fixture *fixture = *state;
	fixture->manner = ASK_LATER;
	say(fixture, "0");
	session_close(&fixture->session, CLOSE_TRANSPORT_CLOSE);
	client_accept(fixture->client, NULL);
	client_refuse(fixture->client, "no", bytes_of(""));
	assert_sent(fixture, "");
	assert_story(fixture, "connect({})disconnect(left)");
}

static void test_slow_while_accepting(void **state)
{
	struct fixture *fixture = *state;
	fixture->session.is_slow = true;
	say(fixture, "0");
	assert_story(fixture, "connect({})disconnect(slow)");
	say(fixture, "2[\"e\"]");
	assert_story(fixture, "");
}

static void test_what_closes(void **state)
{
	static const struct { const char *message, *story; } cases[] = {
		{ "0", "error(second CONNECT for a namespace)disconnect(broken)" },
		{ "2/x,[\"e\"]", "error(packet for a namespace that is not joined)disconnect(broken)" },
		{ "1/x,", "error(packet for a namespace that is not joined)disconnect(broken)" },
		{ "51-/x,[\"e\"]", "error(packet for a namespace that is not joined)disconnect(broken)" },
		{ "2[", "error(unexpected end at byte 1)disconnect(broken)" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (i) {
			tear_down(state);
			set_up(state);
		}
		struct fixture *fixture = *state;
		say(fixture, "0");
		fixture->story[0] = '\0';
		say(fixture, cases[i].message);
		assert_story(fixture, cases[i].story);
		assert_int_equal(fixture->session.reason, CLOSE_PARSE_ERROR);
		say(fixture, "2[\"e\"]");
		assert_story(fixture, "");
	}
}

static void test_a_packet_before_the_answer(void **state)
{
	struct fixture *fixture = *state;
	fixture->manner = ASK_LATER;
	say(fixture, "0");
	say(fixture, "0");
	assert_story(fixture, "connect({})error(second CONNECT for a namespace)disconnect(broken)");
}

static void test_attachments(void **state)
{
	struct fixture *fixture = *state;
	say(fixture, "0");
	fixture->story[0] = '\0';
	say(fixture, "52-3[\"e\",{\"_placeholder\":true,\"num\":1}]");
	say_binary(fixture, "12345");
	assert_story(fixture, "");
	say_binary(fixture, "67890");
	assert_story(fixture, "event([\"e\",{\"_placeholder\":true,\"num\":1}])binary(12345)binary(67890)");
	say(fixture, "50-[\"f\"]");
	assert_story(fixture, "event([\"f\"])");
	say(fixture, "52-[\"e\"]");
	say_binary(fixture, "12345");
	say_binary(fixture, "678901");
	assert_story(fixture, "error(attachments of more than 10 bytes)disconnect(broken)");
}

static void test_texts_between_attachments(void **state)
{
	struct fixture *fixture = *state;
	say(fixture, "0");
	say(fixture, "51-[\"e\"]");
	fixture->story[0] = '\0';
	say(fixture, "2[\"e\"]");
	assert_story(fixture, "error(text while attachments are due)disconnect(broken)");
}

static void test_binary_when_none_is_due(void **state)
{
	struct fixture *fixture = *state;
	say_binary(fixture, "x");
	assert_story(fixture, "error(binary message when none is due)");
	assert_true(fixture->session.is_closed);
}

static void test_too_many_namespaces(void **state)
{
	struct fixture *fixture = *state;
	char message[32];
	for (int i = 0; i < 32; i++) {
		snprintf(message, sizeof(message), "0/n%d", i);
		say(fixture, message);
		uv_run(&fixture->loop, UV_RUN_NOWAIT);
	}
	assert_false(fixture->session.is_closed);
	say(fixture, "0/more");
	assert_true(fixture->session.is_closed);
}

static void test_connect_timeout(void **state)
{
	struct fixture *fixture = *state;
	while (!fixture->session.is_closed)
		assert_true(uv_run(&fixture->loop, UV_RUN_ONCE) || fixture->session.is_closed);
	assert_int_equal(fixture->session.reason, CLOSE_FORCED);
	assert_story(fixture, "");
}

static void test_event_frames(void **state)
{
	(void)state;
	static const struct { const char *arguments, *tail, *frame; } cases[] = {
		{ "\"e\"", "", "42[\"e\"]" },
		{ "\"e\",{\"a\":1.10}", "7.12", "42[\"e\",{\"a\":1.10},\"7.12\"]" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct frame *frame = socketio_event_frame(bytes_of(cases[i].arguments), bytes_of(cases[i].tail));
		assert_non_null(frame);
		assert_true(bytes_equal_text((struct bytes){ frame_payload(frame), frame->payload_len }, cases[i].frame));
		frame_unref(frame);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_connect_and_events),
		TEST(test_refusals),
		TEST(test_answers_that_come_late),
		TEST(test_gone_before_the_answer),
		TEST(test_slow_while_accepting),
		TEST(test_what_closes),
		TEST(test_a_packet_before_the_answer),
		TEST(test_attachments),
		TEST(test_texts_between_attachments),
		TEST(test_binary_when_none_is_due),
		TEST(test_too_many_namespaces),
		TEST(test_connect_timeout),
		TEST(test_event_frames),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
