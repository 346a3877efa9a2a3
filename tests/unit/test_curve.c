/* test_curve.c - keys of tcp connections: who has none, another, or one that is not listed stays outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <zmq.h>

#include "forward.h"
#include "line_fixture.h"

static struct fixture fixture;
static struct curve gateway, listed, unlisted;
static struct zap_peers peers;

/* A key pair of a peer that knows the gateway's. */
static void make(struct curve *curve)
{
	assert_int_equal(curve_make(curve, NULL), 0);
	memcpy(curve->server_key, gateway.public_key, sizeof(curve->server_key));
}

static int open_all(void **state)
{
	(void)state;
	peers.count = 0;
	assert_int_equal(curve_make(&gateway, NULL), 0);
	make(&listed);
	make(&unlisted);
	assert_int_equal(zap_peers_add(&peers, "hub-1", listed.public_key, NULL), 0);
	fixture_open_secured(&fixture, &gateway, &peers);
	fixture_store(&fixture, 7, 1, 0);
	line_activate(fixture.line, 7);
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	fixture_close(&fixture);
	return 0;
}

static uint64_t refused(void)
{
	struct line_figures figures;
	line_figures(fixture.line, &figures);
	return figures.counters[LINE_REFUSED_KEYS];
}

static void test_the_listed_one_is_let_in(void **state)
{
	(void)state;
	struct peer hub;
	peer_open_secured(&hub, &fixture, "hub-1", 11, &listed);
	peer_greet(&hub, 0, 0);
	peer_expect_published(&hub, MESSAGE_HEARTBEAT);
	peer_close(&hub);
	assert_int_equal(refused(), 0);
}

static void test_others_stay_outside(void **state)
{
	(void)state;
	struct peer none, other, misled;
	struct curve misleading = listed;
	memcpy(misleading.server_key, unlisted.public_key, sizeof(misleading.server_key)); /* trusts somebody else */
	peer_open_secured(&other, &fixture, "hub-1", 11, &unlisted);
	peer_open(&none, &fixture, "hub-1", 12);
	peer_open_secured(&misled, &fixture, "hub-1", 13, &misleading);
	struct peer *all[] = { &none, &other, &misled };
	for (size_t i = 0; i < 3; i++)
		peer_say(all[i], (struct message){ .kind = MESSAGE_HELLO });
	eventually(refused() > 0);
	for (size_t i = 0; i < 3; i++) {
		peer_expect_silence(all[i], 300);
		zmq_pollitem_t item = { .socket = all[i]->events, .events = ZMQ_POLLIN };
		assert_int_equal(zmq_poll(&item, 1, 0), 0);
		peer_close(all[i]);
	}
	assert_int_equal(line_hub_count(fixture.line), 0);
}

static void handle(void *data, const struct request *request, struct response *response)
{
	(void)data, (void)request;
	response->status = 200;
}

static unsigned forward_with(const struct curve *curve)
{
	struct forward_settings settings = { .connect_ms = 1000, .answer_ms = PATIENCE_MS, .curve = curve };
	struct request request = { .method = bytes_of("POST") };
	struct response response = { 0 };
	struct forward *forward = forward_new(&settings, NULL);
	assert_non_null(forward);
	forward_set_target(forward, fixture.endpoint);
	(void)forward_request(forward, &request, &response);
	unsigned status = response.status;
	response_deinit(&response);
	forward_free(forward);
	return status;
}

static void test_front_ends(void **state)
{
	(void)state;
	assert_int_equal(line_serve(fixture.line, 1, handle, NULL, NULL), 0);
	assert_int_equal(forward_with(&listed), 200);
	assert_int_equal(forward_with(&unlisted), 503); /* and certainly not stored */
	assert_int_equal(forward_with(NULL), 503);
	line_stop_serving(fixture.line);
}

static void test_keys(void **state)
{
	(void)state;
	struct curve curve;
	struct error err;
	assert_int_equal(curve_load("", "", &curve, &err), 0);
	assert_false(curve.is_on);
	assert_int_equal(curve_load("", gateway.public_key, &curve, &err), -1);
	assert_int_equal(curve_load("short", "", &curve, &err), -1);
	assert_int_equal(curve_load("~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~", "", &curve, &err), -1);
	assert_int_equal(curve_load(listed.secret_key, "not a key", &curve, &err), -1);
	assert_int_equal(curve_load(listed.secret_key, "", &curve, &err), 0);
	assert_string_equal(curve.public_key, listed.public_key);
	assert_string_equal(curve.server_key, listed.public_key); /* all gateways share one */
	assert_int_equal(curve_load(listed.secret_key, gateway.public_key, &curve, &err), 0);
	assert_string_equal(curve.server_key, gateway.public_key);
	curve_forget(&curve);
	assert_false(curve.is_on);
	assert_int_equal(curve.secret_key[0], 0);
}

static int load(const char *text, struct zap_peers *out, struct error *err)
{
	char path[] = "/tmp/roomcast-peers-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	out->count = 0;
	int result = zap_peers_load(out, path, err);
	unlink(path);
	return result;
}

static void test_peers_files(void **state)
{
	(void)state;
	static struct zap_peers read;
	struct error err;
	char text[512];
	snprintf(text, sizeof(text), "# who may come\nhub-1 = %s\n\nfront end=%s\n", listed.public_key, unlisted.public_key);
	assert_int_equal(load(text, &read, &err), 0);
	assert_int_equal(read.count, 2);
	assert_string_equal(read.items[0].name, "hub-1");
	static const char *const wrong[] = { "hub-1\n", "hub-1 = \n", "hub-1 = abc\n", "[hubs]\nhub-1 = abc\n", "a-name-that-is-longer-than-names-are-allowed-to-be = x\n" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(load(wrong[i], &read, &err), -1);
	snprintf(text, sizeof(text), "[hubs]\nhub-1 = %s\n", listed.public_key);
	assert_int_equal(load(text, &read, &err), -1);
	assert_int_equal(zap_peers_load(&read, "/nonexistent/peers", &err), -1);
	read.count = ZAP_PEERS_MAX;
	assert_int_equal(zap_peers_add(&read, "one more", listed.public_key, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_listed_one_is_let_in, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_others_stay_outside, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_front_ends, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_keys, open_all, close_all),
		cmocka_unit_test_setup_teardown(test_peers_files, open_all, close_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
