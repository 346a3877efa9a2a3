/* base64.h - bytes as text: the standard alphabet with padding (RFC 4648, 4), and the one for URLs without (5). */
#ifndef ROOMCAST_BASE64_H
#define ROOMCAST_BASE64_H

#include <stddef.h>

#include <roomcast/bytes.h>

static inline size_t base64_encoded_len(size_t len)
{
	return (len + 2) / 3 * 4;
}

static inline size_t base64url_encoded_len(size_t len)
{
	return (len * 4 + 2) / 3;
}

/* Write base64_encoded_len or base64url_encoded_len of data.len characters, without a 0. */
void base64_encode(struct bytes data, char *out);
void base64url_encode(struct bytes data, char *out);

/* Decode into out, of at least text.len bytes; it may be the text's own memory, or lie in front of it. -1 on anything that is not
 * base64, else the length. Standard padding may be missing, as JavaScript's encoders sometimes leave it out; for URLs it must be. */
long base64_decode(struct bytes text, unsigned char *out);
long base64url_decode(struct bytes text, unsigned char *out);

#endif
