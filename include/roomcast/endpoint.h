/* endpoint.h - which ZeroMQ endpoints may be opened. */
#ifndef ROOMCAST_ENDPOINT_H
#define ROOMCAST_ENDPOINT_H

#include <stdbool.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

enum { ENDPOINTS_MAX = 8 }; /* of one list */

/* ipc:// with a path (protected by its directory; a relative one is meant from the working directory, which gateway and
 * hubs then share) and tcp:// on a loopback address. tcp that others on the network could reach only when it is secured: with CURVE's
 * keys and, where it is bound, a list of peers. An address that stands for all (0.0.0.0, *) never: it is told to others, who could not
 * connect to it. */
int endpoint_check(const char *endpoint, bool is_secured, struct error *err) MUST_CHECK;
/* The same for a list separated by commas, of 1 to ENDPOINTS_MAX. */
int endpoint_check_list(const char *list, bool is_secured, struct error *err) MUST_CHECK;
/* Cuts the next endpoint off a list, without blanks around it. false: there is none left. */
bool endpoint_next(struct bytes *list, struct bytes *endpoint);

#endif
