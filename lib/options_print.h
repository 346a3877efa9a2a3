/* options_print.h - an option table as --help, --version and a man page on standard output. */
#ifndef ROOMCAST_OPTIONS_PRINT_H
#define ROOMCAST_OPTIONS_PRINT_H

#include <roomcast/options.h>

void options_print_help(const struct option_program *program);
void options_print_version(const struct option_program *program);
void options_print_man(const struct option_program *program); /* roff, section 8 */

#endif
