/* record.c - FastCGI records from an untrusted peer. */
#include "record.h"

#include "cgi.h"

enum { KEPT_MAX = 64 << 10 }; /* bytes of memory kept between requests */

enum { VERSION = 1, ROLE_RESPONDER = 1, FLAG_KEEP = 1, BEGIN_LEN = 8, STATUS_CANNOT_MULTIPLEX = 1, STATUS_COMPLETE = 0, CONTENT_MAX = 65535 };

void record_header(unsigned char out[static RECORD_HEADER_LEN], enum record_type type, uint16_t id, size_t content_len)
{
	const unsigned char header[RECORD_HEADER_LEN] = {
		VERSION, (unsigned char)type, (unsigned char)(id >> 8), (unsigned char)id,
		(unsigned char)(content_len >> 8), (unsigned char)content_len, 0, 0,
	};
	memcpy(out, header, sizeof(header));
}

static uint16_t two_bytes(const unsigned char *data)
{
	return (uint16_t)(data[0] << 8 | data[1]);
}

static void add_reply(struct record_reader *reader, enum record_type type, uint16_t id, const void *content, size_t len)
{
	unsigned char header[RECORD_HEADER_LEN];
	record_header(header, type, id, len);
	buffer_add(&reader->reply, header, sizeof(header));
	buffer_add(&reader->reply, content, len);
}

static void add_end(struct record_reader *reader, uint16_t id, unsigned char status)
{
	const unsigned char body[8] = { 0, 0, 0, 0, status };
	add_reply(reader, RECORD_END_REQUEST, id, body, sizeof(body));
}

/* Section 3.4: a length of one byte, or of four with the highest bit set. */
static inline int pair_length(struct bytes *rest, size_t *len, struct error *err)
{
	const unsigned char *data = (const unsigned char *)rest->data;
	size_t used = rest->len && data[0] & 0x80 ? 4 : 1;
	if (rest->len < used)
		return error_set(err, ERROR_INVALID, "truncated parameter length");
	*len = used == 1 ? data[0] : (size_t)(data[0] & 0x7f) << 24 | (size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3];
	rest->data += used;
	rest->len -= used;
	return 0;
}

static inline int next_pair(struct bytes *rest, struct bytes *name, struct bytes *value, struct error *err)
{
	size_t name_len, value_len;
	if (pair_length(rest, &name_len, err) || pair_length(rest, &value_len, err))
		return -1;
	if (name_len > rest->len || value_len > rest->len - name_len)
		return error_set(err, ERROR_INVALID, "a parameter of %zu and %zu bytes, where %zu are left", name_len, value_len, rest->len);
	*name = (struct bytes){ rest->data, name_len };
	*value = (struct bytes){ rest->data + name_len, value_len };
	rest->data += name_len + value_len;
	rest->len -= name_len + value_len;
	return 0;
}

/* Lengths fit, and no value ends earlier for somebody who takes it for a C string. */
static int check_params(struct record_reader *reader, struct error *err)
{
	struct bytes rest = buffer_bytes(&reader->params), name, value;
	reader->content_length = LENGTH_ABSENT;
	while (rest.len) {
		if (next_pair(&rest, &name, &value, err))
			return -1;
		if ((name.len && memchr(name.data, '\0', name.len)) || (value.len && memchr(value.data, '\0', value.len)))
			return error_set(err, ERROR_INVALID, "a byte 0 in a parameter");
		if (bytes_equal_text(name, "CONTENT_LENGTH"))
			reader->content_length = cgi_parse_length(value);
	}
	return 0;
}

void record_find_params(const struct record_reader *reader, struct cgi_variable *variables, size_t count)
{
	struct bytes rest = buffer_bytes(&reader->params), name, value;
	while (rest.len && next_pair(&rest, &name, &value, NULL) == 0)
		for (size_t i = 0; i < count; i++)
			if (name.len == variables[i].name.len && memcmp(name.data, variables[i].name.data, name.len) == 0)
				variables[i].value = value;
}

struct bytes record_param(const struct record_reader *reader, const char *name)
{
	struct cgi_variable variable = { bytes_of(name), { "", 0 } };
	record_find_params(reader, &variable, 1);
	return variable.value;
}

