/* error.h - what went wrong, for the one who decides what happens next.
 *
 * A function that can fail returns 0 or -1 and fills a struct error that its
 * caller owns. Lower code sets it, callers put context in front, and only the
 * one who decides logs it, once. The text is UTF-8, one line, no final dot. */
#ifndef ROOMCAST_ERROR_H
#define ROOMCAST_ERROR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, first_at) __attribute__((format(printf, format_at, first_at)))

enum error_code {
	ERROR_NONE,
	ERROR_INVALID,     /* the input is malformed */
	ERROR_TOO_LARGE,   /* the input is past a bound */
	ERROR_DENIED,      /* whoever asks may not */
	ERROR_NOT_FOUND,
	ERROR_UNAVAILABLE, /* try again later */
	ERROR_SYSTEM,      /* the operating system or a library said no */
};

struct error {
	enum error_code code;
	char text[256];
};

/* Fills err and is -1, so that `return error_set(err, code, format, ...)` reads as it acts. err may be NULL. */
#define error_set(err, ...) (error_fill((err), __VA_ARGS__), error_result())

/* Puts "<context>: " in front of the text; is -1. error_context(err, format, ...) */
#define error_context(err, ...) (error_prefix((err), __VA_ARGS__), error_result())

void error_fill(struct error *err, enum error_code code, const char *format, ...) PRINTF_LIKE(3, 4);
void error_prefix(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* A macro and an inline -1, because a compiler that sees the result finds more. */
static inline int error_result(void)
{
	return -1;
}

#endif
