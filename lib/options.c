/* options.c - loads a program's configuration from file, environment and command line by its option table. */
#include <roomcast/options.h>

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <roomcast/ini_file.h>

#include "options_print.h"

enum { ENV_NAME_MAX = 96, PATH_SIZE = 4096, SECRET_FILE_MAX = 65536 };

struct unit {
	const char *suffix;
	int64_t factor;
};

static const struct unit size_units[] = { { "", 1 }, { "k", 1024 }, { "M", 1024 * 1024 }, { "G", 1024 * 1024 * 1024 }, { 0 } };
static const struct unit duration_units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 }, { 0 } };
static const struct unit no_units[] = { { "", 1 }, { 0 } };

static int parse_bool(const char *text, bool *out)
{
	static const struct { const char *text; bool value; } words[] = {
		{ "yes", true }, { "no", false }, { "true", true }, { "false", false },
		{ "on", true }, { "off", false }, { "1", true }, { "0", false },
	};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i].text) == 0) {
			*out = words[i].value;
			return 0;
		}
	}
	return -1;
}

static int parse_amount(const char *text, const struct unit *units, int64_t *out)
{
	char *end;
	errno = 0;
	long long number = strtoll(text, &end, 10);
	if (end == text || errno || isspace((unsigned char)text[0]))
		return -1;
	if (number == 0 && *end == '\0') {
		*out = 0;
		return 0;
	}
	for (const struct unit *unit = units; unit->suffix; unit++) {
		if (strcmp(end, unit->suffix) == 0)
			return __builtin_mul_overflow((int64_t)number, unit->factor, out) ? -1 : 0;
	}
	return -1;
}

static int set_amount(const struct option_row *row, void *place, const char *text, struct error *err)
{
	static const struct { const struct unit *units; const char *expected; } forms[] = {
		[OPTION_NUMBER] = { no_units, "a whole number" },
		[OPTION_SIZE] = { size_units, "a size such as 65536, 64k or 1M" },
		[OPTION_DURATION] = { duration_units, "a duration such as 250ms, 25s, 5m or 24h" },
	};
	int64_t value;
	if (parse_amount(text, forms[row->type].units, &value))
		return error_set(err, ERROR_INVALID, "\"%.60s\" is not %s", text, forms[row->type].expected);
	if ((row->min || row->max) && (value < row->min || value > row->max))
		return error_set(err, ERROR_INVALID, "%.60s is out of bounds: %" PRId64 " to %" PRId64 "%s", text, row->min, row->max,
		                 row->type == OPTION_DURATION ? " ms" : row->type == OPTION_SIZE ? " bytes" : "");
	*(int64_t *)place = value;
	return 0;
}

static void wipe_text(const struct option_row *row, char *text)
{
	if (text && row->type == OPTION_SECRET)
		explicit_bzero(text, strlen(text));
	free(text);
}

static int set_text(const struct option_row *row, void *place, const char *text, struct error *err)
{
	size_t len = strlen(text);
	if (!len && row->min && row->default_value && *row->default_value)
		return error_set(err, ERROR_INVALID, "must not be empty");
	if (row->max && len && ((int64_t)len < row->min || (int64_t)len > row->max))
		return error_set(err, ERROR_INVALID, "has %zu bytes, %" PRId64 " to %" PRId64 " are allowed", len, row->min, row->max);
	char *copy = strdup(text);
	if (!copy)
		return error_set(err, ERROR_SYSTEM, "no memory");
	wipe_text(row, *(char **)place);
	*(char **)place = copy;
	return 0;
}

static int set_value(const struct option_row *row, void *config, const char *text, struct error *err)
{
	void *place = (char *)config + row->offset;
	if (row->type == OPTION_TEXT || row->type == OPTION_SECRET)
		return set_text(row, place, text, err);
	if (row->type == OPTION_BOOL) {
		if (parse_bool(text, place))
			return error_set(err, ERROR_INVALID, "\"%.60s\" is neither yes nor no", text);
		return 0;
	}
	return set_amount(row, place, text, err);
}

static int set_from_file(const struct option_row *row, void *config, const char *path, struct error *err)
{
	FILE *file = fopen(path, "re");
	if (!file)
		return error_set(err, ERROR_SYSTEM, "%s: %s", path, strerror(errno));
	char *text = calloc(1, SECRET_FILE_MAX + 1);
	int result = -1;
	if (!text) {
		error_set(err, ERROR_SYSTEM, "no memory");
		goto out;
	}
	size_t len = fread(text, 1, SECRET_FILE_MAX, file);
	if (ferror(file) || !feof(file)) {
		error_set(err, ERROR_SYSTEM, "%s: cannot be read, or is longer than %d bytes", path, SECRET_FILE_MAX);
		goto out;
	}
	while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		text[--len] = '\0';
	result = strlen(text) == len ? set_value(row, config, text, err)
	                             : error_set(err, ERROR_INVALID, "holds a byte 0");
	if (result)
		error_context(err, "%s", path);
	explicit_bzero(text, SECRET_FILE_MAX);
out:
	free(text);
	fclose(file);
	return result;
}

