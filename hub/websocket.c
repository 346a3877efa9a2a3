/* websocket.c - WebSocket connections: who is there, what they read, how they end. What goes out is in websocket_send.c. */
#include "websocket.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>

#include <roomcast/base64.h>
#include <roomcast/log.h>

#include "websocket_inside.h"

enum {
	KEY_LEN = 24,               /* base64 of 16 bytes */
	ACCEPT_LEN = 28,            /* of 20 */
	CLOSE_TIMEOUT = 5000,       /* ms for the peer to answer a close frame, and for it to leave at all */
	TURN_NS = 4 * 1000 * 1000,  /* then others of the loop have their turn */
	DRAINED_AT_END_MAX = 64,    /* reads of what came last, when all is dropped */
};

#define TO(state) (1u << (state))
static const struct { const char *name; unsigned next; } websocket_states[] = {
	[WEBSOCKET_NEW] = { "new", TO(WEBSOCKET_OPEN) | TO(WEBSOCKET_CLOSING) },
	[WEBSOCKET_OPEN] = { "open", TO(WEBSOCKET_CLOSING) },
	[WEBSOCKET_CLOSING] = { "closing", TO(WEBSOCKET_GONE) },
	[WEBSOCKET_GONE] = { "gone", 0 },
};

/* What came behind a handshake, and is read as if it came now. */
struct early {
	struct early *next;
	struct websocket *websocket;
	struct websocket_span rest;
	char bytes[];
};

static void set_state(struct websocket *websocket, enum websocket_state state)
{
	assert(websocket_states[websocket->state].next & TO(state));
	log_debug("msg=\"websocket\" from=%s to=%s", websocket_states[websocket->state].name, websocket_states[state].name);
	websocket->state = (uint8_t)state;
}

/* --- the end of a connection ----------------------------------------------- */

/* A batch of events may name it. */
static void forget_events(struct websockets *all, const struct websocket *websocket)
{
	for (int i = all->event_at; i < all->event_count; i++)
		if (all->events[i].data.ptr == websocket)
			all->events[i].data.ptr = NULL;
}

/* The connection goes at once; the struct when the turn ends. */
static void vanish(struct websocket *websocket)
{
	struct websockets *all = websocket->all;
	set_state(websocket, WEBSOCKET_GONE);
	if (websocket->fd >= 0) {
		forget_events(all, websocket);
		close(websocket->fd);
		all->counters.open--;
	}
	outgoing_free(websocket);
	websocket->next_gone = all->gone;
	all->gone = websocket;
	turn_end_ask(&all->turn_end);
}

/* Tells the owner, who then no longer knows the websocket. */
static void notify_closed(struct websocket *websocket, bool is_error)
{
	if (websocket->state == WEBSOCKET_CLOSING)
		return;
	set_state(websocket, WEBSOCKET_CLOSING);
	websocket->handler->on_close(websocket->data, is_error);
}

static void lose(struct websocket *websocket, bool is_error)
{
	notify_closed(websocket, is_error);
	vanish(websocket);
}

/* What is left to do when our close frame has gone. */
static void on_farewell_sent(struct websocket *websocket)
{
	if (websocket->has_heard_close)
		vanish(websocket); /* 7.1.1: the server goes first */
	else if (websocket->is_deaf)
		shutdown(websocket->fd, SHUT_WR);
}

/* Says the last word, or keeps it until the socket takes it. */
static void say_farewell(struct websocket *websocket, enum websocket_code code)
{
	websocket->decoder.is_discarding = true;
	if (outgoing_add_close(websocket, code) < 0) {
		vanish(websocket);
		return;
	}
	deadlines_set(&websocket->all->closing, &websocket->out->deadline);
	if (outgoing_flush(websocket))
		on_farewell_sent(websocket);
}

void websocket_close(struct websocket *websocket, enum websocket_code code)
{
	bool is_new = websocket->state == WEBSOCKET_NEW;
	set_state(websocket, WEBSOCKET_CLOSING);
	if (!is_new)
		say_farewell(websocket, code);
}

