/* utf8.h - whether bytes are UTF-8 (RFC 3629). */
#ifndef ROOMCAST_HUB_UTF8_H
#define ROOMCAST_HUB_UTF8_H

#include <stdbool.h>

#include <roomcast/bytes.h>

/* Strict: no overlong form, no surrogate, nothing past U+10FFFF. */
bool utf8_is_valid(struct bytes text);

#endif
