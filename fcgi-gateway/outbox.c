/* outbox.c - reads, submits, settles, and waits for more. */
#include "outbox.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <roomcast/log.h>

#include "outbox_rows.h"

enum {
	LIMIT_MS = 5000,
	POLL_MS = 1000,    /* in case a notification was missed */
	STANDBY_MS = 250,  /* between looks whether this gateway is active */
	RETRY_MS = 1000,   /* after a failure */
	REPEAT_MS = 200,   /* when the journal did not take some */
};

static const char settings[] = "SET lock_timeout = 3000; SET synchronous_commit = off"; /* a row deleted twice is published once */

struct outbox {
	struct gateway *gateway;
	const char *connection;
	struct api_key *key;
	int wake_fd;
	pthread_t thread;

	/* The thread's own. */
	struct postgres session;
	bool has_lock;
	struct outbox_rows rows;

	pthread_mutex_t lock; /* of all below */
	bool is_stopping;
	bool is_open;         /* it has the outbox */
	uint64_t published, failed;
	double oldest_s;
	char reason[256];     /* why not, or why some wait */
};

static void set_state(struct outbox *outbox, bool is_open, const char *reason)
{
	pthread_mutex_lock(&outbox->lock);
	bool is_news = reason[0] && strncmp(outbox->reason, reason, sizeof(outbox->reason) - 1) != 0;
	outbox->is_open = is_open;
	snprintf(outbox->reason, sizeof(outbox->reason), "%s", reason);
	pthread_mutex_unlock(&outbox->lock);
	if (is_news)
		log_warning("msg=\"outbox waits\" reason=\"%s\"", reason);
}

/* Gives the outbox up. */
static void leave(struct outbox *outbox, const char *reason)
{
	postgres_close(&outbox->session);
	outbox->has_lock = false;
	set_state(outbox, false, reason);
}

static int take_lock(struct outbox *outbox, struct error *err)
{
	static const char sql[] = "SELECT pg_try_advisory_lock(hashtextextended('roomcast outbox', 'roomcast_outbox'::regclass::oid::bigint))";
	PGresult *result = postgres_ask(&outbox->session, sql, NULL, err);
	if (!result)
		return -1;
	outbox->has_lock = postgres_number(result, 0, 0) == 1;
	PQclear(result);
	return outbox->has_lock ? 0 : error_set(err, ERROR_UNAVAILABLE, "another gateway reads the outbox");
}

static int open_session(struct outbox *outbox, struct error *err)
{
	if (!postgres_is_alive(&outbox->session)) {
		postgres_close(&outbox->session);
		outbox->has_lock = false;
		if (postgres_open(&outbox->session, outbox->connection, LIMIT_MS, settings, err))
			return -1;
	}
	if (outbox->has_lock)
		return 0;
	if (take_lock(outbox, err) || outbox_rows_prepare(&outbox->session, err) || postgres_execute(&outbox->session, "LISTEN roomcast_outbox", err))
		return -1;
	log_info("msg=\"outbox is open\"");
	return 0;
}

static void count(struct outbox *outbox)
{
	const struct outbox_rows *rows = &outbox->rows;
	uint64_t published = 0, failed = 0;
	for (size_t i = 0; i < rows->count; i++) {
		published += rows->items[i].fate == OUTBOX_DONE;
		if (rows->items[i].fate != OUTBOX_BAD)
			continue;
		failed++;
		log_warning("msg=\"row of the outbox put aside\" id=%s call=%s reason=\"%s\"", rows->items[i].id, rows->items[i].path + 1, rows->items[i].reason);
	}
	pthread_mutex_lock(&outbox->lock);
	outbox->published += published;
	outbox->failed += failed;
	pthread_mutex_unlock(&outbox->lock);
}

/* Why the first that must wait does; NULL when none does. */
static const char *waits_for(const struct outbox_rows *rows)
{
	for (size_t i = 0; i < rows->count; i++)
		if (rows->items[i].fate == OUTBOX_WAITING)
			return rows->items[i].reason;
	return NULL;
}

