/* zap.h - judges the keys of whoever connects by CURVE (ZeroMQ RFC 27, ZAP): a thread that answers libzmq's questions. */
#ifndef ROOMCAST_GATEWAY_ZAP_H
#define ROOMCAST_GATEWAY_ZAP_H

#include <stddef.h>
#include <stdint.h>

#include <roomcast/curve.h>

enum { ZAP_PEERS_MAX = 256, ZAP_NAME_MAX = 32 };

/* Who may connect: hubs, front ends, other gateways. All zero: nobody. */
struct zap_peers {
	struct {
		char name[ZAP_NAME_MAX + 1];
		unsigned char key[CURVE_KEY_BYTES];
	} items[ZAP_PEERS_MAX];
	size_t count;
};

/* Adds the peers of a file: lines of `name = public key`. */
int zap_peers_load(struct zap_peers *peers, const char *path, struct error *err) MUST_CHECK;
int zap_peers_add(struct zap_peers *peers, const char *name, const char *key, struct error *err) MUST_CHECK;

struct zap;

/* To be opened before the sockets that it guards; peers are copied. */
struct zap *zap_new(void *context, const struct zap_peers *peers, struct error *err);
/* After zmq_ctx_shutdown, before zmq_ctx_term. */
void zap_free(struct zap *zap);
uint64_t zap_refused(struct zap *zap); /* any thread */

#endif
