/* process.h - what other processes cost, from /proc. */
#ifndef ROOMCAST_BENCH_PROCESS_H
#define ROOMCAST_BENCH_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* CPU time of all their threads together, in nanoseconds; what cannot be read counts as 0. */
uint64_t process_cpu_ns(const pid_t *pids, size_t count);

uint64_t now_ns(void); /* CLOCK_MONOTONIC, the same for all processes of a machine */

#endif
