/* repair.h - what one hub is to be sent again, and when: what it asked for, or what it lacks without asking, in chunks of which one is on
 * its way at a time. No sockets, no clock: time comes in, in milliseconds. */
#ifndef ROOMCAST_GATEWAY_REPAIR_H
#define ROOMCAST_GATEWAY_REPAIR_H

#include <roomcast/place.h>

enum {
	REPAIR_AGAIN_MS = 1000,     /* a chunk that was not acknowledged for so long may be asked for again */
	REPAIR_PUSH_MS = 2500,      /* a hub that got nowhere for so long is sent what it lacks */
	REPAIR_PUSH_MAX_MS = 60000, /* doubled each time, up to this */
};

enum repair_state {
	REPAIR_IDLE,
	REPAIR_READING, /* the journal is asked */
	REPAIR_SENT,    /* not acknowledged yet */
};

struct repair {
	enum repair_state state;
	struct place after, last; /* still to be sent: what lies behind after, up to last */
	struct place begin, end;  /* of the chunk that is read or sent */
	unsigned question;        /* number of the newest reading; answers to others are void */
	bool is_void;             /* that one's too: something else was asked for meanwhile */
	uint64_t sent_ms, asked_ms;
	uint64_t moved_ms;        /* when it last got on, or lacked nothing */
	uint64_t push_wait_ms;
};

/* A hub that says hello has nothing on its way. */
void repair_begin(struct repair *repair, uint64_t now_ms);
void repair_ask(struct repair *repair, struct place after, struct place last, uint64_t now_ms);
/* The hub's position was `before` and is `now`; published: the newest there is. */
void repair_hear(struct repair *repair, struct place before, struct place now, struct place published, uint64_t now_ms);
/* Adds what a hub lacks that got nowhere. */
void repair_push(struct repair *repair, struct place position, struct place published, uint64_t now_ms);

/* True: the journal is to be read now, behind *after up to *last; the answer belongs to repair->question. One at a time. */
bool repair_next(struct repair *repair, struct place position, struct place *after, struct place *last);
/* The answer is here. False: nobody wants it any more. */
bool repair_is_wanted(struct repair *repair, unsigned question);
/* It was sent, up to end. Not calling it after repair_is_wanted means that nothing could be: the hub has to ask again. */
void repair_sent(struct repair *repair, struct place end, uint64_t now_ms);

#endif
