/* socket_path.h - makes way for a unix socket without taking anybody's file. */
#ifndef ROOMCAST_GATEWAY_SOCKET_PATH_H
#define ROOMCAST_GATEWAY_SOCKET_PATH_H

#include <roomcast/error.h>

/* Removes a socket file that nobody listens on; fine when there is nothing. -1 when another process listens, or when the file is
 * no socket: then it is left alone. */
int socket_path_clear(const char *path, struct error *err) MUST_CHECK;

/* The same for an ipc:// endpoint (ZeroMQ itself would remove whatever is there); any other endpoint is fine. */
int socket_path_clear_endpoint(const char *endpoint, struct error *err) MUST_CHECK;

#endif
