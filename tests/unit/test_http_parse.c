/* test_http_parse.c - requests out of bytes, cut anywhere: what comes out, what is refused and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http_parse.h"

static const struct http_parse_bounds bounds = { .max_header = 1000, .max_url = 100 };
static const char *const verb_names[] = { "GET", "HEAD", "POST", "OPTIONS", "OTHER" };

static struct {
	struct buffer story;
	bool was_body; /* pieces of a body are told as one */
	enum http_parse_next after_request;
	bool head_stops, body_stops;
	struct http_fields fields; /* of the last request; its views are gone */
	char *text;
} seen;

static void tell(const char *what)
{
	if (seen.was_body)
		buffer_add_char(&seen.story, ')');
	seen.was_body = false;
	buffer_add_text(&seen.story, what);
}

static void on_begin(void *data)
{
	assert_ptr_equal(data, &seen);
	tell("begin ");
}

static bool on_head(void *data, const struct http_fields *fields, char *text)
{
	assert_ptr_equal(data, &seen);
	tell(verb_names[fields->request.verb]);
	buffer_add_format(&seen.story, " %.*s ", (int)fields->request.path.len, fields->request.path.data);
	free(seen.text);
	seen.text = text;
	seen.fields = *fields;
	return !seen.head_stops;
}

static bool on_body(void *data, struct bytes piece)
{
	(void)data;
	if (!seen.was_body)
		tell("body(");
	seen.was_body = true;
	buffer_add_bytes(&seen.story, piece);
	return !seen.body_stops;
}

static enum http_parse_next on_complete(void *data)
{
	(void)data;
	tell(" end. ");
	return seen.after_request;
}

static const struct http_parse_handler handler = { on_begin, on_head, on_body, on_complete };

static void forget(void)
{
	buffer_deinit(&seen.story);
	free(seen.text);
	memset(&seen, 0, sizeof(seen));
}

static int teardown(void **state)
{
	(void)state;
	forget();
	return 0;
}

/* In pieces of that many bytes, each exactly as large as it is; what is left over when the parse ends is dropped. */
static enum http_parse_result feed_in_pieces(struct http_parse *parse, const char *text, size_t piece)
{
	size_t len = strlen(text);
	enum http_parse_result result = HTTP_PARSE_MORE;
	for (size_t at = 0; at < len && result == HTTP_PARSE_MORE; at += piece) {
		size_t size = len - at < piece ? len - at : piece, used;
		char *copy = malloc(size);
		assert_non_null(copy);
		memcpy(copy, text + at, size);
		result = http_parse_feed(parse, (struct bytes){ copy, size }, &used);
		assert_true(used <= size && (result != HTTP_PARSE_MORE || used == size));
		free(copy);
	}
	return result;
}

static struct http_parse *new_parse(void)
{
	struct http_parse *parse = http_parse_new(&bounds, &handler, &seen);
	assert_non_null(parse);
	return parse;
}

static void test_whatever_the_pieces(void **state)
{
	(void)state;
	static const struct { const char *text, *story; } rows[] = {
		{ "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", "begin GET /a  end. " },
		{ "HEAD / HTTP/1.1\r\nHost: h\r\n\r\nOPTIONS /b HTTP/1.1\r\nHost: h\r\n\r\n", "begin HEAD /  end. begin OPTIONS /b  end. " },
		{ "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloDELETE /d HTTP/1.1\r\nHost: h\r\n\r\n",
		  "begin POST /p body(hello) end. begin OTHER /d  end. " },
		{ "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nT: r\r\n\r\n",
		  "begin POST /p body(abc0123456789) end. " },
		{ "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "begin POST /p  end. " },
		{ "\r\n\r\nGET / HTTP/1.0\r\n\r\n", "begin GET /  end. " },
		{ "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
		  "begin GET /  end. begin GET /2  end. " },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t piece = 1; piece < 200; piece++) {
			struct http_parse *parse = new_parse();
			assert_int_equal(feed_in_pieces(parse, rows[i].text, piece), HTTP_PARSE_MORE);
			assert_string_equal(seen.story.data, rows[i].story);
			assert_false(http_parse_is_in_head(parse));
			http_parse_free(parse);
			forget();
		}
	}
}

static void test_lengths(void **state)
{
	(void)state;
	static const struct { const char *header; uint64_t length; } rows[] = {
		{ "", 0 }, { "Content-Length: 0\r\n", 0 }, { "Content-Length: 12\r\n", 12 }, { "Transfer-Encoding: chunked\r\n", HTTP_LENGTH_UNKNOWN },
		{ "Content-Length: 9223372036854775807\r\n", INT64_MAX },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[200];
		struct http_parse *parse = new_parse();
		snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nHost: h\r\n%s\r\n", rows[i].header);
		assert_int_equal(feed_in_pieces(parse, text, 1000), HTTP_PARSE_MORE);
		assert_true(seen.fields.request.content_length == rows[i].length);
		http_parse_free(parse);
	}
}

