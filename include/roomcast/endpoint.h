/* endpoint.h - which ZeroMQ endpoints may be opened. */
#ifndef ROOMCAST_ENDPOINT_H
#define ROOMCAST_ENDPOINT_H

#include <roomcast/error.h>

/* ipc:// with a path (protected by its directory; a relative one is meant from the working directory, which gateway and
 * hubs then share) and tcp:// on a loopback address. Everything else, above all tcp that
 * others on the network could reach, is refused: it would need encryption and a list of allowed peers. */
int endpoint_check(const char *endpoint, struct error *err) MUST_CHECK;

#endif
