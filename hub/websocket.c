/* websocket.c - libwebsockets' connections as whole messages and shared frames. The one file that includes its header. */
#include "websocket.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libwebsockets.h>

#include <roomcast/base64.h>
#include <roomcast/log.h>

#include "turn_end.h"
#include "utf8.h"

enum {
	KEY_LEN = 24,                /* base64 of 16 bytes */
	RECEIVE_CHUNK = 128,         /* lws keeps such a buffer for every connection */
	SERVICE_BUFFER = 64 * 1024,  /* one for all */
	SEND_AT_ONCE_MAX = 1 << 20,  /* lws cuts larger writes */
	GATHER_MAX = 128 * 1024,     /* bytes of frames put together for one write */
	GATHER_FRAMES_MAX = 64,
	WSI_HINT = 0x2d0,            /* about where lws_partial_buffered looks; only for the prefetch */
};

enum websocket_state { WEBSOCKET_NEW, WEBSOCKET_STARTING, WEBSOCKET_OPEN, WEBSOCKET_CLOSING, WEBSOCKET_GONE };

#define TO(state) (1u << (state))
static const struct { const char *name; unsigned next; } websocket_states[] = {
	[WEBSOCKET_NEW] = { "new", TO(WEBSOCKET_STARTING) | TO(WEBSOCKET_CLOSING) },
	[WEBSOCKET_STARTING] = { "starting", TO(WEBSOCKET_OPEN) | TO(WEBSOCKET_CLOSING) },
	[WEBSOCKET_OPEN] = { "open", TO(WEBSOCKET_CLOSING) },
	[WEBSOCKET_CLOSING] = { "closing", TO(WEBSOCKET_GONE) },
	[WEBSOCKET_GONE] = { "gone", 0 },
};

struct websocket {
	struct lws *wsi; /* from on_established until on_closed */
	struct websockets *all;
	int fd;          /* of wsi */
	uint8_t state;
	bool is_doomed;  /* listed in all->doomed */
	bool has_failed; /* a write did; the owner learns it at the turn's end */
	const struct websocket_handler *handler;
	void *data;
	struct websocket *next_doomed;
	char *memory; /* the key until the start, then the received part of a message */
	uint32_t received, capacity;
	uint32_t max_message;
	uint16_t close_code;
};

/* Frames put together. A broadcast offers the same ones for each of its members. */
struct gathered {
	struct frame *frames[GATHER_FRAMES_MAX]; /* a reference each, so that nothing else takes their addresses */
	size_t count, len;
	unsigned char bytes[GATHER_MAX];
};

struct websockets {
	struct lws_context *context;
	struct lws_vhost *vhost;
	struct websocket *starting;
	struct websocket *doomed; /* to be closed when the turn ends */
	struct turn_end turn_end;
	struct websocket_counters counters;
	bool is_stopping;
	struct gathered gathered;
};

static void set_state(struct websocket *websocket, enum websocket_state state)
{
	assert(websocket_states[websocket->state].next & TO(state));
	log_debug("msg=\"websocket\" from=%s to=%s", websocket_states[websocket->state].name, websocket_states[state].name);
	websocket->state = (uint8_t)state;
}

/* --- the end of a connection -------------------------------------------- */

static void doom(struct websocket *websocket)
{
	if (websocket->is_doomed)
		return;
	websocket->is_doomed = true;
	websocket->next_doomed = websocket->all->doomed;
	websocket->all->doomed = websocket;
	turn_end_ask(&websocket->all->turn_end);
}

static void free_gone(struct websocket *websocket)
{
	if (websocket->is_doomed || websocket == websocket->all->starting)
		return; /* whoever holds it frees it */
	free(websocket->memory);
	free(websocket);
}

/* Tells the owner, who then no longer knows the websocket. */
static void notify_closed(struct websocket *websocket, bool is_error)
{
	if (websocket->state == WEBSOCKET_CLOSING || websocket->state == WEBSOCKET_GONE)
		return;
	set_state(websocket, WEBSOCKET_CLOSING);
	websocket->handler->on_close(websocket->data, is_error);
}

void websocket_close(struct websocket *websocket, enum websocket_code code)
{
	bool is_new = websocket->state == WEBSOCKET_NEW;
	set_state(websocket, WEBSOCKET_CLOSING);
	websocket->close_code = (uint16_t)code;
	if (!is_new)
		doom(websocket);
}