static const struct option_row *find_row(const struct option_program *program, const char *name)
{
	for (size_t i = 0; i < program->row_count; i++)
		if (strcmp(program->rows[i].name, name) == 0)
			return &program->rows[i];
	return NULL;
}

/* --- the file --------------------------------------------------------------- */

struct file_target {
	const struct option_program *program;
	void *config;
};

static int on_entry(void *data, const char *section, const char *name, const char *value, struct error *err)
{
	const struct file_target *target = data;
	bool is_common = strcmp(section, "common") == 0;
	if (!is_common && strcmp(section, target->program->section) != 0)
		return 0; /* another program's */
	const struct option_row *row = find_row(target->program, name);
	if (row && (!is_common || strcmp(row->section, "common") == 0))
		return set_value(row, target->config, value, err) ? error_context(err, "%s", name) : 0;
	if (row)
		return error_set(err, ERROR_INVALID, "%s belongs into section [%s], not [%s]", name, row->section, section);
	if (is_common)
		return 0; /* an option that only other programs have */
	return error_set(err, ERROR_INVALID, "unknown option %s in section [%s]", name, section);
}

/* --- the environment -------------------------------------------------------- */

static void env_name(const struct option_row *row, char out[static ENV_NAME_MAX])
{
	snprintf(out, ENV_NAME_MAX, "%s%s", row->env ? "" : "ROOMCAST_", row->env ? row->env : row->name);
	for (char *c = out; *c; c++)
		*c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}

static void lower_case(char *text)
{
	for (; *text; text++)
		*text = (char)tolower((unsigned char)*text);
}

static int load_secret_env(const struct option_row *row, void *config, const char *name, struct error *err)
{
	char file_variable[ENV_NAME_MAX + 8], lower[ENV_NAME_MAX], path[PATH_SIZE];
	snprintf(file_variable, sizeof(file_variable), "%s_FILE", name);
	const char *file = getenv(file_variable);
	if (file && *file)
		return set_from_file(row, config, file, err) ? error_context(err, "%s", file_variable) : 0;
	snprintf(lower, sizeof(lower), "%s", name);
	lower_case(lower);
	const char *directories[] = { getenv("CREDENTIALS_DIRECTORY"), "/run/secrets" };
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		if (!directories[i])
			continue;
		snprintf(path, sizeof(path), "%s/%s", directories[i], lower);
		if (access(path, F_OK) == 0)
			return set_from_file(row, config, path, err);
	}
	return 0;
}

static int load_env(const struct option_program *program, void *config, struct error *err)
{
	for (size_t i = 0; i < program->row_count; i++) {
		const struct option_row *row = &program->rows[i];
		char name[ENV_NAME_MAX];
		env_name(row, name);
		const char *value = getenv(name);
		if (value && *value) {
			if (set_value(row, config, value, err))
				return error_context(err, "environment variable %s", name);
		} else if (row->type == OPTION_SECRET && load_secret_env(row, config, name, err)) {
			return -1;
		}
	}
	return 0;
}

/* --- the command line ------------------------------------------------------- */

struct arguments {
	int count;
	char **items;
	int next;
};

/* Cuts "--name=value" or "--name value"; value is NULL when there is none. */
static int split_argument(struct arguments *arguments, char *name, size_t size, const char **value, struct error *err)
{
	const char *argument = arguments->items[arguments->next++];
	if (strncmp(argument, "--", 2) != 0 || argument[2] == '\0')
		return error_set(err, ERROR_INVALID, "unexpected argument \"%.60s\" (see --help)", argument);
	const char *equals = strchr(argument, '=');
	size_t len = equals ? (size_t)(equals - argument) - 2 : strlen(argument) - 2;
	if (len >= size)
		return error_set(err, ERROR_INVALID, "unknown option %.60s... (see --help)", argument);
	memcpy(name, argument + 2, len);
	name[len] = '\0';
	*value = equals ? equals + 1 : NULL;
	return 0;
}

static const char *take_value(struct arguments *arguments, const char *value)
{
	return value || arguments->next >= arguments->count ? value : arguments->items[arguments->next++];
}

