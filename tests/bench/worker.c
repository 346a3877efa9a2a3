/* worker.c - one process of the generator. */
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "measure.h"
#include "process.h"

enum { GREETING_S = 15 };

/* Nobody connects before the phase in which they should. */
static int wait_for(struct run *run, enum phase phase, struct error *err)
{
	while (atomic_load(&run->board->wanted) < (int)phase) {
		if (phase <= PHASE_CONNECT)
			usleep(1000);
		else if (run_turn(run, 10, err))
			return -1;
	}
	return 0;
}

static int greet(struct run *run, struct error *err)
{
	uint64_t deadline = now_ns() + GREETING_S * UINT64_C(1000000000);
	while (run->source && !source_is_ready(run->source)) {
		if (source_turn(run->source, err))
			return -1;
		if (now_ns() > deadline)
			return error_set(err, ERROR_UNAVAILABLE, "the server does not take part");
		usleep(1000);
	}
	return 0;
}

static int connect_all(struct run *run, struct error *err)
{
	do {
		if (run_turn(run, 50, err))
			return -1;
	} while (!crowd_is_settled(run->crowd));
	if (run->crowd->lost)
		return error_set(err, ERROR_UNAVAILABLE, "%llu clients did not come to be; the first: %s",
		                 (unsigned long long)run->crowd->lost, run->crowd->first_failure);
	return 0;
}

static int live(struct run *run, struct error *err)
{
	if (wait_for(run, PHASE_GREET, err) || greet(run, err))
		return -1;
	atomic_store(&run->board->done, PHASE_GREET);
	if (wait_for(run, PHASE_CONNECT, err) || connect_all(run, err))
		return -1;
	atomic_store(&run->board->done, PHASE_CONNECT);
	if (wait_for(run, PHASE_MEASURE, err) || measurement_find(run->settings->measure)(run, err))
		return -1;
	if (run->crowd->lost)
		return error_set(err, ERROR_UNAVAILABLE, "%llu connections were lost; the first: %s", (unsigned long long)run->crowd->lost,
		                 run->crowd->first_failure);
	atomic_store(&run->board->done, PHASE_MEASURE);
	return wait_for(run, PHASE_END, err);
}

int worker_run(const struct load_settings *settings, struct board *board)
{
	struct crowd crowd;
	struct run run = { .settings = settings, .crowd = &crowd, .board = board, .figures = &board->figures };
	struct crowd_settings crowd_settings = settings->crowd;
	struct error err = { 0 };
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (strcmp(settings->measure, "rate") == 0)
		crowd_settings.on_event = measure_on_event;
	crowd_settings.data = &run;
	int result = crowd_init(&crowd, &crowd_settings, &err);
	if (result == 0 && settings->source && !(run.source = source_open(settings->source, settings->packet_len, settings->crowd.server_count, &err)))
		result = -1;
	if (result == 0)
		result = live(&run, &err);
	if (result)
		snprintf(board->failure, sizeof(board->failure), "%s", err.text);
	source_close(run.source);
	crowd_deinit(&crowd);
	free(run.members);
	free(run.arrivals);
	atomic_store(&board->done, PHASE_END);
	return result ? 1 : 0;
}
