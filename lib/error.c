/* error.c - fills struct error. */
#include <roomcast/error.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void error_fill(struct error *err, enum error_code code, const char *format, ...)
{
	if (!err)
		return;
	va_list arguments;
	va_start(arguments, format);
	err->code = code;
	vsnprintf(err->text, sizeof(err->text), format, arguments);
	va_end(arguments);
}

void error_prefix(struct error *err, const char *format, ...)
{
	if (!err)
		return;
	char text[sizeof(err->text)];
	va_list arguments;
	va_start(arguments, format);
	int used = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (used >= 0 && (size_t)used < sizeof(text))
		snprintf(text + used, sizeof(text) - (size_t)used, ": %.*s", (int)(sizeof(text) - (size_t)used), err->text);
	memcpy(err->text, text, sizeof(text));
}
