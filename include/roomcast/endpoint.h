/* endpoint.h - which ZeroMQ endpoints may be opened. */
#ifndef ROOMCAST_ENDPOINT_H
#define ROOMCAST_ENDPOINT_H

#include <stdbool.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

enum { ENDPOINTS_MAX = 8 }; /* of one list */

/* ipc:// with a path (protected by its directory; a relative one is meant from the working directory, which gateway and
 * hubs then share) and tcp:// on a loopback address. Everything else, above all tcp that
 * others on the network could reach, is refused: it would need encryption and a list of allowed peers. */
int endpoint_check(const char *endpoint, struct error *err) MUST_CHECK;
/* The same for a list separated by commas, of 1 to ENDPOINTS_MAX. */
int endpoint_check_list(const char *list, struct error *err) MUST_CHECK;
/* Cuts the next endpoint off a list, without blanks around it. false: there is none left. */
bool endpoint_next(struct bytes *list, struct bytes *endpoint);

#endif
