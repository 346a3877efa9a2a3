/* source.h - where the events of a measurement come from, each over the server's own way in.
 *
 *   line:DIRECTORY      the gateway's part of the ZeroMQ line, for hubs: sockets events.sock and line.sock in the directory
 *   control:PORT        lines `ROOM PACKET`, over one TCP connection, for servers of ours
 *   gateway:PORT/PATH   POST of a data-change; the API key is the environment's ROOMCAST_API_KEY
 *   nchan:PORT/PATH     POST of the packet to PATH with the room's number behind it
 *
 * What clients get is always the Engine.IO packet `42["data-change",{...}]`, with the number and the time of the event in it. */
#ifndef ROOMCAST_BENCH_SOURCE_H
#define ROOMCAST_BENCH_SOURCE_H

#include <stdint.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

struct source;

/* packet_len: bytes of a packet, as far as it can be chosen. servers: hubs that the line waits for. */
struct source *source_open(const char *address, uint32_t packet_len, uint32_t servers, struct error *err);
void source_close(struct source *source);

/* Handed over or queued; source_flush sends what is queued. sent_ns stands in the packet. */
int source_publish(struct source *source, uint32_t room, uint64_t number, uint64_t sent_ns, struct error *err) MUST_CHECK;
int source_flush(struct source *source, struct error *err) MUST_CHECK;
/* What the conversation with the server demands from time to time; reads answers. */
int source_turn(struct source *source, struct error *err) MUST_CHECK;
/* Whether the server is there to take events. */
bool source_is_ready(const struct source *source);

/* The number and time in a packet of ours; false when it holds none. */
bool source_read_stamp(struct bytes packet, uint64_t *number, uint64_t *sent_ns);

/* --- the kinds, source_*.c ------------------------------------------------- */

struct source_kind {
	const char *name; /* of the address's scheme */
	/* rest: behind the colon */
	void *(*open)(const char *rest, uint32_t servers, struct error *err);
	void (*close)(void *data);
	int (*publish)(void *data, uint32_t room, struct bytes object, struct error *err);
	int (*flush)(void *data, struct error *err);
	int (*turn)(void *data, struct error *err);
	bool (*is_ready)(const void *data);
};
extern const struct source_kind source_line, source_control, source_gateway, source_nchan;

#endif
