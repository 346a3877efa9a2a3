/* engineio_client.h - what a Socket.IO client does with each Engine.IO packet, whichever transport carried it: it connects,
 * joins its rooms, is ready with their acknowledgement, counts events and answers heartbeats. */
#ifndef ROOMCAST_BENCH_ENGINEIO_CLIENT_H
#define ROOMCAST_BENCH_ENGINEIO_CLIENT_H

#include "crowd.h"

void engineio_client_on_packet(struct client *client, struct bytes packet);

#endif
