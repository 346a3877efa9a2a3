/* test_forward.c - requests of front ends: to a real line and back, and what happens when it is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include <zmq.h>

#include <roomcast/clock.h>

#include "forward.h"
#include "forward_message.h"
#include "line_fixture.h"

enum { CONNECT_MS = 700, ANSWER_MS = 1500, CALLERS = 16 };

static struct fixture active, standby;
static struct forward *forward;

/* The handler of the active side. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_held;
	size_t entered;
} handler = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void hold_handler(bool is_held)
{
	pthread_mutex_lock(&handler.lock);
	handler.is_held = is_held;
	pthread_cond_broadcast(&handler.changed);
	pthread_mutex_unlock(&handler.lock);
}

static size_t entered(void)
{
	pthread_mutex_lock(&handler.lock);
	size_t count = handler.entered;
	pthread_mutex_unlock(&handler.lock);
	return count;
}

/* Answers with what it was sent. */
static void handle(void *data, const struct request *request, struct response *response)
{
	assert_ptr_equal(data, &active);
	assert_true(request->is_forwarded);
	pthread_mutex_lock(&handler.lock);
	handler.entered++;
	while (handler.is_held)
		pthread_cond_wait(&handler.changed, &handler.lock);
	pthread_mutex_unlock(&handler.lock);
	response->status = 200;
	buffer_add_bytes(&response->body, request->path);
	buffer_add_bytes(&response->body, request->body);
}

static int open_all(void **state)
{
	(void)state;
	struct forward_settings settings = { .connect_ms = CONNECT_MS, .answer_ms = ANSWER_MS };
	struct error err;
	handler.entered = 0;
	fixture_open(&active);
	fixture_open(&standby);
	assert_int_equal(line_serve(active.line, 3, handle, &active, &err), 0);
	assert_int_equal(line_serve(standby.line, 1, handle, &standby, &err), 0);
	line_activate(active.line, 5);
	forward = forward_new(&settings, &err);
	assert_non_null(forward);
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	hold_handler(false);
	forward_stop(forward);
	forward_free(forward);
	line_stop_serving(active.line);
	line_stop_serving(standby.line);
	fixture_close(&active);
	fixture_close(&standby);
	return 0;
}

static unsigned request(const char *path, const char *body, struct response *response)
{
	struct request request = { .method = bytes_of("POST"), .path = bytes_of(path), .body = bytes_of(body) };
	*response = (struct response){ 0 };
	bool may_be_handled = forward_request(forward, &request, response);
	assert_int_equal(may_be_handled, response->status != 503);
	return response->status;
}

static void assert_refused(const char *path, unsigned status, const char *says)
{
	struct response response;
	assert_int_equal(request(path, "", &response), status);
	if (!strstr(response.body.data, says))
		fail_msg("%s", response.body.data);
	response_deinit(&response);
}

static void assert_answered(const char *path, const char *body)
{
	struct response response;
	char expected[256];
	snprintf(expected, sizeof(expected), "%s%s", path, body);
	assert_int_equal(request(path, body, &response), 200);
	assert_true(bytes_equal_text(buffer_bytes(&response.body), expected));
	response_deinit(&response);
}

static void *call(void *data)
{
	char path[32];
	for (int i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "/%d-%d", (int)(intptr_t)data, i);
		assert_answered(path, "{}");
	}
	return NULL;
}

static void test_each_gets_its_own_answer(void **state)
{
	(void)state;
	pthread_t threads[CALLERS];
	forward_set_target(forward, active.endpoint);
	assert_true(forward_has_target(forward));
	for (intptr_t i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call, (void *)i), 0);
	for (int i = 0; i < CALLERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(entered(), CALLERS * 50);
}

static void test_the_active_one_is_found(void **state)
{
	(void)state;
	char both[300];
	snprintf(both, sizeof(both), " %s, ipc:///nonexistent/line,%s", standby.endpoint, active.endpoint);
	forward_set_target(forward, both);
	assert_answered("/a", "1");
	/* They change places. */
	line_deactivate(active.line);
	assert_refused("/b", 503, "does not answer"); /* one of the three might still come */
	line_activate(active.line, 6);
	assert_answered("/c", "2");
	forward_set_target(forward, standby.endpoint);
	uint64_t before_ms = clock_monotonic_ms();
	assert_refused("/d", 503, "no gateway is active");
	assert_true(clock_monotonic_ms() - before_ms < CONNECT_MS); /* that is certain: nobody waits */
}

static void test_nobody_there(void **state)
{
	(void)state;
	assert_false(forward_has_target(forward));
	assert_refused("/a", 503, "no active gateway is known");
	forward_set_target(forward, "ipc:///nonexistent/line");
	uint64_t before_ms = clock_monotonic_ms();
	assert_refused("/a", 503, "does not answer");
	uint64_t took_ms = clock_monotonic_ms() - before_ms;
	assert_true(took_ms >= CONNECT_MS && took_ms < CONNECT_MS + 5000);
}

static void test_no_answer_in_time(void **state)
{
	(void)state;
	forward_set_target(forward, active.endpoint);
	hold_handler(true);
	assert_refused("/slow", 504, "Idempotency-Key");
	assert_int_equal(entered(), 1);
	hold_handler(false);
	assert_answered("/next", ""); /* and the late answer goes to nobody */
}

