/* listener.c - opens, or inherits, the FastCGI socket. */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "socket_path.h"

enum { BACKLOG = 511, SYSTEMD_FIRST_FD = 3 };

static int finish(struct listener *out, struct error *err)
{
	int flags = fcntl(out->fd, F_GETFL);
	if (flags < 0 || fcntl(out->fd, F_SETFL, flags | O_NONBLOCK) || fcntl(out->fd, F_SETFD, FD_CLOEXEC))
		return error_set(err, ERROR_SYSTEM, "FastCGI socket: %s", strerror(errno));
	return 0;
}

static bool is_listening_socket(int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) == 0 && value;
}

static bool is_from_systemd(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	return pid && count && atol(pid) == (long)getpid() && atoi(count) >= 1;
}

bool listener_is_standard_input(void)
{
	return !is_from_systemd() && is_listening_socket(STDIN_FILENO);
}

static int inherit(struct listener *out, struct error *err)
{
	out->fd = is_from_systemd() ? SYSTEMD_FIRST_FD : STDIN_FILENO;
	if (is_listening_socket(out->fd))
		return finish(out, err);
	out->fd = -1;
	return error_set(err, ERROR_INVALID, "no FastCGI socket: give --listen=/path/to/socket, or start with systemd's socket activation or spawn-fcgi");
}

/* The file must not be reachable, even for a moment, by more than mode says. */
static int bind_path(struct listener *out, const char *path, mode_t mode, struct error *err)
{
	struct sockaddr_un place = { .sun_family = AF_UNIX };
	struct stat info;
	if (strlen(path) >= sizeof(place.sun_path))
		return error_set(err, ERROR_INVALID, "%s: a socket's path has at most %zu bytes", path, sizeof(place.sun_path) - 1);
	if (socket_path_clear(path, err))
		return -1;
	memcpy(place.sun_path, path, strlen(path) + 1);
	out->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mode_t before = umask(0177);
	int failure = out->fd < 0 || bind(out->fd, (struct sockaddr *)&place, sizeof(place)) ? errno : 0;
	umask(before);
	if (!failure)
		snprintf(out->path, sizeof(out->path), "%s", path);
	if (!failure && (chmod(path, mode) || lstat(path, &info) || listen(out->fd, BACKLOG)))
		failure = errno;
	if (failure)
		return error_set(err, ERROR_SYSTEM, "%s: %s", path, strerror(failure));
	out->device = info.st_dev;
	out->inode = info.st_ino;
	return 0;
}

static int bind_address(struct listener *out, const char *where, struct error *err)
{
	char host[256];
	const char *colon = strrchr(where, ':');
	if (!colon || colon == where || !colon[1] || (size_t)(colon - where) >= sizeof(host))
		return error_set(err, ERROR_INVALID, "listen: \"%s\" is neither a path nor address:port", where);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - where), where);
	size_t len = strlen(host);
	bool is_bracketed = len > 2 && host[0] == '[' && host[len - 1] == ']';
	if (is_bracketed)
		host[len - 1] = '\0';
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE }, *found;
	int problem = getaddrinfo(is_bracketed ? host + 1 : host, colon + 1, &hints, &found);
	if (problem)
		return error_set(err, ERROR_INVALID, "listen: \"%s\": %s", where, gai_strerror(problem));
	int one = 1;
	out->fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_bound = out->fd >= 0 && setsockopt(out->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0
	    && bind(out->fd, found->ai_addr, found->ai_addrlen) == 0 && listen(out->fd, BACKLOG) == 0;
	int failure = errno;
	freeaddrinfo(found);
	return is_bound ? 0 : error_set(err, ERROR_SYSTEM, "%s: %s", where, strerror(failure));
}

int listener_open(const char *where, const char *mode, struct listener *out, struct error *err)
{
	char *end;
	*out = (struct listener){ .fd = -1 };
	if (!where[0])
		return inherit(out, err);
	const char *path = strncmp(where, "unix:", 5) == 0 ? where + 5 : where;
	unsigned long bits = strtoul(mode, &end, 8);
	if (end == mode || *end || bits > 0777)
		return error_set(err, ERROR_INVALID, "listen-mode: \"%s\" is no octal mode such as 0660", mode);
	int result = strchr(path, '/') ? bind_path(out, path, (mode_t)bits, err) : bind_address(out, where, err);
	if (result == 0)
		result = finish(out, err);
	if (result)
		listener_close(out);
	return result;
}

void listener_close(struct listener *listener)
{
	struct stat info;
	if (listener->path[0] && lstat(listener->path, &info) == 0 && info.st_dev == listener->device && info.st_ino == listener->inode)
		unlink(listener->path);
	if (listener->fd >= 0)
		close(listener->fd);
	*listener = (struct listener){ .fd = -1 };
}
