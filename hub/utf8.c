/* utf8.c - a strict UTF-8 check, eight ASCII bytes at a time. */
#include "utf8.h"

#include <stdint.h>
#include <string.h>

/* What may follow a leading byte; the second byte's range keeps out overlong forms and surrogates. */
struct lead {
	unsigned char first, last;           /* leading bytes of this row */
	unsigned char second_min, second_max;
	unsigned char len;
};
static const struct lead leads[] = {
	{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
	{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
	{ 0xe1, 0xec, 0x80, 0xbf, 3 },
	{ 0xed, 0xed, 0x80, 0x9f, 3 },
	{ 0xee, 0xef, 0x80, 0xbf, 3 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
	{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
	{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

/* Length of the sequence at the front, 0 when it is none. */
static size_t sequence_len(const unsigned char *data, size_t len)
{
	for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++) {
		const struct lead *lead = &leads[i];
		if (data[0] < lead->first || data[0] > lead->last)
			continue;
		if (len < lead->len || data[1] < lead->second_min || data[1] > lead->second_max)
			return 0;
		for (size_t k = 2; k < lead->len; k++)
			if ((data[k] & 0xc0) != 0x80)
				return 0;
		return lead->len;
	}
	return 0;
}

bool utf8_is_valid(struct bytes text)
{
	const unsigned char *data = (const unsigned char *)text.data;
	size_t i = 0;
	while (i < text.len) {
		uint64_t word;
		if (text.len - i >= sizeof(word)) {
			memcpy(&word, data + i, sizeof(word));
			if ((word & 0x8080808080808080u) == 0) {
				i += sizeof(word);
				continue;
			}
		}
		if (data[i] < 0x80) {
			i++;
			continue;
		}
		size_t len = sequence_len(data + i, text.len - i);
		if (len == 0)
			return false;
		i += len;
	}
	return true;
}