/* The peer broke a rule or a bound, and nothing that it says now has a meaning. */
static void fail(struct websocket *websocket, enum websocket_code code)
{
	struct websocket_counters *counters = &websocket->all->counters;
	counters->too_big += code == WEBSOCKET_TOO_BIG;
	counters->invalid_text += code == WEBSOCKET_INVALID_DATA;
	counters->broken += code == WEBSOCKET_PROTOCOL_ERROR;
	websocket->is_deaf = true;
	if (websocket->state == WEBSOCKET_OPEN) {
		notify_closed(websocket, true);
		say_farewell(websocket, code);
	} else if (outgoing_is_done(websocket)) {
		on_farewell_sent(websocket);
	}
}

static void on_close_due(struct deadline *deadline, void *data)
{
	(void)data;
	vanish(outgoing_of(deadline)->websocket);
}

/* --- receiving ------------------------------------------------------------- */

static void on_peer_close(struct websocket *websocket, struct bytes payload)
{
	struct websocket_close said = websocket_close_read(payload);
	if (!said.is_valid) {
		fail(websocket, said.code);
		return;
	}
	websocket->has_heard_close = true;
	if (websocket->state == WEBSOCKET_OPEN) {
		notify_closed(websocket, false);
		say_farewell(websocket, said.code);
	} else if (outgoing_is_done(websocket)) {
		on_farewell_sent(websocket);
	}
}

/* The newest ping of what was read: an answer to it is one to those before (5.5.3). */
struct ping {
	bool is_due;
	uint8_t len;
	char payload[WEBSOCKET_CONTROL_MAX];
};

static void note_ping(struct ping *ping, struct bytes payload)
{
	ping->is_due = true;
	ping->len = (uint8_t)payload.len;
	if (payload.len)
		memcpy(ping->payload, payload.data, payload.len);
}

/* Whether what is behind the item may be read. */
static bool act_on(struct websocket *websocket, enum websocket_found found, const struct websocket_item *item, struct ping *ping)
{
	if (found == WEBSOCKET_FOUND_ERROR) {
		fail(websocket, item->code);
		return false;
	}
	if (found == WEBSOCKET_FOUND_CLOSE) {
		on_peer_close(websocket, item->payload);
		return false;
	}
	if (found == WEBSOCKET_FOUND_PING)
		note_ping(ping, item->payload);
	if (found == WEBSOCKET_FOUND_MESSAGE && websocket->state == WEBSOCKET_OPEN)
		websocket->handler->on_message(websocket->data, item->payload, item->is_binary);
	return websocket->state != WEBSOCKET_GONE;
}

static void take_in(struct websocket *websocket, struct websocket_span input)
{
	struct ping ping = { .is_due = false };
	struct websocket_item item;
	enum websocket_found found;
	while ((found = websocket_decode(&websocket->decoder, &input, &item)) != WEBSOCKET_FOUND_NOTHING)
		if (!act_on(websocket, found, &item, &ping))
			break;
	if (ping.is_due && websocket->state == WEBSOCKET_OPEN)
		outgoing_pong(websocket, (struct bytes){ ping.payload, ping.len });
}

static void receive(struct websocket *websocket)
{
	struct websocket_span room = websocket_decoder_room(&websocket->decoder);
	if (room.len == 0)
		room = (struct websocket_span){ websocket->all->input, RECEIVE_MAX };
	ssize_t len = recv(websocket->fd, room.data, room.len, MSG_DONTWAIT);
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	room.len = len > 0 ? (size_t)len : 0;
	if (len <= 0)
		lose(websocket, false);
	else if (!websocket->is_deaf && !websocket->has_heard_close)
		take_in(websocket, room);
}

/* --- what the loop calls ----------------------------------------------------- */

static void on_can_write(struct websocket *websocket)
{
	websocket->is_full = false;
	if (!outgoing_flush(websocket))
		return;
	if (websocket->state == WEBSOCKET_CLOSING) {
		on_farewell_sent(websocket);
	} else if (websocket->wants_to_write) {
		websocket->wants_to_write = false;
		websocket->handler->on_writable(websocket->data);
	}
	if (websocket->state != WEBSOCKET_GONE && !websocket->is_full)
		outgoing_watch(websocket, false);
}

static void on_event(struct websocket *websocket, uint32_t events)
{
	if (events & EPOLLOUT)
		on_can_write(websocket);
	if (events & ~(uint32_t)EPOLLOUT && websocket->state != WEBSOCKET_GONE && !websocket->has_early)
		receive(websocket);
}

