/* test_journal_sqlite_wal.c - a WAL that a killed gateway left is applied to its own journal, always, and never to an older copy of it. */
#include "journal_kit.h"

#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <roomcast/log.h>

#include "journal_sqlite_parts.h"

enum { COPIES = 4, LARGE_EVENTS = 1500, LARGE_BYTES = 4000 };

static struct kit kit;

static int set_up(void **state)
{
	(void)state;
	kit = (struct kit){ 0 };
	kit_start(&kit, "sqlite");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kit_end(&kit);
	return 0;
}

/* --- files --- */

static const char *file_of(const struct kit *of, const char *suffix)
{
	static _Thread_local char name[2][200];
	static _Thread_local unsigned turn;
	char *out = name[turn++ % 2];
	snprintf(out, sizeof(name[0]), "%s/%s", of->dir, suffix);
	return out;
}

static void copy_file(const char *from, const char *to)
{
	char part[4096];
	FILE *in = fopen(from, "r"), *out = fopen(to, "w");
	assert_non_null(in);
	assert_non_null(out);
	for (size_t len; (len = fread(part, 1, sizeof(part), in)) > 0;)
		assert_int_equal(fwrite(part, 1, len, out), len);
	fclose(in);
	assert_int_equal(fclose(out), 0);
}

/* What a kill -9 at this moment would leave. */
static void copy_as_killed(struct kit *to)
{
	static const char *const files[] = { "journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "journal.sqlite-base", "epoch" };
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		copy_file(file_of(&kit, files[i]), file_of(to, files[i]));
}

/* As "sqlite3 journal.sqlite '.backup copy'" does. */
static void back_up(const char *to)
{
	sqlite3 *from_db, *to_db;
	assert_int_equal(sqlite3_open_v2(file_of(&kit, "journal.sqlite"), &from_db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_open(to, &to_db), SQLITE_OK);
	sqlite3_backup *backup = sqlite3_backup_init(to_db, "main", from_db, "main");
	assert_non_null(backup);
	assert_int_equal(sqlite3_backup_step(backup, -1), SQLITE_DONE);
	assert_int_equal(sqlite3_backup_finish(backup), SQLITE_OK);
	sqlite3_close(to_db);
	sqlite3_close(from_db);
}

static size_t count_set_aside(const struct kit *of)
{
	glob_t found = { 0 };
	size_t count = glob(file_of(of, "journal.sqlite-wal.stale-*"), 0, NULL, &found) == 0 ? found.gl_pathc : 0;
	globfree(&found);
	return count;
}

static void assert_whole(const struct kit *of)
{
	sqlite3 *db;
	sqlite3_stmt *statement;
	assert_int_equal(sqlite3_open_v2(file_of(of, "journal.sqlite"), &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
	sqlite3_finalize(statement);
	sqlite3_close(db);
}

/* --- the journal --- */

static void trim_all(struct kit *of)
{
	struct error err = { 0 };
	int more;
	while ((more = of->journal->operations->trim(of->journal, 1, &err)) > 0)
		continue;
	if (more < 0)
		fail_msg("trim: %s", err.text);
}

static void store_large(size_t count)
{
	static char body[LARGE_BYTES + 1];
	memset(body, 'b', LARGE_BYTES);
	kit_store(&kit, count, body);
}

/* The WAL is copied into the file, and begun anew. */
static void begin_wal(void)
{
	store_large(LARGE_EVENTS);
	trim_all(&kit);
	kit_store(&kit, 1, "the first of a new WAL");
	trim_all(&kit);
}

static struct place last_of(struct kit *of)
{
	struct journal_extent extent;
	struct error err = { 0 };
	if (of->reader->operations->extent(of->reader, &extent, &err))
		fail_msg("%s", err.text);
	return extent.last;
}

/* Opens a copy, with another journal in its place if there is one; it must be whole and take new events. Returns how many WALs were set aside. */
static size_t open_copy(const char *journal, struct place *last)
{
	struct kit copy = { 0 };
	kit_start(&copy, "sqlite");
	copy_as_killed(&copy);
	if (journal)
		copy_file(journal, file_of(&copy, "journal.sqlite"));
	kit_open(&copy);
	*last = last_of(&copy);
	kit_store(&copy, 3, "new");
	assert_whole(&copy);
	size_t count = count_set_aside(&copy);
	kit_end(&copy);
	return count;
}

static void test_an_older_copy_beside_a_newer_wal(void **state)
{
	(void)state;
	char names[COPIES][200];
	struct place ends[COPIES], last, now;
	kit_open(&kit);
	for (int i = 0; i < COPIES; i++) {
		kit_store(&kit, 10, "small");
		if (i % 2)
			trim_all(&kit);
		snprintf(names[i], sizeof(names[i]), "%s", file_of(&kit, "copy"));
		snprintf(names[i] + strlen(names[i]), 10, "-%d", i);
		back_up(names[i]);
		ends[i] = kit.writer->last;
		kit_store(&kit, 5, "small");
		begin_wal();
	}
	kit_store(&kit, 10, "after that");
	now = kit.writer->last;
	for (int i = 0; i < COPIES; i++) {
		assert_int_equal(open_copy(names[i], &last), 1);
		assert_int_equal(place_compare(last, ends[i]), 0);
	}
	/* Its own, and a copy to which it can be applied. */
	assert_int_equal(open_copy(NULL, &last), 0);
	assert_int_equal(place_compare(last, now), 0);
	back_up(names[0]);
	kit_store(&kit, 10, "and after that");
	assert_int_equal(open_copy(names[0], &last), 0);
	assert_int_equal(place_compare(last, kit.writer->last), 0);
}

/* A copy of before the gateway was started again, which was killed soon. */
static void test_a_copy_of_before_the_last_start(void **state)
{
	(void)state;
	struct place last;
	char name[200];
	kit_open(&kit);
	store_large(100);
	struct place end = kit.writer->last;
	snprintf(name, sizeof(name), "%s", file_of(&kit, "copy"));
	back_up(name);
	store_large(100);
	kit_close(&kit);
	kit_open(&kit);
	kit_store(&kit, 1, "one");
	trim_all(&kit);
	assert_int_equal(open_copy(name, &last), 1);
	assert_int_equal(place_compare(last, end), 0);
}

/* What SQLite leaves whole at any moment, the generations do not spoil. */
static void test_every_moment_is_a_good_one_to_be_killed(void **state)
{
	(void)state;
	struct place last;
	kit_open(&kit);
	kit_store(&kit, 1, "first");
	trim_all(&kit);
	for (int i = 0; i < 40; i++) {
		store_large((size_t)(i * 37 % 400) + 1);
		if (i % 3 == 0)
			trim_all(&kit);
		assert_int_equal(open_copy(NULL, &last), 0);
		assert_int_equal(place_compare(last, kit.writer->last), 0);
		if (i % 3 == 1)
			trim_all(&kit);
	}
}

static void *trim_for_ever(void *data)
{
	struct error err;
	(void)data;
	for (;;)
		(void)kit.journal->operations->trim(kit.journal, 1, &err);
	return NULL;
}

/* In the child: stores, while another thread checkpoints, and says after each group how far it is. */
static void live_until_killed(int out)
{
	pthread_t thread;
	alarm(60);
	kit_open(&kit);
	if (pthread_create(&thread, NULL, trim_for_ever, NULL))
		_exit(1);
	for (size_t i = 0;; i++) {
		store_large(i * 37 % 200 + 1);
		if (write(out, &kit.writer->last, sizeof(kit.writer->last)) != sizeof(kit.writer->last))
			_exit(1);
	}
}

static void test_killed_while_checkpoints_are_made(void **state)
{
	(void)state;
	kit.settings.retention.events = 2000;
	for (unsigned round = 0; round < 8; round++) {
		int way[2];
		struct place last = { 0 }, said;
		assert_int_equal(pipe(way), 0);
		pid_t child = fork();
		if (child == 0)
			live_until_killed(way[1]);
		close(way[1]);
		for (unsigned i = 0; i < 5 + round * 7 && read(way[0], &said, sizeof(said)) == sizeof(said); i++)
			last = said;
		usleep(round * 777);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		while (read(way[0], &said, sizeof(said)) == sizeof(said))
			last = said;
		close(way[0]);
		assert_true(last.epoch != 0);
		kit_close(&kit);
		kit_open(&kit);
		assert_int_equal(count_set_aside(&kit), 0);
		assert_true(place_compare(last_of(&kit), last) >= 0);
		assert_whole(&kit);
		kit_close(&kit);
		kit.journal = journal_new("sqlite", &kit.settings, NULL);
	}
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_an_older_copy_beside_a_newer_wal),
		TEST(test_a_copy_of_before_the_last_start),
		TEST(test_every_moment_is_a_good_one_to_be_killed),
		TEST(test_killed_while_checkpoints_are_made),
	};
	log_open("test_journal_sqlite_wal", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
