/* engineio_app.h - the application at /engine.io/: every message is echoed. */
#ifndef ROOMCAST_TESTS_ENGINEIO_APP_H
#define ROOMCAST_TESTS_ENGINEIO_APP_H

#include "engine.h"

extern const struct session_handler engineio_app;

#endif
