/* carrier.h - what carries requests to a handler: the FastCGI socket, its connections, the workers. */
#ifndef ROOMCAST_GATEWAY_CARRIER_H
#define ROOMCAST_GATEWAY_CARRIER_H

#include "config.h"
#include "fcgi.h"
#include "intake.h"
#include "listener.h"

/* Nothing is open while listener.fd is -1 and the rest is zero. */
struct carrier {
	struct listener listener;
	struct intake *intake;
	struct fcgi *fcgi;
};

/* Opens the socket, early: whoever connects waits until carrier_start. */
int carrier_open(struct carrier *carrier, const struct gateway_config *config, struct error *err) MUST_CHECK;
/* handlers: as in fcgi.h; the rest of it comes from config. */
int carrier_start(struct carrier *carrier, const struct gateway_config *config, const struct fcgi_settings *handlers, struct error *err) MUST_CHECK;
/* Once it is started, any thread: adds a member "fastcgi" and a comma. */
void carrier_add_status(void *carrier, struct buffer *out);
/* No more requests come. */
void carrier_stop(struct carrier *carrier);
/* Requests under way are answered. */
void carrier_close(struct carrier *carrier);

#endif
