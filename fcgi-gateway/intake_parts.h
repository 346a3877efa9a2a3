/* intake_parts.h - what the intake's files share.
 *
 * intake.c          the thread: accepting, serving, its beginning and end; what other threads call
 * intake_requests.c one connection: states, bytes in, answers out */
#ifndef ROOMCAST_GATEWAY_INTAKE_PARTS_H
#define ROOMCAST_GATEWAY_INTAKE_PARTS_H

#include "intake.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

enum { INTAKE_READ_SIZE = 64 << 10 };

enum connection_state {
	CONNECTION_BUSY,    /* in the middle of a request, or new */
	CONNECTION_IDLE,    /* between requests */
	CONNECTION_READY,   /* a request is complete */
	CONNECTION_QUEUED,  /* it waits for a worker */
	CONNECTION_SERVED,  /* with a worker, or put off */
	CONNECTION_WRITING, /* the answer did not fit at once */
	CONNECTION_STATE_COUNT,
};

struct connection {
	struct connection *prev, *next; /* in the list of its state */
	int fd;
	uint32_t watched;               /* what epoll is asked for, besides EPOLLET */
	bool is_unread;                 /* there may be something that epoll has told already */
	enum connection_state state;
	uint64_t deadline_ms;
	uint64_t began_ms;              /* of the request under way */
	struct record_reader reader;
	struct buffer input;            /* what came behind a request that is not answered yet */
	struct buffer output;           /* a worker's answer, or what did not fit */
	void *answer;                   /* of one that was put off */
	struct connection *older, *newer; /* among those given back */
};

struct intake_counters {
	uint64_t accepted, requests, malformed, timed_out, aborted, turned_away;
};

/* Everything about a connection is done by the thread, but for its request while it is SERVED. */
struct intake {
	struct intake_settings settings;
	int listen_fd, epoll_fd, wake_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t ready;
	struct connection *lists[CONNECTION_STATE_COUNT]; /* utlists; each in the order of its deadlines */
	struct intake_server server;
	size_t count;
	bool is_listening, is_stopping, is_freed;
	bool is_deaf;         /* at the end: no request is read any more */
	uint64_t stop_at_ms;
	struct intake_counters counters;

	pthread_mutex_t back_lock; /* of these; nobody waits long for it. Taken inside lock or alone */
	struct connection *back;   /* utlist by older and newer: those that others are done with, oldest first */
	bool is_asleep;            /* the thread waits in epoll */

	/* The thread's own. */
	uint64_t now_ms;
	struct buffer records;
	char scratch[INTAKE_READ_SIZE];
};

/* --- intake_requests.c; the thread, with the lock held --- */

/* How long it may stay so. */
uint64_t connection_patience(const struct intake *intake, enum connection_state state);
void connection_set_state(struct intake *intake, struct connection *connection, enum connection_state state);
void connection_close(struct intake *intake, struct connection *connection);
/* Waits for EPOLLIN or EPOLLOUT, also for what is there already. When it cannot be watched it is closed. */
void connection_watch(struct intake *intake, struct connection *connection, uint32_t events);
/* has_ended: nothing comes behind what is there. */
void connection_read(struct intake *intake, struct connection *connection, bool has_ended);
void connection_write(struct intake *intake, struct connection *connection);
/* Goes on with a whole answer of which `sent` bytes have left: -1 is as send left it in errno. */
void connection_go_on(struct intake *intake, struct connection *connection, struct bytes answer, ssize_t sent);
/* A worker's whole answer stands in output. */
void connection_take_answer(struct intake *intake, struct connection *connection);

/* --- intake.c --- */

/* Newcomers are wanted, or not now; with the lock held. */
void intake_listen(struct intake *intake, bool is_wanted);

#endif
