/* line.h - the thread that talks to the hubs: it owns PUB and ROUTER, and nothing that the disk does holds it up.
 *
 * What it says and hears is include/roomcast/message.h. A heartbeat never names an event that was not published before it.
 * It begins as a standby, which sends no heartbeats and refuses hubs; whoever opens the journal's writer activates it. */
#ifndef ROOMCAST_GATEWAY_LINE_H
#define ROOMCAST_GATEWAY_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include <roomcast/place.h>

#include "publication.h"
#include "hubs.h"
#include "journal.h"
#include "zap.h"

struct line;
struct request;
struct response;

struct line_settings {
	const char *events_endpoint; /* PUB */
	const char *line_endpoint;   /* ROUTER */
	uint64_t heartbeat_ms;
	uint64_t silence_ms;         /* a hub that reports nothing for longer is gone */
	size_t queue_bytes;          /* waiting to be sent: past it publishers wait */
	struct journal_bound chunk;  /* of a repair */
	const struct curve *curve;   /* of tcp endpoints; NULL: none */
	const struct zap_peers *peers; /* who may connect to those; only read here */
	size_t inbound_max;          /* bytes of one message from a hub or a front end */
};

enum line_counter {
	LINE_PUBLISHED,      /* events */
	LINE_LARGE,          /* of these, too large for PUB: hubs ask for them */
	LINE_VOLATILE,       /* of publishers */
	LINE_RELAYED,        /* of hubs */
	LINE_RELAY_REPEATS,
	LINE_VOLATILE_DROPPED, /* large ones, more than there may be at once */
	LINE_REPAIRED,       /* events sent again */
	LINE_GONE,           /* answers that something is no longer there */
	LINE_MALFORMED,      /* not a message */
	LINE_UNEXPECTED,     /* a message out of place */
	LINE_BROKEN_HANDSHAKES, /* connections that spoke no ZeroMQ */
	LINE_REFUSED_HELLOS,
	LINE_REFUSED_KEYS,   /* connections by tcp */
	LINE_FORWARDED,      /* requests of front ends that were answered here */
	LINE_FORWARDS_LATE,  /* too late to begin with them */
	LINE_FORWARDS_TURNED_AWAY, /* too many at once */
	LINE_COUNTER_COUNT,
};
const char *line_counter_name(enum line_counter counter);

/* A consistent copy. */
struct line_figures {
	struct hubs hubs;
	uint64_t now_ms; /* monotonic, to compare heard_ms with */
	uint64_t epoch, published_seq;
	uint64_t counters[LINE_COUNTER_COUNT];
};

/* Who acknowledged a place, of the hubs that were alive when it was asked. */
struct line_confirmation {
	size_t hubs, confirmed;
	struct {
		char name[HUB_NAME_MAX + 1];
		bool has_confirmed;
	} items[HUBS_MAX];
};

/* Binds and starts the thread. The journal must outlive it; endpoints are only read here. */
struct line *line_new(struct journal *journal, const struct line_settings *settings, struct error *err);

/* The sequencer's thread: from now on this process decides order, in that epoch. Again for a later epoch, without line_deactivate too. */
void line_activate(struct line *line, uint64_t epoch);
/* Nobody can write now, and this process has the writers' lock: hubs are served from what can be read. last is known to be stored. Nothing
 * changes when it was said before. */
void line_read_on(struct line *line, struct place last);
/* Another process may be the writer: hubs are told to look elsewhere. */
void line_deactivate(struct line *line);
bool line_is_active(struct line *line); /* any thread */

/* From now on front ends' requests are handled, on threads of the line's own. handle: any of them; response comes all zero. */
int line_serve(struct line *line, size_t threads, void (*handle)(void *data, const struct request *request, struct response *response),
               void *data, struct error *err) MUST_CHECK;
/* Those that were begun are answered; the others are not. Before whatever handle needs goes away. */
void line_stop_serving(struct line *line);

/* A sequencer_sink's publish and end_group: without the second the first may be noticed late. */
void line_publish(struct line *line, uint64_t epoch, uint64_t seq, struct bytes packed);
void line_flush(struct line *line);
/* Once, to whoever is there; kept nowhere. */
int line_publish_volatile(struct line *line, struct publication *publication, struct error *err) MUST_CHECK;

/* Any thread: waits until every live hub has acknowledged the place, at most timeout_ms. */
void line_confirm(struct line *line, struct place place, uint64_t timeout_ms, struct line_confirmation *out);

size_t line_hub_count(const struct line *line); /* any thread, at once */
void line_figures(struct line *line, struct line_figures *out);

/* Sends what waits, ends the thread, closes the sockets. */
void line_free(struct line *line);

#endif