/* --<secret>-file */
static const struct option_row *find_secret_file_row(const struct option_program *program, const char *name)
{
	size_t len = strlen(name);
	if (len <= 5 || strcmp(name + len - 5, "-file") != 0)
		return NULL;
	char secret[ENV_NAME_MAX];
	snprintf(secret, sizeof(secret), "%.*s", (int)(len - 5), name);
	const struct option_row *row = find_row(program, secret);
	return row && row->type == OPTION_SECRET ? row : NULL;
}

static int load_argument(const struct option_program *program, void *config, struct arguments *arguments, struct error *err)
{
	char name[ENV_NAME_MAX];
	const char *value;
	if (split_argument(arguments, name, sizeof(name), &value, err))
		return -1;
	if (strcmp(name, "config") == 0) { /* already read */
		if (!take_value(arguments, value))
			return error_set(err, ERROR_INVALID, "--config needs a value");
		return 0;
	}
	const struct option_row *row = find_row(program, name);
	if (row && row->type == OPTION_BOOL) /* never takes the next argument */
		return set_value(row, config, value ? value : "yes", err) ? error_context(err, "--%s", name) : 0;
	const struct option_row *file_row = row ? NULL : find_secret_file_row(program, name);
	if (!row && !file_row)
		return error_set(err, ERROR_INVALID, "unknown option --%s (see --help)", name);
	value = take_value(arguments, value);
	if (!value)
		return error_set(err, ERROR_INVALID, "--%s needs a value", name);
	int result = row ? set_value(row, config, value, err) : set_from_file(file_row, config, value, err);
	return result ? error_context(err, "--%s", name) : 0;
}

/* --- all together ----------------------------------------------------------- */

static const char *config_path(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--config=", 9) == 0)
			return argv[i] + 9;
		if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
			return argv[i + 1];
	}
	const char *env = getenv("ROOMCAST_CONFIG");
	if (env && *env)
		return env;
	const char *standard = SYSCONFDIR "/roomcast.conf";
	return access(standard, F_OK) == 0 ? standard : NULL;
}

static int load_sources(const struct option_program *program, void *config, int argc, char **argv, struct error *err)
{
	for (size_t i = 0; i < program->row_count; i++) {
		const struct option_row *row = &program->rows[i];
		bool is_text = row->type == OPTION_TEXT || row->type == OPTION_SECRET;
		if ((row->default_value || is_text) && set_value(row, config, row->default_value ? row->default_value : "", err))
			return error_context(err, "default of %s", row->name);
	}
	const char *path = config_path(argc, argv);
	struct file_target target = { program, config };
	if (path && ini_file_read(path, on_entry, &target, err))
		return -1;
	if (load_env(program, config, err))
		return -1;
	struct arguments arguments = { argc, argv, 1 };
	while (arguments.next < argc) {
		if (load_argument(program, config, &arguments, err))
			return -1;
	}
	return 0;
}

enum options_result options_load(const struct option_program *program, void *config, int argc, char **argv, struct error *err)
{
	memset(config, 0, program->config_size);
	static const struct { const char *argument; void (*print)(const struct option_program *); } words[] = {
		{ "--help", options_print_help }, { "--version", options_print_version }, { "--man", options_print_man },
	};
	bool is_check = false;
	int kept = 1;
	char **arguments = calloc((size_t)argc + 1, sizeof(*arguments));
	if (!arguments) {
		error_set(err, ERROR_SYSTEM, "no memory");
		return OPTIONS_ERROR;
	}
	enum options_result result = OPTIONS_RUN;
	for (int i = 1; i < argc && result == OPTIONS_RUN; i++) {
		for (size_t word = 0; word < sizeof(words) / sizeof(words[0]); word++) {
			if (strcmp(argv[i], words[word].argument) == 0) {
				words[word].print(program);
				result = OPTIONS_EXIT;
			}
		}
		if (strcmp(argv[i], "--check-config") == 0)
			is_check = true;
		else
			arguments[kept++] = argv[i];
	}
	if (result == OPTIONS_RUN) {
		if (load_sources(program, config, kept, arguments, err) || (program->check && program->check(config, err)))
			result = OPTIONS_ERROR;
		else if (is_check)
			result = OPTIONS_EXIT;
	}
	free(arguments);
	if (result == OPTIONS_EXIT && is_check)
		puts("configuration is good");
	if (result != OPTIONS_RUN)
		options_deinit(program, config);
	return result;
}

void options_deinit(const struct option_program *program, void *config)
{
	for (size_t i = 0; i < program->row_count; i++) {
		const struct option_row *row = &program->rows[i];
		if (row->type != OPTION_TEXT && row->type != OPTION_SECRET)
			continue;
		char **place = (char **)(void *)((char *)config + row->offset);
		wipe_text(row, *place);
		*place = NULL;
	}
}
