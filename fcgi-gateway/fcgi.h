/* fcgi.h - the workers: each takes a whole FastCGI request from intake, has it handled, and gives the answer back. */
#ifndef ROOMCAST_GATEWAY_FCGI_H
#define ROOMCAST_GATEWAY_FCGI_H

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
	void *data;
};

/* Starts the workers; they end when intake has nothing more for them. */
struct fcgi *fcgi_new(struct intake *intake, const struct fcgi_settings *settings, struct error *err);
/* Waits for the workers. */
void fcgi_free(struct fcgi *fcgi);

#endif
