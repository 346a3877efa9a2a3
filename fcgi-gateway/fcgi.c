/* fcgi.c - requests from intake to their handler, answers back. */
#include "fcgi.h"

#include <pthread.h>
#include <stdlib.h>

#include <roomcast/log.h>

#include "cgi.h"

struct worker {
	struct fcgi *fcgi;
	pthread_t thread;
	struct buffer scratch, head, records;
};

struct fcgi {
	struct intake *intake;
	struct fcgi_settings settings;
	size_t started;
	struct worker workers[];
};

static struct bytes find_param(const void *reader, const char *name)
{
	return record_param(reader, name);
}

/* Any thread. */
static void resume(const struct request_origin *origin, struct late_answer *answer)
{
	intake_resume(origin->carrier, origin->connection, answer);
}

static void handle(struct worker *worker, struct connection *connection, struct response *response)
{
	const struct fcgi_settings *settings = &worker->fcgi->settings;
	const struct record_reader *reader = connection_request(connection);
	struct request request;
	cgi_read_request(find_param, reader, settings->mount, &worker->scratch, &request);
	request.is_too_large = reader->is_too_large;
	request.body = buffer_bytes(&reader->body);
	request.origin = (struct request_origin){ resume, worker->fcgi->intake, connection };
	settings->handle(settings->data, &request, response);
}

static void answer(struct worker *worker, struct connection *connection, const struct response *response)
{
	static _Thread_local struct log_limit limit;
	buffer_clear(&worker->head);
	buffer_clear(&worker->records);
	cgi_add_head(response, &worker->head);
	record_add_answer(connection_request(connection), buffer_bytes(&worker->head), buffer_bytes(&response->body), &worker->records);
	if (worker->head.has_failed || worker->records.has_failed) {
		log_limited(&limit, "msg=\"no memory for an answer\"");
		buffer_clear(&worker->records); /* none: the web server says that we failed */
	}
	intake_answer(worker->fcgi->intake, connection, buffer_bytes(&worker->records));
}

/* A connection whose request is put off is another worker's, perhaps by now. */
static void serve(struct worker *worker, struct connection *connection)
{
	struct late_answer *late = connection_answer(connection);
	struct response response = { 0 };
	if (late)
		late->write(late, &response);
	else
		handle(worker, connection, &response);
	if (!response.is_late)
		answer(worker, connection, &response);
	response_deinit(&response);
}

static void *run(void *data)
{
	struct worker *worker = data;
	struct connection *connection;
	while ((connection = intake_take(worker->fcgi->intake)))
		serve(worker, connection);
	buffer_deinit(&worker->scratch);
	buffer_deinit(&worker->head);
	buffer_deinit(&worker->records);
	return NULL;
}

struct fcgi *fcgi_new(struct intake *intake, const struct fcgi_settings *settings, struct error *err)
{
	struct fcgi *fcgi = calloc(1, sizeof(*fcgi) + settings->threads * sizeof(fcgi->workers[0]));
	if (!fcgi) {
		error_set(err, ERROR_SYSTEM, "no memory for workers");
		return NULL;
	}
	fcgi->intake = intake;
	fcgi->settings = *settings;
	for (size_t i = 0; i < settings->threads; i++) {
		fcgi->workers[i].fcgi = fcgi;
		int failure = pthread_create(&fcgi->workers[i].thread, NULL, run, &fcgi->workers[i]);
		if (failure == 0) {
			fcgi->started++;
			continue;
		}
		error_set(err, ERROR_SYSTEM, "worker thread: %s", strerror(failure));
		intake_stop(intake);
		fcgi_free(fcgi);
		return NULL;
	}
	return fcgi;
}

void fcgi_free(struct fcgi *fcgi)
{
	if (!fcgi)
		return;
	for (size_t i = 0; i < fcgi->started; i++)
		pthread_join(fcgi->workers[i].thread, NULL);
	free(fcgi);
}
