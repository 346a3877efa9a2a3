/* status.h - what the hub tells over plain HTTP: the status beside the Socket.IO path, health, readiness, metrics. */
#ifndef ROOMCAST_HUB_STATUS_H
#define ROOMCAST_HUB_STATUS_H

#include "http.h"
#include "hub.h"

/* on_request of http_route; data is the hub. */
void status_serve(struct http_exchange *exchange, void *hub);   /* GET <path> without Engine.IO */
void status_health(struct http_exchange *exchange, void *hub);  /* the process answers: 200 */
void status_ready(struct http_exchange *exchange, void *hub);   /* 200, or 503 with what is missing */
void status_metrics(struct http_exchange *exchange, void *hub); /* Prometheus text format 0.0.4 */
void status_nothing(struct http_exchange *exchange, void *hub); /* every other path: 404 */

#endif
