/* endpoint.c - refuses ZeroMQ endpoints that strangers could reach. */
#include <roomcast/endpoint.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static bool is_loopback(const char *host, size_t len)
{
	char text[INET6_ADDRSTRLEN + 2];
	struct in_addr v4;
	struct in6_addr v6;
	if (len >= sizeof(text))
		return false;
	memcpy(text, host, len);
	text[len] = '\0';
	if (strcmp(text, "localhost") == 0)
		return true;
	if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
		text[len - 1] = '\0';
		return inet_pton(AF_INET6, text + 1, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
	}
	return inet_pton(AF_INET, text, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

static bool is_everything(const char *host, size_t len)
{
	static const char *const names[] = { "*", "0.0.0.0", "[::]" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (bytes_equal_text((struct bytes){ host, len }, names[i]))
			return true;
	return false;
}

int endpoint_check(const char *endpoint, bool is_secured, struct error *err)
{
	if (strncmp(endpoint, "ipc://", 6) == 0) {
		if (!endpoint[6] || endpoint[6] == '@')
			return error_set(err, ERROR_INVALID, "\"%s\": ipc:// wants the path of a file, whose directory protects it", endpoint);
		if (strlen(endpoint + 6) >= sizeof(((struct sockaddr_un *)0)->sun_path))
			return error_set(err, ERROR_INVALID, "\"%s\": a socket's path has at most %zu bytes", endpoint, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
		return 0;
	}
	if (strncmp(endpoint, "tcp://", 6) != 0)
		return error_set(err, ERROR_INVALID, "\"%s\" is neither ipc:///path nor tcp://address:port", endpoint);
	const char *host = endpoint + 6, *colon = strrchr(host, ':');
	if (!colon || colon == host || !colon[1])
		return error_set(err, ERROR_INVALID, "\"%s\": tcp:// wants address:port", endpoint);
	size_t len = (size_t)(colon - host);
	if (is_everything(host, len))
		return error_set(err, ERROR_INVALID, "\"%s\" stands for every address: name the one by which others reach it", endpoint);
	if (!is_secured && !is_loopback(host, len))
		return error_set(err, ERROR_DENIED, "\"%s\" can be reached from the network: without CURVE's keys (curve-secret-key) only loopback addresses are allowed",
		                 endpoint);
	return 0;
}

bool endpoint_next(struct bytes *list, struct bytes *endpoint)
{
	if (!list->data)
		return false;
	const char *comma = memchr(list->data, ',', list->len);
	*endpoint = (struct bytes){ list->data, comma ? (size_t)(comma - list->data) : list->len };
	*list = comma ? (struct bytes){ comma + 1, list->len - endpoint->len - 1 } : (struct bytes){ NULL, 0 };
	while (endpoint->len && endpoint->data[0] == ' ')
		endpoint->data++, endpoint->len--;
	while (endpoint->len && endpoint->data[endpoint->len - 1] == ' ')
		endpoint->len--;
	return true;
}

int endpoint_check_list(const char *list, bool is_secured, struct error *err)
{
	struct bytes rest = bytes_of(list), item;
	for (int count = 1; endpoint_next(&rest, &item); count++) {
		char *endpoint = bytes_dup(item);
		if (!endpoint)
			return error_set(err, ERROR_SYSTEM, "no memory for an endpoint");
		int result = count > ENDPOINTS_MAX ? error_set(err, ERROR_INVALID, "at most %d endpoints may be listed", ENDPOINTS_MAX)
		                                   : endpoint_check(endpoint, is_secured, err);
		free(endpoint);
		if (result)
			return -1;
	}
	return 0;
}
