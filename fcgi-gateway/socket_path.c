/* socket_path.c - stale socket files. */
#include "socket_path.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* When it cannot be known, somebody is. */
static bool is_listening(const char *path)
{
	struct sockaddr_un place = { .sun_family = AF_UNIX };
	snprintf(place.sun_path, sizeof(place.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return true;
	bool is_refused = connect(fd, (struct sockaddr *)&place, sizeof(place)) && errno == ECONNREFUSED;
	close(fd);
	return !is_refused;
}

int socket_path_clear(const char *path, struct error *err)
{
	struct stat info;
	if (lstat(path, &info))
		return errno == ENOENT ? 0 : error_set(err, ERROR_SYSTEM, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(info.st_mode))
		return error_set(err, ERROR_DENIED, "%s: there is a file that is no socket; it was left alone", path);
	if (is_listening(path))
		return error_set(err, ERROR_UNAVAILABLE, "%s: another process listens there", path);
	if (unlink(path) && errno != ENOENT)
		return error_set(err, ERROR_SYSTEM, "%s: %s", path, strerror(errno));
	return 0;
}

int socket_path_clear_endpoint(const char *endpoint, struct error *err)
{
	static const char ipc[] = "ipc://";
	return strncmp(endpoint, ipc, sizeof(ipc) - 1) == 0 ? socket_path_clear(endpoint + sizeof(ipc) - 1, err) : 0;
}
