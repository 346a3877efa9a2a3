/* state_dir.h - the directory that one gateway owns: its lock and the epoch that it last used. */
#ifndef ROOMCAST_GATEWAY_STATE_DIR_H
#define ROOMCAST_GATEWAY_STATE_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include <roomcast/error.h>

struct state_dir {
	int fd;
	int lock_fd;
};

/* Makes the directory (mode 0700) when it is missing, and takes its lock: ERROR_UNAVAILABLE when another process
 * has it. On a read-only disk there is a lock too, when the file was made before. */
int state_dir_open(const char *path, struct state_dir *out, struct error *err) MUST_CHECK;
/* False: it is not open, or the path leads to another directory by now. */
bool state_dir_is_at(const struct state_dir *dir, const char *path);
void state_dir_close(struct state_dir *dir);

/* The epoch that was used last; 0: none was. */
int state_dir_last_epoch(const struct state_dir *dir, uint64_t *stored, struct error *err) MUST_CHECK;
/* max(stored + 1, now_s), on disk when this returns: no epoch is used twice, whatever the clock does. A file that
 * cannot be understood is an error rather than a guess. */
int state_dir_next_epoch(const struct state_dir *dir, uint64_t now_s, uint64_t *epoch, struct error *err) MUST_CHECK;

#endif
