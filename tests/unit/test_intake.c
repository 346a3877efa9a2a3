/* test_intake.c - FastCGI connections from outside: what is handed to workers, who is closed, and how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <roomcast/clock.h>

#include "fcgi.h"
#include "intake.h"
#include "listener.h"

enum { PROGRESS_MS = 300, REQUEST_MS = 700, IDLE_MS = 1200, PATIENCE_MS = 20000, CONNECTIONS = 4, BODY_MAX = 1 << 20 };

static char dir[] = "/tmp/roomcast-intake-XXXXXX";
static char path[64];
static struct listener listener;
static struct intake *intake;

static int open_intake(void **state)
{
	(void)state;
	struct error err = { 0 };
	struct intake_settings settings = {
		.max_connections = CONNECTIONS, .max_body = BODY_MAX, .progress_ms = PROGRESS_MS, .request_ms = REQUEST_MS, .idle_ms = IDLE_MS,
	};
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	if (listener_open(path, "0600", &listener, &err))
		fail_msg("%s", err.text);
	intake = intake_new(listener.fd, &settings, &err);
	assert_non_null(intake);
	return 0;
}

static int close_intake(void **state)
{
	(void)state;
	if (intake) {
		intake_stop(intake);
		intake_free(intake);
		intake = NULL;
	}
	listener_close(&listener);
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

/* --- a web server --- */

static int connect_there(void)
{
	struct sockaddr_un place = { .sun_family = AF_UNIX };
	snprintf(place.sun_path, sizeof(place.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&place, sizeof(place)) == 0);
	return fd;
}

static void add(struct buffer *out, enum record_type type, const void *content, size_t len)
{
	unsigned char header[RECORD_HEADER_LEN];
	record_header(header, type, 1, len);
	buffer_add(out, header, sizeof(header));
	buffer_add(out, content, len);
}

static void add_param(struct buffer *out, const char *name, const char *value)
{
	buffer_add_char(out, (char)strlen(name));
	buffer_add_char(out, (char)strlen(value));
	buffer_add_text(out, name);
	buffer_add_text(out, value);
}

