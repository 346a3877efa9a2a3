/* place.c - places as text. */
#include <roomcast/place.h>

/* Every event needs one: printf takes ten times as long. */
static char *format_number(uint64_t number, char *out)
{
	char digits[20];
	size_t count = 0;
	do
		digits[count++] = (char)('0' + number % 10);
	while (number /= 10);
	while (count)
		*out++ = digits[--count];
	return out;
}

void place_format(struct place place, char out[static PLACE_TEXT_SIZE])
{
	out = format_number(place.epoch, out);
	*out++ = '.';
	*format_number(place.seq, out) = '\0';
}

static bool parse_number(struct bytes text, uint64_t *out)
{
	uint64_t value = 0;
	if (text.len == 0 || (text.len > 1 && text.data[0] == '0'))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = (unsigned char)text.data[i] - (unsigned)'0';
		if (digit > 9 || __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value))
			return false;
	}
	*out = value;
	return true;
}

bool place_parse(struct bytes text, struct place *out)
{
	const char *dot = text.len ? memchr(text.data, '.', text.len) : NULL;
	if (!dot)
		return false;
	size_t before = (size_t)(dot - text.data);
	return parse_number((struct bytes){ text.data, before }, &out->epoch)
	    && parse_number((struct bytes){ dot + 1, text.len - before - 1 }, &out->seq);
}
