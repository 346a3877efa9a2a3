/* error.c - fills struct error. */
#include <roomcast/error.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, enum error_code code, const char *format, ...)
{
	if (!err)
		return -1;
	va_list arguments;
	va_start(arguments, format);
	err->code = code;
	vsnprintf(err->text, sizeof(err->text), format, arguments);
	va_end(arguments);
	return -1;
}

int error_context(struct error *err, const char *format, ...)
{
	if (!err)
		return -1;
	char text[sizeof(err->text)];
	va_list arguments;
	va_start(arguments, format);
	int used = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (used >= 0 && (size_t)used < sizeof(text))
		snprintf(text + used, sizeof(text) - (size_t)used, ": %.*s", (int)(sizeof(text) - (size_t)used), err->text);
	memcpy(err->text, text, sizeof(text));
	return -1;
}
