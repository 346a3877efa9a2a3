/* command_keygen.c - `roomcast keygen`: an API key for a backend, and what the gateway needs to know of it. */
#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <roomcast/bytes.h>
#include <roomcast/curve.h>
#include <roomcast/options.h>

#include "api_keys.h"

enum { KEY_BYTES = 32 };

/* What secret scanners can look for. */
static const char prefix[] = "roomcast_";

struct keygen_config {
	char *name, *calls, *types, *file;
	int64_t rate, burst;
	bool curve;
};

#define AT(member) offsetof(struct keygen_config, member)

static int check(const void *data, struct error *err)
{
	const struct keygen_config *config = data;
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	if (!config->name[0] || config->name[strspn(config->name, allowed)])
		return error_set(err, ERROR_INVALID, "--name is missing, or has other characters than letters, digits, _ . and -: whose key is it?");
	unsigned scopes = 0;
	if (scopes_parse(config->calls, &scopes, err))
		return error_context(err, "--calls");
	if (strpbrk(config->types, "\r\n;"))
		return error_set(err, ERROR_INVALID, "--types: a list with commas, on one line");
	if (config->burst && !config->rate)
		return error_set(err, ERROR_INVALID, "--burst without --rate");
	if (config->curve && (config->types[0] || config->rate))
		return error_set(err, ERROR_INVALID, "--curve: that key has neither types nor a rate");
	return 0;
}

static void add_hex(const unsigned char *bytes, size_t len, struct buffer *out)
{
	for (size_t i = 0; i < len; i++)
		buffer_add_format(out, "%02x", bytes[i]);
}

static int make_key(struct buffer *key, unsigned char digest[static API_KEY_DIGEST_LEN], struct error *err)
{
	unsigned char random[KEY_BYTES];
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return error_set(err, ERROR_SYSTEM, "no random bytes: %s", strerror(errno));
	buffer_add_text(key, prefix);
	add_hex(random, sizeof(random), key);
	return key->has_failed ? error_set(err, ERROR_SYSTEM, "no memory") : api_key_digest(buffer_bytes(key), digest, err);
}

static void add_section(const struct keygen_config *config, const unsigned char digest[static API_KEY_DIGEST_LEN], struct buffer *out)
{
	buffer_add_format(out, "[%s]\nhash = sha256:", config->name);
	add_hex(digest, API_KEY_DIGEST_LEN, out);
	buffer_add_format(out, "\ncalls = %s\n", config->calls);
	if (config->types[0])
		buffer_add_format(out, "types = %s\n", config->types);
	if (config->rate)
		buffer_add_format(out, "rate = %lld\n", (long long)config->rate);
	if (config->burst)
		buffer_add_format(out, "burst = %lld\n", (long long)config->burst);
}

/* One write, so that a gateway that reads meanwhile sees the section whole or not at all. */
static int append_section(const char *path, const struct buffer *section, struct error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (fd < 0)
		return error_set(err, ERROR_SYSTEM, "%s: %s", path, strerror(errno));
	bool is_written = write(fd, section->data, section->len) == (ssize_t)section->len && fsync(fd) == 0;
	int reason = errno;
	is_written = close(fd) == 0 && is_written;
	return is_written ? 0 : error_set(err, ERROR_SYSTEM, "%s: %s", path, strerror(reason));
}

static int print_key(const struct keygen_config *config, struct error *err)
{
	struct buffer key = { 0 }, section = { 0 };
	unsigned char digest[API_KEY_DIGEST_LEN];
	int result = -1;
	if (make_key(&key, digest, err))
		goto out;
	if (config->file[0])
		buffer_add_char(&section, '\n');
	add_section(config, digest, &section);
	if (section.has_failed)
		error_set(err, ERROR_SYSTEM, "no memory");
	else if (!config->file[0] || append_section(config->file, &section, err) == 0)
		result = 0;
	if (result == 0)
		printf("%s\n%s%s", key.data, config->file[0] ? "" : "\n", config->file[0] ? "" : section.data);
out:
	if (key.data)
		explicit_bzero(key.data, key.capacity);
	buffer_deinit(&key);
	buffer_deinit(&section);
	return result;
}

/* The secret alone goes to its host; the gateway's list and, of a gateway's key, everybody's curve-server-key get the public one. */
static int print_curve_key(const struct keygen_config *config, struct error *err)
{
	struct curve curve;
	struct buffer line = { 0 };
	if (curve_make(&curve, err))
		return -1;
	buffer_add_format(&line, "%s = %s\n", config->name, curve.public_key);
	int result = config->file[0] ? append_section(config->file, &line, err) : 0;
	if (result == 0)
		printf("%s\n\n%s", curve.secret_key, line.data);
	curve_forget(&curve);
	buffer_deinit(&line);
	return result;
}

int command_keygen(int argc, char **argv)
{
	const struct option_row rows[] = {
		{ "cli", "name", "ROOMCAST_KEY_NAME", OPTION_TEXT, AT(name), NULL, 1, API_KEY_NAME_MAX, "The key's name, in logs and in the journal." },
		{ "cli", "calls", "ROOMCAST_KEY_CALLS", OPTION_TEXT, AT(calls), "publish", 1, 150,
		  "What it may call, comma-separated: data-change, notification, system-notification, emit, join, leave, disconnect, events, status, or "
		  "publish, control, all." },
		{ "cli", "types", "ROOMCAST_KEY_TYPES", OPTION_TEXT, AT(types), NULL, 1, 150, "The entity types that it is for, comma-separated; all if not given." },
		{ "cli", "rate", "ROOMCAST_KEY_RATE", OPTION_NUMBER, AT(rate), "0", 0, API_KEY_RATE_MAX, "Events and questions a second; 0: no limit." },
		{ "cli", "burst", "ROOMCAST_KEY_BURST", OPTION_NUMBER, AT(burst), "0", 0, API_KEY_RATE_MAX, "How many at once after a rest; 0: as many as rate." },
		{ "cli", "file", "ROOMCAST_KEY_FILE", OPTION_TEXT, AT(file), NULL, 1, 4000,
		  "The gateway's api-keys-file, to which the key's section is added; without it the section is printed below the key." },
		{ "cli", "curve", "ROOMCAST_KEY_CURVE", OPTION_BOOL, AT(curve), "no", 0, 0,
		  "Instead a key for tcp between hosts: prints the curve-secret-key of hub, front end or gateway, and its line of the gateway's curve-peers "
		  "(added to the file if one is given)." },
	};
	const struct option_program program = {
		.name = "roomcast keygen", .section = "cli", .purpose = "makes an API key, prints it once, and says what the gateway's api-keys-file needs",
		.rows = rows, .row_count = sizeof(rows) / sizeof(rows[0]), .config_size = sizeof(struct keygen_config), .check = check,
	};
	struct keygen_config config;
	struct error err;
	enum options_result loaded = options_load(&program, &config, argc, argv, &err);
	if (loaded == OPTIONS_EXIT)
		return COMMAND_DONE;
	int status = COMMAND_MISUSED;
	if (loaded == OPTIONS_RUN) {
		status = (config.curve ? print_curve_key(&config, &err) : print_key(&config, &err)) ? COMMAND_FAILED : COMMAND_DONE;
		options_deinit(&program, &config);
	}
	if (status != COMMAND_DONE)
		fprintf(stderr, "roomcast keygen: %s\n", err.text);
	return status;
}
