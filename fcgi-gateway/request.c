/* request.c - where a request is addressed to. */
#include "request.h"

static struct bytes without_query(struct bytes uri)
{
	const char *mark = uri.len ? memchr(uri.data, '?', uri.len) : NULL;
	return mark ? (struct bytes){ uri.data, (size_t)(mark - uri.data) } : uri;
}

static struct bytes without_trailing_slashes(struct bytes path)
{
	while (path.len && path.data[path.len - 1] == '/')
		path.len--;
	return path;
}

static bool below(struct bytes path, const char *mount, struct bytes *rest)
{
	size_t len = strlen(mount);
	if (path.len < len || memcmp(path.data, mount, len) != 0 || (path.len > len && path.data[len] != '/'))
		return false;
	*rest = without_trailing_slashes((struct bytes){ path.data + len, path.len - len });
	return true;
}

bool request_path(const struct request_address *address, const char *mount, struct buffer *scratch, struct bytes *path)
{
	struct bytes joined = address->script_name;
	if (joined.len && address->path_info.len) {
		buffer_clear(scratch);
		buffer_add_bytes(scratch, without_trailing_slashes(address->script_name));
		buffer_add_bytes(scratch, address->path_info);
		if (scratch->has_failed)
			return false;
		joined = buffer_bytes(scratch);
	}
	if ((joined.len && below(joined, mount, path)) || (address->script_name.len && below(address->script_name, mount, path)))
		return true;
	if (address->request_uri.len && below(without_query(address->request_uri), mount, path))
		return true;
	*path = without_trailing_slashes(address->path_info);
	return address->path_info.len > 0;
}
