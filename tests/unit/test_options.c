/* test_options.c - where a program's configuration comes from, which source wins, and what errors name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <roomcast/options.h>

struct test_config {
	char *level, *listen, *secret;
	bool is_loud;
	int64_t threads, size, delay;
};

#define PLACE(member) offsetof(struct test_config, member)

static const struct option_row rows[] = {
	{ "common", "level", NULL, OPTION_TEXT, PLACE(level), "info", 0, 0, "How much is told." },
	{ "part", "listen", NULL, OPTION_TEXT, PLACE(listen), "here", 1, 20, "Where it listens." },
	{ "part", "secret", "TEST_SECRET", OPTION_SECRET, PLACE(secret), "", 0, 64, "What nobody may know." },
	{ "part", "loud", NULL, OPTION_BOOL, PLACE(is_loud), "no", 0, 0, "Whether it is loud." },
	{ "part", "threads", NULL, OPTION_NUMBER, PLACE(threads), "4", 1, 64, "How many." },
	{ "part", "max-size", NULL, OPTION_SIZE, PLACE(size), "64k", 1, 1 << 30, "How large." },
	{ "part", "delay", NULL, OPTION_DURATION, PLACE(delay), "25s", 0, 86400000, "How long." },
};

static int check(const void *data, struct error *err)
{
	const struct test_config *config = data;
	return strcmp(config->level, "nonsense") == 0 ? error_set(err, ERROR_INVALID, "level is nonsense") : 0;
}

static const struct option_program program = {
	.name = "test-part", .section = "part", .purpose = "is tested", .rows = rows, .row_count = sizeof(rows) / sizeof(rows[0]),
	.config_size = sizeof(struct test_config), .check = check,
};

enum { ARGUMENTS_MAX = 8 };

static char directory[] = "/tmp/roomcast-options-XXXXXX";
static struct test_config config;
static struct error err;

static const char *path_of(const char *name)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void write_file(const char *name, const char *text, size_t len)
{
	FILE *file = fopen(path_of(name), "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	fclose(file);
}

static void write_config(const char *text)
{
	write_file("test.conf", text, strlen(text));
	setenv("ROOMCAST_CONFIG", path_of("test.conf"), 1);
}

/* Arguments end with NULL. */
static enum options_result load(const char *first, ...)
{
	char *arguments[ARGUMENTS_MAX + 2] = { (char *)(uintptr_t)"test-part" };
	int count = 1;
	va_list list;
	va_start(list, first);
	for (const char *next = first; next && count <= ARGUMENTS_MAX; next = va_arg(list, const char *))
		arguments[count++] = (char *)(uintptr_t)next;
	va_end(list);
	err = (struct error){ 0 };
	return options_load(&program, &config, count, arguments, &err);
}

static int setup(void **state)
{
	(void)state;
	static const char *const variables[] = {
		"ROOMCAST_LEVEL", "ROOMCAST_LISTEN", "TEST_SECRET", "TEST_SECRET_FILE", "ROOMCAST_LOUD", "ROOMCAST_THREADS",
		"ROOMCAST_MAX_SIZE", "ROOMCAST_DELAY", "CREDENTIALS_DIRECTORY",
	};
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	write_config("");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	options_deinit(&program, &config);
	return 0;
}

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	static const char *const names[] = { "test.conf", "a-secret", "test_secret", "output" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_of(names[i]));
	return rmdir(directory);
}