/* The kernel names those that are ready in turn; what time leaves of a batch is gone on with in the next turn of the loop. */
static void on_poll(uv_poll_t *poll, int status, int poll_events)
{
	struct websockets *all = poll->data;
	uint64_t until = uv_hrtime() + TURN_NS;
	(void)status;
	(void)poll_events;
	if (all->event_at >= all->event_count) {
		all->event_at = 0;
		all->event_count = epoll_wait(all->epoll, all->events, EVENTS_MAX, 0);
	}
	while (all->event_at < all->event_count) {
		const struct epoll_event *event = &all->events[all->event_at++];
		if (event->data.ptr)
			on_event(event->data.ptr, event->events);
		if (uv_hrtime() > until)
			break;
	}
}

static void read_early(struct websockets *all)
{
	struct early **at = &all->early;
	while (*at) {
		struct early *early = *at;
		struct websocket *websocket = early->websocket;
		struct websocket_span piece = { early->rest.data, early->rest.len < RECEIVE_MAX ? early->rest.len : RECEIVE_MAX };
		early->rest.data += piece.len;
		early->rest.len -= piece.len;
		if (websocket->state != WEBSOCKET_GONE && !websocket->is_deaf && !websocket->has_heard_close)
			take_in(websocket, piece);
		if (early->rest.len > 0 && websocket->state != WEBSOCKET_GONE) {
			at = &early->next;
			continue;
		}
		websocket->has_early = false;
		*at = early->next;
		free(early);
	}
}

static void on_turn_end(void *data)
{
	struct websockets *all = data;
	read_early(all);
	while (all->gone) {
		struct websocket *websocket = all->gone;
		all->gone = websocket->next_gone;
		websocket_decoder_deinit(&websocket->decoder); /* a message that was being read when it went lies there */
		free(websocket);
	}
	if (all->early)
		turn_end_ask(&all->turn_end);
}

/* --- all of them ------------------------------------------------------------- */

static int watch(struct websockets *all, uv_loop_t *loop, struct error *err)
{
	all->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (all->epoll < 0)
		return error_set(err, ERROR_SYSTEM, "epoll: %s", strerror(errno));
	if (uv_poll_init(loop, &all->poll, all->epoll) < 0 || deadlines_init(&all->closing, loop, CLOSE_TIMEOUT, on_close_due, all, err) < 0 ||
	    turn_end_init(&all->turn_end, loop, on_turn_end, all, err) < 0)
		abort(); /* cannot fail with a loop that exists */
	all->poll.data = all;
	uv_poll_start(&all->poll, UV_READABLE, on_poll);
	return 0;
}

struct websockets *websockets_new(uv_loop_t *loop, struct error *err)
{
	struct websockets *all = calloc(1, sizeof(*all));
	EVP_MD_CTX *sha1 = EVP_MD_CTX_new();
	if (!all || !sha1 || EVP_DigestInit_ex(sha1, EVP_sha1(), NULL) != 1) {
		error_set(err, ERROR_SYSTEM, "no memory, or no SHA-1 in libcrypto, which WebSocket handshakes need");
	} else if (watch(all, loop, err) == 0) {
		all->sha1 = sha1;
		return all;
	}
	EVP_MD_CTX_free(sha1);
	free(all);
	return NULL;
}

const struct websocket_counters *websockets_counters(const struct websockets *websockets)
{
	return &websockets->counters;
}

/* What a peer has sent and nobody has read would make the kernel answer with RST, in which our last words may be lost. */
static void drain(struct websocket *websocket)
{
	shutdown(websocket->fd, SHUT_WR);
	for (unsigned n = 0; n < DRAINED_AT_END_MAX; n++)
		if (recv(websocket->fd, websocket->all->input, RECEIVE_MAX, MSG_DONTWAIT) <= 0)
			return;
}

void websockets_close(struct websockets *websockets)
{
	struct deadline *const ring = &websockets->closing.ring;
	while (ring->next != ring) {
		struct websocket *websocket = outgoing_of(ring->next)->websocket;
		drain(websocket);
		vanish(websocket);
	}
	assert(websockets->counters.open == 0);
	on_turn_end(websockets);
	turn_end_close(&websockets->turn_end, NULL, NULL);
	deadlines_close(&websockets->closing, NULL, NULL);
	uv_close((uv_handle_t *)&websockets->poll, NULL);
}

