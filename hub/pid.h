/* pid.h - the secret that a client shows to be given what it missed (Socket.IO's connection state recovery).
 *
 * base64url text: version, time of issue, floor, Socket.IO id, user id, and in front of the end 128 bits of HMAC-SHA256 over all that,
 * with the key that every hub of a gateway has. No clock, no state. */
#ifndef ROOMCAST_HUB_PID_H
#define ROOMCAST_HUB_PID_H

#include <stdint.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>
#include <roomcast/message.h>
#include <roomcast/place.h>
#include <roomcast/token.h>

#include "socketio.h"

enum {
	PID_MAC_LEN = 16,
	PID_BYTES_MAX = 1 + 3 * 8 + CLIENT_SID_SIZE - 1 + USER_ID_MAX + PID_MAC_LEN,
	PID_TEXT_MAX = (PID_BYTES_MAX * 4 + 2) / 3,
};

struct pid {
	uint64_t issued_ms;             /* wall clock */
	struct place floor;             /* everything up to here needs not be given to the client */
	char sid[CLIENT_SID_SIZE];      /* the id of the client that it was issued to: random, 120 bits */
	char user_id[USER_ID_MAX + 1];  /* "" when anonymous */
};

enum pid_verdict { PID_GOOD, PID_MALFORMED, PID_FORGED };

/* -1 without memory for the MAC. */
int pid_write(const struct pid *pid, const unsigned char key[static MAC_KEY_LEN], char out[static PID_TEXT_MAX + 1]) MUST_CHECK;
/* out is filled when it is good. Compares in constant time. */
enum pid_verdict pid_read(struct bytes text, const unsigned char key[static MAC_KEY_LEN], struct pid *out) MUST_CHECK;

#endif
