/* journal_contract.h - tests that every journal has to pass: each is run against all of them. */
#ifndef ROOMCAST_TEST_JOURNAL_CONTRACT_H
#define ROOMCAST_TEST_JOURNAL_CONTRACT_H

#include <stdbool.h>

#include "journal_kit.h"

struct contract {
	const char *name;
	CMUnitTestFunction test;
};
/* Returns what main is to return. */
int contract_run(const char *program, const struct contract *contract, size_t count);

/* The running test's. */
extern struct kit kit;

static const struct journal_bound wide = { 100000, 100 << 20 };
static const struct place end_of_time = { UINT64_MAX, UINT64_MAX };

/* "off" forgets with the journal; the others begin where they ended. */
bool is_lasting(void);
/* Ends the writer and begins another; where nothing lasts, in the same journal, as of now_s. */
void open_again(uint64_t now_s);
struct journal_key some_key(const char *api_key, const char *key, const char *answer);
int find_key(const char *api_key, const char *key, struct journal_key *out);
/* Where the reader says that a window begins. */
struct place window(uint64_t since_ms, size_t events, size_t bytes);

#endif
