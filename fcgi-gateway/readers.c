/* readers.c - lends readers. */
#include "readers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct readers {
	pthread_mutex_t lock;
	pthread_cond_t given;
	size_t free_count, count;
	struct journal_reader *items[]; /* the first free_count are free */
};

static void close_all(struct readers *readers)
{
	for (size_t i = 0; i < readers->count; i++)
		readers->items[i]->operations->close(readers->items[i]);
	pthread_cond_destroy(&readers->given);
	pthread_mutex_destroy(&readers->lock);
	free(readers);
}

struct readers *readers_new(struct journal *journal, size_t count, struct error *err)
{
	pthread_condattr_t attributes;
	struct readers *readers = calloc(1, sizeof(*readers) + count * sizeof(readers->items[0]));
	if (!readers) {
		error_set(err, ERROR_SYSTEM, "no memory for readers of the journal");
		return NULL;
	}
	pthread_mutex_init(&readers->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&readers->given, &attributes);
	pthread_condattr_destroy(&attributes);
	for (; readers->count < count; readers->count++) {
		if (journal->operations->open_reader(journal, &readers->items[readers->count], err) == 0)
			continue;
		close_all(readers);
		return NULL;
	}
	readers->free_count = count;
	return readers;
}

void readers_free(struct readers *readers)
{
	if (readers)
		close_all(readers);
}

struct journal_reader *readers_take(struct readers *readers, uint64_t timeout_ms)
{
	struct timespec deadline;
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += (time_t)(timeout_ms / 1000);
	deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (deadline.tv_nsec >= 1000000000) {
		deadline.tv_sec++;
		deadline.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&readers->lock);
	int waited = 0;
	while (!readers->free_count && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&readers->given, &readers->lock, &deadline);
	struct journal_reader *reader = readers->free_count ? readers->items[--readers->free_count] : NULL;
	pthread_mutex_unlock(&readers->lock);
	return reader;
}

void readers_give(struct readers *readers, struct journal_reader *reader)
{
	pthread_mutex_lock(&readers->lock);
	readers->items[readers->free_count++] = reader;
	pthread_cond_signal(&readers->given);
	pthread_mutex_unlock(&readers->lock);
}