static void assert_says(const char *text)
{
	if (!strstr(err.text, text))
		fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

static void test_defaults(void **state)
{
	(void)state;
	assert_int_equal(load(NULL), OPTIONS_RUN);
	assert_string_equal(config.level, "info");
	assert_string_equal(config.secret, "");
	assert_false(config.is_loud);
	assert_int_equal(config.size, 65536);
	assert_int_equal(config.delay, 25000);
}

static void test_the_later_source_wins(void **state)
{
	(void)state;
	write_config("[common]\nlevel = file\n[part]\nlisten = file\nthreads = 5\n");
	setenv("ROOMCAST_LISTEN", "environment", 1);
	setenv("ROOMCAST_THREADS", "6", 1);
	assert_int_equal(load("--threads", "7", "--loud", NULL), OPTIONS_RUN);
	assert_string_equal(config.level, "file");
	assert_string_equal(config.listen, "environment");
	assert_int_equal(config.threads, 7);
	assert_true(config.is_loud);
}

static void test_empty_variables_do_not_count(void **state)
{
	(void)state;
	setenv("ROOMCAST_THREADS", "", 1);
	assert_int_equal(load(NULL), OPTIONS_RUN);
	assert_int_equal(config.threads, 4);
}

static void test_values(void **state)
{
	(void)state;
	static const struct { const char *argument; bool is_good; int64_t size, delay; } cases[] = {
		{ "--max-size=1M", true, 1 << 20, 25000 }, { "--max-size=17", true, 17, 25000 }, { "--delay=0", true, 65536, 0 },
		{ "--delay=5m", true, 65536, 300000 }, { "--delay=250ms", true, 65536, 250 }, { "--delay=5", false, 0, 0 },
		{ "--max-size=0", false, 0, 0 }, { "--max-size=2G", false, 0, 0 }, { "--max-size=1m", false, 0, 0 },
		{ "--max-size=99999999999G", false, 0, 0 }, { "--threads=-1", false, 0, 0 }, { "--threads= 1", false, 0, 0 },
		{ "--threads=", false, 0, 0 }, { "--threads=4x", false, 0, 0 }, { "--loud=maybe", false, 0, 0 },
		{ "--listen=", false, 0, 0 }, { "--listen=123456789012345678901", false, 0, 0 }, { "--secret=", true, 65536, 25000 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum options_result result = load(cases[i].argument, NULL);
		if (result != (cases[i].is_good ? OPTIONS_RUN : OPTIONS_ERROR))
			fail_msg("%s: %s", cases[i].argument, err.text);
		if (!cases[i].is_good) {
			char name[32];
			snprintf(name, sizeof(name), "%.*s", (int)strcspn(cases[i].argument, "="), cases[i].argument);
			assert_says(name);
			continue;
		}
		assert_int_equal(config.size, cases[i].size);
		assert_int_equal(config.delay, cases[i].delay);
		options_deinit(&program, &config);
	}
}

static void test_errors_name_the_place(void **state)
{
	(void)state;
	static const struct { const char *text, *place, *what; } cases[] = {
		{ "[part]\n\nthreads = many\n", "test.conf:3", "threads" },
		{ "[part]\nthreds = 1\n", "test.conf:2", "unknown option threds" },
		{ "[common]\nlisten = here\n", "test.conf:2", "belongs into section [part]" },
		{ "[part]\nwhat is this\nthreads = many\n", "test.conf:2", "neither" },
		{ "[part]\nthreads = many\nwhat is this\n", "test.conf:2", "threads" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		write_config(cases[i].text);
		assert_int_equal(load(NULL), OPTIONS_ERROR);
		assert_says(cases[i].place);
		assert_says(cases[i].what);
	}
	write_config("");
	setenv("ROOMCAST_THREADS", "many", 1);
	assert_int_equal(load(NULL), OPTIONS_ERROR);
	assert_says("ROOMCAST_THREADS");
	unsetenv("ROOMCAST_THREADS");
	assert_int_equal(load("--nonsense=1", NULL), OPTIONS_ERROR);
	assert_says("unknown option --nonsense");
	assert_int_equal(load("nonsense", NULL), OPTIONS_ERROR);
	assert_says("unexpected argument");
	assert_int_equal(load("--threads", NULL), OPTIONS_ERROR);
	assert_says("--threads needs a value");
	assert_int_equal(load("--config=/nonexistent/file", NULL), OPTIONS_ERROR);
	assert_says("/nonexistent/file");
	assert_int_equal(load("--level=nonsense", NULL), OPTIONS_ERROR);
	assert_says("level is nonsense");
}

static void test_other_sections_are_skipped(void **state)
{
	(void)state;
	write_config("[other]\nthreads = many\n[common]\nfor-others = 1\n");
	assert_int_equal(load(NULL), OPTIONS_RUN);
}

/* An indented line is an option of its own, not more of the one before. */
static void test_indented_lines(void **state)
{
	(void)state;
	write_config("[part]\n  listen = there\n  secret = hidden\n\tthreads = 9\n");
	assert_int_equal(load(NULL), OPTIONS_RUN);
	assert_string_equal(config.listen, "there");
	assert_string_equal(config.secret, "hidden");
	assert_int_equal(config.threads, 9);
}

static void test_a_long_line_is_refused_whole(void **state)
{
	(void)state;
	char text[512] = "[part]\nsecret = ";
	size_t len = strlen(text);
	memset(text + len, 'x', 400);
	strcpy(text + len + 400, "\n");
	write_config(text);
	assert_int_equal(load(NULL), OPTIONS_ERROR);
	assert_says("test.conf:2");
	assert_says("the line has more than");
}

static void test_secrets_from_files(void **state)
{
	(void)state;
	write_file("a-secret", "from the file\r\n", 15);
	char argument[160];
	snprintf(argument, sizeof(argument), "--secret-file=%s", path_of("a-secret"));
	assert_int_equal(load(argument, NULL), OPTIONS_RUN);
	assert_string_equal(config.secret, "from the file");
	options_deinit(&program, &config);
	setenv("TEST_SECRET_FILE", path_of("a-secret"), 1);
	assert_int_equal(load(NULL), OPTIONS_RUN);
	assert_string_equal(config.secret, "from the file");
	options_deinit(&program, &config);
	setenv("TEST_SECRET", "direct", 1);
	assert_int_equal(load(NULL), OPTIONS_RUN);
	assert_string_equal(config.secret, "direct");
}

static void test_secrets_from_credentials(void **state)
{
	(void)state;
	write_file("test_secret", "credential\n", 11);
	setenv("CREDENTIALS_DIRECTORY", directory, 1);
	assert_int_equal(load(NULL), OPTIONS_RUN);
	assert_string_equal(config.secret, "credential");
}

static void test_bad_secret_files(void **state)
{
	(void)state;
	setenv("TEST_SECRET_FILE", "/nonexistent/secret", 1);
	assert_int_equal(load(NULL), OPTIONS_ERROR);
	assert_says("TEST_SECRET_FILE");
	assert_says("/nonexistent/secret");
	write_file("a-secret", "with\0zero", 9);
	setenv("TEST_SECRET_FILE", path_of("a-secret"), 1);
	assert_int_equal(load(NULL), OPTIONS_ERROR);
	assert_says("holds a byte 0");
	assert_null(strstr(err.text, "with"));
	unlink(path_of("test_secret"));
}

/* What is printed on standard output with the argument. */
static const char *output_of(const char *argument)
{
	static char text[16384];
	fflush(stdout);
	int kept = dup(STDOUT_FILENO), file = open(path_of("output"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(kept >= 0 && file >= 0);
	dup2(file, STDOUT_FILENO);
	enum options_result result = load(argument, NULL);
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	ssize_t len = pread(file, text, sizeof(text) - 1, 0);
	close(file);
	assert_int_equal(result, OPTIONS_EXIT);
	assert_true(len > 0);
	text[len] = '\0';
	return text;
}

static void test_help_and_man_tell_every_option(void **state)
{
	(void)state;
	setenv("TEST_SECRET", "never-printed", 1);
	for (int form = 0; form < 2; form++) {
		const char *text = output_of(form ? "--man" : "--help");
		assert_non_null(strstr(text, "test-part"));
		assert_null(strstr(text, "never-printed"));
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			assert_non_null(strstr(text, rows[i].help));
		assert_non_null(strstr(text, "TEST_SECRET"));
	}
	assert_non_null(strstr(output_of("--man"), ".TH "));
	assert_non_null(strstr(output_of("--check-config"), "configuration is good"));
	output_of("--version");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_the_later_source_wins),
		TEST(test_empty_variables_do_not_count),
		TEST(test_values),
		TEST(test_errors_name_the_place),
		TEST(test_other_sections_are_skipped),
		TEST(test_indented_lines),
		TEST(test_a_long_line_is_refused_whole),
		TEST(test_secrets_from_files),
		TEST(test_secrets_from_credentials),
		TEST(test_bad_secret_files),
		TEST(test_help_and_man_tell_every_option),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
