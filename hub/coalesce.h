/* coalesce.h - of an entity that is updated faster than a client takes it, the newest state will do.
 *
 * For the entity types that the configuration names, an UPDATE replaces the UPDATE of the same (entityType, id) before it, wherever that
 * still waits: in a connection's queue, or in the history in front of a walk. The later one stands at its own place, so offsets
 * stay right: none covers an event that was not given, unless one was that replaced it. After most replacements in a row one keeps its
 * place, so that nobody waits for ever. CREATE and DELETE never take part, and end the row. One thread. */
#ifndef ROOMCAST_HUB_COALESCE_H
#define ROOMCAST_HUB_COALESCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <roomcast/error.h>

#include "event.h"

struct coalesce;

enum { COALESCE_KEYS_MAX = 65536, COALESCE_BYTES_MAX = 32 << 20 };
#define COALESCE_NONE UINT64_MAX

/* types: separated by commas, kept by pointer; "" for none. */
struct coalesce *coalesce_new(const char *types, uint32_t most, struct error *err);
void coalesce_free(struct coalesce *coalesce);

/* The next event of the log, which has that number in the history. Sets event->replaces; returns the number of what it replaces,
 * or COALESCE_NONE. */
uint64_t coalesce_note(struct coalesce *coalesce, struct event *event, uint64_t number);
size_t coalesce_keys(const struct coalesce *coalesce); /* entities whose newest UPDATE may still be replaced */

#endif
