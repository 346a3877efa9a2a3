/* body.h - what every call with a JSON body demands of it. */
#ifndef ROOMCAST_GATEWAY_BODY_H
#define ROOMCAST_GATEWAY_BODY_H

#include "request.h"
#include "response.h"

/* Type, length, and bytes that json_check accepts. 0, or -1 with the response written. */
int body_check(const struct request *request, size_t max_body, struct response *response) MUST_CHECK;

#endif
