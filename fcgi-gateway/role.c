/* role.c - gateway, front end or CGI program. */
#include "role.h"

#include <stdlib.h>
#include <string.h>

#include "listener.h"

int role_choose(const char *name, int has_listen, enum role *out, struct error *err)
{
	if (getenv("GATEWAY_INTERFACE") && getenv("REQUEST_METHOD"))
		*out = ROLE_CGI;
	else if (strcmp(name, "auto") == 0)
		*out = !has_listen && listener_is_standard_input() ? ROLE_FRONT_END : ROLE_GATEWAY;
	else if (strcmp(name, "gateway") == 0)
		*out = ROLE_GATEWAY;
	else if (strcmp(name, "front-end") == 0)
		*out = ROLE_FRONT_END;
	else
		return error_set(err, ERROR_INVALID, "role: \"%s\" is not auto, gateway or front-end", name);
	return 0;
}