static int fail(struct websocket *websocket, enum websocket_code code)
{
	notify_closed(websocket, true);
	websocket->close_code = (uint16_t)code;
	doom(websocket);
	return 0;
}

/* Behind unsent bytes lws would close without a close frame: so they get ours as their last. */
static void write_close_frame(struct websocket *websocket)
{
	unsigned char close_frame[] = { 0x88, 2, (unsigned char)(websocket->close_code >> 8), (unsigned char)websocket->close_code };
	(void)!lws_write(websocket->wsi, close_frame, sizeof(close_frame), LWS_WRITE_RAW);
}

static void kill_doomed(struct websocket *websocket)
{
	if (websocket->has_failed)
		notify_closed(websocket, false);
	struct lws *wsi = websocket->wsi;
	websocket->is_doomed = false;
	if (!wsi) {
		free_gone(websocket);
		return;
	}
	if (websocket->close_code && !websocket->has_failed) {
		if (websocket->all->is_stopping || lws_partial_buffered(wsi))
			write_close_frame(websocket);
		else
			lws_close_reason(wsi, (enum lws_close_status)websocket->close_code, NULL, 0);
	}
	lws_set_timeout(wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_SYNC);
}

static void kill_all_doomed(void *data)
{
	struct websockets *all = data;
	while (all->doomed) {
		struct websocket *websocket = all->doomed;
		all->doomed = websocket->next_doomed;
		kill_doomed(websocket);
	}
	if (!all->is_stopping)
		lws_cancel_service(all->context); /* lws arms its timers only when it is woken */
}

/* --- receiving ----------------------------------------------------------- */

static int deliver(struct websocket *websocket, struct bytes message, bool is_binary)
{
	if (!is_binary && !utf8_is_valid(message)) {
		websocket->all->counters.invalid_text++;
		return fail(websocket, WEBSOCKET_INVALID_DATA);
	}
	websocket->handler->on_message(websocket->data, message, is_binary);
	return 0;
}

static int append(struct websocket *websocket, const void *chunk, size_t len, size_t remaining)
{
	size_t needed = websocket->received + len;
	if (needed > websocket->capacity) {
		size_t capacity = needed + remaining;
		if (capacity < 2 * (size_t)websocket->capacity)
			capacity = 2 * (size_t)websocket->capacity;
		char *memory = realloc(websocket->memory, capacity);
		if (!memory)
			return -1;
		websocket->memory = memory;
		websocket->capacity = (uint32_t)capacity;
	}
	if (len)
		memcpy(websocket->memory + websocket->received, chunk, len);
	websocket->received = (uint32_t)needed;
	return 0;
}

static int on_receive(struct websocket *websocket, const void *chunk, size_t len)
{
	if (websocket->state != WEBSOCKET_OPEN)
		return 0;
	size_t remaining = lws_remaining_packet_payload(websocket->wsi);
	if (remaining > websocket->max_message || websocket->received + len + remaining > websocket->max_message) {
		websocket->all->counters.too_big++;
		return fail(websocket, WEBSOCKET_TOO_BIG);
	}
	bool is_final = lws_is_final_fragment(websocket->wsi), is_binary = lws_frame_is_binary(websocket->wsi);
	if (is_final && websocket->received == 0)
		return deliver(websocket, (struct bytes){ chunk, len }, is_binary);
	if (append(websocket, chunk, len, remaining) < 0)
		return fail(websocket, WEBSOCKET_TOO_BIG);
	if (!is_final)
		return 0;
	char *memory = websocket->memory;
	struct bytes message = { memory, websocket->received };
	websocket->memory = NULL;
	websocket->received = websocket->capacity = 0;
	int status = deliver(websocket, message, is_binary);
	free(memory);
	return status;
}

/* --- what lws calls ------------------------------------------------------ */

static int on_established(struct websockets *all, struct lws *wsi)
{
	struct websocket *websocket = all->starting;
	if (!websocket || websocket->wsi)
		return -1;
	websocket->wsi = wsi;
	websocket->fd = lws_get_socket_fd(wsi);
	lws_set_wsi_user(wsi, websocket);
	all->counters.open++;
	all->counters.opened++;
	if (websocket->state == WEBSOCKET_CLOSING) {
		doom(websocket);
		return 0;
	}
	set_state(websocket, WEBSOCKET_OPEN);
	websocket->handler->on_open(websocket->data);
	return 0;
}

static int on_writable(struct websocket *websocket)
{
	if (websocket->state == WEBSOCKET_OPEN && !websocket->has_failed && !lws_partial_buffered(websocket->wsi))
		websocket->handler->on_writable(websocket->data);
	return 0;
}

