/* front_end.h - a process that only hands requests on to the active gateway and answers what that one answered: under mod_fcgid, or anywhere
 * as a FastCGI server of its own; and for one request, as a CGI program. It checks nothing, keeps nothing, and opens no PUB socket. */
#ifndef ROOMCAST_GATEWAY_FRONT_END_H
#define ROOMCAST_GATEWAY_FRONT_END_H

#include "carrier.h"
#include "forward.h"

/* Start all zero but carrier.listener.fd -1. */
struct front_end {
	struct carrier carrier;
	struct curve curve;
	struct forward *forward;
};

int front_end_begin(struct front_end *front_end, const struct gateway_config *config, struct error *err) MUST_CHECK;
void front_end_end(struct front_end *front_end);

/* One request from environment and standard input; the exit status. */
int front_end_run_cgi(const struct gateway_config *config);
/* The same when the configuration is of no use. */
int front_end_refuse_cgi(const char *reason);

/* Of every process that forwards. */
struct forward_settings front_end_forward_settings(const struct gateway_config *config, const struct curve *curve);

#endif
