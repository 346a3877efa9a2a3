/* forward_message.h - requests and answers as FORWARD and ANSWER messages carry them. No sockets, no clock. */
#ifndef ROOMCAST_GATEWAY_FORWARD_MESSAGE_H
#define ROOMCAST_GATEWAY_FORWARD_MESSAGE_H

#include <roomcast/message.h>

#include "request.h"
#include "response.h"

/* A text of the request that is longer than MESSAGE_HEADER_MAX is cut there: none of that length is valid. -1: no memory, or a body
 * past MESSAGE_BODY_MAX. */
int forward_pack_request(const struct request *request, uint64_t counter, uint64_t deadline_ms, struct buffer *out, struct error *err) MUST_CHECK;
/* Views of the message's. The request is marked as forwarded. */
void forward_read_request(const struct message *message, struct request *out);

int forward_pack_response(const struct response *response, uint64_t counter, struct buffer *out, struct error *err) MUST_CHECK;
/* Nobody looked at the request here, so another may be asked: reason says why, "" never does. */
int forward_pack_unhandled(const char *reason, uint64_t counter, struct buffer *out, struct error *err) MUST_CHECK;
/* -1 when this cannot be an answer of ours. An unhandled one: message->reason is not empty. */
int forward_read_response(const struct message *message, struct response *out) MUST_CHECK;

#endif
