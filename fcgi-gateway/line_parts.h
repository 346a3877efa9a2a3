/* line_parts.h - what the files of the line share: its state, and what each does for the others.
 *
 * line.c          the thread, its beginning and end
 * line_sockets.c  PUB and ROUTER: opening, sending, receiving
 * line_queue.c    events from other threads to PUB
 * line_talk.c     the hubs' conversation
 * line_reader.c   the journal, read on a thread of its own
 * line_repair.c   hubs are greeted and sent what they missed
 * line_confirm.c  publishers that wait for acknowledgements
 * line_forward.c  front ends' requests */
#ifndef ROOMCAST_GATEWAY_LINE_PARTS_H
#define ROOMCAST_GATEWAY_LINE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <zmq.h>

#include "line.h"

struct outgoing;
struct line_forwards;
struct line_reader;

/* For so long after a connection ended, hubs are looked at, at such intervals. */
enum { LINE_DEPARTURE_MS = 300, LINE_DEPARTURE_LOOK_MS = 100 };

struct line {
	struct line_reader *reader;
	struct line_settings settings;
	void *context, *publisher, *router;
	struct zap *zap;  /* NULL: no CURVE */
	void *router_monitor, *publisher_monitor; /* tell of connections that end, and that never were any */
	char endpoint[MESSAGE_NAME_MAX]; /* of publisher, as hubs reach it */
	int wake_fd;
	pthread_t thread;
	struct line_forwards *forwards;
	atomic_size_t hub_count;
	uint64_t instance;

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t drained;
	struct outgoing *queue; /* utlist, oldest first */
	size_t queue_bytes;
	bool is_stopping;
	bool is_active;
	bool is_reading;        /* active without a writer */
	unsigned activations;   /* how often these or the epoch changed */
	struct hubs hubs;       /* written by the line thread only, which reads it without the lock */
	struct place published; /* on PUB; epoch 0: never active */
	pthread_cond_t reported; /* somebody's acknowledgement, or its end */
	size_t confirming;      /* threads that wait for reports */
	bool wants_report;      /* one began to wait since the last heartbeat */
	uint64_t counters[LINE_COUNTER_COUNT];

	/* The line thread's own. */
	uint64_t heartbeat_at_ms, last_heartbeat_ms;
	uint64_t large_second, large_bytes; /* of volatile events, in that second */
	bool has_answers;   /* that could not be sent yet */
	uint64_t departure_ms, departed_look_ms; /* when a connection ended, and when hubs were last looked at for that */
	uint64_t looked_ms; /* when hubs were last looked at */
	bool is_changed; /* counts, since the last heartbeat */
	unsigned seen_activations;
};

struct place line_published(struct line *line);
/* Who numbers the events of the epoch, as hubs are told: 0 when nobody does now. */
uint64_t line_numbering(struct line *line);
void line_count(struct line *line, enum line_counter counter);

/* --- line_sockets.c --- */

int line_open_sockets(struct line *line, struct error *err) MUST_CHECK;
void line_close_sockets(struct line *line);

enum delivery { DELIVERED, DELIVERY_FULL, DELIVERY_GONE };
enum delivery line_send_packed(struct line *line, const struct routing_id *to, struct bytes packed);
enum delivery line_send(struct line *line, const struct routing_id *to, const struct message *message);

/* Reads one message of ROUTER; false when there is none. It is whole when it has exactly two parts: routing id and content. */
bool line_receive(struct line *line, struct routing_id *from, zmq_msg_t *content, bool *is_whole);

/* Whether a connection of the router ended since this was last asked. */
bool line_hears_departure(struct line *line);

/* --- line_queue.c --- */

/* PUB keeps messages for a hub that is slow, bounded in number only: so an event that is larger is not sent there. Each hub asks for it, and
 * gets it when it has taken what came before. A volatile one has no second way: of those that are larger so many bytes a second may go. */
enum { LINE_PUB_MAX = 32 << 10, LINE_VOLATILE_LARGE_MAX = 8 << 20 };

void line_wake(struct line *line);
/* The line thread: to PUB, all that waits. */
void line_send_queue(struct line *line);
/* The line thread: a volatile event; false when it was dropped. */
bool line_send_volatile(struct line *line, zmq_msg_t *message);

/* --- line_talk.c --- */

void line_send_heartbeat(struct line *line, uint64_t now_ms);
/* A number of messages, so that others get their turn. */
void line_receive_all(struct line *line);
void line_expire_hubs(struct line *line, uint64_t now_ms);
/* Hubs whose connection ended are gone at once: their clients are somewhere else already, or soon. */
void line_notice_departures(struct line *line, uint64_t now_ms);
/* The end of being active: every hub is told to go. */
void line_dismiss_hubs(struct line *line);

/* --- line_confirm.c --- */

void line_init_confirmations(struct line *line);

/* --- line_forward.c --- */

struct line_forwards *line_forwards_new(void);
void line_forwards_free(struct line_forwards *forwards);
/* The line thread: what a front end sent. packed is copied when it is kept. */
void line_take_forward(struct line *line, const struct routing_id *from, const struct message *message, struct bytes packed);
/* False: some wait for a front end that does not read. */
bool line_send_answers(struct line *line);

/* --- line_repair.c --- */

/* WELCOME and STANDING follow when the journal was read. */
void line_greet_hub(struct line *line, struct hub *hub, const struct message *hello);
/* Goes on with what the hub is to be sent, if it is time. */
void line_repair_hub(struct line *line, struct hub *hub);
/* Hubs that lack something and do not ask. */
void line_push_repairs(struct line *line, uint64_t now_ms);
/* What the reader found. */
void line_take_answers(struct line *line);

#endif
