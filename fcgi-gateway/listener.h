/* listener.h - the socket on which the web server finds the gateway. */
#ifndef ROOMCAST_GATEWAY_LISTENER_H
#define ROOMCAST_GATEWAY_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

#include <roomcast/error.h>

struct listener {
	int fd;
	char path[108];   /* of a unix socket that we made; "" when there is none to remove */
	dev_t device;
	ino_t inode;
};

/* where: "/path" or "unix:/path", "address:port", or "" for a socket that whoever started us passed on (systemd's
 * LISTEN_FDS, or standard input as spawn-fcgi and mod_fcgid do it). mode: of the unix socket, octal text. */
int listener_open(const char *where, const char *mode, struct listener *out, struct error *err) MUST_CHECK;

/* Whether standard input is a listening socket that nobody but a starting web server can have meant for us. */
bool listener_is_standard_input(void);

/* Removes the socket file if it is still ours. */
void listener_close(struct listener *listener);

#endif
