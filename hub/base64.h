/* base64.h - the standard alphabet with padding (RFC 4648, 4). */
#ifndef ROOMCAST_HUB_BASE64_H
#define ROOMCAST_HUB_BASE64_H

#include <stddef.h>

#include <roomcast/bytes.h>

static inline size_t base64_encoded_len(size_t len)
{
	return (len + 2) / 3 * 4;
}

/* Writes base64_encoded_len(data.len) characters, without a 0. */
void base64_encode(struct bytes data, char *out);

/* Decodes into out, of at least text.len bytes; it may be the text's own memory, or lie in front of it. Padding may be missing, as JavaScript's encoders sometimes leave it out. -1 on anything that is not base64, else the length. */
long base64_decode(struct bytes text, unsigned char *out);

#endif
