/* base64.c - base64 both ways, in both alphabets. */
#include <roomcast/base64.h>

#include <stdint.h>

#define COMMON "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const char standard[] = COMMON "+/", for_urls[] = COMMON "-_";

/* Returns the end of what was written. */
static char *encode(struct bytes data, const char *alphabet, char *out)
{
	const unsigned char *in = (const unsigned char *)data.data;
	size_t i = 0;
	for (; i + 2 < data.len; i += 3) {
		uint32_t bits = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
		for (int shift = 18; shift >= 0; shift -= 6)
			*out++ = alphabet[bits >> shift & 63];
	}
	if (i == data.len)
		return out;
	uint32_t bits = (uint32_t)in[i] << 16 | (i + 1 < data.len ? (uint32_t)in[i + 1] << 8 : 0);
	*out++ = alphabet[bits >> 18 & 63];
	*out++ = alphabet[bits >> 12 & 63];
	if (i + 1 < data.len)
		*out++ = alphabet[bits >> 6 & 63];
	return out;
}

void base64_encode(struct bytes data, char *out)
{
	char *end = encode(data, standard, out), *padded = out + base64_encoded_len(data.len);
	while (end < padded)
		*end++ = '=';
}

void base64url_encode(struct bytes data, char *out)
{
	encode(data, for_urls, out);
}

static int value_of(char c, const char *alphabet)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == alphabet[62] ? 62 : c == alphabet[63] ? 63 : -1;
}

static long decode(struct bytes text, const char *alphabet, unsigned char *out)
{
	if (text.len % 4 == 1)
		return -1;
	uint32_t bits = 0;
	unsigned held = 0; /* bits not written yet */
	size_t used = 0;
	for (size_t i = 0; i < text.len; i++) {
		int value = value_of(text.data[i], alphabet);
		if (value < 0)
			return -1;
		bits = bits << 6 | (uint32_t)value;
		held += 6;
		if (held >= 8) {
			held -= 8;
			out[used++] = (unsigned char)(bits >> held);
		}
	}
	return (long)used;
}

long base64_decode(struct bytes text, unsigned char *out)
{
	if (text.len % 4 == 0)
		for (int n = 0; n < 2 && text.len && text.data[text.len - 1] == '='; n++)
			text.len--;
	return decode(text, standard, out);
}

long base64url_decode(struct bytes text, unsigned char *out)
{
	return decode(text, for_urls, out);
}
