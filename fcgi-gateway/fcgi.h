/* fcgi.h - from FastCGI requests to their handler: at once on intake's thread, or by workers, of which each takes a whole request from
 * intake, has it handled, and gives the answer back. */
#ifndef ROOMCAST_GATEWAY_FCGI_H
#define ROOMCAST_GATEWAY_FCGI_H

#include <stdbool.h>

#include <roomcast/error.h>

#include "intake.h"
#include "request.h"
#include "response.h"

struct fcgi;

struct fcgi_settings {
	size_t threads;
	const char *mount; /* kept by pointer */
	/* Any worker. response comes all zero; the request has an origin. */
	void (*handle)(void *data, const struct request *request, struct response *response);
	/* The same on intake's thread. False: it may wait for something, so nothing was done. NULL: all may. */
	bool (*handle_at_once)(void *data, const struct request *request, struct response *response);
	/* Intake's thread: several such requests come now; no more of them. NULL with handle_at_once. */
	void (*batch)(void *data, bool has_begun);
	void *data;
};

/* Starts the workers; they end when intake has nothing more for them. */
struct fcgi *fcgi_new(struct intake *intake, const struct fcgi_settings *settings, struct error *err);
/* Waits for the workers. */
void fcgi_free(struct fcgi *fcgi);

#endif
