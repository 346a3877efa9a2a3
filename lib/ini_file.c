/* ini_file.c - inih, told about the lines that it would misread. */
#include <roomcast/ini_file.h>

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

struct reader {
	ini_entry *on_entry;
	void *data;
	struct error *err;
	FILE *file;
	int line;        /* the one that is being read */
	int failed_line; /* the first that was refused; 0: none */
};

/* inih would cut a longer line in two, and take an indented one for more of the value before it: either way somebody would
 * silently get a value that nobody wrote. */
static char *read_line(char *line, int size, void *data)
{
	struct reader *reader = data;
	if (reader->failed_line || !fgets(line, size, reader->file))
		return NULL;
	reader->line++;
	size_t len = strlen(line);
	if (len + 1 == (size_t)size && line[len - 1] != '\n') {
		error_set(reader->err, ERROR_TOO_LARGE, "the line has more than %d bytes (longer values go into the environment)", size - 2);
		reader->failed_line = reader->line;
		return NULL;
	}
	size_t indent = strspn(line, " \t");
	memmove(line, line + indent, len - indent + 1);
	return line;
}

static int on_inih_entry(void *data, const char *section, const char *name, const char *value)
{
	struct reader *reader = data;
	if (reader->failed_line)
		return 1; /* the first error is the one told */
	if (reader->on_entry(reader->data, section, name, value, reader->err) == 0)
		return 1;
	reader->failed_line = reader->line;
	return 0;
}

int ini_file_read(const char *path, ini_entry *on_entry, void *data, struct error *err)
{
	FILE *file = fopen(path, "re");
	if (!file)
		return error_set(err, ERROR_SYSTEM, "%s: %s", path, strerror(errno));
	struct reader reader = { .on_entry = on_entry, .data = data, .err = err, .file = file };
	int line = ini_parse_stream(read_line, &reader, on_inih_entry, &reader);
	fclose(file);
	if (line < 0)
		return error_set(err, ERROR_SYSTEM, "%s: no memory", path);
	if (line == 0 && !reader.failed_line)
		return 0;
	if (reader.failed_line && (line == 0 || reader.failed_line <= line))
		line = reader.failed_line;
	else
		error_set(err, ERROR_INVALID, "neither a [section] nor name = value");
	return error_context(err, "%s:%d", path, line);
}
