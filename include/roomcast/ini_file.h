/* ini_file.h - an INI file read strictly: nothing in it is cut, joined or skipped without a word. */
#ifndef ROOMCAST_INI_FILE_H
#define ROOMCAST_INI_FILE_H

#include <roomcast/error.h>

/* One `name = value`; section is "" before the first. -1 and err refuse it. */
typedef int ini_entry(void *data, const char *section, const char *name, const char *value, struct error *err);

/* Calls on_entry for each in order, until one is refused. err names file and line. A line has at most about 190 bytes. */
int ini_file_read(const char *path, ini_entry *on_entry, void *data, struct error *err) MUST_CHECK;

#endif
