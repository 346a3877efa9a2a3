/* http_parse.c - libhttp-parser's callbacks turned into whole, judged requests. */
#include "http_parse.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <http_parser.h>

struct http_parse {
	http_parser parser;
	const struct http_parse_bounds *bounds;
	const struct http_parse_handler *handler;
	void *data;
	struct http_head head;
	struct http_refusal refusal;
	enum http_verb verb;
	bool is_in_head, is_stopped, is_upgraded;
};

static int refuse(struct http_parse *parse, unsigned status, const char *code, const char *message)
{
	parse->refusal = (struct http_refusal){ status, code, message, NULL };
	return -1;
}

static int bad_request(struct http_parse *parse, const char *message)
{
	return refuse(parse, 400, "bad_request", message);
}

/* --- the header ------------------------------------------------------------ */

static int on_message_begin(http_parser *parser)
{
	struct http_parse *parse = parser->data;
	parse->is_in_head = true;
	parse->handler->on_begin(parse->data);
	return 0;
}

static int on_url(http_parser *parser, const char *data, size_t len)
{
	struct http_parse *parse = parser->data;
	http_head_add_url(&parse->head, data, len);
	if (parse->head.url_len > parse->bounds->max_url)
		return refuse(parse, 414, "uri_too_long", "request target too long");
	return 0;
}

static int on_header_field(http_parser *parser, const char *data, size_t len)
{
	struct http_parse *parse = parser->data;
	/* Debian's parser takes blanks in a name; `Content-Length : 3` means different things to different servers */
	if (memchr(data, ' ', len))
		return bad_request(parse, "a blank in a header field's name");
	if (parse->is_in_head) /* not a trailer */
		http_head_add_name(&parse->head, data, len);
	return 0;
}

static bool has_control_character(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)data[i] < 0x20 && data[i] != '\t') || data[i] == 0x7f)
			return true;
	return false;
}

static int on_header_value(http_parser *parser, const char *data, size_t len)
{
	struct http_parse *parse = parser->data;
	if (has_control_character(data, len)) /* Debian's parser takes any byte as a value's first */
		return bad_request(parse, "a control character in a header field's value");
	if (parse->is_in_head)
		http_head_add_value(&parse->head, data, len);
	return 0;
}

static enum http_verb verb_of(unsigned method)
{
	return method == HTTP_GET ? HTTP_VERB_GET : method == HTTP_HEAD ? HTTP_VERB_HEAD : method == HTTP_POST ? HTTP_VERB_POST :
	       method == HTTP_OPTIONS ? HTTP_VERB_OPTIONS : HTTP_VERB_OTHER;
}

static bool has_token(struct bytes list, const char *token)
{
	size_t len = strlen(token);
	for (size_t i = 0; i + len <= list.len; i++) {
		bool starts = i == 0 || strchr(", \t", list.data[i - 1]);
		bool ends = i + len == list.len || strchr(", \t", list.data[i + len]);
		if (starts && ends && strncasecmp(list.data + i, token, len) == 0)
			return true;
	}
	return false;
}

/* What is not in header fields, or follows from several. */
static void fill_fields(struct http_fields *fields, const http_parser *parser)
{
	struct http_request *request = &fields->request;
	bool is_chunked = parser->flags & F_CHUNKED;
	request->verb = verb_of(parser->method);
	request->content_length = is_chunked ? HTTP_LENGTH_UNKNOWN : parser->flags & F_CONTENTLENGTH ? parser->content_length : 0;
	request->is_websocket_upgrade = request->verb == HTTP_VERB_GET && parser->upgrade && parser->http_minor >= 1 &&
	                                has_token(fields->upgrade, "websocket");
	fields->wants_close = !http_should_keep_alive(parser) || request->is_websocket_upgrade;
}

static int judge(struct http_parse *parse, const struct http_fields *fields)
{
	const http_parser *parser = &parse->parser;
	const struct http_request *request = &fields->request;
	if (parser->http_major != 1)
		return refuse(parse, 505, "http_version", "HTTP/1.1 is spoken here");
	if (parser->method == HTTP_CONNECT || parser->method == HTTP_TRACE) {
		parse->refusal = (struct http_refusal){ 405, "method_not_allowed", "this method is not served here", "Allow: GET, HEAD, POST, OPTIONS\r\n" };
		return -1;
	}
	if (parser->http_minor >= 1 && request->info.host.len == 0)
		return bad_request(parse, "no Host header field");
	if (parser->uses_transfer_encoding && !(parser->flags & F_CHUNKED)) /* the library says so too late */
		return bad_request(parse, "a Transfer-Encoding other than chunked");
	if (fields->expect.len && !(fields->expect.len == 12 && has_token(fields->expect, "100-continue")))
		return refuse(parse, 417, "expectation_failed", "unknown expectation");
	if (request->is_websocket_upgrade && request->content_length > 0)
		return bad_request(parse, "an upgrade has no body");
	return 0;
}

