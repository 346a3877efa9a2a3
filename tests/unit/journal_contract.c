/* journal_contract.c - see journal_contract.h. */
#include "journal_contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <roomcast/log.h>

struct kit kit;
static bool has_postgres;

static int set_up(void **state)
{
	kit = (struct kit){ 0 };
	if (strcmp(*state, "postgres") == 0 && !has_postgres)
		skip();
	kit_start(&kit, *state);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kit_end(&kit);
	return 0;
}

bool is_lasting(void)
{
	return strcmp(kit.kind, "off") != 0;
}

void open_again(uint64_t now_s)
{
	struct error err = { 0 };
	if (is_lasting()) {
		kit_close(&kit);
		kit_open(&kit);
		return;
	}
	if (kit_open_writer(&kit, now_s, &err))
		fail_msg("%s", err.text);
}

struct journal_key some_key(const char *api_key, const char *key, const char *answer)
{
	struct journal_key result = { .api_key = bytes_of(api_key), .key = bytes_of(key), .time_ms = 5, .answer = bytes_of(answer) };
	memset(result.body_hash, 7, BODY_HASH_LEN);
	return result;
}

int find_key(const char *api_key, const char *key, struct journal_key *out)
{
	struct error err = { 0 };
	int result = kit.writer->operations->find_key(kit.writer, bytes_of(api_key), bytes_of(key), out, &err);
	if (result < 0)
		fail_msg("find_key: %s", err.text);
	return result;
}

struct place window(uint64_t since_ms, size_t events, size_t bytes)
{
	struct place after = { 9, 9 };
	struct error err = { 0 };
	if (kit.reader->operations->window(kit.reader, since_ms, (struct journal_bound){ events, bytes }, &after, &err))
		fail_msg("window: %s", err.text);
	return after;
}

static char kinds[][16] = { "off", "sqlite", "postgres" };
enum { KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]) };

struct named {
	char name[80];
};

int contract_run(const char *program, const struct contract *contract, size_t count)
{
	struct named *names = calloc(KIND_COUNT * count, sizeof(*names));
	struct CMUnitTest *tests = calloc(KIND_COUNT * count, sizeof(*tests));
	if (!names || !tests)
		abort();
	for (size_t i = 0; i < KIND_COUNT * count; i++) {
		char *kind = kinds[i / count];
		const struct contract *row = &contract[i % count];
		snprintf(names[i].name, sizeof(names[i].name), "%s: %s", kind, row->name);
		tests[i] = (struct CMUnitTest){ names[i].name, row->test, set_up, tear_down, kind };
	}
	log_open(program, LOG_LEVEL_WARNING);
	has_postgres = kit_start_postgres() != NULL;
	int result = _cmocka_run_group_tests(program, tests, KIND_COUNT * count, NULL, NULL);
	kit_stop_postgres();
	free(names);
	free(tests);
	return result;
}
