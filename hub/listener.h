/* listener.h - listening sockets by name. */
#ifndef ROOMCAST_HUB_LISTENER_H
#define ROOMCAST_HUB_LISTENER_H

#include <roomcast/error.h>

enum { LISTENER_BACKLOG = 1024 };

/* A bound socket, not yet listening, non-blocking, closed on exec; -1 and err. address: `host:port` (numeric or a
 * name; port 0: any free one), `[v6]:port`, or `unix:/path`. A socket file that nobody listens on is replaced. */
int listener_open(const char *address, struct error *err);
/* The path of a unix address, NULL for another. */
const char *listener_unix_path(const char *address);

#endif
