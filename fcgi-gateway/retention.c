/* retention.c - trims the journal beside everything else. */
#include "retention.h"

#include <stdlib.h>
#include <time.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>

enum { BREATH_MS = 5 }; /* between steps when there is much to do: the sequencer goes first */

struct retention {
	struct journal *journal;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t stop;
	bool is_stopping;
};

/* False at the end. */
static bool rest(struct retention *retention, unsigned ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&retention->lock);
	int result = 0;
	while (!retention->is_stopping && result == 0)
		result = pthread_cond_timedwait(&retention->stop, &retention->lock, &until);
	bool goes_on = !retention->is_stopping;
	pthread_mutex_unlock(&retention->lock);
	return goes_on;
}

static void *run(void *data)
{
	static struct log_limit limit;
	struct retention *retention = data;
	struct journal *journal = retention->journal;
	int more = 0;
	while (rest(retention, more > 0 ? BREATH_MS : journal->operations->trim_pause_ms)) {
		struct error err = { 0 };
		more = journal->operations->trim(journal, clock_wall_ms(), &err);
		if (more < 0)
			log_limited(&limit, "msg=\"journal not trimmed\" journal=%s error=\"%s\"", journal->operations->name, err.text);
	}
	return NULL;
}

struct retention *retention_new(struct journal *journal, struct error *err)
{
	struct retention *retention = calloc(1, sizeof(*retention));
	pthread_condattr_t attributes;
	if (!retention) {
		error_set(err, ERROR_SYSTEM, "no memory for the retention");
		return NULL;
	}
	retention->journal = journal;
	pthread_mutex_init(&retention->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&retention->stop, &attributes);
	pthread_condattr_destroy(&attributes);
	int failure = pthread_create(&retention->thread, NULL, run, retention);
	if (failure == 0)
		return retention;
	error_set(err, ERROR_SYSTEM, "retention thread: %s", strerror(failure));
	pthread_cond_destroy(&retention->stop);
	pthread_mutex_destroy(&retention->lock);
	free(retention);
	return NULL;
}

void retention_free(struct retention *retention)
{
	if (!retention)
		return;
	pthread_mutex_lock(&retention->lock);
	retention->is_stopping = true;
	pthread_cond_signal(&retention->stop);
	pthread_mutex_unlock(&retention->lock);
	pthread_join(retention->thread, NULL);
	pthread_cond_destroy(&retention->stop);
	pthread_mutex_destroy(&retention->lock);
	free(retention);
}
