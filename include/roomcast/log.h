/* log.h - one line an event to standard error, in logfmt: level=info msg="..." key=value.
 *
 * Under systemd lines start with <N> for the journal's priority; elsewhere with an ISO 8601 time.
 * Thread-safe: a line is one write. Control characters in values are escaped. */
#ifndef ROOMCAST_LOG_H
#define ROOMCAST_LOG_H

#include <roomcast/error.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

/* program: shown in each line, kept by pointer. */
void log_open(const char *program, enum log_level least);
int log_level_parse(const char *name, enum log_level *out) MUST_CHECK; /* "debug" "info" "warning" "error" */

void log_debug(const char *format, ...) PRINTF_LIKE(1, 2);
void log_info(const char *format, ...) PRINTF_LIKE(1, 2);
void log_warning(const char *format, ...) PRINTF_LIKE(1, 2);
void log_error(const char *format, ...) PRINTF_LIKE(1, 2);

/* For what a stranger can cause: at most a line a second for each call site (its own state), the next line
 * says how many were left out. */
struct log_limit { long long second; unsigned left_out; };
void log_limited(struct log_limit *limit, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