static int on_closed(struct websocket *websocket)
{
	/* what lws closes for a broken frame it gives a reason; so do we, but have told our owner before */
	bool is_broken = websocket->state == WEBSOCKET_OPEN && lws_get_close_length(websocket->wsi) > 0;
	websocket->all->counters.open--;
	websocket->all->counters.broken += is_broken;
	notify_closed(websocket, is_broken);
	websocket->wsi = NULL;
	set_state(websocket, WEBSOCKET_GONE);
	free_gone(websocket);
	return 0;
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct websocket *websocket = user;
	switch ((int)reason) {
	case LWS_CALLBACK_ESTABLISHED:
		return on_established(lws_context_user(lws_get_context(wsi)), wsi);
	case LWS_CALLBACK_RECEIVE:
		return on_receive(websocket, in, len);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return on_writable(websocket);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: /* frames behind ours would follow a close frame */
		notify_closed(websocket, false);
		return 0;
	case LWS_CALLBACK_CLOSED:
		return websocket ? on_closed(websocket) : 0;
	case LWS_CALLBACK_HTTP: /* never: only our own handshakes are given to lws */
	case LWS_CALLBACK_RAW_ADOPT:
	case LWS_CALLBACK_RAW_RX:
		return -1;
	default:
		return 0;
	}
}

static const struct lws_protocols protocols[] = {
	{
		.name = "", .callback = on_lws, .rx_buffer_size = RECEIVE_CHUNK, .tx_packet_size = SEND_AT_ONCE_MAX,
	},
	{ .name = NULL },
};

static void forget_gathered(struct gathered *gathered)
{
	while (gathered->count)
		frame_unref(gathered->frames[--gathered->count]);
	gathered->len = 0;
}

/* --- all of them --------------------------------------------------------- */

struct websockets *websockets_new(uv_loop_t *loop, struct error *err)
{
	static const lws_retry_bo_t no_keepalive = { .retry_ms_table = NULL }; /* Engine.IO has its own heartbeat */
	struct websockets *all = calloc(1, sizeof(*all));
	if (!all) {
		error_set(err, ERROR_SYSTEM, "no memory");
		return NULL;
	}
	void *loops[] = { loop };
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DISABLE_IPV6,
		.foreign_loops = loops,
		.protocols = protocols,
		.pt_serv_buf_size = SERVICE_BUFFER,
		.retry_and_idle_policy = &no_keepalive,
		.user = all,
		.vhost_name = "roomcast",
		.gid = (gid_t)-1, .uid = (uid_t)-1,
	};
	lws_set_log_level(0, NULL); /* it reports each of a stranger's mistakes */
	all->context = lws_create_context(&info);
	all->vhost = all->context ? lws_create_vhost(all->context, &info) : NULL;
	if (!all->vhost) {
		error_set(err, ERROR_SYSTEM, "libwebsockets does not start");
		goto fail;
	}
	if (turn_end_init(&all->turn_end, loop, kill_all_doomed, all, err) < 0)
		goto fail;
	return all;
fail:
	if (all->context)
		lws_context_destroy(all->context);
	free(all);
	return NULL;
}

const struct websocket_counters *websockets_counters(const struct websockets *websockets)
{
	return &websockets->counters;
}

void websockets_close(struct websockets *websockets)
{
	websockets->is_stopping = true;
	kill_all_doomed(websockets);
	turn_end_close(&websockets->turn_end, NULL, NULL);
	lws_context_destroy(websockets->context);
}

void websockets_free(struct websockets *websockets)
{
	lws_context_destroy(websockets->context); /* its handles are closed now: the second half */
	forget_gathered(&websockets->gathered);
	free(websockets);
}

/* --- one ----------------------------------------------------------------- */

bool websocket_key_is_valid(struct bytes key)
{
	unsigned char decoded[KEY_LEN];
	return key.len == KEY_LEN && key.data[KEY_LEN - 1] == '=' && base64_decode(key, decoded) == 16;
}

struct websocket *websocket_new(struct websockets *websockets, struct bytes key, size_t max_message,
                                const struct websocket_handler *handler, void *data)
{
	assert(websocket_key_is_valid(key) && max_message <= UINT32_MAX / 2);
	struct websocket *websocket = calloc(1, sizeof(*websocket));
	char *memory = bytes_dup(key);
	if (!websocket || !memory) {
		free(websocket);
		free(memory);
		return NULL;
	}
	websocket->all = websockets;
	websocket->handler = handler;
	websocket->data = data;
	websocket->memory = memory;
	websocket->max_message = (uint32_t)max_message;
	return websocket;
}

