/* test_http_head.c - a request's line and header fields, gathered from pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http_head.h"

struct field {
	const char *name, *value;
};

static struct http_fields fields;
static char *text;
static struct error err;

static int teardown(void **state)
{
	(void)state;
	free(text);
	text = NULL;
	return 0;
}

/* Gives the header over in pieces of that many bytes. */
static void add(struct http_head *head, void (*add_piece)(struct http_head *, const char *, size_t), const char *data, size_t piece)
{
	size_t len = strlen(data);
	for (size_t at = 0; at < len; at += piece)
		add_piece(head, data + at, len - at < piece ? len - at : piece);
	if (len == 0)
		add_piece(head, data, 0); /* an empty value is told as such */
}

static int gather(const char *url, const struct field *header, size_t piece)
{
	struct http_head head = { 0 };
	free(text);
	text = NULL;
	add(&head, http_head_add_url, url, piece);
	for (; header->name; header++) {
		add(&head, http_head_add_name, header->name, piece);
		add(&head, http_head_add_value, header->value, piece);
	}
	int status = http_head_finish(&head, &fields, &text, &err);
	http_head_deinit(&head);
	return status;
}

static void assert_view(struct bytes view, const char *expected)
{
	if (!bytes_equal_text(view, expected))
		fail_msg("`%.*s` instead of `%s`", (int)view.len, view.data, expected);
}

static void test_every_field_in_any_pieces(void **state)
{
	(void)state;
	static const struct field header[] = {
		{ "Host", "h:1" }, { "AUTHORIZATION", "Bearer x" }, { "cookie", "a=1" }, { "Origin", "http://o" }, { "User-Agent", "agent" },
		{ "X-Forwarded-For", "::1" }, { "Content-Type", "text/plain" }, { "Access-Control-Request-Headers", "x-a" },
		{ "Sec-WebSocket-Key", "key" }, { "Sec-WebSocket-Version", "13" }, { "Expect", "100-continue" }, { "Upgrade", "websocket" },
		{ "X-Of-Nobody's-Interest-And-Longer-Than-Any-Name", "zzz" }, { "Hos", "no" }, { "Hostt", "no" }, { NULL, NULL },
	};
	for (size_t piece = 1; piece < 20; piece++) {
		assert_int_equal(gather("/a/b?x=1&y", header, piece), 0);
		const struct http_request *request = &fields.request;
		const struct request_info *info = &request->info;
		const struct { struct bytes view; const char *expected; } rows[] = {
			{ request->path, "/a/b" }, { info->query, "x=1&y" }, { info->host, "h:1" }, { info->authorization, "Bearer x" },
			{ info->cookie, "a=1" }, { info->origin, "http://o" }, { info->user_agent, "agent" }, { info->forwarded_for, "::1" },
			{ request->content_type, "text/plain" }, { request->requested_headers, "x-a" }, { request->websocket_key, "key" },
			{ request->websocket_version, "13" }, { fields.expect, "100-continue" }, { fields.upgrade, "websocket" },
		};
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			assert_view(rows[i].view, rows[i].expected);
	}
}

static void test_absent_and_empty(void **state)
{
	(void)state;
	static const struct field header[] = { { "Origin", "" }, { "Cookie", " \t" }, { "Host", "h \t " }, { NULL, NULL } };
	assert_int_equal(gather("/", header, 3), 0);
	assert_int_equal(fields.request.info.origin.len, 0);
	assert_int_equal(fields.request.info.cookie.len, 0);
	assert_int_equal(fields.request.info.authorization.len, 0);
	assert_view(fields.request.info.host, "h");
	assert_view(fields.request.info.query, "");
}

static void test_repeated_fields(void **state)
{
	(void)state;
	static const struct field joined[] = {
		{ "Cookie", "a=1" }, { "X-Forwarded-For", "1.1.1.1" }, { "Cookie", "b=2" }, { "Cookie", "c=3" }, { "X-Forwarded-For", "2.2.2.2" },
		{ "User-Agent", "a" }, { "User-Agent", "b" }, { "Upgrade", "h2c" }, { "Upgrade", "websocket" }, { NULL, NULL },
	};
	assert_int_equal(gather("/", joined, 5), 0);
	assert_view(fields.request.info.cookie, "a=1; b=2; c=3");
	assert_view(fields.request.info.forwarded_for, "1.1.1.1, 2.2.2.2");
	assert_view(fields.request.info.user_agent, "a b");
	assert_view(fields.upgrade, "h2c, websocket");
	static const char *const single[] = {
		"Host", "Authorization", "Origin", "Content-Type", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
	};
	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
		const struct field twice[] = { { single[i], "a" }, { "X", "y" }, { single[i], "a" }, { NULL, NULL } };
		assert_int_equal(gather("/", twice, 100), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_null(text);
	}
}

static void test_targets(void **state)
{
	(void)state;
	static const struct field none[] = { { NULL, NULL } };
	static const struct { const char *url, *path, *query; } rows[] = {
		{ "/", "/", "" }, { "/a?", "/a", "" }, { "/a?b?c", "/a", "b?c" }, { "/a#f?q", "/a", "" }, { "/a?q#f", "/a", "q" },
		{ "http://host/a?q", "/a", "q" }, { "http://host?q", "", "q" }, { "http://host", "", "" }, { "*", "*", "" },
		{ "/http://host/a", "/http://host/a", "" }, { "/a?x=http://host/b", "/a", "x=http://host/b" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(gather(rows[i].url, none, 4), 0);
		assert_view(fields.request.path, rows[i].path);
		assert_view(fields.request.info.query, rows[i].query);
	}
}

/* Fields that are put together may not take more memory than a header has. */
static void test_repetition_is_no_amplifier(void **state)
{
	(void)state;
	struct http_head head = { 0 };
	http_head_add_url(&head, "/", 1);
	for (int i = 0; i < 800; i++) {
		http_head_add_name(&head, "Cookie", 6);
		http_head_add_value(&head, "a", 1);
		http_head_add_name(&head, "User-Agent", 10);
		http_head_add_value(&head, "b", 1);
	}
	assert_in_range(head.text.capacity, 1, 2 * HTTP_HEAD_TEXT_MAX);
	assert_int_equal(http_head_finish(&head, &fields, &text, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	http_head_deinit(&head);
}

/* The same name over and over is put together in place. */
static void test_many_cookies(void **state)
{
	(void)state;
	struct http_head head = { 0 };
	http_head_add_url(&head, "/", 1);
	for (int i = 0; i < 1000; i++) {
		http_head_add_name(&head, "Cookie", 6);
		http_head_add_value(&head, "ab=1", 4);
	}
	assert_in_range(head.text.capacity, 1, 16 * 1024);
	assert_int_equal(http_head_finish(&head, &fields, &text, &err), 0);
	assert_int_equal(fields.request.info.cookie.len, 1000 * 6 - 2);
	http_head_deinit(&head);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_teardown(function, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_every_field_in_any_pieces), TEST(test_absent_and_empty), TEST(test_repeated_fields), TEST(test_targets),
		TEST(test_repetition_is_no_amplifier), TEST(test_many_cookies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
