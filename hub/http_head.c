/* http_head.c - known header fields by name, kept in one piece of memory. */
#include "http_head.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FIELD(member) offsetof(struct http_fields, member)

static const struct {
	const char *name;
	size_t offset;
	const char *separator; /* puts repeated fields together; NULL: a second one is an error */
} known[] = {
	{ "host", FIELD(request.info.host), NULL },
	{ "authorization", FIELD(request.info.authorization), NULL },
	{ "cookie", FIELD(request.info.cookie), "; " },
	{ "origin", FIELD(request.info.origin), NULL },
	{ "user-agent", FIELD(request.info.user_agent), " " },
	{ "x-forwarded-for", FIELD(request.info.forwarded_for), ", " },
	{ "content-type", FIELD(request.content_type), NULL },
	{ "access-control-request-headers", FIELD(request.requested_headers), ", " },
	{ "sec-websocket-key", FIELD(request.websocket_key), NULL },
	{ "sec-websocket-version", FIELD(request.websocket_version), NULL },
	{ "expect", FIELD(expect), ", " },
	{ "upgrade", FIELD(upgrade), ", " },
};
_Static_assert(sizeof(known) / sizeof(known[0]) == HTTP_HEAD_SLOTS, "a slot for each known field");

void http_head_deinit(struct http_head *head)
{
	buffer_deinit(&head->text);
}

void http_head_add_url(struct http_head *head, const char *data, size_t len)
{
	head->text.max = HTTP_HEAD_TEXT_MAX;
	buffer_add(&head->text, data, len);
	head->url_len = head->text.len;
}

void http_head_add_name(struct http_head *head, const char *data, size_t len)
{
	if (head->is_in_value)
		head->name_len = 0;
	head->is_in_value = false;
	if (len > HTTP_HEAD_NAME_MAX - head->name_len)
		len = HTTP_HEAD_NAME_MAX - head->name_len; /* no known name is that long */
	memcpy(head->name + head->name_len, data, len);
	head->name_len += len;
	head->name[head->name_len] = '\0';
}

static int find_slot(const char *name)
{
	for (int i = 0; i < HTTP_HEAD_SLOTS; i++)
		if (strcasecmp(known[i].name, name) == 0)
			return i;
	return -1;
}

/* A field comes again: its earlier value goes to the end, where the new one follows it. */
static void continue_value(struct http_head *head, int slot)
{
	const char *separator = known[slot].separator;
	size_t at = head->values[slot].at, len = head->values[slot].len;
	if (!separator) {
		head->is_ambiguous = true;
		return;
	}
	if (at + len < head->text.len) {
		if (!buffer_reserve(&head->text, len))
			return;
		head->values[slot].at = head->text.len;
		buffer_add(&head->text, head->text.data + at, len);
	}
	buffer_add_text(&head->text, separator);
}

static void start_value(struct http_head *head)
{
	head->is_in_value = true;
	head->slot = find_slot(head->name);
	if (head->slot < 0)
		return;
	if (head->values[head->slot].is_set) {
		continue_value(head, head->slot);
		return;
	}
	head->values[head->slot].at = head->text.len;
	head->values[head->slot].len = 0;
	head->values[head->slot].is_set = true;
}

void http_head_add_value(struct http_head *head, const char *data, size_t len)
{
	if (!head->is_in_value)
		start_value(head);
	if (head->slot < 0 || head->is_ambiguous)
		return;
	buffer_add(&head->text, data, len);
	head->values[head->slot].len = head->text.len - head->values[head->slot].at;
}

static struct bytes without_space_behind(const char *data, size_t len)
{
	while (len && (data[len - 1] == ' ' || data[len - 1] == '\t'))
		len--;
	return (struct bytes){ data, len };
}

/* Target in origin form, or in absolute form as proxies may send it (RFC 9112, 3.2). */
static void split_url(struct bytes url, struct http_request *request)
{
	const char *scheme_end = url.len && url.data[0] != '/' ? memmem(url.data, url.len, "://", 3) : NULL;
	if (scheme_end) {
		const char *authority = scheme_end + 3, *end = url.data + url.len, *path = authority;
		while (path < end && *path != '/' && *path != '?')
			path++;
		url = (struct bytes){ path, (size_t)(end - path) };
	}
	const char *fragment = url.len ? memchr(url.data, '#', url.len) : NULL;
	if (fragment)
		url.len = (size_t)(fragment - url.data);
	const char *mark = url.len ? memchr(url.data, '?', url.len) : NULL;
	request->path = (struct bytes){ url.data, mark ? (size_t)(mark - url.data) : url.len };
	if (mark)
		request->info.query = (struct bytes){ mark + 1, url.len - request->path.len - 1 };
}

int http_head_finish(struct http_head *head, struct http_fields *out, char **text, struct error *err)
{
	if (head->is_ambiguous)
		return error_set(err, ERROR_INVALID, "a header field stands there twice");
	if (head->text.has_failed)
		return error_set(err, ERROR_TOO_LARGE, "no room for the header");
	*out = (struct http_fields){ 0 };
	const char *data = *text = head->text.data;
	head->text = (struct buffer){ 0 };
	split_url((struct bytes){ data, head->url_len }, &out->request);
	for (int i = 0; i < HTTP_HEAD_SLOTS; i++) {
		if (!head->values[i].is_set)
			continue;
		struct bytes value = without_space_behind(data + head->values[i].at, head->values[i].len);
		memcpy((char *)out + known[i].offset, &value, sizeof(value));
	}
	return 0;
}
