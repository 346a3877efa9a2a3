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
	struct worker at_once; /* of intake's thread */
	size_t started;
	struct worker workers[];
};

static void find_params(const void *reader, struct cgi_variable *variables, size_t count)
{
	record_find_params(reader, variables, count);
}

/* Any thread. */
static void resume(const struct request_origin *origin, struct late_answer *answer)
{
	intake_resume(origin->carrier, origin->connection, answer);
}

static void read_request(struct worker *worker, struct connection *connection, struct request *out)
{
	const struct record_reader *reader = connection_request(connection);
	cgi_read_request(find_params, reader, worker->fcgi->settings.mount, &worker->scratch, out);
	out->is_too_large = reader->is_too_large;
	out->body = buffer_bytes(&reader->body);
	out->origin = (struct request_origin){ resume, worker->fcgi->intake, connection };
}

/* The answer's records; none when there is no memory: the web server says then that we failed. */
static void make_records(struct worker *worker, struct connection *connection, const struct response *response, struct buffer *records)
{
	static _Thread_local struct log_limit limit;
	buffer_clear(&worker->head);
	buffer_clear(records);
	cgi_add_head(response, &worker->head);
	record_add_answer(connection_request(connection), buffer_bytes(&worker->head), buffer_bytes(&response->body), records);
	if (!worker->head.has_failed && !records->has_failed)
		return;
	log_limited(&limit, "msg=\"no memory for an answer\"");
	buffer_clear(records);
}

/* Intake's thread. */
static enum intake_service serve_at_once(void *data, struct connection *connection, struct buffer *records)
{
	struct fcgi *fcgi = data;
	struct late_answer *late = connection_answer(connection);
	struct response response = { 0 };
	struct request request;
	if (late) {
		late->write(late, &response);
	} else {
		if (!fcgi->settings.handle_at_once)
			return INTAKE_FOR_WORKER;
		read_request(&fcgi->at_once, connection, &request);
		if (!fcgi->settings.handle_at_once(fcgi->settings.data, &request, &response))
			return INTAKE_FOR_WORKER;
	}
	if (!response.is_late)
		make_records(&fcgi->at_once, connection, &response, records);
	response_deinit(&response);
	return response.is_late ? INTAKE_PUT_OFF : INTAKE_ANSWERED;
}

static void batch(void *data, bool has_begun)
{
	struct fcgi *fcgi = data;
	if (fcgi->settings.batch)
		fcgi->settings.batch(fcgi->settings.data, has_begun);
}

/* A connection whose request is put off is not ours any more. */
static void serve(struct worker *worker, struct connection *connection)
{
	const struct fcgi_settings *settings = &worker->fcgi->settings;
	struct response response = { 0 };
	struct request request;
	read_request(worker, connection, &request);
	settings->handle(settings->data, &request, &response);
	if (!response.is_late) {
		make_records(worker, connection, &response, &worker->records);
		intake_answer(worker->fcgi->intake, connection, buffer_bytes(&worker->records));
	}
	response_deinit(&response);
}

static void worker_deinit(struct worker *worker)
{
	buffer_deinit(&worker->scratch);
	buffer_deinit(&worker->head);
	buffer_deinit(&worker->records);
}

static void *run(void *data)
{
	struct worker *worker = data;
	struct connection *connection;
	pthread_setname_np(pthread_self(), "worker");
	while ((connection = intake_take(worker->fcgi->intake)))
		serve(worker, connection);
	worker_deinit(worker);
	return NULL;
}

/* Answers none, and waits until intake has nothing more for us. */
static void give_up(struct intake *intake)
{
	struct connection *connection;
	while ((connection = intake_take(intake)))
		intake_answer(intake, connection, (struct bytes){ 0 });
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
	fcgi->at_once.fcgi = fcgi;
	/* Before there are workers: what one of them puts off is answered on the intake's thread. */
	intake_serve_by(intake, &(struct intake_server){ serve_at_once, batch, fcgi });
	for (size_t i = 0; i < settings->threads; i++) {
		fcgi->workers[i].fcgi = fcgi;
		int failure = pthread_create(&fcgi->workers[i].thread, NULL, run, &fcgi->workers[i]);
		if (failure == 0) {
			fcgi->started++;
			continue;
		}
		error_set(err, ERROR_SYSTEM, "worker thread: %s", strerror(failure));
		intake_stop(intake);
		give_up(intake);
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
	worker_deinit(&fcgi->at_once);
	free(fcgi);
}