/* One round. Returns after how many ms the next is due when nobody calls before, or -1. */
static int serve(struct outbox *outbox, struct error *err)
{
	struct outbox_rows *rows = &outbox->rows;
	if (open_session(outbox, err) || outbox_rows_read(&outbox->session, rows, err))
		return -1;
	pthread_mutex_lock(&outbox->lock);
	outbox->oldest_s = rows->count ? rows->oldest_s : 0;
	pthread_mutex_unlock(&outbox->lock);
	if (!rows->count) {
		set_state(outbox, true, "");
		return POLL_MS;
	}
	outbox_rows_submit(rows, outbox->gateway, outbox->key);
	if (outbox_rows_settle(&outbox->session, rows, err))
		return -1;
	count(outbox);
	const char *reason = waits_for(rows);
	set_state(outbox, true, reason ? reason : "");
	return reason ? REPEAT_MS : 0;
}

static void *run(void *data)
{
	struct outbox *outbox = data;
	for (bool is_stopping = false; !is_stopping;) {
		int pause_ms = STANDBY_MS;
		struct error err = { 0 };
		if (!sequencer_is_active(outbox->gateway->sequencer))
			leave(outbox, "");
		else if ((pause_ms = serve(outbox, &err)) < 0) {
			/* A session that only waits for the lock is kept. */
			if (outbox->has_lock || outbox->session.is_lost)
				leave(outbox, err.text);
			else
				set_state(outbox, false, err.text);
			pause_ms = RETRY_MS;
		}
		outbox_rows_clear(&outbox->rows);
		postgres_wait(&outbox->session, outbox->wake_fd, (uint64_t)pause_ms);
		pthread_mutex_lock(&outbox->lock);
		is_stopping = outbox->is_stopping;
		pthread_mutex_unlock(&outbox->lock);
	}
	leave(outbox, "");
	return NULL;
}

static void release(struct outbox *outbox)
{
	if (outbox->wake_fd >= 0)
		close(outbox->wake_fd);
	pthread_mutex_destroy(&outbox->lock);
	free(outbox);
}

struct outbox *outbox_new(struct gateway *gateway, const char *connection, struct error *err)
{
	struct outbox *outbox = calloc(1, sizeof(*outbox));
	if (!outbox) {
		error_set(err, ERROR_SYSTEM, "no memory for the outbox");
		return NULL;
	}
	outbox->gateway = gateway;
	outbox->connection = connection;
	outbox->rows.max_body = gateway->max_body;
	pthread_mutex_init(&outbox->lock, NULL);
	outbox->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	outbox->key = authorizer_add(gateway->authorizer, bytes_of("outbox"), err);
	if (!outbox->key) {
		error_context(err, "the outbox's own API key");
		release(outbox);
		return NULL;
	}
	outbox->key->scopes = SCOPE_PUBLISH | SCOPE_CONTROL;
	int failure = outbox->wake_fd < 0 ? errno : pthread_create(&outbox->thread, NULL, run, outbox);
	if (failure == 0)
		return outbox;
	error_set(err, ERROR_SYSTEM, "outbox thread: %s", strerror(failure));
	release(outbox);
	return NULL;
}

void outbox_add_status(struct outbox *outbox, struct buffer *out)
{
	pthread_mutex_lock(&outbox->lock);
	buffer_add_format(out, "\"outbox\":{\"open\":%s,\"published\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"oldestSeconds\":%.1f",
	                  outbox->is_open ? "true" : "false", outbox->published, outbox->failed, outbox->oldest_s);
	if (outbox->reason[0]) {
		buffer_add_text(out, ",\"reason\":");
		buffer_add_json_string(out, bytes_of(outbox->reason));
	}
	pthread_mutex_unlock(&outbox->lock);
	buffer_add_text(out, "},");
}

void outbox_free(struct outbox *outbox)
{
	uint64_t one = 1;
	if (!outbox)
		return;
	pthread_mutex_lock(&outbox->lock);
	outbox->is_stopping = true;
	pthread_mutex_unlock(&outbox->lock);
	if (write(outbox->wake_fd, &one, sizeof(one)) < 0)
		log_error("msg=\"outbox cannot be woken\" error=\"%s\"", strerror(errno));
	pthread_join(outbox->thread, NULL);
	release(outbox);
}
