/* journal.c - journals by name, and what they share. */
#include "journal.h"

#include "journal_postgres.h"
#include "journal_sqlite.h"

static const struct {
	const char *name;
	struct journal *(*make)(const struct journal_settings *settings, struct error *err);
} kinds[] = {
	{ "sqlite", journal_sqlite_new },
	{ "postgres", journal_postgres_new },
	{ "off", journal_memory_new },
};

struct journal *journal_new(const char *kind, const struct journal_settings *settings, struct error *err)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kind, kinds[i].name) == 0)
			return kinds[i].make(settings, err);
	error_set(err, ERROR_INVALID, "journal: there is none of the kind \"%s\"", kind);
	return NULL;
}

void journal_close(struct journal *journal)
{
	if (journal)
		journal->operations->close(journal);
}

bool journal_mac_key(struct journal *journal, unsigned char out[static MAC_KEY_LEN])
{
	pthread_mutex_lock(&journal->lock);
	bool has_mac_key = journal->has_mac_key;
	memcpy(out, journal->mac_key, MAC_KEY_LEN);
	pthread_mutex_unlock(&journal->lock);
	return has_mac_key;
}
