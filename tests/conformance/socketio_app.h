/* socketio_app.h - the application at /socket.io/: namespaces `/` and `/custom`; tells each client its auth payload;
 * `message` comes back as `message-back`, `message-with-ack` as an acknowledgement, with the same arguments. */
#ifndef ROOMCAST_TESTS_SOCKETIO_APP_H
#define ROOMCAST_TESTS_SOCKETIO_APP_H

#include <uv.h>

#include "socketio.h"

/* For an engine of its own: engine_new wants socketio_session_handler(it, NULL). socketio_close it after the engine. */
struct socketio *socketio_app_new(uv_loop_t *loop, uint64_t connect_timeout_ms, struct error *err);

#endif
