/* clock.h - the two clocks, and time as the clients read it. */
#ifndef ROOMCAST_CLOCK_H
#define ROOMCAST_CLOCK_H

#include <stdint.h>

uint64_t clock_wall_ms(void);      /* since 1970-01-01 UTC */
uint64_t clock_monotonic_ms(void);

enum { TIMESTAMP_SIZE = 25 };      /* "2026-11-23T09:06:40.123Z" and its 0 */
/* ISO 8601 in UTC with milliseconds, as JavaScript's toISOString writes it. */
void timestamp_format(uint64_t wall_ms, char out[static TIMESTAMP_SIZE]);

#endif
