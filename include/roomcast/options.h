/* options.h - one table of options gives the parser, --help, --check-config and the man page.
 *
 * Sources, the later wins: built-in default, configuration file (INI; the sections [common] and the
 * program's own), environment (ROOMCAST_<NAME>, or the name that the row gives), command line
 * (--name=value, --name value; --name alone for booleans). An unknown name or a value out of bounds is an
 * error that names the place: file and line, variable, or argument. A section of another program is skipped; an option of
 * [common] may stand in the program's own section too. */
#ifndef ROOMCAST_OPTIONS_H
#define ROOMCAST_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <roomcast/error.h>

/* The C type at the row's offset stands behind each. */
enum option_type {
	OPTION_TEXT,     /* char *; never NULL, "" when not given */
	OPTION_SECRET,   /* char *; likewise, never printed. Also from <ENV>_FILE, --<name>-file (the file's content
	                    without a final newline), /run/secrets/<env in lower case>, $CREDENTIALS_DIRECTORY/<same> */
	OPTION_BOOL,     /* bool; yes/no, true/false, on/off, 1/0 */
	OPTION_NUMBER,   /* int64_t */
	OPTION_SIZE,     /* int64_t, bytes; 1048576, 64k, 1M, 2G (1024-based) */
	OPTION_DURATION, /* int64_t, milliseconds; 250ms, 25s, 5m, 24h; a bare 0 is allowed */
};

struct option_row {
	const char *section;       /* "common", or the program's: "hub", "gateway" */
	const char *name;          /* in words-with-dashes, as in the file and behind -- */
	const char *env;           /* NULL: ROOMCAST_<NAME_IN_CAPITALS> */
	enum option_type type;
	size_t offset;             /* into the program's configuration struct */
	const char *default_value; /* text as a user would write it; NULL: "" or 0 */
	int64_t min, max;          /* numbers, sizes, durations; both 0: no bounds. TEXT, SECRET: bounds of the length */
	const char *help;          /* one sentence for --help and the man page */
};

struct option_program {
	const char *name;     /* "roomcast-hub" */
	const char *section;  /* "hub" */
	const char *purpose;  /* one sentence */
	const struct option_row *rows;
	size_t row_count;
	size_t config_size;   /* of the struct that the offsets point into */
	/* Refuses contradictions between options with one sentence; may be NULL. */
	int (*check)(const void *config, struct error *err);
};

enum options_result {
	OPTIONS_RUN,   /* configuration complete and checked */
	OPTIONS_EXIT,  /* --help, --version, --man or --check-config was served on standard output: exit 0 */
	OPTIONS_ERROR, /* err says where and what */
};

/* Loads into config (zeroed here). The file is --config=PATH, else $ROOMCAST_CONFIG, else SYSCONFDIR/roomcast.conf
 * when that exists. */
enum options_result options_load(const struct option_program *program, void *config,
                                 int argc, char **argv, struct error *err) MUST_CHECK;
void options_deinit(const struct option_program *program, void *config); /* frees texts, wipes secrets */

#endif
