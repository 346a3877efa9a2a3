/* line_reader.h - the journal as the line asks it: questions of the line thread, answered on a thread that may be held up by a disk or a
 * database. At most two questions a hub are under way. */
#ifndef ROOMCAST_GATEWAY_LINE_READER_H
#define ROOMCAST_GATEWAY_LINE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "journal.h"

struct line;
struct line_reader;

enum question_kind {
	QUESTION_GREETING, /* where is the window's begin, which epochs are there, what is standing? */
	QUESTION_MISSING,  /* what lies behind after, up to last? */
};

/* A message that is ready to be sent. */
struct parcel {
	struct parcel *prev, *next;
	struct place place;     /* of an event */
	struct buffer packed;
};

/* Made by calloc; it goes to the reader and comes back, and is then freed by question_free. */
struct question {
	struct question *prev, *next;
	enum question_kind kind;
	char hub[HUB_NAME_MAX + 1];
	uint64_t instance;
	unsigned number;        /* of a repair's question */
	struct place published; /* when it was asked: certainly committed */
	struct place after;     /* the hub's position, zero when it has none; or behind which something is missing */
	struct place last;
	uint64_t window_ms, window_events, window_bytes;

	/* The answer. */
	bool has_failed;
	struct parcel *parcels; /* utlist: STANDING, or events */
	struct place start;
	struct place epochs[MESSAGE_EPOCHS_MAX];
	long epoch_count;
	bool has_key;
	unsigned char key[MAC_KEY_LEN];
	struct place gone;      /* what was asked for before it is not there; zero: nothing is amiss */
	bool is_loss;           /* and there was something */
};

void question_free(struct question *question);
/* Nothing was found out. */
void question_forget(struct question *question);

struct line_reader *line_reader_new(struct line *line, struct journal *journal, struct error *err);
void line_reader_free(struct line_reader *reader);

void line_reader_ask(struct line_reader *reader, struct question *question);
/* Those that are answered, one after the other; NULL: no more now. */
struct question *line_reader_answer(struct line_reader *reader);

#endif
