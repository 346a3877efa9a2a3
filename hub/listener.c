/* listener.c - opens TCP and unix sockets for listening. */
#include "listener.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOCKET_FLAGS = SOCK_NONBLOCK | SOCK_CLOEXEC };

const char *listener_unix_path(const char *address)
{
	return strncmp(address, "unix:", 5) == 0 ? address + 5 : NULL;
}

static int fail(struct error *err, int fd, const char *address, const char *what)
{
	error_set(err, ERROR_SYSTEM, "%s: %s: %s", address, what, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* A socket file stays behind when its program is killed; it is in use when somebody answers. */
static int remove_dead(const struct sockaddr_un *name)
{
	struct stat status;
	if (lstat(name->sun_path, &status) < 0)
		return 0;
	if (!S_ISSOCK(status.st_mode)) {
		errno = EEXIST;
		return -1;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	int answered = connect(fd, (const struct sockaddr *)name, sizeof(*name));
	close(fd);
	if (answered == 0) {
		errno = EADDRINUSE;
		return -1;
	}
	return unlink(name->sun_path);
}

static int open_unix(const char *address, const char *path, struct error *err)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(name.sun_path) || path[0] == '\0')
		return error_set(err, ERROR_INVALID, "%s: a socket's path has 1 to %zu bytes", address, sizeof(name.sun_path) - 1);
	memcpy(name.sun_path, path, strlen(path) + 1);
	if (remove_dead(&name) < 0)
		return fail(err, -1, address, "cannot replace it");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCKET_FLAGS, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		return fail(err, fd, address, "bind");
	if (chmod(path, 0666) < 0) /* its directory says who may come */
		return fail(err, fd, address, "chmod");
	return fd;
}

static int bind_tcp(const struct addrinfo *info)
{
	int fd = socket(info->ai_family, SOCK_STREAM | SOCKET_FLAGS, 0);
	int yes = 1;
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
	    (info->ai_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) == 0) &&
	    bind(fd, info->ai_addr, info->ai_addrlen) == 0)
		return fd;
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* getaddrinfo takes 99999 for 34463. */
static bool is_port(const char *text)
{
	unsigned long port = 0;
	for (const char *c = text; *c; c++) {
		if (*c < '0' || *c > '9' || port > 65535)
			return false;
		port = port * 10 + (unsigned long)(*c - '0');
	}
	return port <= 65535;
}

static int open_tcp(const char *address, struct error *err)
{
	char host[256];
	const char *colon = strrchr(address, ':');
	if (!colon || colon[1] == '\0' || (size_t)(colon - address) >= sizeof(host))
		return error_set(err, ERROR_INVALID, "%s: neither host:port nor unix:/path", address);
	const char *start = address, *end = colon;
	if (start[0] == '[' && end > start && end[-1] == ']') {
		start++;
		end--;
	}
	snprintf(host, sizeof(host), "%.*s", (int)(end - start), start);
	if (!is_port(colon + 1))
		return error_set(err, ERROR_INVALID, "%s: a port is a number up to 65535", address);
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *found;
	int status = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, &found);
	if (status != 0)
		return error_set(err, ERROR_INVALID, "%s: %s", address, gai_strerror(status));
	int fd = bind_tcp(found);
	freeaddrinfo(found);
	return fd < 0 ? fail(err, -1, address, "bind") : fd;
}

int listener_open(const char *address, struct error *err)
{
	const char *path = listener_unix_path(address);
	return path ? open_unix(address, path, err) : open_tcp(address, err);
}
