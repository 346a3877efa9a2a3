/* fcgi.c - requests and answers through libfcgi.
 *
 * libfcgi never meets a peer (record.h says why): each worker has a file in memory, writes the vetted parameters into it as the
 * plainest records, lets libfcgi read them and write the answer behind them, and gives the answer's bytes to intake. */
#include "fcgi.h"

#include <errno.h>
#include <fcgiapp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <roomcast/log.h>

enum { RECORD_CONTENT_MAX = 65528 };

struct worker {
	struct fcgi *fcgi;
	pthread_t thread;
	FCGX_Request request;
	struct buffer records;  /* to libfcgi, then from it */
	struct buffer address;
};

struct fcgi {
	struct intake *intake;
	struct fcgi_settings settings;
	size_t started;
	struct worker workers[];
};

static void add_record(struct buffer *out, enum record_type type, uint16_t id, struct bytes content)
{
	unsigned char header[RECORD_HEADER_LEN];
	record_header(header, type, id, content.len);
	buffer_add(out, header, sizeof(header));
	buffer_add_bytes(out, content);
}

static void build_request(const struct record_reader *reader, struct buffer *out)
{
	/* Responder, and keep the connection: it is our file. */
	static const char begin[8] = { 0, 1, 1 };
	uint16_t id = reader->request_id;
	buffer_clear(out);
	add_record(out, RECORD_BEGIN_REQUEST, id, (struct bytes){ begin, sizeof(begin) });
	for (size_t at = 0; at < reader->params.len; at += RECORD_CONTENT_MAX) {
		size_t left = reader->params.len - at;
		add_record(out, RECORD_PARAMS, id, (struct bytes){ reader->params.data + at, left < RECORD_CONTENT_MAX ? left : RECORD_CONTENT_MAX });
	}
	add_record(out, RECORD_PARAMS, id, (struct bytes){ 0 });
	add_record(out, RECORD_STDIN, id, (struct bytes){ 0 });
}

static int write_all(int fd, struct bytes bytes)
{
	while (bytes.len) {
		ssize_t written = write(fd, bytes.data, bytes.len);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return -1;
		bytes.data += written;
		bytes.len -= (size_t)written;
	}
	return 0;
}

static int read_from(int fd, size_t at, struct buffer *out)
{
	off_t end = lseek(fd, 0, SEEK_END);
	buffer_clear(out);
	if (end < (off_t)at)
		return -1;
	size_t len = (size_t)end - at;
	char *place = buffer_reserve(out, len);
	while (place && out->len < len) {
		ssize_t got = pread(fd, out->data + out->len, len - out->len, (off_t)(at + out->len));
		if (got <= 0)
			return -1;
		out->len += (size_t)got;
	}
	return place ? 0 : -1;
}

/* Has libfcgi read the parameters. */
static int decode(struct worker *worker, const struct record_reader *reader)
{
	FCGX_Request *request = &worker->request;
	build_request(reader, &worker->records);
	if (worker->records.has_failed)
		return -1;
	if (request->ipcFd < 0) { /* the first time, or libfcgi closed it over an error */
		FCGX_InitRequest(request, -1, 0);
		request->ipcFd = memfd_create("roomcast-request", MFD_CLOEXEC);
		request->keepConnection = 1;
	}
	int fd = request->ipcFd;
	if (fd < 0 || ftruncate(fd, 0) || lseek(fd, 0, SEEK_SET) < 0 || write_all(fd, buffer_bytes(&worker->records))
	    || lseek(fd, 0, SEEK_SET) < 0 || FCGX_Accept_r(request))
		return -1;
	return lseek(fd, 0, SEEK_END) < 0 ? -1 : 0;
}

static struct bytes param(const FCGX_Request *request, const char *name)
{
	return bytes_of(FCGX_GetParam(name, request->envp));
}

static void handle(struct worker *worker, const struct record_reader *reader, struct response *response)
{
	const FCGX_Request *from = &worker->request;
	struct request_address address = {
		.script_name = param(from, "SCRIPT_NAME"), .path_info = param(from, "PATH_INFO"), .request_uri = param(from, "REQUEST_URI"),
	};
	struct request request = {
		.method = param(from, "REQUEST_METHOD"), .query = param(from, "QUERY_STRING"), .content_type = param(from, "CONTENT_TYPE"),
		.authorization = param(from, "HTTP_AUTHORIZATION"), .idempotency_key = param(from, "HTTP_IDEMPOTENCY_KEY"), .content_length = reader->content_length,
		.is_too_large = reader->is_too_large, .body = buffer_bytes(&reader->body),
	};
	if (!request_path(&address, worker->fcgi->settings.mount, &worker->address, &request.path))
		request.path = address.request_uri.len ? address.request_uri : address.script_name; /* nowhere: 404 names it */
	worker->fcgi->settings.handle(worker->fcgi->settings.data, &request, response);
}

static void encode(FCGX_Stream *out, const struct response *response)
{
	FCGX_FPrintF(out, "Status: %u %s\r\nContent-Type: application/json\r\nContent-Length: %u\r\nCache-Control: no-store\r\n",
	             response->status, status_reason(response->status), (unsigned)response->body.len);
	if (response->status == 401)
		FCGX_PutS("WWW-Authenticate: Bearer realm=\"roomcast\"\r\n", out);
	if (response->allow[0])
		FCGX_FPrintF(out, "Allow: %s\r\n", response->allow);
	if (response->retry_after_s)
		FCGX_FPrintF(out, "Retry-After: %u\r\n", response->retry_after_s);
	FCGX_PutS("\r\n", out);
	if (response->body.len)
		FCGX_PutStr(response->body.data, (int)response->body.len, out);
}

static void serve(struct worker *worker, struct connection *connection)
{
	static _Thread_local struct log_limit limit;
	const struct record_reader *reader = connection_request(connection);
	struct response response = { 0 };
	size_t answer_at = 0;
	int result = decode(worker, reader);
	if (result == 0) {
		answer_at = worker->records.len;
		handle(worker, reader, &response);
		encode(worker->request.out, &response);
		FCGX_Finish_r(&worker->request);
		result = worker->request.ipcFd < 0 ? -1 : read_from(worker->request.ipcFd, answer_at, &worker->records);
	}
	if (result) {
		log_limited(&limit, "msg=\"request lost inside\" error=\"%s\"", strerror(errno));
		buffer_clear(&worker->records);
	}
	intake_answer(worker->fcgi->intake, connection, buffer_bytes(&worker->records));
	response_deinit(&response);
}

static void *run(void *data)
{
	struct worker *worker = data;
	struct connection *connection;
	FCGX_InitRequest(&worker->request, -1, 0);
	while ((connection = intake_take(worker->fcgi->intake)))
		serve(worker, connection);
	FCGX_Free(&worker->request, 1);
	buffer_deinit(&worker->records);
	buffer_deinit(&worker->address);
	return NULL;
}

struct fcgi *fcgi_new(struct intake *intake, const struct fcgi_settings *settings, struct error *err)
{
	struct fcgi *fcgi = calloc(1, sizeof(*fcgi) + settings->threads * sizeof(fcgi->workers[0]));
	if (!fcgi || FCGX_Init()) {
		error_set(err, ERROR_SYSTEM, "libfcgi cannot begin");
		free(fcgi);
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
