/* options_print.c - an option table as --help, --version and a man page. */
#include "options_print.h"

#include <ctype.h>
#include <stdio.h>

#include "config.h"

static const char *const value_names[] = {
	[OPTION_TEXT] = "TEXT", [OPTION_SECRET] = "SECRET", [OPTION_BOOL] = "yes|no",
	[OPTION_NUMBER] = "N", [OPTION_SIZE] = "BYTES", [OPTION_DURATION] = "TIME",
};

static const struct { const char *name, *help; } standard_options[] = {
	{ "config=PATH", "The configuration file." },
	{ "check-config", "Check the configuration, say what is wrong with it, and end." },
	{ "help", "Show this help." },
	{ "version", "Show the version." },
	{ "man", "Show the man page's source." },
};

enum { STANDARD_COUNT = sizeof(standard_options) / sizeof(standard_options[0]) };

static void print_env(const struct option_row *row)
{
	if (row->env) {
		fputs(row->env, stdout);
		return;
	}
	fputs("ROOMCAST_", stdout);
	for (const char *c = row->name; *c; c++)
		putchar(*c == '-' ? '_' : toupper((unsigned char)*c));
}

void options_print_version(const struct option_program *program)
{
	printf("%s %s\n", program->name, PACKAGE_VERSION);
}

void options_print_help(const struct option_program *program)
{
	printf("%s: %s\n\nUsage: %s [OPTION...]\n\n", program->name, program->purpose, program->name);
	for (size_t i = 0; i < program->row_count; i++) {
		const struct option_row *row = &program->rows[i];
		printf("  --%s=%s\n      %s", row->name, value_names[row->type], row->help);
		if (row->default_value && *row->default_value)
			printf(" Default: %s.", row->default_value);
		fputs(" (", stdout);
		print_env(row);
		puts(row->type == OPTION_SECRET ? ", ..._FILE)" : ")");
	}
	putchar('\n');
	for (size_t i = 0; i < STANDARD_COUNT; i++)
		printf("  --%s\n      %s\n", standard_options[i].name, standard_options[i].help);
	printf("\nOptions come from the configuration file (sections [common] and [%s]), then the environment, then the command line;\n"
	       "the later wins. Durations: 250ms, 25s, 5m, 24h. Sizes: 65536, 64k, 1M.\n", program->section);
}

/* In roff a leading dot or quote is a request, and a hyphen may be broken. */
static void print_roff(const char *text)
{
	for (const char *c = text; *c; c++) {
		if (*c == '-' || *c == '\\')
			putchar('\\');
		putchar(*c);
	}
}

void options_print_man(const struct option_program *program)
{
	printf(".TH %s 8 \"\" \"roomcast %s\" \"System Administration\"\n.SH NAME\n", program->name, PACKAGE_VERSION);
	print_roff(program->name);
	fputs(" \\- ", stdout);
	print_roff(program->purpose);
	puts("\n.SH SYNOPSIS");
	printf(".B %s\n[\\fIOPTION\\fR...]\n.SH OPTIONS\n", program->name);
	puts("Each option can stand in the configuration file, in the environment, and on the command line; the later wins.");
	for (size_t i = 0; i < program->row_count; i++) {
		const struct option_row *row = &program->rows[i];
		fputs(".TP\n\\fB\\-\\-", stdout);
		print_roff(row->name);
		printf("\\fR=\\fI%s\\fR\n", value_names[row->type]);
		print_roff(row->help);
		printf("\nSection [%s]. Environment: \\fB", row->section);
		print_env(row);
		fputs("\\fR.", stdout);
		if (row->default_value && *row->default_value) {
			fputs(" Default: ", stdout);
			print_roff(row->default_value);
			putchar('.');
		}
		putchar('\n');
	}
	for (size_t i = 0; i < STANDARD_COUNT; i++) {
		fputs(".TP\n\\fB\\-\\-", stdout);
		print_roff(standard_options[i].name);
		printf("\\fR\n%s\n", standard_options[i].help);
	}
	puts(".SH EXIT STATUS\n0 after SIGTERM or SIGINT, 1 when the configuration or the start failed.");
}