static void adopt(struct websocket *websocket, int fd, struct bytes early)
{
	struct buffer request = { 0 };
	buffer_add_format(&request,
	                  "GET / HTTP/1.1\r\nHost: roomcast\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	                  "Sec-WebSocket-Key: %.*s\r\nSec-WebSocket-Version: 13\r\n\r\n", KEY_LEN, websocket->memory);
	buffer_add_bytes(&request, early);
	free(websocket->memory);
	websocket->memory = NULL;
	if (request.has_failed)
		close(fd);
	else
		lws_adopt_socket_vhost_readbuf(websocket->all->vhost, fd, request.data, request.len);
	buffer_deinit(&request);
}

void websocket_start(void *data, int fd, struct bytes early)
{
	struct websocket *websocket = data;
	struct websockets *all = websocket->all;
	bool is_wanted = websocket->state == WEBSOCKET_NEW && fd >= 0 && !all->is_stopping;
	assert(!all->starting);
	all->starting = websocket;
	if (is_wanted) {
		set_state(websocket, WEBSOCKET_STARTING);
		adopt(websocket, fd, early);
	} else if (fd >= 0) {
		close(fd);
	}
	all->starting = NULL;
	if (websocket->wsi)
		return;
	notify_closed(websocket, true); /* unless it was open, and closed already */
	free_gone(websocket);
}

void websocket_set_handler(struct websocket *websocket, const struct websocket_handler *handler, void *data)
{
	websocket->handler = handler;
	websocket->data = data;
}

bool websocket_is_writable(const struct websocket *websocket)
{
	return websocket->state == WEBSOCKET_OPEN && !websocket->has_failed && !lws_partial_buffered(websocket->wsi);
}

void websocket_prefetch(const struct websocket *websocket, bool is_deep)
{
	__builtin_prefetch(is_deep ? (const char *)websocket->wsi + WSI_HINT : (const char *)websocket);
}

/* Puts the first frames together; returns how many. */
static size_t gather(struct gathered *gathered, struct frame *const *frames, size_t count)
{
	if (gathered->count && count >= gathered->count && memcmp(frames, gathered->frames, gathered->count * sizeof(*frames)) == 0)
		return gathered->count;
	forget_gathered(gathered);
	for (size_t i = 0; i < count && i < GATHER_FRAMES_MAX && gathered->len + frame_wire_len(frames[i]) <= GATHER_MAX; i++) {
		memcpy(gathered->bytes + gathered->len, frames[i]->wire, frame_wire_len(frames[i]));
		gathered->len += frame_wire_len(frames[i]);
		gathered->frames[gathered->count++] = frame_ref(frames[i]);
	}
	return gathered->count;
}

/* Straight to the socket, which costs half of what lws_write touches. What does not fit becomes lws's to keep, in front of its own frames. */
static void write_bytes(struct websocket *websocket, unsigned char *bytes, size_t len)
{
	ssize_t sent = send(websocket->fd, bytes, len, MSG_NOSIGNAL);
	if (sent == (ssize_t)len)
		return;
	bool has_failed = sent < 0 && errno != EAGAIN && errno != EINTR;
	if (sent < 0)
		sent = 0;
	if (has_failed || lws_write(websocket->wsi, bytes + sent, len - (size_t)sent, LWS_WRITE_RAW) < 0) {
		websocket->has_failed = true;
		doom(websocket);
	}
}

/* One write of the first frames; returns how many they were. */
static size_t write_some(struct websocket *websocket, struct frame *const *frames, size_t count)
{
	struct gathered *gathered = &websocket->all->gathered;
	size_t taken = count > 1 ? gather(gathered, frames, count) : 0;
	if (taken > 1) {
		write_bytes(websocket, gathered->bytes, gathered->len);
		return taken;
	}
	write_bytes(websocket, frames[0]->wire, frame_wire_len(frames[0]));
	return 1;
}

size_t websocket_write(struct websocket *websocket, struct frame *const *frames, size_t count)
{
	size_t taken = 0;
	while (taken < count && websocket_is_writable(websocket))
		taken += write_some(websocket, frames + taken, count - taken);
	if (taken < count && websocket->state == WEBSOCKET_OPEN && !websocket->has_failed)
		lws_callback_on_writable(websocket->wsi);
	return taken;
}
