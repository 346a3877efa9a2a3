/* query.c - cuts and decodes a query. */
#include "query.h"

/* Appends what encoded stands for, which is never longer; false when a `%` is not followed by two digits, or stands for a byte 0. */
static bool decode(struct bytes encoded, struct buffer *out)
{
	for (size_t i = 0; i < encoded.len; i++) {
		char c = encoded.data[i] == '+' ? ' ' : encoded.data[i];
		if (c == '%') {
			int high = encoded.len - i > 2 ? hex_digit_value(encoded.data[i + 1]) : -1;
			int low = high < 0 ? -1 : hex_digit_value(encoded.data[i + 2]);
			if (low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (!c)
			return false;
		buffer_add_char(out, c);
	}
	return !out->has_failed;
}

static struct query_parameter *find(struct query_parameter *parameters, struct bytes name)
{
	for (; parameters->name; parameters++)
		if (bytes_equal_text(name, parameters->name))
			return parameters;
	return NULL;
}

static int refuse(struct response *response, struct bytes name, const char *what)
{
	response_refuse(response, REFUSAL_INVALID_FIELD, "%.*s: %s", (int)(name.len < 60 ? name.len : 60), name.data, what);
	return -1;
}

static int read_parameter(struct bytes part, struct query_parameter *parameters, bool ignores_unknown, struct buffer *scratch, struct response *response)
{
	struct bytes value = part, name = bytes_cut(&value, '=');
	size_t at = scratch->len;
	struct query_parameter *parameter = find(parameters, name);
	if (!parameter)
		return ignores_unknown ? 0 : refuse(response, name, "there is no such parameter");
	if (parameter->value.data)
		return refuse(response, name, "stands there twice");
	if (!decode(value, scratch))
		return refuse(response, name, "is not encoded as a URL's parameter");
	parameter->value = (struct bytes){ scratch->data + at, scratch->len - at };
	return 0;
}

int query_read(struct bytes query, struct query_parameter *parameters, bool ignores_unknown, struct buffer *scratch, struct response *response)
{
	struct bytes rest = query;
	for (struct query_parameter *parameter = parameters; parameter->name; parameter++)
		parameter->value = (struct bytes){ 0 };
	buffer_clear(scratch);
	/* Decoded it is not longer, so that scratch does not move any more. */
	if (!buffer_reserve(scratch, query.len + 1)) {
		response_refuse(response, REFUSAL_UNAVAILABLE, "out of memory");
		return -1;
	}
	while (rest.len) {
		struct bytes part = bytes_cut(&rest, '&');
		if (part.len && read_parameter(part, parameters, ignores_unknown, scratch, response))
			return -1;
	}
	return 0;
}
