/* http_peer.h - a client on the loop of the test: sends bytes, keeps what comes, waits for conditions with a deadline.
 *
 * Every wait fails the test when its condition is not met in time. */
#ifndef ROOMCAST_TESTS_HTTP_PEER_H
#define ROOMCAST_TESTS_HTTP_PEER_H

#include <stdbool.h>

#include <uv.h>

#include <roomcast/bytes.h>

/* Turns the loop until it is true. */
void run_until(uv_loop_t *loop, bool (*is_true)(void *data), void *data);
/* Turns it until nothing is due at once any more. */
void run_idle(uv_loop_t *loop);
/* Runs the loop until no handle is left, and closes it: a handle that nobody closes fails the test. */
void run_out(uv_loop_t *loop);

struct peer {
	uv_loop_t *loop;
	uv_poll_t *poll;        /* the loop's memory */
	int fd;
	struct buffer received; /* and not taken yet */
	bool is_ended;          /* the other side sent FIN, or cut */
	bool was_reset;
};

/* Takes a connected socket. */
void peer_open(struct peer *peer, uv_loop_t *loop, int fd);
void peer_connect(struct peer *peer, uv_loop_t *loop, unsigned port); /* to 127.0.0.1 */
void peer_close(struct peer *peer);
void peer_send(struct peer *peer, struct bytes bytes);
void peer_say(struct peer *peer, const char *format, ...) PRINTF_LIKE(2, 3); /* at most 64 kB */
void peer_finish(struct peer *peer);   /* FIN: it sends no more */
void peer_reset(struct peer *peer);    /* closes with RST */
void peer_wait_end(struct peer *peer); /* for the other side's end */

/* An HTTP answer, taken off what was received. Texts are valid until the next one. */
struct answer {
	unsigned status;
	const char *head; /* status line and fields */
	struct bytes body;
};
struct answer peer_answer(struct peer *peer);
struct answer peer_answer_without_body(struct peer *peer); /* to HEAD, 100, 101: whatever Content-Length says */
/* The value of a field, "" when it is absent. Valid until the next answer. */
const char *answer_field(const struct answer *answer, const char *name);

/* WebSocket frames (RFC 6455, 5.2), masked unless said otherwise. */
enum { OPCODE_CONTINUATION = 0, OPCODE_TEXT = 1, OPCODE_BINARY = 2, OPCODE_CLOSE = 8, OPCODE_PING = 9, OPCODE_PONG = 10, FIN = 0x80, UNMASKED = 0x100 };
void frame_add(struct buffer *out, int first_byte, struct bytes payload); /* first_byte: opcode | FIN | UNMASKED */
void peer_send_text(struct peer *peer, const char *text);
struct received_frame {
	unsigned opcode;
	bool is_final;
	struct bytes payload; /* valid until the next one */
};
struct received_frame peer_frame(struct peer *peer);
void peer_assert_text(struct peer *peer, const char *text);         /* the next frame */
void peer_assert_close(struct peer *peer, unsigned code);           /* the next frame; 0: any code */
/* Sends an upgrade request with the key of RFC 6455, 1.3, and takes the 101. target: path and query */
void peer_upgrade(struct peer *peer, const char *target);

#endif
