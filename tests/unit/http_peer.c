/* http_peer.c - a client on the loop of the test. */
#include "http_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 20000, CLOSE_MS = 20000 };

/* --- the loop -------------------------------------------------------------- */

static void on_deadline(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

void run_until(uv_loop_t *loop, bool (*is_true)(void *data), void *data)
{
	bool is_late = false;
	uv_timer_t deadline;
	uv_timer_init(loop, &deadline);
	deadline.data = &is_late;
	uv_timer_start(&deadline, on_deadline, DEADLINE_MS, 0);
	while (!is_late && !is_true(data))
		uv_run(loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&deadline, NULL);
	uv_run(loop, UV_RUN_NOWAIT);
	if (is_late)
		fail_msg("what was waited for did not come in %d ms", DEADLINE_MS);
}

void run_idle(uv_loop_t *loop)
{
	struct pollfd backend = { .fd = uv_backend_fd(loop), .events = POLLIN };
	do
		uv_run(loop, UV_RUN_NOWAIT);
	while (uv_loop_alive(loop) && (uv_backend_timeout(loop) == 0 || poll(&backend, 1, 0) > 0));
}

void run_out(uv_loop_t *loop)
{
	bool is_late = false;
	uv_timer_t deadline;
	uv_timer_init(loop, &deadline);
	deadline.data = &is_late;
	uv_timer_start(&deadline, on_deadline, CLOSE_MS, 0);
	uv_unref((uv_handle_t *)&deadline);
	while (!is_late && uv_run(loop, UV_RUN_ONCE))
		;
	uv_close((uv_handle_t *)&deadline, NULL);
	uv_run(loop, UV_RUN_NOWAIT);
	assert_false(is_late);
	assert_int_equal(uv_loop_close(loop), 0);
}

/* --- bytes ----------------------------------------------------------------- */

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct peer *peer = poll->data;
	char chunk[65536];
	(void)events;
	ssize_t len = status < 0 ? -1 : read(peer->fd, chunk, sizeof(chunk));
	if (len > 0) {
		buffer_add(&peer->received, chunk, (size_t)len);
	} else if (len == 0 || (errno != EAGAIN && errno != EINTR)) {
		peer->is_ended = true;
		peer->was_reset = len < 0;
		uv_poll_stop(poll);
	}
}

void peer_open(struct peer *peer, uv_loop_t *loop, int fd)
{
	assert_true(fd >= 0);
	*peer = (struct peer){ .loop = loop, .fd = fd, .poll = malloc(sizeof(uv_poll_t)) };
	assert_non_null(peer->poll);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	assert_int_equal(uv_poll_init(loop, peer->poll, fd), 0);
	peer->poll->data = peer;
	uv_poll_start(peer->poll, UV_READABLE, on_readable);
}

void peer_connect(struct peer *peer, uv_loop_t *loop, unsigned port)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	peer_open(peer, loop, fd);
}

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

void peer_close(struct peer *peer)
{
	if (!peer->poll)
		return;
	uv_close((uv_handle_t *)peer->poll, on_poll_closed);
	close(peer->fd);
	buffer_deinit(&peer->received);
	peer->poll = NULL;
}

void peer_reset(struct peer *peer)
{
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
	setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	peer_close(peer);
}

struct sending {
	struct peer *peer;
	struct bytes rest;
};

static bool is_sent(void *data)
{
	struct sending *sending = data;
	ssize_t len = send(sending->peer->fd, sending->rest.data, sending->rest.len, MSG_NOSIGNAL);
	if (len < 0 && errno != EAGAIN)
		return true; /* the other side has cut: whoever cares sees it */
	if (len > 0) {
		sending->rest.data += len;
		sending->rest.len -= (size_t)len;
	}
	if (sending->rest.len)
		uv_run(sending->peer->loop, UV_RUN_NOWAIT);
	return sending->rest.len == 0;
}

void peer_send(struct peer *peer, struct bytes bytes)
{
	struct sending sending = { peer, bytes };
	for (int i = 0; bytes.len && !is_sent(&sending); i++)
		if (i > 1000000)
			fail_msg("the other side takes nothing");
}

void peer_say(struct peer *peer, const char *format, ...)
{
	static char text[65536];
	va_list arguments;
	va_start(arguments, format);
	int len = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	assert_in_range(len, 0, sizeof(text) - 1);
	peer_send(peer, (struct bytes){ text, (size_t)len });
}

void peer_finish(struct peer *peer)
{
	shutdown(peer->fd, SHUT_WR);
}

static bool has_ended(void *data)
{
	return ((struct peer *)data)->is_ended;
}

void peer_wait_end(struct peer *peer)
{
	run_until(peer->loop, has_ended, peer);
}

/* --- HTTP answers ---------------------------------------------------------- */

static char answer_head[65536];
static struct buffer answer_body;

const char *answer_field(const struct answer *answer, const char *name)
{
	static char value[4096];
	size_t len = strlen(name);
	for (const char *line = strstr(answer->head, "\r\n"); line && line[2]; line = strstr(line + 2, "\r\n")) {
		const char *at = line + 2;
		if (strncasecmp(at, name, len) != 0 || at[len] != ':')
			continue;
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(at + len + 2, "\r"), at + len + 2);
		return value;
	}
	return "";
}

static size_t head_len(const struct peer *peer)
{
	const char *end = peer->received.len ? memmem(peer->received.data, peer->received.len, "\r\n\r\n", 4) : NULL;
	return end ? (size_t)(end - peer->received.data) + 4 : 0;
}

