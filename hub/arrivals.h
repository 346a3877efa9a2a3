/* arrivals.h - CONNECTs that wait a little for their answer: their client saw more of the log than this hub has heard of. Loop thread only. */
#ifndef ROOMCAST_HUB_ARRIVALS_H
#define ROOMCAST_HUB_ARRIVALS_H

#include <stdbool.h>

#include <uv.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

#include "deadline.h"

enum { ARRIVALS_TRIED_TOGETHER = 64 };

struct client;
struct arrival;

struct arrivals {
	struct arrival *list;
	struct deadlines deadlines;
	/* Tries to answer; is_final: it has waited long enough. Whether it was answered (what stays waiting is false, and never when final).
	 * May end the client. */
	bool (*answer)(struct client *client, struct bytes auth, bool is_final);
};

int arrivals_init(struct arrivals *arrivals, uv_loop_t *loop, uint64_t wait_ms,
                  bool (*answer)(struct client *client, struct bytes auth, bool is_final), struct error *err) MUST_CHECK;
/* No client may be left. */
void arrivals_close(struct arrivals *arrivals, void (*on_closed)(void *data), void *data);

/* auth is copied. -1: no memory. */
int arrivals_hold(struct arrivals *arrivals, struct client *client, struct bytes auth, struct error *err) MUST_CHECK;
/* The client left. Whether it was waiting. */
bool arrivals_drop(struct arrivals *arrivals, const struct client *client);
/* Something changed: tries them again, so many at most, the others the next time. */
void arrivals_try(struct arrivals *arrivals);

#endif
