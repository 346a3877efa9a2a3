/* socketio_assembly.h - a binary packet that waits for its attachments. No sockets, no loop. */
#ifndef ROOMCAST_HUB_SOCKETIO_ASSEMBLY_H
#define ROOMCAST_HUB_SOCKETIO_ASSEMBLY_H

#include "socketio_packet.h"

struct assembly {
	struct socketio_packet packet; /* views into text */
	unsigned received;
	size_t size;                   /* bytes of the attachments received */
	struct bytes attachments[SOCKETIO_ATTACHMENTS_MAX]; /* on the heap */
	char text[];
};

/* message: a packet that the parser took and that announces attachments. NULL and err without memory. */
struct assembly *assembly_new(struct bytes message, struct error *err);
void assembly_free(struct assembly *assembly); /* NULL is fine */
/* Copies the next attachment; all together may have bytes_max. When it was the last, packet.binary is set. */
int assembly_add(struct assembly *assembly, struct bytes attachment, size_t bytes_max, struct error *err) MUST_CHECK;

#endif
