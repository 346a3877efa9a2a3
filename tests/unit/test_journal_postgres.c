/* test_journal_postgres.c - what can happen to a server and to the way to it: other gateways, restarts, cuts at the worst moment, silence. */
#include "journal_kit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <roomcast/clock.h>
#include <roomcast/log.h>

#include "postgres.h"

static const struct journal_bound wide = { 100000, 100 << 20 };
static const struct place end_of_time = { UINT64_MAX, UINT64_MAX };
static const char *server; /* connection string */

static struct kit kit;
static struct kit_seen seen;
static struct postgres admin;

static int set_up(void **state)
{
	(void)state;
	if (!server)
		skip();
	kit = (struct kit){ 0 };
	kit_start(&kit, "postgres");
	return postgres_open(&admin, server, 10000, "SET client_min_messages = error", NULL);
}

static int tear_down(void **state)
{
	(void)state;
	if (!server)
		return 0;
	postgres_close(&admin);
	kit_end(&kit);
	return 0;
}

/* #schema in sql becomes this test's. */
static void execute(const char *sql)
{
	struct buffer text = { 0 };
	struct error err = { 0 };
	for (const char *at; (at = strstr(sql, "#schema")); sql = at + 7) {
		buffer_add(&text, sql, (size_t)(at - sql));
		buffer_add_format(&text, "\"%s\"", kit.schema);
	}
	buffer_add_text(&text, sql);
	if (postgres_execute(&admin, text.data, &err))
		fail_msg("%s: %s", text.data, err.text);
	buffer_deinit(&text);
}

static int64_t ask(const char *sql)
{
	struct error err = { 0 };
	PGresult *result = postgres_ask(&admin, sql, NULL, &err);
	if (!result)
		fail_msg("%s: %s", sql, err.text);
	int64_t number = PQntuples(result) ? postgres_number(result, 0, 0) : -1;
	PQclear(result);
	return number;
}

/* The server takes a moment to notice that a session has ended. */
static void open_again(void)
{
	struct error err = { 0 };
	uint64_t deadline_ms = clock_monotonic_ms() + 20000;
	while (kit_open_writer(&kit, KIT_EPOCH, &err)) {
		if (clock_monotonic_ms() > deadline_ms)
			fail_msg("%s", err.text);
		usleep(10000);
	}
}

/* --- other gateways --- */

