/* log.c - log lines in logfmt to standard error. */
#include <roomcast/log.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <roomcast/clock.h>

enum { LINE_SIZE = 2048 };

static const struct {
	const char *name;
	int priority; /* sd-daemon(3) */
} levels[] = {
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
	[LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_WARNING] = { "warning", 4 },
	[LOG_LEVEL_ERROR] = { "error", 3 },
};

static const char *log_program = "roomcast";
static enum log_level log_least = LOG_LEVEL_INFO;
static bool is_under_journal;

void log_open(const char *program, enum log_level least)
{
	log_program = program;
	log_least = least;
	is_under_journal = getenv("JOURNAL_STREAM") != NULL;
}

int log_level_parse(const char *name, enum log_level *out)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(name, levels[i].name) == 0) {
			*out = (enum log_level)i;
			return 0;
		}
	}
	return -1;
}

/* A stranger's bytes must not forge lines. */
static void replace_controls(char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
}

static void PRINTF_LIKE(3, 0) log_line(enum log_level level, unsigned left_out, const char *format, va_list arguments)
{
	if (level < log_least)
		return;
	char line[LINE_SIZE];
	char stamp[TIMESTAMP_SIZE];
	int used;
	if (is_under_journal) {
		used = snprintf(line, sizeof(line), "<%d>", levels[level].priority);
	} else {
		timestamp_format(clock_wall_ms(), stamp);
		used = snprintf(line, sizeof(line), "time=%s level=%s program=%s ", stamp, levels[level].name, log_program);
	}
	size_t start = (size_t)used, room = sizeof(line) - 1 - start;
	int wanted = vsnprintf(line + start, room, format, arguments);
	size_t len = start + (wanted < 0 ? 0 : (size_t)wanted < room ? (size_t)wanted : room - 1);
	if (left_out && len + 32 < sizeof(line))
		len += (size_t)snprintf(line + len, sizeof(line) - len, " left_out=%u", left_out);
	replace_controls(line + start, len - start);
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nowhere to say it */
}

#define LOG_FUNCTION(function, level) \
	void function(const char *format, ...) \
	{ \
		va_list arguments; \
		va_start(arguments, format); \
		log_line(level, 0, format, arguments); \
		va_end(arguments); \
	}

LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)

void log_limited(struct log_limit *limit, const char *format, ...)
{
	long long second = (long long)(clock_monotonic_ms() / 1000) + 1;
	if (limit->second == second) {
		limit->left_out++;
		return;
	}
	unsigned left_out = limit->left_out;
	*limit = (struct log_limit){ .second = second };
	va_list arguments;
	va_start(arguments, format);
	log_line(LOG_LEVEL_WARNING, left_out, format, arguments);
	va_end(arguments);
}
