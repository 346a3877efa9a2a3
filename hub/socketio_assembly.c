/* socketio_assembly.c - puts binary packets together. */
#include "socketio_assembly.h"

#include <stdlib.h>

struct assembly *assembly_new(struct bytes message, struct error *err)
{
	struct assembly *assembly = calloc(1, sizeof(*assembly) + message.len);
	if (!assembly) {
		error_set(err, ERROR_SYSTEM, "no memory for a binary packet");
		return NULL;
	}
	memcpy(assembly->text, message.data, message.len);
	if (socketio_packet_parse((struct bytes){ assembly->text, message.len }, &assembly->packet, err)) {
		free(assembly);
		return NULL;
	}
	return assembly;
}

void assembly_free(struct assembly *assembly)
{
	if (!assembly)
		return;
	for (unsigned i = 0; i < assembly->received; i++)
		free((char *)(uintptr_t)assembly->attachments[i].data);
	free(assembly);
}

int assembly_add(struct assembly *assembly, struct bytes attachment, size_t bytes_max, struct error *err)
{
	if (attachment.len > bytes_max - assembly->size)
		return error_set(err, ERROR_TOO_LARGE, "attachments of more than %zu bytes", bytes_max);
	char *copy = bytes_dup(attachment);
	if (!copy)
		return error_set(err, ERROR_SYSTEM, "no memory for an attachment");
	assembly->attachments[assembly->received++] = (struct bytes){ copy, attachment.len };
	assembly->size += attachment.len;
	if (assembly->received == assembly->packet.attachments)
		assembly->packet.binary = assembly->attachments;
	return 0;
}