static void test_gateways_that_start_together(void **state)
{
	(void)state;
	enum { GATEWAYS = 6 };
	int told[2];
	pid_t children[GATEWAYS];
	assert_int_equal(pipe(told), 0);
	for (int i = 0; i < GATEWAYS; i++) {
		children[i] = fork();
		if (children[i])
			continue;
		struct error err = { 0 };
		int result = kit_open_writer(&kit, KIT_EPOCH, &err);
		char word = result == 0 ? 'w' : err.code == ERROR_UNAVAILABLE ? 's' : 'e';
		if (word == 'e')
			fprintf(stderr, "# %s\n", err.text);
		if (write(told[1], &word, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	int writers = 0, standbys = 0;
	for (int i = 0; i < GATEWAYS; i++) {
		char word;
		assert_int_equal(read(told[0], &word, 1), 1);
		writers += word == 'w';
		standbys += word == 's';
	}
	assert_int_equal(writers, 1);
	assert_int_equal(standbys, GATEWAYS - 1);
	/* All are killed; then the lock is free. */
	struct error err = { 0 };
	assert_int_equal(kit_open_writer(&kit, KIT_EPOCH, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	for (int i = 0; i < GATEWAYS; i++) {
		kill(children[i], SIGKILL);
		assert_int_equal(waitpid(children[i], NULL, 0), children[i]);
	}
	open_again();
	assert_place(kit.writer->last, KIT_EPOCH + 1, 0);
	close(told[0]);
	close(told[1]);
}

static void test_a_standby_knows_and_takes_over(void **state)
{
	(void)state;
	struct error err = { 0 };
	struct journal *second = journal_new("postgres", &kit.settings, &err);
	struct journal_writer *writer;
	char endpoint[64];
	kit_open(&kit);
	kit_store(&kit, 5, "1");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(second->operations->open_writer(second, KIT_EPOCH, "tcp://second", &writer, &err), -1);
		assert_int_equal(err.code, ERROR_UNAVAILABLE);
		assert_int_equal(second->operations->find_active(second, endpoint, sizeof(endpoint), &err), 0);
		assert_string_equal(endpoint, "ipc:///tmp/line");
	}
	kit.writer->operations->close(kit.writer);
	kit.writer = NULL;
	uint64_t deadline_ms = clock_monotonic_ms() + 20000;
	while (second->operations->open_writer(second, KIT_EPOCH, "tcp://second", &writer, &err)) {
		assert_true(clock_monotonic_ms() < deadline_ms);
		usleep(10000);
	}
	assert_place(writer->last, KIT_EPOCH + 1, 0);
	kit_assert_extent(&kit, at(KIT_EPOCH, 1), at(KIT_EPOCH, 5));
	assert_int_equal(kit.journal->operations->find_active(kit.journal, endpoint, sizeof(endpoint), &err), 0);
	assert_string_equal(endpoint, "tcp://second");
	writer->operations->close(writer);
	journal_close(second);
}

/* Whoever lost the lock cannot write, even before it knows. */
static void test_a_session_that_was_ended_cannot_write(void **state)
{
	(void)state;
	struct error err = { 0 };
	kit_open(&kit);
	kit_begin(&kit);
	kit_add_events(&kit, 1, "1");
	assert_int_equal(ask("SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory') AS ended"), 1);
	enum journal_outcome outcome = kit.writer->operations->commit(kit.writer, &err);
	assert_int_not_equal(outcome, JOURNAL_STORED);
	assert_true(kit.writer->operations->is_lost(kit.writer));
	open_again();
	kit_assert_extent(&kit, at(0, 0), at(0, 0));
	kit_store(&kit, 1, "2");
}

static void test_an_epoch_is_not_used_twice_by_one_process(void **state)
{
	(void)state;
	struct error err = { 0 };
	kit_open(&kit);
	assert_int_equal(kit_open_writer(&kit, 5000, &err), 0);
	assert_place(kit.writer->last, 5000, 0);
	kit.writer->operations->close(kit.writer);
	kit.writer = NULL;
	execute("DELETE FROM #schema.epochs WHERE epoch = 5000"); /* an older copy came back */
	assert_int_equal(kit_open_writer(&kit, KIT_EPOCH, &err), 0);
	assert_place(kit.writer->last, 5001, 0);
}

/* --- restarts --- */

static void restart(const char *mode)
{
	struct error err = { 0 };
	struct journal_extent extent;
	kit_open(&kit);
	uint64_t epoch = kit.writer->last.epoch;
	kit_store(&kit, 5, "1");
	kit_assert_extent(&kit, at(epoch, 1), at(epoch, 5));
	postgres_close(&admin);
	assert_int_equal(kit_postgres("stop", mode), 0);
	assert_int_equal(kit.writer->operations->begin(kit.writer, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_true(kit.writer->operations->is_lost(kit.writer));
	assert_int_equal(kit.reader->operations->extent(kit.reader, &extent, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_int_equal(kit_open_writer(&kit, KIT_EPOCH, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_int_equal(kit.journal->operations->trim(kit.journal, 1, &err), 0);
	assert_int_equal(kit_postgres("start", ""), 0);
	assert_int_equal(postgres_open(&admin, server, 10000, "SET client_min_messages = error", NULL), 0);
	assert_int_equal(kit_open_writer(&kit, KIT_EPOCH, &err), 0);
	assert_place(kit.writer->last, epoch + 1, 0);
	kit_assert_extent(&kit, at(epoch, 1), at(epoch, 5));
	kit_store(&kit, 1, "2");
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, wide, &seen), 6);
}

static void test_the_server_is_restarted(void **state)
{
	(void)state;
	restart("fast");
}

/* What was answered is there, although the server had no time to say good-bye. */
static void test_the_server_crashes(void **state)
{
	(void)state;
	restart("immediate");
}

/* --- a way to the server that can be cut --- */

enum proxy_mode {
	PROXY_PASS,
	PROXY_CUT_ANSWER, /* what the client says next is passed on; when the server has answered, the connection is cut instead */
	PROXY_STALL,      /* nothing moves any more */
};

static struct proxy {
	char dir[40];
	int listener;
	pthread_t thread;
	int mode;       /* atomic */
	bool is_ending; /* atomic */
} proxy;

struct link {
	int client, server;
	bool has_asked;
};

static int connect_to(const char *dir)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432", dir);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void cut(struct link *link)
{
	close(link->client);
	close(link->server);
	*link = (struct link){ -1, -1, false };
}

/* False when the connection has ended. */
static bool pass(int from, int to)
{
	char data[65536];
	ssize_t len = read(from, data, sizeof(data));
	for (ssize_t sent = 0; sent < len;) {
		ssize_t step = send(to, data + sent, (size_t)(len - sent), MSG_NOSIGNAL);
		if (step <= 0)
			return false;
		sent += step;
	}
	return len > 0;
}

static void serve(struct link *link, short client, short from_server)
{
	int mode = __atomic_load_n(&proxy.mode, __ATOMIC_ACQUIRE);
	if (mode == PROXY_STALL)
		return;
	if (client) {
		link->has_asked = mode == PROXY_CUT_ANSWER;
		if (!pass(link->client, link->server)) {
			cut(link);
			return;
		}
	}
	if (from_server && (link->has_asked || !pass(link->server, link->client)))
		cut(link);
}

static void *run_proxy(void *data)
{
	static struct link links[64];
	size_t count = 0;
	const char *target = data;
	while (!__atomic_load_n(&proxy.is_ending, __ATOMIC_ACQUIRE)) {
		struct pollfd items[1 + 2 * 64] = { { .fd = proxy.listener, .events = POLLIN } };
		for (size_t i = 0; i < count; i++) {
			items[1 + 2 * i] = (struct pollfd){ .fd = links[i].client, .events = POLLIN };
			items[2 + 2 * i] = (struct pollfd){ .fd = links[i].server, .events = POLLIN };
		}
		bool is_stalled = __atomic_load_n(&proxy.mode, __ATOMIC_ACQUIRE) == PROXY_STALL;
		poll(items, is_stalled ? 1 : (nfds_t)(1 + 2 * count), 20);
		for (size_t i = 0; i < count; i++)
			if (links[i].client >= 0)
				serve(&links[i], items[1 + 2 * i].revents, items[2 + 2 * i].revents);
		if (items[0].revents && count < 64) {
			links[count].client = accept4(proxy.listener, NULL, NULL, SOCK_CLOEXEC);
			links[count].server = connect_to(target);
			if (links[count].server < 0)
				cut(&links[count]);
			count++;
		}
	}
	for (size_t i = 0; i < count; i++)
		if (links[i].client >= 0)
			cut(&links[i]);
	return NULL;
}

static char target_dir[100];

static void start_proxy(void)
{
	static char connection[100];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	strcpy(proxy.dir, "/tmp/roomcast-proxy-XXXXXX");
	assert_non_null(mkdtemp(proxy.dir));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432", proxy.dir);
	proxy.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(proxy.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(proxy.listener, 16), 0);
	proxy.mode = PROXY_PASS;
	proxy.is_ending = false;
	assert_int_equal(pthread_create(&proxy.thread, NULL, run_proxy, target_dir), 0);
	snprintf(connection, sizeof(connection), "host=%s user=postgres dbname=postgres", proxy.dir);
	kit_close(&kit);
	kit.settings.connection = connection;
	kit_open(&kit);
}

static void set_mode(enum proxy_mode mode)
{
	__atomic_store_n(&proxy.mode, mode, __ATOMIC_RELEASE);
}

static int end_proxy(void **state)
{
	char path[100];
	if (server) {
		kit_close(&kit);
		__atomic_store_n(&proxy.is_ending, true, __ATOMIC_RELEASE);
		pthread_join(proxy.thread, NULL);
		close(proxy.listener);
		snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", proxy.dir);
		unlink(path);
		rmdir(proxy.dir);
	}
	return tear_down(state);
}

static enum journal_outcome try_group(struct error *err)
{
	kit_begin(&kit);
	kit_add_events(&kit, 2, "cut");
	return kit.writer->operations->commit(kit.writer, err);
}

static void test_the_answer_to_commit_is_lost(void **state)
{
	(void)state;
	struct error err = { 0 };
	start_proxy();
	kit_store(&kit, 3, "1");
	set_mode(PROXY_CUT_ANSWER);
	assert_int_equal(try_group(&err), JOURNAL_UNKNOWN);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_true(kit.writer->operations->is_lost(kit.writer));
	set_mode(PROXY_PASS);
	open_again();
	/* Once a writer is open again, readers tell: it was stored. */
	kit_assert_extent(&kit, at(KIT_EPOCH, 1), at(KIT_EPOCH, 5));
	kit_store(&kit, 1, "2");
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, wide, &seen), 6);
}

static void test_a_server_that_says_nothing(void **state)
{
	(void)state;
	struct error err = { 0 };
	struct journal_extent extent;
	start_proxy();
	kit_store(&kit, 3, "1");
	kit_assert_extent(&kit, at(KIT_EPOCH, 1), at(KIT_EPOCH, 3));
	set_mode(PROXY_STALL);
	uint64_t started_ms = clock_monotonic_ms();
	assert_int_equal(try_group(&err), JOURNAL_UNKNOWN);
	assert_non_null(strstr(err.text, "no answer within"));
	assert_true(kit.writer->operations->is_lost(kit.writer));
	assert_int_equal(kit_open_writer(&kit, KIT_EPOCH, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_int_equal(kit.reader->operations->extent(kit.reader, &extent, &err), -1);
	assert_int_equal(kit.reader->operations->extent(kit.reader, &extent, &err), -1);
	assert_in_range(clock_monotonic_ms() - started_ms, 5000, 30000);
	/* Asked again at once, it does not wait again. */
	started_ms = clock_monotonic_ms();
	assert_int_equal(kit.reader->operations->extent(kit.reader, &extent, &err), -1);
	assert_in_range(clock_monotonic_ms() - started_ms, 0, 900);
	set_mode(PROXY_PASS);
	open_again();
	kit_store(&kit, 1, "2");
}

/* --- refusals --- */

static void add_trigger(const char *when, const char *body)
{
	char sql[500];
	snprintf(sql, sizeof(sql), "CREATE FUNCTION #schema.react() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s; RETURN NEW; END $$; "
	         "CREATE %s react AFTER INSERT ON #schema.events %s FOR EACH ROW EXECUTE FUNCTION #schema.react()",
	         body, strstr(when, "DEFERRED") ? "CONSTRAINT TRIGGER" : "TRIGGER", when);
	execute(sql);
}

static void test_the_server_refuses_a_group(void **state)
{
	(void)state;
	struct error err = { 0 };
	kit_open(&kit);
	add_trigger("", "IF NEW.body = 'cut' THEN RAISE EXCEPTION 'not this one'; END IF");
	assert_int_equal(try_group(&err), JOURNAL_NOT_STORED);
	assert_non_null(strstr(err.text, "not this one"));
	assert_false(kit.writer->operations->is_lost(kit.writer));
	kit_store(&kit, 2, "1");
	execute("DROP TRIGGER react ON #schema.events; DROP FUNCTION #schema.react()");
	/* At COMMIT itself. */
	add_trigger("DEFERRABLE INITIALLY DEFERRED", "IF NEW.body = 'cut' THEN RAISE EXCEPTION 'too late'; END IF");
	assert_int_equal(try_group(&err), JOURNAL_NOT_STORED);
	assert_non_null(strstr(err.text, "too late"));
	assert_false(kit.writer->operations->is_lost(kit.writer));
	kit_store(&kit, 2, "2");
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, wide, &seen), 4);
}

/* The backend is ended from outside while it is inside the insert, or inside the commit. */
static void *end_when_asleep(void *data)
{
	(void)data;
	struct postgres other;
	static const char sql[] = "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep') AS ended";
	if (postgres_open(&other, server, 10000, "SET client_min_messages = error", NULL))
		return NULL;
	for (int64_t ended = 0; ended == 0;) {
		PGresult *result = postgres_ask(&other, sql, NULL, NULL);
		ended = result ? postgres_number(result, 0, 0) : 1;
		PQclear(result);
		usleep(5000);
	}
	postgres_close(&other);
	return NULL;
}

static void test_the_backend_is_ended(void **state)
{
	(void)state;
	static const struct {
		const char *when;
		enum journal_outcome outcome;
	} cases[] = { { "", JOURNAL_NOT_STORED }, { "DEFERRABLE INITIALLY DEFERRED", JOURNAL_UNKNOWN } };
	kit_open(&kit);
	for (size_t i = 0; i < 2; i++) {
		struct error err = { 0 };
		pthread_t thread;
		add_trigger(cases[i].when, "IF NEW.body = 'cut' THEN PERFORM pg_sleep(3); END IF");
		assert_int_equal(pthread_create(&thread, NULL, end_when_asleep, NULL), 0);
		assert_int_equal(try_group(&err), cases[i].outcome);
		assert_non_null(strstr(err.text, "terminating connection"));
		assert_true(kit.writer->operations->is_lost(kit.writer));
		pthread_join(thread, NULL);
		open_again();
		execute("DROP TRIGGER react ON #schema.events; DROP FUNCTION #schema.react()");
		kit_store(&kit, 1, "1");
	}
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, wide, &seen), 2);
}

/* The server gives a statement up before we give the server up: then it is certain that nothing was stored. */
static void test_a_statement_that_takes_too_long(void **state)
{
	(void)state;
	struct error err = { 0 };
	kit_open(&kit);
	execute("BEGIN; LOCK TABLE #schema.events IN ACCESS EXCLUSIVE MODE");
	assert_int_equal(try_group(&err), JOURNAL_NOT_STORED);
	assert_non_null(strstr(err.text, "lock timeout"));
	assert_false(kit.writer->operations->is_lost(kit.writer));
	execute("COMMIT");
	kit_store(&kit, 1, "1");
}

static void test_places_that_will_not_do(void **state)
{
	(void)state;
	struct error err = { 0 };
	kit_open(&kit);
	kit_store(&kit, 1, "1");
	kit.writer->operations->close(kit.writer);
	kit.writer = NULL;
	execute("UPDATE #schema.meta SET value = '99' WHERE name = 'version'");
	assert_int_equal(kit_open_writer(&kit, KIT_EPOCH, &err), -1);
	assert_non_null(strstr(err.text, "another release"));
	assert_int_equal(err.code, ERROR_SYSTEM);
	execute("UPDATE #schema.meta SET value = '1' WHERE name = 'version'");
	execute("ALTER DATABASE postgres SET default_transaction_read_only = on");
	struct journal *other = journal_new("postgres", &kit.settings, &err);
	int result = other->operations->open_writer(other, KIT_EPOCH, "", &kit.writer, &err);
	struct error later;
	int again = other->operations->open_writer(other, KIT_EPOCH, "", &kit.writer, &later);
	struct place last = { 0 }, nowhere = { 0 };
	bool holds_lock = other->operations->holds_lock(other, &last);
	execute("ALTER DATABASE postgres RESET default_transaction_read_only");
	assert_true(result == -1 && again == -1);
	assert_non_null(strstr(err.text, "read-only"));
	assert_non_null(strstr(later.text, "read-only"));
	assert_true(holds_lock && last.epoch == KIT_EPOCH && last.seq == 1);
	assert_int_equal(kit_open_writer(&kit, KIT_EPOCH, &err), -1); /* it can be written again, by whoever has the lock */
	assert_false(kit.journal->operations->holds_lock(kit.journal, &nowhere));
	assert_int_equal(other->operations->open_writer(other, KIT_EPOCH, "", &kit.writer, &err), 0);
	assert_true(kit.writer->last.epoch > KIT_EPOCH);
	kit.writer->operations->close(kit.writer);
	kit.writer = NULL;
	journal_close(other);
	open_again();
	/* Tables that vanish: the writer is lost, and a new one begins anew. */
	execute("DROP SCHEMA #schema CASCADE");
	assert_int_equal(try_group(&err), JOURNAL_NOT_STORED);
	assert_true(kit.writer->operations->is_lost(kit.writer));
	open_again();
	kit_store(&kit, 1, "1");
}

static void test_a_schema_of_any_name(void **state)
{
	(void)state;
	kit_close(&kit);
	strcpy(kit.schema, "my \"own\"; DROP 'x");
	kit_open(&kit);
	kit_store(&kit, 2, "1");
	kit_assert_extent(&kit, at(KIT_EPOCH, 1), at(KIT_EPOCH, 2));
	assert_int_equal(ask("SELECT count(*) FROM \"my \"\"own\"\"; DROP 'x\".events"), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_THROUGH_PROXY(name) cmocka_unit_test_setup_teardown(name, set_up, end_proxy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_gateways_that_start_together),
		TEST(test_a_standby_knows_and_takes_over),
		TEST(test_a_session_that_was_ended_cannot_write),
		TEST(test_an_epoch_is_not_used_twice_by_one_process),
		TEST(test_the_server_is_restarted),
		TEST(test_the_server_crashes),
		TEST_THROUGH_PROXY(test_the_answer_to_commit_is_lost),
		TEST_THROUGH_PROXY(test_a_server_that_says_nothing),
		TEST(test_the_server_refuses_a_group),
		TEST(test_the_backend_is_ended),
		TEST(test_a_statement_that_takes_too_long),
		TEST(test_places_that_will_not_do),
		TEST(test_a_schema_of_any_name),
	};
	log_open("test_journal_postgres", LOG_LEVEL_WARNING);
	server = kit_start_postgres();
	if (server)
		snprintf(target_dir, sizeof(target_dir), "%s", kit_postgres_dir());
	int result = cmocka_run_group_tests(tests, NULL, NULL);
	if (server)
		kit_stop_postgres();
	return result;
}
