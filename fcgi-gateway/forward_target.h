/* forward_target.h - the connection to one gateway's line. Used by one thread. */
#ifndef ROOMCAST_GATEWAY_FORWARD_TARGET_H
#define ROOMCAST_GATEWAY_FORWARD_TARGET_H

#include <stdbool.h>

#include <roomcast/bytes.h>
#include <roomcast/curve.h>
#include <roomcast/message.h>

struct forward_target {
	char endpoint[MESSAGE_NAME_MAX + 1];
	void *socket;   /* DEALER; nothing is queued while it is not connected */
	void *monitor;  /* PAIR, readable when the connection ended */
};

/* curve: NULL is none. number: different for each that was ever opened in this context. */
int forward_target_open(struct forward_target *target, void *context, struct bytes endpoint, unsigned number, const struct curve *curve,
                        struct error *err) MUST_CHECK;
void forward_target_close(struct forward_target *target);

/* False when there is no connection to send it on. */
bool forward_target_send(struct forward_target *target, struct bytes packed);
/* Whether a connection ended since it was asked last: what was sent before will not be answered. */
bool forward_target_has_broken(struct forward_target *target);

#endif