void websockets_free(struct websockets *websockets)
{
	close(websockets->epoll);
	EVP_MD_CTX_free(websockets->sha1);
	gathered_forget(&websockets->gathered);
	free(websockets);
}

/* --- one --------------------------------------------------------------------- */

bool websocket_key_is_valid(struct bytes key)
{
	unsigned char decoded[KEY_LEN];
	return key.len == KEY_LEN && key.data[KEY_LEN - 1] == '=' && base64_decode(key, decoded) == 16;
}

/* Sec-WebSocket-Accept, 4.2.2 */
static int make_accept(EVP_MD_CTX *sha1, struct bytes key, char accept[ACCEPT_LEN])
{
	static const char salt[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	if (EVP_DigestInit_ex(sha1, NULL, NULL) != 1 || EVP_DigestUpdate(sha1, key.data, key.len) != 1 ||
	    EVP_DigestUpdate(sha1, salt, sizeof(salt) - 1) != 1 || EVP_DigestFinal_ex(sha1, digest, &len) != 1 || base64_encoded_len(len) != ACCEPT_LEN)
		return -1;
	base64_encode((struct bytes){ (const char *)digest, len }, accept);
	return 0;
}

/* The handshake's answer is the first that waits to be sent. */
static int add_answer(struct websocket *websocket, struct bytes key)
{
	char accept[ACCEPT_LEN], text[256];
	if (make_accept(websocket->all->sha1, key, accept) < 0)
		return -1;
	int len = snprintf(text, sizeof(text), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %.*s\r\n\r\n",
	                   ACCEPT_LEN, accept);
	return outgoing_add(websocket, (struct bytes){ text, (size_t)len });
}

struct websocket *websocket_new(struct websockets *websockets, struct bytes key, size_t max_message,
                                const struct websocket_handler *handler, void *data)
{
	assert(websocket_key_is_valid(key) && max_message <= UINT32_MAX / 2);
	struct websocket *websocket = calloc(1, sizeof(*websocket));
	if (!websocket)
		return NULL;
	websocket->all = websockets;
	websocket->handler = handler;
	websocket->data = data;
	websocket->fd = -1;
	websocket_decoder_init(&websocket->decoder, (uint32_t)max_message);
	if (add_answer(websocket, key) == 0)
		return websocket;
	free(websocket);
	return NULL;
}

static int keep_early(struct websocket *websocket, struct bytes bytes)
{
	if (bytes.len == 0)
		return 0;
	struct early *early = malloc(sizeof(*early) + bytes.len);
	if (!early)
		return -1;
	*early = (struct early){ .next = websocket->all->early, .websocket = websocket, .rest = { early->bytes, bytes.len } };
	memcpy(early->bytes, bytes.data, bytes.len);
	websocket->all->early = early;
	websocket->has_early = true;
	turn_end_ask(&websocket->all->turn_end);
	return 0;
}

/* Takes the socket. What goes wrong with it from now on its events tell. */
static int take_socket(struct websocket *websocket, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = websocket };
	if (fd < 0 || epoll_ctl(websocket->all->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	websocket->fd = fd;
	websocket->all->counters.open++;
	return 0;
}

void websocket_start(void *websocket_pointer, int fd, struct bytes early)
{
	struct websocket *websocket = websocket_pointer;
	if (websocket->state == WEBSOCKET_CLOSING) { /* its owner left meanwhile */
		if (fd >= 0)
			close(fd);
		vanish(websocket);
		return;
	}
	if (take_socket(websocket, fd) < 0 || keep_early(websocket, early) < 0) {
		lose(websocket, true);
		return;
	}
	websocket->all->counters.opened++;
	set_state(websocket, WEBSOCKET_OPEN);
	websocket->is_opening = true;
	websocket->handler->on_open(websocket->data);
	websocket->is_opening = false;
	if (websocket->state == WEBSOCKET_OPEN)
		outgoing_flush(websocket);
}

void websocket_set_handler(struct websocket *websocket, const struct websocket_handler *handler, void *data)
{
	websocket->handler = handler;
	websocket->data = data;
}

void websocket_prefetch(const struct websocket *websocket)
{
	__builtin_prefetch(websocket);
}
