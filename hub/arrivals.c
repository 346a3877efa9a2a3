/* arrivals.c - holds CONNECTs back. */
#include "arrivals.h"

#include <stddef.h>
#include <stdlib.h>

#include <utlist.h>

struct arrival {
	struct arrival *prev, *next;
	struct client *client;
	struct deadline deadline;
	size_t auth_len;
	char auth[];
};

static void release(struct arrivals *arrivals, struct arrival *arrival)
{
	DL_DELETE(arrivals->list, arrival);
	deadline_cancel(&arrival->deadline);
	free(arrival);
}

static struct arrival *find(const struct arrivals *arrivals, const struct client *client)
{
	struct arrival *arrival;
	DL_SEARCH_SCALAR(arrivals->list, arrival, client, client);
	return arrival;
}

/* The answer may end this client, or another that waits. */
static void try(struct arrivals *arrivals, struct arrival *arrival, bool is_final)
{
	struct client *client = arrival->client;
	if (!arrivals->answer(client, (struct bytes){ arrival->auth, arrival->auth_len }, is_final))
		return;
	arrival = find(arrivals, client);
	if (arrival)
		release(arrivals, arrival);
}

static void on_due(struct deadline *deadline, void *data)
{
	try(data, (struct arrival *)(void *)((char *)deadline - offsetof(struct arrival, deadline)), true);
}

int arrivals_init(struct arrivals *arrivals, uv_loop_t *loop, uint64_t wait_ms,
                  bool (*answer)(struct client *client, struct bytes auth, bool is_final), struct error *err)
{
	*arrivals = (struct arrivals){ .answer = answer };
	return deadlines_init(&arrivals->deadlines, loop, wait_ms, on_due, arrivals, err);
}

void arrivals_close(struct arrivals *arrivals, void (*on_closed)(void *data), void *data)
{
	deadlines_close(&arrivals->deadlines, on_closed, data);
}

int arrivals_hold(struct arrivals *arrivals, struct client *client, struct bytes auth, struct error *err)
{
	struct arrival *arrival = calloc(1, sizeof(*arrival) + auth.len);
	if (!arrival)
		return error_set(err, ERROR_SYSTEM, "no memory for a CONNECT");
	arrival->client = client;
	arrival->auth_len = auth.len;
	memcpy(arrival->auth, auth.data, auth.len);
	DL_APPEND(arrivals->list, arrival);
	deadlines_set(&arrivals->deadlines, &arrival->deadline);
	return 0;
}

bool arrivals_drop(struct arrivals *arrivals, const struct client *client)
{
	struct arrival *arrival = find(arrivals, client);
	if (arrival)
		release(arrivals, arrival);
	return arrival != NULL;
}

void arrivals_try(struct arrivals *arrivals)
{
	unsigned count = 0;
	struct arrival *arrival;
	DL_FOREACH(arrivals->list, arrival) {
		if (++count == ARRIVALS_TRIED_TOGETHER)
			break;
	}
	for (; count && arrivals->list; count--) {
		arrival = arrivals->list;
		DL_DELETE(arrivals->list, arrival); /* to the end: each once, whatever an answer does to others */
		DL_APPEND(arrivals->list, arrival);
		try(arrivals, arrival, false);
	}
}
