/* commands.h - the subcommands of roomcast, each in command_<name>.c.
 *
 * argv[0] is the subcommand's name. They print results on standard output, complaints on standard error, and
 * return the exit status. */
#ifndef ROOMCAST_CLI_COMMANDS_H
#define ROOMCAST_CLI_COMMANDS_H

enum { COMMAND_DONE = 0, COMMAND_FAILED = 1, COMMAND_MISUSED = 2 };

int command_keygen(int argc, char **argv);
int command_token(int argc, char **argv);

#endif