static int begin_request(struct record_reader *reader, uint16_t id, struct error *err)
{
	if (two_bytes(reader->small) != ROLE_RESPONDER)
		return error_set(err, ERROR_INVALID, "role %u is not responder", two_bytes(reader->small));
	reader->request_id = id;
	reader->keep_connection = reader->small[2] & FLAG_KEEP;
	reader->stage = RECORD_STAGE_PARAMS;
	return 0;
}

/* Section 4.1: which of our limits a web server asked for does not matter, it gets the one that it must know. */
static void answer_query(struct record_reader *reader)
{
	static const char result[] = "\x0f\x01" "FCGI_MPXS_CONNS" "0";
	add_reply(reader, RECORD_GET_VALUES_RESULT, 0, result, sizeof(result) - 1);
}

/* What a record of this type means now. Those with content in `small` are handled when it is complete. */
static int begin_record(struct record_reader *reader, struct error *err)
{
	unsigned type = reader->header[1];
	uint16_t id = two_bytes(reader->header + 2);
	bool is_active = reader->stage != RECORD_STAGE_IDLE, is_ours = is_active && id == reader->request_id;
	if (reader->header[0] != VERSION)
		return error_set(err, ERROR_INVALID, "version %u", reader->header[0]);
	reader->content_left = two_bytes(reader->header + 4);
	reader->padding_left = reader->header[6];
	reader->small_len = 0;
	reader->is_skipped = false;
	if (type == RECORD_GET_VALUES && id == 0)
		return reader->content_left <= RECORD_QUERY_MAX ? 0 : error_set(err, ERROR_TOO_LARGE, "a query of %zu bytes", reader->content_left);
	if (type == RECORD_BEGIN_REQUEST && id != 0 && !is_ours)
		return reader->content_left == BEGIN_LEN ? 0 : error_set(err, ERROR_INVALID, "a request begun with %zu bytes", reader->content_left);
	if (type == RECORD_PARAMS && is_ours && reader->stage == RECORD_STAGE_PARAMS)
		return reader->params.len + reader->content_left <= RECORD_PARAMS_MAX ? 0
		    : error_set(err, ERROR_TOO_LARGE, "more than %d bytes of parameters", RECORD_PARAMS_MAX);
	if (type == RECORD_STDIN && is_ours && reader->stage != RECORD_STAGE_PARAMS)
		return 0;
	/* Of a request that we refused to take besides this one, or that is over. */
	reader->is_skipped = id != 0 && !is_ours && (type == RECORD_PARAMS || type == RECORD_STDIN || type == RECORD_ABORT_REQUEST);
	return reader->is_skipped ? 0 : error_set(err, ERROR_INVALID, "an unexpected record of type %u", type);
}

static void take_body(struct record_reader *reader, struct bytes content)
{
	if (reader->stage == RECORD_STAGE_DRAIN || reader->is_too_large)
		return;
	if (reader->body.len + content.len <= reader->max_body) {
		buffer_add_bytes(&reader->body, content);
		if (!reader->body.has_failed)
			return;
	}
	reader->is_too_large = true;
	buffer_clear(&reader->body);
}

static int take_content(struct record_reader *reader, struct bytes content, struct error *err)
{
	unsigned type = reader->header[1];
	if (reader->is_skipped)
		return 0;
	if (type == RECORD_STDIN) {
		take_body(reader, content);
	} else if (type == RECORD_PARAMS) {
		buffer_add_bytes(&reader->params, content);
		if (reader->params.has_failed)
			return error_set(err, ERROR_SYSTEM, "no memory for parameters");
	} else {
		memcpy(reader->small + reader->small_len, content.data, content.len);
		reader->small_len += content.len;
	}
	return 0;
}

static int end_params(struct record_reader *reader, struct error *err)
{
	if (check_params(reader, err))
		return -1;
	reader->is_too_large = reader->content_length > 0 && (uint64_t)reader->content_length > reader->max_body;
	reader->stage = RECORD_STAGE_BODY;
	return 0;
}

