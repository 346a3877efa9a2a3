/* roomcast.c - the operator's and developer's command: finds the subcommand in a table and runs it. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "config.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the subcommand's name */
	const char *purpose;
} commands[] = {
	{ "keygen", command_keygen, "Make an API key for a backend." },
	{ "token", command_token, "Print a JSON Web Token for a client, signed with the application's secret." },
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static int print_help(FILE *out)
{
	fputs("Usage: roomcast COMMAND [OPTION...]\n\nCommands:\n", out);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].purpose);
	fputs("\n`roomcast COMMAND --help` shows a command's options.\n", out);
	return out == stdout ? COMMAND_DONE : COMMAND_MISUSED;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return print_help(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
		return print_help(stdout);
	if (strcmp(argv[1], "--version") == 0) {
		puts("roomcast " PACKAGE_VERSION);
		return COMMAND_DONE;
	}
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "roomcast: no command \"%.60s\"\n\n", argv[1]);
	return print_help(stderr);
}