static void send_all(int fd, const void *data, size_t len)
{
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void send_request(int fd, bool keep, const char *uri, const char *body)
{
	struct buffer wire = { 0 }, params = { 0 };
	char length[24];
	snprintf(length, sizeof(length), "%zu", strlen(body));
	add_param(&params, "REQUEST_METHOD", "POST");
	add_param(&params, "REQUEST_URI", uri);
	add_param(&params, "CONTENT_LENGTH", length);
	add(&wire, RECORD_BEGIN_REQUEST, keep ? "\0\1\1\0\0\0\0\0" : "\0\1\0\0\0\0\0\0", 8);
	add(&wire, RECORD_PARAMS, params.data, params.len);
	add(&wire, RECORD_PARAMS, NULL, 0);
	if (body[0])
		add(&wire, RECORD_STDIN, body, strlen(body));
	add(&wire, RECORD_STDIN, NULL, 0);
	send_all(fd, wire.data, wire.len);
	buffer_deinit(&wire);
	buffer_deinit(&params);
}

/* Everything until the end of the connection, or until len bytes are here. */
static void receive(int fd, struct buffer *out, size_t len)
{
	struct pollfd item = { .fd = fd, .events = POLLIN };
	while (out->len < len) {
		char part[65536];
		if (poll(&item, 1, PATIENCE_MS) != 1)
			fail_msg("neither an answer nor an end");
		ssize_t got = recv(fd, part, sizeof(part), 0);
		if (got <= 0)
			return;
		buffer_add(out, part, (size_t)got);
	}
}

/* The connection ends without a word, after at least this and less than that. */
static void expect_end(int fd, uint64_t since_ms, uint64_t least_ms)
{
	struct buffer rest = { 0 };
	receive(fd, &rest, 1);
	assert_int_equal(rest.len, 0);
	uint64_t took_ms = clock_monotonic_ms() - since_ms;
	assert_true(took_ms + 20 >= least_ms); /* clocks are read in milliseconds */
	buffer_deinit(&rest);
	close(fd);
}

static uint64_t counter(const char *name)
{
	struct buffer status = { 0 };
	char wanted[64];
	intake_add_status(intake, &status);
	snprintf(wanted, sizeof(wanted), "\"%s\":", name);
	const char *found = strstr(status.data, wanted);
	assert_non_null(found);
	uint64_t value = strtoull(found + strlen(wanted), NULL, 10);
	buffer_deinit(&status);
	return value;
}

static void take_and_answer(const char *uri, const char *answer)
{
	struct connection *connection = intake_take(intake);
	assert_non_null(connection);
	struct bytes given = record_param(connection_request(connection), "REQUEST_URI");
	if (!bytes_equal_text(given, uri))
		fail_msg("%.*s", (int)given.len, given.data);
	intake_answer(intake, connection, bytes_of(answer));
}

static void expect_text(int fd, const char *text)
{
	struct buffer got = { 0 };
	receive(fd, &got, strlen(text));
	assert_true(bytes_equal_text(buffer_bytes(&got), text));
	buffer_deinit(&got);
}

static void wait_for(sem_t *semaphore)
{
	struct timespec deadline;
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += PATIENCE_MS / 1000;
	assert_int_equal(sem_timedwait(semaphore, &deadline), 0);
}

/* --- the tests --- */

static void test_kept_connections_serve_again(void **state)
{
	(void)state;
	int fd = connect_there();
	send_request(fd, true, "/one", "");
	send_request(fd, true, "/two", "body"); /* before the first is answered */
	take_and_answer("/one", "first");
	expect_text(fd, "first");
	take_and_answer("/two", "second");
	expect_text(fd, "second");
	send_request(fd, false, "/three", "");
	take_and_answer("/three", "third");
	struct buffer got = { 0 };
	receive(fd, &got, SIZE_MAX);
	assert_true(bytes_equal_text(buffer_bytes(&got), "third")); /* and then it ends */
	buffer_deinit(&got);
	close(fd);
	assert_int_equal(counter("requests"), 3);
}

static void test_the_silent_are_closed(void **state)
{
	(void)state;
	uint64_t now_ms = clock_monotonic_ms();
	int silent = connect_there(), stuck = connect_there(), idle = connect_there();
	send_all(stuck, "\1\1\0", 3); /* the beginning of a header */
	send_request(idle, true, "/idle", "");
	take_and_answer("/idle", "answer");
	expect_text(idle, "answer");
	expect_end(silent, now_ms, PROGRESS_MS);
	expect_end(stuck, now_ms, PROGRESS_MS);
	expect_end(idle, now_ms, IDLE_MS);
	assert_int_equal(counter("timedOut"), 2);
	assert_int_equal(counter("connections"), 0);
}

/* A byte now and then is progress, but not for ever. */
static void test_the_slow_are_closed(void **state)
{
	(void)state;
	static const char begin[] = "\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0\1\4\0\1\377\377\0\0";
	uint64_t now_ms = clock_monotonic_ms();
	int fd = connect_there();
	struct pollfd item = { .fd = fd, .events = POLLIN };
	send_all(fd, begin, sizeof(begin) - 1);
	while (poll(&item, 1, 50) == 0 && clock_monotonic_ms() - now_ms < PATIENCE_MS)
		(void)send(fd, "x", 1, MSG_NOSIGNAL);
	expect_end(fd, now_ms, REQUEST_MS);
	assert_int_equal(counter("timedOut"), 1);
}

static void test_room_for_newcomers(void **state)
{
	(void)state;
	int idle[CONNECTIONS];
	for (int i = 0; i < CONNECTIONS; i++) {
		idle[i] = connect_there();
		send_request(idle[i], true, "/idle", "");
		take_and_answer("/idle", "answer");
		expect_text(idle[i], "answer");
	}
	int fd = connect_there(); /* the one that rested longest gives way */
	send_request(fd, false, "/new", "");
	take_and_answer("/new", "answer");
	expect_text(fd, "answer");
	struct buffer rest = { 0 };
	receive(idle[0], &rest, 1);
	assert_int_equal(rest.len, 0);
	for (int i = 0; i < CONNECTIONS; i++)
		close(idle[i]);
	close(fd);
	assert_true(counter("turnedAway") >= 1);
}

/* While all are busy a newcomer waits; it is taken when one ends. */
static void test_busy_ones_are_not_closed(void **state)
{
	(void)state;
	int busy[CONNECTIONS];
	struct connection *taken[CONNECTIONS];
	for (int i = 0; i < CONNECTIONS; i++) {
		busy[i] = connect_there();
		send_request(busy[i], false, "/busy", "");
	}
	for (int i = 0; i < CONNECTIONS; i++) {
		taken[i] = intake_take(intake);
		assert_non_null(taken[i]);
	}
	int fd = connect_there();
	send_request(fd, false, "/late", "");
	for (int i = 0; i < CONNECTIONS; i++)
		intake_answer(intake, taken[i], bytes_of("answer"));
	take_and_answer("/late", "late");
	expect_text(fd, "late");
	for (int i = 0; i < CONNECTIONS; i++) {
		expect_text(busy[i], "answer");
		close(busy[i]);
	}
	close(fd);
}

static void test_garbage(void **state)
{
	(void)state;
	uint64_t now_ms = clock_monotonic_ms();
	int fd = connect_there();
	send_all(fd, "GET / HTTP/1.1\r\n\r\n", 18);
	expect_end(fd, now_ms, 0);
	assert_int_equal(counter("malformed"), 1);
	fd = connect_there();
	send_all(fd, "\1\1\0\1\0\10\0\0\0\1", 10);
	close(fd); /* in the middle */
	for (int tries = 0; !counter("aborted"); tries++) {
		assert_true(tries < PATIENCE_MS);
		usleep(1000);
	}
	assert_int_equal(counter("aborted"), 1);
	assert_int_equal(counter("connections"), 0);
}

static void test_a_large_answer(void **state)
{
	(void)state;
	static char large[4 << 20];
	memset(large, 'a', sizeof(large));
	int fd = connect_there();
	send_request(fd, false, "/large", "");
	struct connection *connection = intake_take(intake);
	intake_answer(intake, connection, (struct bytes){ large, sizeof(large) });
	usleep(PROGRESS_MS * 1000 / 2); /* it waits for us, for a while */
	struct buffer got = { 0 };
	receive(fd, &got, SIZE_MAX);
	assert_int_equal(got.len, sizeof(large));
	close(fd);
	/* Who does not read it at all is closed. */
	uint64_t now_ms = clock_monotonic_ms();
	int rude = connect_there();
	send_request(rude, false, "/large", "");
	connection = intake_take(intake);
	intake_answer(intake, connection, (struct bytes){ large, sizeof(large) });
	while (counter("connections")) {
		assert_true(clock_monotonic_ms() - now_ms < PATIENCE_MS);
		usleep(1000);
	}
	assert_int_equal(counter("timedOut"), 1);
	buffer_deinit(&got);
	close(rude);
}

static void test_the_end(void **state)
{
	(void)state;
	int fd = connect_there(), waiting = connect_there();
	send_request(fd, false, "/last", "");
	struct connection *connection = intake_take(intake);
	send_request(waiting, false, "/complete", "");
	while (counter("requests") < 2)
		usleep(1000);
	intake_stop(intake);
	intake_answer(intake, connection, bytes_of("answer"));
	take_and_answer("/complete", "too"); /* it was there before the end */
	assert_null(intake_take(intake));
	intake_free(intake);
	intake = NULL;
	expect_text(fd, "answer");
	expect_text(waiting, "too");
	close(fd);
	close(waiting);
}

static void echo(void *data, const struct request *request, struct response *response)
{
	assert_ptr_equal(data, dir);
	response->status = 200;
	buffer_add_bytes(&response->body, request->path);
	buffer_add_bytes(&response->body, request->body);
}

static void test_workers(void **state)
{
	(void)state;
	struct fcgi_settings settings = { .threads = 3, .mount = "/api", .handle = echo, .data = dir };
	struct fcgi *fcgi = fcgi_new(intake, &settings, NULL);
	assert_non_null(fcgi);
	int fds[CONNECTIONS];
	for (int i = 0; i < CONNECTIONS; i++) {
		fds[i] = connect_there();
		send_request(fds[i], false, i % 2 ? "/api/odd?x=1" : "/api/even/", "{}");
	}
	for (int i = 0; i < CONNECTIONS; i++) {
		struct buffer got = { 0 };
		receive(fds[i], &got, SIZE_MAX);
		assert_true(got.len > RECORD_HEADER_LEN && (unsigned char)got.data[1] == RECORD_STDOUT);
		buffer_add_char(&got, '\0');
		const char *body = memmem(got.data, got.len, "\r\n\r\n", 4);
		assert_non_null(body);
		assert_non_null(strstr(got.data + RECORD_HEADER_LEN, "Status: 200 OK\r\n"));
		const char *expected = i % 2 ? "/odd{}" : "/even{}";
		assert_memory_equal(body + 4 + RECORD_HEADER_LEN, expected, strlen(expected));
		buffer_deinit(&got);
		close(fds[i]);
	}
	intake_stop(intake);
	fcgi_free(fcgi);
	intake_free(intake);
	intake = NULL;
}

/* --- what intake's thread serves itself --- */

static struct {
	sem_t has_entered, may_leave, is_put_off;
	struct request_origin origin;
	struct late_answer late;
	int batches;
} scene;

static void handle_slowly(void *data, const struct request *request, struct response *response)
{
	sem_post(&scene.has_entered);
	wait_for(&scene.may_leave);
	echo(data, request, response);
}

static bool handle_at_once(void *data, const struct request *request, struct response *response)
{
	if (bytes_equal_text(request->path, "/slow"))
		return false;
	if (bytes_equal_text(request->path, "/late")) {
		scene.origin = request->origin;
		response->is_late = true;
		sem_post(&scene.is_put_off);
	} else {
		echo(data, request, response);
	}
	return true;
}

static void on_batch(void *data, bool has_begun)
{
	assert_ptr_equal(data, dir);
	scene.batches += has_begun ? 1 : -1;
}

static void write_late(struct late_answer *late, struct response *response)
{
	assert_ptr_equal(late, &scene.late);
	response->status = 202;
	buffer_add_text(&response->body, "at last");
}

static int request_at(const char *uri)
{
	int fd = connect_there();
	send_request(fd, false, uri, "");
	return fd;
}

static void expect_body(int fd, const char *status, const char *body)
{
	struct buffer got = { 0 };
	receive(fd, &got, SIZE_MAX);
	assert_true(got.len > 0 && memmem(got.data, got.len, status, strlen(status)) && memmem(got.data, got.len, body, strlen(body)));
	buffer_deinit(&got);
	close(fd);
}

static void test_served_at_once(void **state)
{
	(void)state;
	struct fcgi_settings settings = {
		.threads = 1, .mount = "/api", .handle = handle_slowly, .handle_at_once = handle_at_once, .batch = on_batch, .data = dir,
	};
	sem_init(&scene.has_entered, 0, 0);
	sem_init(&scene.may_leave, 0, 0);
	sem_init(&scene.is_put_off, 0, 0);
	scene.late.write = write_late;
	struct fcgi *fcgi = fcgi_new(intake, &settings, NULL);
	assert_non_null(fcgi);
	/* The only worker is busy, and then another request waits for it. */
	int slow = request_at("/api/slow");
	wait_for(&scene.has_entered);
	int slow_too = request_at("/api/slow"), late = request_at("/api/late");
	wait_for(&scene.is_put_off);
	expect_body(request_at("/api/quick"), "Status: 200", "/quick");
	scene.origin.answer(&scene.origin, &scene.late);
	expect_body(late, "Status: 202", "at last");
	/* What was put off is still answered after the end has begun. */
	late = request_at("/api/late");
	wait_for(&scene.is_put_off);
	intake_stop(intake);
	sem_post(&scene.may_leave);
	sem_post(&scene.may_leave);
	expect_body(slow, "Status: 200", "/slow");
	expect_body(slow_too, "Status: 200", "/slow");
	scene.origin.answer(&scene.origin, &scene.late);
	expect_body(late, "Status: 202", "at last");
	fcgi_free(fcgi);
	intake_free(intake);
	intake = NULL;
	assert_int_equal(scene.batches, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kept_connections_serve_again, open_intake, close_intake),
		cmocka_unit_test_setup_teardown(test_the_silent_are_closed, open_intake, close_intake),
		cmocka_unit_test_setup_teardown(test_the_slow_are_closed, open_intake, close_intake),
		cmocka_unit_test_setup_teardown(test_room_for_newcomers, open_intake, close_intake),
		cmocka_unit_test_setup_teardown(test_busy_ones_are_not_closed, open_intake, close_intake),
		cmocka_unit_test_setup_teardown(test_garbage, open_intake, close_intake),
		cmocka_unit_test_setup_teardown(test_a_large_answer, open_intake, close_intake),
		cmocka_unit_test_setup_teardown(test_the_end, open_intake, close_intake),
		cmocka_unit_test_setup_teardown(test_workers, open_intake, close_intake),
		cmocka_unit_test_setup_teardown(test_served_at_once, open_intake, close_intake),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
