/* role.h - what this process is to be, by its configuration and by how it was started. */
#ifndef ROOMCAST_GATEWAY_ROLE_H
#define ROOMCAST_GATEWAY_ROLE_H

#include <roomcast/error.h>

enum role {
	ROLE_GATEWAY,   /* decides order while it holds the journal's lock, else hands requests on to whoever does */
	ROLE_FRONT_END, /* only hands on; no journal, no keys */
	ROLE_CGI,       /* the same, for one request: RFC 3875 */
};

/* name: "auto", "gateway" or "front-end"; has_listen: a FastCGI socket is configured. A web server that starts us for one request wins over
 * any name; "auto" is a front end when standard input is a listening socket, as mod_fcgid hands it over. */
int role_choose(const char *name, int has_listen, enum role *out, struct error *err) MUST_CHECK;

#endif
