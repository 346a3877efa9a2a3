/* route.c - which path does what. */
#include "route.h"

#include <stdio.h>

#include <roomcast/json.h>

#include "batch.h"
#include "events.h"
#include "publish.h"
#include "status.h"

static const struct route routes[] = {
	{ "POST", "/data-change", SCOPE_DATA_CHANGE, publish_handle, publication_from_data_change },
	{ "POST", "/notification", SCOPE_NOTIFICATION, publish_handle, publication_from_notification },
	{ "POST", "/system-notification", SCOPE_SYSTEM_NOTIFICATION, publish_handle, publication_from_system_notification },
	{ "POST", "/emit", SCOPE_EMIT, publish_handle, publication_from_emit },
	{ "POST", "/join", SCOPE_JOIN, publish_handle, publication_from_join },
	{ "POST", "/leave", SCOPE_LEAVE, publish_handle, publication_from_leave },
	{ "POST", "/disconnect", SCOPE_DISCONNECT, publish_handle, publication_from_disconnect },
	{ "POST", "/batch", 0, batch_handle, NULL },
	{ "GET", "/events", SCOPE_EVENTS, events_handle, NULL },
	{ "GET", "/status", SCOPE_STATUS, status_handle, NULL },
};

enum { ROUTE_COUNT = sizeof(routes) / sizeof(routes[0]) };

static void add_method(char *allow, size_t size, const char *method)
{
	size_t len = strlen(allow);
	snprintf(allow + len, size - len, "%s%s", len ? ", " : "", method);
}

const struct route *route_find(struct bytes method, struct bytes path, struct response *response)
{
	char allow[sizeof(response->allow)] = "";
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		if (!bytes_equal_text(path, routes[i].path))
			continue;
		if (bytes_equal_text(method, routes[i].method))
			return &routes[i];
		add_method(allow, sizeof(allow), routes[i].method);
	}
	if (allow[0]) {
		response_refuse(response, REFUSAL_METHOD_NOT_ALLOWED, "%.*s: allowed here is %s", (int)path.len, path.data, allow);
		memcpy(response->allow, allow, sizeof(allow));
	} else {
		response_refuse(response, REFUSAL_NOT_FOUND, "no such call: \"%.*s\"", (int)(path.len < 100 ? path.len : 100), path.len ? path.data : "");
	}
	return NULL;
}

const struct route *route_of_type(struct bytes type)
{
	for (size_t i = 0; json_kind(type) == JSON_STRING && i < ROUTE_COUNT; i++)
		if (routes[i].build && json_string_equals(type, routes[i].path + 1))
			return &routes[i];
	return NULL;
}
