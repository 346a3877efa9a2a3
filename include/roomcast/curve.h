/* curve.h - CURVE (ZeroMQ RFC 26) for tcp between hosts: who may connect has a key that the gateway lists. Keys are 40 characters of Z85.
 *
 * ipc endpoints are protected by their directory and have none. */
#ifndef ROOMCAST_CURVE_H
#define ROOMCAST_CURVE_H

#include <stdbool.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

enum { CURVE_KEY_LEN = 40, CURVE_KEY_BYTES = 32 };

/* All zero: no CURVE. */
struct curve {
	bool is_on;
	char secret_key[CURVE_KEY_LEN + 1], public_key[CURVE_KEY_LEN + 1]; /* our own */
	char server_key[CURVE_KEY_LEN + 1]; /* public key of the gateways that we connect to */
};

/* secret_key "": off. server_key "": our own, where all gateways share one. */
int curve_load(const char *secret_key, const char *server_key, struct curve *out, struct error *err) MUST_CHECK;
void curve_forget(struct curve *curve);

/* A new pair. */
int curve_make(struct curve *out, struct error *err) MUST_CHECK;

/* Of a public key in Z85. */
int curve_decode(const char *key, unsigned char out[static CURVE_KEY_BYTES], struct error *err) MUST_CHECK;

/* Sets the socket's mechanism for the endpoint that it is bound or connected to next; none for ipc, and none when curve is off. Who serves
 * needs somebody in the socket's context that judges keys (ZAP): without, libzmq lets every key in. */
int curve_serve(const struct curve *curve, void *socket, const char *endpoint) MUST_CHECK;
int curve_connect(const struct curve *curve, void *socket, const char *endpoint) MUST_CHECK;

#endif