/* The record's content is complete; an empty one of a stream ends that stream. */
static int end_record(struct record_reader *reader, struct error *err)
{
	unsigned type = reader->header[1];
	uint16_t id = two_bytes(reader->header + 2);
	bool is_end = two_bytes(reader->header + 4) == 0;
	if (reader->is_skipped)
		return 0;
	if (type == RECORD_GET_VALUES)
		answer_query(reader);
	else if (type == RECORD_BEGIN_REQUEST && reader->stage == RECORD_STAGE_IDLE)
		return begin_request(reader, id, err);
	else if (type == RECORD_BEGIN_REQUEST)
		add_end(reader, id, STATUS_CANNOT_MULTIPLEX);
	else if (type == RECORD_PARAMS && is_end)
		return end_params(reader, err);
	else if (type == RECORD_STDIN && is_end)
		reader->stage = reader->stage == RECORD_STAGE_DRAIN ? RECORD_STAGE_IDLE : RECORD_STAGE_READY;
	return reader->reply.len <= RECORD_REPLY_MAX ? 0 : error_set(err, ERROR_TOO_LARGE, "too many requests at once on one connection");
}

static struct bytes cut(struct bytes *input, size_t most)
{
	struct bytes part = { input->data, most < input->len ? most : input->len };
	input->data += part.len;
	input->len -= part.len;
	return part;
}

static int feed_part(struct record_reader *reader, struct bytes *input, struct error *err)
{
	if (reader->header_len < RECORD_HEADER_LEN) {
		struct bytes part = cut(input, RECORD_HEADER_LEN - reader->header_len);
		memcpy(reader->header + reader->header_len, part.data, part.len);
		reader->header_len += part.len;
		if (reader->header_len < RECORD_HEADER_LEN)
			return 0;
		if (begin_record(reader, err))
			return -1;
		if (reader->content_left == 0 && end_record(reader, err))
			return -1;
	} else if (reader->content_left) {
		struct bytes part = cut(input, reader->content_left);
		reader->content_left -= part.len;
		if (take_content(reader, part, err) || (reader->content_left == 0 && end_record(reader, err)))
			return -1;
	} else {
		reader->padding_left -= cut(input, reader->padding_left).len;
	}
	if (reader->content_left == 0 && reader->padding_left == 0)
		reader->header_len = 0;
	return 0;
}

enum record_result record_feed(struct record_reader *reader, struct bytes *input, struct error *err)
{
	while (input->len) {
		if (feed_part(reader, input, err))
			return RECORD_MALFORMED;
		if (reader->stage == RECORD_STAGE_BODY && reader->is_too_large)
			reader->stage = RECORD_STAGE_EARLY;
		if (reader->stage == RECORD_STAGE_READY || reader->stage == RECORD_STAGE_EARLY)
			return RECORD_REQUEST;
	}
	return RECORD_MORE;
}

/* A connection that was idle for an hour should not hold the megabyte that it once brought. */
static void empty(struct buffer *buffer)
{
	if (buffer->capacity > KEPT_MAX)
		buffer_deinit(buffer);
	else
		buffer_clear(buffer);
}

void record_next(struct record_reader *reader)
{
	empty(&reader->params);
	empty(&reader->body);
	reader->is_too_large = false;
	reader->stage = reader->stage == RECORD_STAGE_EARLY ? RECORD_STAGE_DRAIN : RECORD_STAGE_IDLE;
}

void record_deinit(struct record_reader *reader)
{
	buffer_deinit(&reader->params);
	buffer_deinit(&reader->body);
	buffer_deinit(&reader->reply);
}

static void add_stream(struct buffer *out, uint16_t id, struct bytes content)
{
	unsigned char header[RECORD_HEADER_LEN];
	while (content.len) {
		struct bytes part = cut(&content, CONTENT_MAX);
		record_header(header, RECORD_STDOUT, id, part.len);
		buffer_add(out, header, sizeof(header));
		buffer_add_bytes(out, part);
	}
}

void record_add_answer(const struct record_reader *reader, struct bytes head, struct bytes body, struct buffer *out)
{
	static const unsigned char end[8] = { 0, 0, 0, 0, STATUS_COMPLETE };
	unsigned char header[RECORD_HEADER_LEN];
	add_stream(out, reader->request_id, head);
	add_stream(out, reader->request_id, body);
	record_header(header, RECORD_STDOUT, reader->request_id, 0);
	buffer_add(out, header, sizeof(header));
	record_header(header, RECORD_END_REQUEST, reader->request_id, sizeof(end));
	buffer_add(out, header, sizeof(header));
	buffer_add(out, end, sizeof(end));
}