static bool has_head(void *data)
{
	struct peer *peer = data;
	return head_len(peer) > 0 || peer->is_ended;
}

struct expected_body {
	struct peer *peer;
	size_t len;
};

static bool has_body(void *data)
{
	struct expected_body *expected = data;
	return expected->peer->received.len >= expected->len || expected->peer->is_ended;
}

static struct answer take_answer(struct peer *peer, bool has_a_body)
{
	run_until(peer->loop, has_head, peer);
	size_t len = head_len(peer);
	if (len == 0 || len >= sizeof(answer_head))
		fail_msg("no answer, but %zu bytes: %.200s", peer->received.len, peer->received.len ? peer->received.data : "");
	memcpy(answer_head, peer->received.data, len);
	answer_head[len] = '\0';
	buffer_consume(&peer->received, len);
	struct answer answer = { .head = answer_head };
	assert_int_equal(sscanf(answer_head, "HTTP/1.1 %u ", &answer.status), 1);
	const char *length = answer_field(&answer, "Content-Length");
	struct expected_body expected = { peer, has_a_body ? strtoul(length, NULL, 10) : 0 };
	if (has_a_body && !*length)
		fail_msg("no Content-Length in %s", answer_head);
	run_until(peer->loop, has_body, &expected);
	assert_true(peer->received.len >= expected.len);
	buffer_clear(&answer_body);
	buffer_add(&answer_body, peer->received.data, expected.len);
	buffer_consume(&peer->received, expected.len);
	answer.body = buffer_bytes(&answer_body);
	return answer;
}

struct answer peer_answer(struct peer *peer)
{
	return take_answer(peer, true);
}

struct answer peer_answer_without_body(struct peer *peer)
{
	return take_answer(peer, false);
}

/* --- WebSocket ------------------------------------------------------------- */

void frame_add(struct buffer *out, int first_byte, struct bytes payload)
{
	static const unsigned char mask[4] = { 0x12, 0x80, 0xff, 0x01 };
	bool is_masked = !(first_byte & UNMASKED);
	unsigned char header[10] = { (unsigned char)first_byte };
	size_t len = 2;
	if (payload.len < 126) {
		header[1] = (unsigned char)payload.len;
	} else {
		size_t bytes = payload.len <= 0xffff ? 2 : 8;
		header[1] = bytes == 2 ? 126 : 127;
		for (size_t i = 0; i < bytes; i++)
			header[len++] = (unsigned char)((uint64_t)payload.len >> (8 * (bytes - 1 - i)));
	}
	if (is_masked)
		header[1] |= 0x80;
	buffer_add(out, header, len);
	if (is_masked)
		buffer_add(out, mask, sizeof(mask));
	for (size_t i = 0; i < payload.len; i++)
		buffer_add_char(out, (char)(payload.data[i] ^ (is_masked ? mask[i % 4] : 0)));
}

void peer_send_text(struct peer *peer, const char *text)
{
	struct buffer frame = { 0 };
	frame_add(&frame, FIN | OPCODE_TEXT, bytes_of(text));
	peer_send(peer, buffer_bytes(&frame));
	buffer_deinit(&frame);
}

/* 0 until a whole frame is there. */
static size_t frame_len(const struct peer *peer, size_t *header_len)
{
	const unsigned char *data = (const unsigned char *)peer->received.data;
	if (peer->received.len < 2)
		return 0;
	uint64_t len = data[1] & 127;
	size_t bytes = len == 126 ? 2 : len == 127 ? 8 : 0;
	*header_len = 2 + bytes;
	if (peer->received.len < *header_len)
		return 0;
	for (size_t i = 0; i < bytes; i++)
		len = (i ? len << 8 : 0) | data[2 + i];
	return peer->received.len >= *header_len + len ? *header_len + len : 0;
}

static bool has_frame(void *data)
{
	struct peer *peer = data;
	size_t header_len;
	return frame_len(peer, &header_len) > 0 || peer->is_ended;
}

struct received_frame peer_frame(struct peer *peer)
{
	size_t header_len;
	run_until(peer->loop, has_frame, peer);
	size_t len = frame_len(peer, &header_len);
	if (len == 0)
		fail_msg("the connection ended without a frame");
	unsigned char first = (unsigned char)peer->received.data[0];
	buffer_clear(&answer_body);
	buffer_add(&answer_body, peer->received.data + header_len, len - header_len);
	buffer_consume(&peer->received, len);
	return (struct received_frame){ .opcode = first & 15, .is_final = first & FIN, .payload = buffer_bytes(&answer_body) };
}

void peer_assert_text(struct peer *peer, const char *text)
{
	struct received_frame frame = peer_frame(peer);
	assert_int_equal(frame.opcode, OPCODE_TEXT);
	if (!bytes_equal_text(frame.payload, text))
		fail_msg("`%s` instead of `%s`", frame.payload.data, text);
}

void peer_assert_close(struct peer *peer, unsigned code)
{
	struct received_frame frame = peer_frame(peer);
	assert_int_equal(frame.opcode, OPCODE_CLOSE);
	assert_true(frame.payload.len >= 2);
	unsigned seen = (unsigned)(unsigned char)frame.payload.data[0] << 8 | (unsigned char)frame.payload.data[1];
	if (code)
		assert_int_equal(seen, code);
}

void peer_upgrade(struct peer *peer, const char *target)
{
	peer_say(peer, "GET %s HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", target);
	struct answer answer = peer_answer_without_body(peer);
	assert_int_equal(answer.status, 101);
	assert_string_equal(answer_field(&answer, "Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}
