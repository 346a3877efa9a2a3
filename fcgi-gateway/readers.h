/* readers.h - a few readers of the journal, shared by the workers: a slow question holds up one of them, and nothing else. */
#ifndef ROOMCAST_GATEWAY_READERS_H
#define ROOMCAST_GATEWAY_READERS_H

#include <stddef.h>
#include <stdint.h>

#include "journal.h"

struct readers;

/* The journal must outlive it. */
struct readers *readers_new(struct journal *journal, size_t count, struct error *err);
/* Nobody may have one any more. */
void readers_free(struct readers *readers);

/* Any thread: waits for one at most timeout_ms; NULL: all are busy. It is the caller's alone until readers_give. */
struct journal_reader *readers_take(struct readers *readers, uint64_t timeout_ms);
void readers_give(struct readers *readers, struct journal_reader *reader);

#endif