static void test_keeping_alive(void **state)
{
	(void)state;
	static const struct { const char *text; bool wants_close; } rows[] = {
		{ "GET / HTTP/1.1\r\nHost: h\r\n\r\n", false }, { "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", true },
		{ "GET / HTTP/1.1\r\nHost: h\r\nConnection: x, CLOSE\r\n\r\n", true }, { "GET / HTTP/1.0\r\nHost: h\r\n\r\n", true },
		{ "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_parse *parse = new_parse();
		(void)feed_in_pieces(parse, rows[i].text, 1000);
		assert_int_equal(seen.fields.wants_close, rows[i].wants_close);
		http_parse_free(parse);
	}
}

#define UPGRADE "Host: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"

static void test_upgrades(void **state)
{
	(void)state;
	static const struct { const char *text; bool is_upgrade; } rows[] = {
		{ "GET / HTTP/1.1\r\n" UPGRADE "\r\n", true }, { "GET / HTTP/1.0\r\n" UPGRADE "\r\n", false },
		{ "POST / HTTP/1.1\r\n" UPGRADE "\r\n", false }, { "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c, websocket\r\n\r\n", true },
		{ "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocketx, xwebsocket\r\n\r\n", false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_parse *parse = new_parse();
		enum http_parse_result result = feed_in_pieces(parse, rows[i].text, 1000);
		assert_int_equal(result, rows[i].is_upgrade ? HTTP_PARSE_UPGRADED : HTTP_PARSE_MORE);
		assert_int_equal(seen.fields.request.is_websocket_upgrade, rows[i].is_upgrade);
		http_parse_free(parse);
	}
}

/* What the client sent behind its handshake is not HTTP and stays where it is. */
static void test_bytes_behind_an_upgrade(void **state)
{
	(void)state;
	static const char text[] = "GET / HTTP/1.1\r\n" UPGRADE "\r\nGET / ";
	struct http_parse *parse = new_parse();
	size_t used;
	assert_int_equal(http_parse_feed(parse, bytes_of(text), &used), HTTP_PARSE_UPGRADED);
	assert_string_equal(text + used, "GET / ");
	assert_string_equal(seen.story.data, "begin GET /  end. ");
	http_parse_free(parse);
}

/* Whatever the pieces. had_head: it was told to the handler, who acts on nothing that is refused earlier. */
static void assert_refused(const char *text, unsigned status, enum http_verb verb, bool had_head)
{
	for (size_t piece = 1; piece < 5000; piece *= 3) {
		struct http_parse *parse = new_parse();
		enum http_parse_result result = feed_in_pieces(parse, text, piece);
		const struct http_refusal *refusal = http_parse_refusal(parse);
		if (result != HTTP_PARSE_REFUSED || refusal->status != status || !refusal->code || !refusal->message)
			fail_msg("%d %u for %.60s", (int)result, refusal->status, text);
		if (http_parse_verb(parse) != verb)
			fail_msg("verb %d of %s", (int)http_parse_verb(parse), text);
		assert_int_equal(refusal->headers != NULL, status == 405);
		if ((seen.text != NULL) != had_head)
			fail_msg("told of %s", text);
		http_parse_free(parse);
		forget();
	}
}

static void test_refusals(void **state)
{
	(void)state;
	static char long_url[300], long_header[2000], many_headers[3000];
	snprintf(long_url, sizeof(long_url), "GET /%0101d HTTP/1.1\r\nHost: h\r\n\r\n", 0);
	snprintf(long_header, sizeof(long_header), "GET / HTTP/1.1\r\nHost: h\r\nX: %01000d\r\n\r\n", 0);
	snprintf(many_headers, sizeof(many_headers), "GET / HTTP/1.1\r\nHost: h\r\n");
	for (int i = 0; i < 300; i++)
		strcat(many_headers, "X: y\r\n");
	static const struct { const char *text; unsigned status; enum http_verb verb; } rows[] = {
		{ long_url, 414, HTTP_VERB_GET }, { long_header, 431, HTTP_VERB_GET }, { many_headers, 431, HTTP_VERB_GET },
		{ "\x16\x03\x01", 400, HTTP_VERB_GET }, { "get / HTTP/1.1\r\n", 400, HTTP_VERB_GET }, { "GET / HTTPS/1.1\r\n", 505, HTTP_VERB_GET },
		{ "GET /\r\n\r\n", 505, HTTP_VERB_GET }, { "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505, HTTP_VERB_GET },
		{ "GET / HTTP/1.1\r\n\r\n", 400, HTTP_VERB_GET }, { "HEAD / HTTP/1.1\r\n\r\n", 400, HTTP_VERB_HEAD },
		{ "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, HTTP_VERB_GET },
		{ "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 405, HTTP_VERB_OTHER }, { "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", 405, HTTP_VERB_OTHER },
		{ "POST / HTTP/1.1\r\nHost: h\r\nExpect: magic\r\n\r\n", 417, HTTP_VERB_POST },
		{ "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue, magic\r\n\r\n", 417, HTTP_VERB_POST },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, HTTP_VERB_GET },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400, HTTP_VERB_GET },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400, HTTP_VERB_GET },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, HTTP_VERB_GET },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1 2\r\n\r\n", 400, HTTP_VERB_GET },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 1\r\n\r\n", 400, HTTP_VERB_GET },
		{ "GET / HTTP/1.1\r\nHost: \x01h\r\n\r\n", 400, HTTP_VERB_GET }, { "GET / HTTP/1.1\r\nHost: h\x7f\r\n\r\n", 400, HTTP_VERB_GET },
		{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 400, HTTP_VERB_POST },
		{ "GET / HTTP/1.1\r\n" UPGRADE "Content-Length: 1\r\n\r\n", 400, HTTP_VERB_GET },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_refused(rows[i].text, rows[i].status, rows[i].verb, false);
}

#define CHUNKED "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

static void test_refused_bodies(void **state)
{
	(void)state;
	static char long_trailer[3000];
	snprintf(long_trailer, sizeof(long_trailer), CHUNKED "1\r\na\r\n0\r\n");
	for (int i = 0; i < 300; i++)
		strcat(long_trailer, "X: y\r\n");
	assert_refused(long_trailer, 431, HTTP_VERB_POST, true);
	static const char *const bad[] = { CHUNKED "x\r\n", CHUNKED "fffffffffffffffff\r\n", CHUNKED "1\r\nab\r\n", CHUNKED "-1\r\n" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refused(bad[i], 400, HTTP_VERB_POST, true);
}

/* One header's bound is not eaten up by the header before. */
static void test_bounds_are_of_each_request(void **state)
{
	(void)state;
	struct http_parse *parse = new_parse();
	for (int i = 0; i < 10; i++) {
		char text[1000];
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\nX: %0800d\r\n\r\n", 0);
		assert_int_equal(feed_in_pieces(parse, text, 300), HTTP_PARSE_MORE);
	}
	http_parse_free(parse);
}

/* Each parse has its own bounds, although the library has one number for all. */
static void test_bounds_are_of_each_parse(void **state)
{
	(void)state;
	static const struct http_parse_bounds narrow = { .max_header = 60, .max_url = 100 };
	static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\nX: 0123456789012345678901234567890123456789\r\n\r\n";
	struct http_parse *wide = new_parse(), *other = http_parse_new(&narrow, &handler, &seen);
	size_t used;
	assert_int_equal(http_parse_feed(wide, (struct bytes){ text, 20 }, &used), HTTP_PARSE_MORE);
	assert_int_equal(http_parse_feed(other, bytes_of(text), &used), HTTP_PARSE_REFUSED);
	assert_int_equal(http_parse_feed(wide, bytes_of(text + 20), &used), HTTP_PARSE_MORE);
	http_parse_free(wide);
	http_parse_free(other);
}

static void test_pause(void **state)
{
	(void)state;
	static const char text[] = "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nabGET /3 HTTP/1.1\r\n";
	static const char *const stories[] = { "begin GET /1  end. ", "begin GET /1  end. begin POST /2 body(ab) end. " };
	struct http_parse *parse = new_parse();
	struct bytes rest = bytes_of(text);
	seen.after_request = HTTP_PARSE_PAUSE;
	for (int i = 0; i < 2; i++) {
		size_t used;
		assert_int_equal(http_parse_feed(parse, rest, &used), HTTP_PARSE_PAUSED);
		assert_string_equal(seen.story.data, stories[i]);
		rest.data += used;
		rest.len -= used;
	}
	size_t used;
	assert_true(bytes_equal_text(rest, "GET /3 HTTP/1.1\r\n"));
	assert_int_equal(http_parse_feed(parse, rest, &used), HTTP_PARSE_MORE);
	assert_true(http_parse_is_in_head(parse));
	http_parse_free(parse); /* in the middle of a header: nothing leaks */
}

static void test_callbacks_stop(void **state)
{
	(void)state;
	static const char text[] = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nabGET / HTTP/1.1\r\nHost: h\r\n\r\n";
	static const struct { bool at_head, at_body; enum http_parse_next at_end; const char *story; } rows[] = {
		{ true, false, HTTP_PARSE_GO_ON, "begin POST / " }, { false, true, HTTP_PARSE_GO_ON, "begin POST / body(ab" },
		{ false, false, HTTP_PARSE_STOP, "begin POST / body(ab) end. " },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_parse *parse = new_parse();
		size_t used;
		seen.head_stops = rows[i].at_head;
		seen.body_stops = rows[i].at_body;
		seen.after_request = rows[i].at_end;
		assert_int_equal(http_parse_feed(parse, bytes_of(text), &used), HTTP_PARSE_STOPPED);
		assert_string_equal(seen.story.data, rows[i].story);
		http_parse_free(parse);
		forget();
	}
}

int main(void)
{
#define TEST(function) cmocka_unit_test_teardown(function, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_whatever_the_pieces), TEST(test_lengths), TEST(test_keeping_alive), TEST(test_upgrades), TEST(test_bytes_behind_an_upgrade),
		TEST(test_refusals), TEST(test_refused_bodies), TEST(test_bounds_are_of_each_request), TEST(test_bounds_are_of_each_parse), TEST(test_pause),
		TEST(test_callbacks_stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
