/* command_token.c - `roomcast token`: a token as the application's own login would issue it. */
#include "commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <roomcast/clock.h>
#include <roomcast/options.h>
#include <roomcast/token.h>

struct token_config {
	char *jwt_secret;
	char *user_id;
	char *username;
	char *role;
	int64_t expires_ms;
};

#define AT(member) offsetof(struct token_config, member)
static const int64_t ten_years_ms = INT64_C(10) * 365 * 24 * 3600 * 1000;

static int check(const void *data, struct error *err)
{
	const struct token_config *config = data;
	if (!config->user_id[0])
		return error_set(err, ERROR_INVALID, "--user-id is missing: whose token is it?");
	if (!config->jwt_secret[0])
		return error_set(err, ERROR_INVALID, "there is no secret to sign with: set JWT_SECRET or --jwt-secret-file");
	return 0;
}

/* A token's times are in seconds. */
static int print_token(const struct token_config *config, struct error *err)
{
	struct identity identity = { .expires_s = 0 };
	uint64_t now_s = clock_wall_ms() / 1000;
	snprintf(identity.user_id, sizeof(identity.user_id), "%s", config->user_id);
	snprintf(identity.username, sizeof(identity.username), "%s", config->username);
	snprintf(identity.role, sizeof(identity.role), "%s", config->role);
	if (config->expires_ms)
		identity.expires_s = now_s + (uint64_t)(config->expires_ms + 999) / 1000;
	char *token = token_issue(&identity, bytes_of(config->jwt_secret), now_s, err);
	if (!token)
		return -1;
	puts(token);
	free(token);
	return 0;
}

int command_token(int argc, char **argv)
{
	const struct option_row rows[] = {
		{ "common", "jwt-secret", "JWT_SECRET", OPTION_SECRET, AT(jwt_secret), NULL, 0, 0,
		  "The secret that the application signs its tokens with." },
		{ "cli", "user-id", NULL, OPTION_TEXT, AT(user_id), NULL, 1, USER_ID_MAX, "The user's id." },
		{ "cli", "username", NULL, OPTION_TEXT, AT(username), NULL, 1, USERNAME_MAX, "The user's name." },
		{ "cli", "role", NULL, OPTION_TEXT, AT(role), NULL, 1, ROLE_MAX, "The user's role." },
		{ "cli", "expires", NULL, OPTION_DURATION, AT(expires_ms), "24h", 0, ten_years_ms,
		  "How long the token is good for; 0: for ever." },
	};
	const struct option_program program = {
		.name = "roomcast token", .section = "cli", .purpose = "prints a JSON Web Token (HS256) for a client",
		.rows = rows, .row_count = sizeof(rows) / sizeof(rows[0]), .config_size = sizeof(struct token_config), .check = check,
	};
	struct token_config config;
	struct error err;
	enum options_result loaded = options_load(&program, &config, argc, argv, &err);
	if (loaded == OPTIONS_EXIT)
		return COMMAND_DONE;
	int status = COMMAND_MISUSED;
	if (loaded == OPTIONS_RUN) {
		status = print_token(&config, &err) ? COMMAND_FAILED : COMMAND_DONE;
		options_deinit(&program, &config);
	}
	if (status != COMMAND_DONE)
		fprintf(stderr, "roomcast token: %s\n", err.text);
	return status;
}
