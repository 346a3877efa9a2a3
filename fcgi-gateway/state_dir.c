/* state_dir.c - lock and epoch in the state directory. */
#include "state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char epoch_file[] = "epoch";
static const char epoch_draft[] = "epoch.new";

int state_dir_open(const char *path, struct state_dir *out, struct error *err)
{
	*out = (struct state_dir){ -1, -1 };
	if (mkdir(path, 0700) && errno != EEXIST)
		return error_set(err, ERROR_SYSTEM, "state directory %s: %s", path, strerror(errno));
	out->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (out->fd < 0)
		return error_set(err, ERROR_SYSTEM, "state directory %s: %s", path, strerror(errno));
	out->lock_fd = openat(out->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out->lock_fd < 0 && errno == EROFS)
		out->lock_fd = openat(out->fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (out->lock_fd < 0) {
		error_set(err, ERROR_SYSTEM, "%s/lock: %s", path, strerror(errno));
	} else if (flock(out->lock_fd, LOCK_EX | LOCK_NB)) {
		if (errno == EWOULDBLOCK)
			error_set(err, ERROR_UNAVAILABLE, "state directory %s: another gateway is using it", path);
		else
			error_set(err, ERROR_SYSTEM, "%s/lock: %s", path, strerror(errno));
	} else {
		return 0;
	}
	state_dir_close(out);
	return -1;
}

void state_dir_close(struct state_dir *dir)
{
	if (dir->lock_fd >= 0)
		close(dir->lock_fd);
	if (dir->fd >= 0)
		close(dir->fd);
	*dir = (struct state_dir){ -1, -1 };
}

bool state_dir_is_at(const struct state_dir *dir, const char *path)
{
	struct stat ours, there;
	return dir->fd >= 0 && fstat(dir->fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

int state_dir_last_epoch(const struct state_dir *dir, uint64_t *stored, struct error *err)
{
	char text[32] = "";
	*stored = 0;
	int fd = openat(dir->fd, epoch_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : error_set(err, ERROR_SYSTEM, "epoch file: %s", strerror(errno));
	ssize_t len = read(fd, text, sizeof(text) - 1);
	close(fd);
	char *end = text;
	errno = 0;
	if (len > 0 && text[0] >= '0' && text[0] <= '9')
		*stored = strtoull(text, &end, 10);
	if (end == text || strcmp(end, "\n") != 0 || errno || *stored == UINT64_MAX)
		return error_set(err, ERROR_INVALID, "epoch file: not a number; remove it when no hub is running");
	return 0;
}

static int write_epoch(const struct state_dir *dir, uint64_t epoch, struct error *err)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%" PRIu64 "\n", epoch);
	int fd = openat(dir->fd, epoch_draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_set(err, ERROR_SYSTEM, "epoch file: %s", strerror(errno));
	bool is_written = write(fd, text, (size_t)len) == len && fsync(fd) == 0;
	int reason = errno;
	is_written = close(fd) == 0 && is_written;
	if (!is_written || renameat(dir->fd, epoch_draft, dir->fd, epoch_file) || fsync(dir->fd))
		return error_set(err, ERROR_SYSTEM, "epoch file: %s", strerror(is_written ? errno : reason));
	return 0;
}

int state_dir_next_epoch(const struct state_dir *dir, uint64_t now_s, uint64_t *epoch, struct error *err)
{
	uint64_t stored;
	if (state_dir_last_epoch(dir, &stored, err))
		return -1;
	*epoch = stored + 1 > now_s ? stored + 1 : now_s;
	return write_epoch(dir, *epoch, err);
}