/* A gateway of the test's own, in the test's hands. */
struct rogue {
	void *context, *router;
	char endpoint[160];
	pthread_t thread;
	unsigned status;    /* of the request under way, when it is over */
};

static void *call_once(void *data)
{
	struct rogue *rogue = data;
	struct response response;
	rogue->status = request("/rogue", "", &response);
	response_deinit(&response);
	return NULL;
}

/* Begins a request and takes it, as a gateway would. */
static void rogue_open(struct rogue *rogue)
{
	int none = 0;
	*rogue = (struct rogue){ .context = zmq_ctx_new() };
	rogue->router = zmq_socket(rogue->context, ZMQ_ROUTER);
	snprintf(rogue->endpoint, sizeof(rogue->endpoint), "ipc://%s/rogue", active.dir);
	zmq_setsockopt(rogue->router, ZMQ_LINGER, &none, sizeof(none));
	assert_int_equal(zmq_bind(rogue->router, rogue->endpoint), 0);
	forward_set_target(forward, rogue->endpoint);
	assert_int_equal(pthread_create(&rogue->thread, NULL, call_once, rogue), 0);
	char part[512];
	assert_true(zmq_recv(rogue->router, part, sizeof(part), 0) > 0);
	assert_true(zmq_recv(rogue->router, part, sizeof(part), 0) > 0);
}

static void rogue_close(struct rogue *rogue)
{
	zmq_close(rogue->router);
	zmq_ctx_term(rogue->context);
}

/* The connection ends while an answer is due: nobody waits until the deadline for what cannot come. */
static void test_a_broken_connection(void **state)
{
	(void)state;
	struct rogue rogue;
	rogue_open(&rogue);
	uint64_t before_ms = clock_monotonic_ms();
	rogue_close(&rogue);
	pthread_join(rogue.thread, NULL);
	assert_int_equal(rogue.status, 504);
	assert_true(clock_monotonic_ms() - before_ms < ANSWER_MS);
	forward_set_target(forward, active.endpoint);
	assert_answered("/a", "");
	unlink(rogue.endpoint + strlen("ipc://"));
}

static void test_the_target_moves(void **state)
{
	(void)state;
	struct rogue rogue;
	rogue_open(&rogue);
	forward_set_target(forward, active.endpoint);
	pthread_join(rogue.thread, NULL);
	assert_int_equal(rogue.status, 504);
	assert_answered("/a", "");
	rogue_close(&rogue);
	unlink(rogue.endpoint + strlen("ipc://"));
}

static void test_the_end(void **state)
{
	(void)state;
	struct rogue rogue;
	rogue_open(&rogue);
	uint64_t before_ms = clock_monotonic_ms();
	forward_stop(forward);
	assert_refused("/late", 503, "shutting down");
	pthread_join(rogue.thread, NULL);
	assert_int_equal(rogue.status, 504);
	assert_true(clock_monotonic_ms() - before_ms < ANSWER_MS);
	rogue_close(&rogue);
	unlink(rogue.endpoint + strlen("ipc://"));
}

static uint64_t counted(enum line_counter counter)
{
	struct line_figures figures;
	line_figures(active.line, &figures);
	return figures.counters[counter];
}

static void say_forward(struct peer *peer, uint64_t counter, uint64_t deadline_ms)
{
	struct request request = { .method = bytes_of("POST"), .path = bytes_of("/x") };
	struct buffer packed = { 0 };
	assert_int_equal(forward_pack_request(&request, counter, deadline_ms, &packed, NULL), 0);
	assert_int_equal(zmq_send(peer->line, packed.data, packed.len, 0), (int)packed.len);
	buffer_deinit(&packed);
}

/* A gateway that was stopped and goes on does not begin with what nobody waits for. */
static void test_too_late(void **state)
{
	(void)state;
	struct peer peer;
	peer_open(&peer, &active, "any", 1);
	say_forward(&peer, 1, clock_wall_ms() - 1);
	say_forward(&peer, 2, clock_wall_ms() + PATIENCE_MS);
	peer_expect(&peer, MESSAGE_ANSWER);
	assert_true(peer.message.counter == 2 && peer.message.status == 200);
	assert_int_equal(counted(LINE_FORWARDS_LATE), 1);
	assert_int_equal(entered(), 1);
	peer_close(&peer);
}

static void test_too_many(void **state)
{
	(void)state;
	struct peer peer;
	hold_handler(true);
	peer_open(&peer, &active, "any", 1);
	for (uint64_t i = 1; i <= 1100; i++)
		say_forward(&peer, i, clock_wall_ms() + PATIENCE_MS);
	peer_expect(&peer, MESSAGE_ANSWER); /* while all threads are busy */
	assert_int_equal(peer.message.status, 503);
	assert_int_equal(peer.message.reason.len, 0); /* another gateway would not help */
	hold_handler(false);
	size_t stored = 0;
	for (int i = 1; i < 1100; i++) {
		peer_expect(&peer, MESSAGE_ANSWER);
		stored += peer.message.status == 200;
	}
	assert_true(stored >= 1024 && stored == entered());
	assert_true(counted(LINE_FORWARDS_TURNED_AWAY) == 1100 - stored);
	peer_close(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_gets_its_own_answer, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_the_active_one_is_found, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_nobody_there, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_no_answer_in_time, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_a_broken_connection, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_the_target_moves, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_the_end, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_too_late, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_too_many, open_all, close_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