static int refuse_head(struct http_parse *parse, const struct error *err)
{
	return err->code == ERROR_TOO_LARGE ? refuse(parse, 431, "header_too_large", "request header too large")
	                                    : bad_request(parse, "a header field stands there twice");
}

static int on_headers_complete(http_parser *parser)
{
	struct http_parse *parse = parser->data;
	struct http_fields fields = { 0 };
	struct error err = { 0 };
	char *text = NULL;
	int status = http_head_finish(&parse->head, &fields, &text, &err);
	http_head_deinit(&parse->head);
	parse->head = (struct http_head){ 0 };
	parse->is_in_head = false;
	fill_fields(&fields, parser);
	parse->verb = fields.request.verb;
	if (status < 0)
		return refuse_head(parse, &err);
	if (judge(parse, &fields) < 0) {
		free(text);
		return -1;
	}
	parse->is_upgraded = fields.request.is_websocket_upgrade;
	if (!parse->is_upgraded)
		parser->upgrade = 0; /* other protocols are not spoken here: it is a plain request */
	parse->is_stopped = !parse->handler->on_head(parse->data, &fields, text);
	return parse->is_stopped ? -1 : 0;
}

/* --- behind it ------------------------------------------------------------- */

static int on_body(http_parser *parser, const char *data, size_t len)
{
	struct http_parse *parse = parser->data;
	parse->is_stopped = !parse->handler->on_body(parse->data, (struct bytes){ data, len });
	return parse->is_stopped ? -1 : 0;
}

static int on_message_complete(http_parser *parser)
{
	struct http_parse *parse = parser->data;
	enum http_parse_next next = parse->handler->on_complete(parse->data);
	parse->verb = HTTP_VERB_GET;
	parse->is_stopped = next == HTTP_PARSE_STOP;
	if (next == HTTP_PARSE_PAUSE && !parse->is_upgraded)
		http_parser_pause(parser, 1);
	return parse->is_stopped ? -1 : 0;
}

static const http_parser_settings callbacks = {
	.on_message_begin = on_message_begin,
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

static enum http_parse_result refused_by_parser(struct http_parse *parse, enum http_errno code)
{
	if (parse->refusal.status)
		return HTTP_PARSE_REFUSED;
	if (code == HPE_HEADER_OVERFLOW)
		refuse(parse, 431, "header_too_large", "request header too large");
	else if (code == HPE_INVALID_VERSION)
		refuse(parse, 505, "http_version", "HTTP/1.1 is spoken here");
	else
		bad_request(parse, http_errno_description(code));
	return HTTP_PARSE_REFUSED;
}

enum http_parse_result http_parse_feed(struct http_parse *parse, struct bytes input, size_t *used)
{
	http_parser_set_max_header_size((uint32_t)parse->bounds->max_header); /* the library has one for all */
	*used = http_parser_execute(&parse->parser, &callbacks, input.data, input.len);
	enum http_errno code = HTTP_PARSER_ERRNO(&parse->parser);
	if (code == HPE_PAUSED) {
		http_parser_pause(&parse->parser, 0);
		return HTTP_PARSE_PAUSED;
	}
	if (parse->is_stopped)
		return HTTP_PARSE_STOPPED;
	if (code != HPE_OK)
		return refused_by_parser(parse, code);
	return parse->is_upgraded ? HTTP_PARSE_UPGRADED : HTTP_PARSE_MORE;
}

/* --- one of them ----------------------------------------------------------- */

struct http_parse *http_parse_new(const struct http_parse_bounds *bounds, const struct http_parse_handler *handler, void *data)
{
	struct http_parse *parse = calloc(1, sizeof(*parse));
	if (!parse)
		return NULL;
	http_parser_init(&parse->parser, HTTP_REQUEST);
	parse->parser.data = parse;
	parse->bounds = bounds;
	parse->handler = handler;
	parse->data = data;
	return parse;
}

void http_parse_free(struct http_parse *parse)
{
	if (!parse)
		return;
	http_head_deinit(&parse->head);
	free(parse);
}

bool http_parse_is_in_head(const struct http_parse *parse)
{
	return parse->is_in_head;
}

const struct http_refusal *http_parse_refusal(const struct http_parse *parse)
{
	return &parse->refusal;
}

enum http_verb http_parse_verb(const struct http_parse *parse)
{
	return parse->verb;
}
