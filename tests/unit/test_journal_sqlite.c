/* test_journal_sqlite.c - what can happen to a file: another process, a crash, a full disk, damage, an older copy. */
#include "journal_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <roomcast/log.h>

#include "journal_sqlite_parts.h"

static const struct journal_bound wide = { 100000, 100 << 20 };
static const struct place end_of_time = { UINT64_MAX, UINT64_MAX };

static struct kit kit;
static struct kit_seen seen;
static char path[100];

static int set_up(void **state)
{
	(void)state;
	kit = (struct kit){ 0 };
	kit_start(&kit, "sqlite");
	snprintf(path, sizeof(path), "%s/journal.sqlite", kit.dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kit_end(&kit);
	return 0;
}

/* --- files --- */

static struct buffer read_file(const char *name)
{
	struct buffer content = { 0 };
	char part[4096];
	FILE *file = fopen(name, "r");
	assert_non_null(file);
	for (size_t len; (len = fread(part, 1, sizeof(part), file)) > 0;)
		buffer_add(&content, part, len);
	fclose(file);
	return content;
}

static void write_file(const char *name, struct bytes content)
{
	FILE *file = fopen(name, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(content.data, 1, content.len, file), content.len);
	assert_int_equal(fclose(file), 0);
}

static off_t size_of(const char *suffix)
{
	char name[120];
	struct stat stats;
	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return stat(name, &stats) ? 0 : stats.st_size;
}

static void add_events_of(size_t count, size_t len)
{
	char *body = malloc(len + 1);
	assert_non_null(body);
	memset(body, 'b', len);
	body[len] = '\0';
	kit_store(&kit, count, body);
	free(body);
}

/* --- processes --- */

static void *reap(pid_t child)
{
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	return NULL;
}

static void test_another_process_is_the_writer(void **state)
{
	(void)state;
	int ready[2];
	char byte;
	struct error err = { 0 };
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		bool is_open = kit_open_writer(&kit, KIT_EPOCH, &err) == 0;
		if (write(ready[1], is_open ? "y" : "n", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	assert_int_equal(kit_open_writer(&kit, KIT_EPOCH, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	char endpoint[64];
	assert_int_equal(kit.journal->operations->find_active(kit.journal, endpoint, sizeof(endpoint), &err), 0);
	assert_string_equal(endpoint, "ipc:///tmp/line");
	kill(child, SIGKILL);
	reap(child);
	assert_int_equal(kit_open_writer(&kit, KIT_EPOCH, &err), 0);
	assert_place(kit.writer->last, KIT_EPOCH + 1, 0);
	close(ready[0]);
	close(ready[1]);
}

/* Stores groups without end and tells each committed seq. */
static void store_until_killed(int out)
{
	kit_open(&kit);
	for (;;) {
		kit_store(&kit, 3, "\"x\"");
		uint64_t seq = kit.writer->last.seq;
		if (write(out, &seq, sizeof(seq)) != (ssize_t)sizeof(seq))
			_exit(1);
	}
}

static void test_killed_while_storing(void **state)
{
	(void)state;
	for (int round = 0; round < 5; round++) {
		int told[2];
		uint64_t seq = 0, last = 0;
		assert_int_equal(pipe(told), 0);
		pid_t child = fork();
		if (child == 0)
			store_until_killed(told[1]);
		close(told[1]);
		for (int i = 0; i < 50 + 31 * round && read(told[0], &seq, sizeof(seq)) == (ssize_t)sizeof(seq); i++)
			last = seq;
		kill(child, SIGKILL);
		reap(child);
		while (read(told[0], &seq, sizeof(seq)) == (ssize_t)sizeof(seq))
			last = seq;
		close(told[0]);
		kit_open(&kit);
		uint64_t epoch = kit.writer->last.epoch - 1;
		long count = kit_read(&kit, at(epoch, 0), end_of_time, wide, &seen);
		assert_true(count >= (long)last && count % 3 == 0);
		for (long i = 0; i < count; i++)
			assert_place(seen.places[i], epoch, (uint64_t)i + 1);
		kit_close(&kit);
		kit.journal = journal_new("sqlite", &kit.settings, NULL);
	}
}

/* --- damage --- */

/* Opens and uses whatever is there; only survives. */
static void try_everything(void)
{
	struct error err = { 0 };
	struct journal_extent extent;
	struct place epochs[8], after;
	kit_close(&kit);
	kit.journal = journal_new("sqlite", &kit.settings, &err);
	assert_int_equal(kit.journal->operations->open_reader(kit.journal, &kit.reader, &err), 0);
	(void)!kit.reader->operations->extent(kit.reader, &extent, &err);
	(void)!kit.reader->operations->epochs(kit.reader, epochs, 8, &err);
	(void)!kit.reader->operations->window(kit.reader, 0, wide, &after, &err);
	seen = (struct kit_seen){ 0 };
	(void)!kit.reader->operations->read(kit.reader, at(0, 0), end_of_time, wide, kit_see, &seen, &err);
	if (kit_open_writer(&kit, KIT_EPOCH, &err))
		return;
	for (int i = 0; i < 2 && !kit.writer->operations->is_lost(kit.writer); i++) {
		if (kit.writer->operations->begin(kit.writer, &err))
			continue;
		struct journal_record record = kit_data_change(&kit, kit.writer->last.seq + 1, "t", "1", 4, "x");
		struct journal_entity entity;
		(void)!kit.writer->operations->find_entity(kit.writer, bytes_of("t"), bytes_of("1"), &entity, &err);
		if (kit.writer->operations->savepoint(kit.writer, 1, &err) == 0
		    && (kit_append(&kit, &record, &err) || kit.writer->operations->release(kit.writer, &err)))
			kit.writer->operations->undo(kit.writer);
		(void)kit.writer->operations->commit(kit.writer, &err);
		(void)!kit.journal->operations->trim(kit.journal, UINT64_MAX / 2, &err);
	}
}

static void test_a_damaged_file_is_refused_and_left_alone(void **state)
{
	(void)state;
	struct error err = { 0 };
	struct journal_extent extent;
	kit_open(&kit);
	kit_store(&kit, 100, "\"body\"");
	kit_close(&kit);
	struct buffer good = read_file(path), bad = read_file(path);
	memset(bad.data, 'x', 100);
	write_file(path, buffer_bytes(&bad));
	kit.journal = journal_new("sqlite", &kit.settings, &err);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(kit_open_writer(&kit, KIT_EPOCH, &err), -1);
		assert_int_equal(err.code, ERROR_SYSTEM);
		assert_non_null(strstr(err.text, "not a database"));
	}
	assert_int_equal(kit.journal->operations->open_reader(kit.journal, &kit.reader, &err), 0);
	assert_int_equal(kit.reader->operations->extent(kit.reader, &extent, &err), -1);
	struct buffer after = read_file(path);
	assert_int_equal(after.len, bad.len);
	assert_memory_equal(after.data, bad.data, bad.len);
	/* Put right under the running process: it goes on by itself. */
	write_file(path, buffer_bytes(&good));
	assert_int_equal(kit_open_writer(&kit, KIT_EPOCH, &err), 0);
	kit_assert_extent(&kit, at(KIT_EPOCH, 1), at(KIT_EPOCH, 100));
	kit_store(&kit, 1, "1");
	buffer_deinit(&good);
	buffer_deinit(&bad);
	buffer_deinit(&after);
}

static void test_damage_anywhere_ends_nobody(void **state)
{
	(void)state;
	enum { PAGE = 4096 };
	kit_open(&kit);
	kit_begin(&kit);
	for (uint64_t seq = 1; seq <= 60; seq++) {
		char id[8];
		snprintf(id, sizeof(id), "%u", (unsigned)seq % 7);
		struct journal_record record = kit_data_change(&kit, seq, "t", id, 1, "{\"some\":\"data\"}");
		kit_add(&kit, &record);
	}
	kit_commit(&kit);
	add_events_of(3, 9000);
	kit_close(&kit);
	struct buffer good = read_file(path);
	size_t pages = good.len / PAGE;
	assert_true(pages > 10);
	for (size_t page = 0; page < pages; page++) {
		for (int kind = 0; kind < 3; kind++) {
			struct buffer bad = { 0 };
			buffer_add_bytes(&bad, buffer_bytes(&good));
			size_t from = page * PAGE + (page ? 0 : 100);
			if (kind < 2)
				memset(bad.data + from, kind ? 0xff : 0, PAGE - (page ? 0 : 100));
			else
				for (size_t i = from; i < (page + 1) * PAGE; i += 3)
					bad.data[i] = (char)(i * 7);
			write_file(path, buffer_bytes(&bad));
			try_everything();
			kit_close(&kit);
			buffer_deinit(&bad);
		}
	}
	/* Cut off anywhere. */
	for (size_t len = 0; len < good.len; len += 1777) {
		write_file(path, (struct bytes){ good.data, len });
		try_everything();
		kit_close(&kit);
	}
	buffer_deinit(&good);
}

static void test_a_foreign_or_newer_file_is_refused(void **state)
{
	(void)state;
	static const char *const files[] = { "CREATE TABLE t (a); INSERT INTO t VALUES (1)", "PRAGMA user_version = 99" };
	for (size_t i = 0; i < 2; i++) {
		struct error err = { 0 };
		sqlite3 *db;
		if (i) {
			kit_open(&kit);
			kit_close(&kit);
		}
		assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, files[i], NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		if (i)
			kit.journal = journal_new("sqlite", &kit.settings, &err);
		assert_int_equal(kit_open_writer(&kit, KIT_EPOCH, &err), -1);
		assert_non_null(strstr(err.text, i ? "another release" : "not one of roomcast's"));
		assert_int_equal(unlink(path), 0);
	}
	kit_open(&kit);
}

static void test_another_file_in_its_place(void **state)
{
	(void)state;
	struct error err = { 0 };
	char aside[120];
	kit_open(&kit);
	kit_store(&kit, 5, "1");
	snprintf(aside, sizeof(aside), "%s.aside", path);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(kit.writer->operations->begin(kit.writer, &err), -1);
	assert_true(kit.writer->operations->is_lost(kit.writer));
	struct journal_extent extent;
	assert_int_equal(kit.reader->operations->extent(kit.reader, &extent, &err), -1);
	/* A new one, in an epoch of its own; then the old one comes back. */
	kit_close(&kit);
	unlink(aside);
	kit_open(&kit);
	assert_place(kit.writer->last, KIT_EPOCH + 1, 0);
	kit_assert_extent(&kit, at(0, 0), at(0, 0));
}

static void test_an_older_copy_uses_no_epoch_twice(void **state)
{
	(void)state;
	kit_open(&kit);
	kit_store(&kit, 5, "1");
	kit_close(&kit);
	struct buffer copy = read_file(path);
	for (uint64_t epoch = KIT_EPOCH + 1; epoch < KIT_EPOCH + 4; epoch++) {
		kit_open(&kit);
		assert_place(kit.writer->last, epoch, 0);
		kit_store(&kit, 5, "2");
		kit_close(&kit);
	}
	write_file(path, buffer_bytes(&copy));
	kit_open(&kit);
	assert_place(kit.writer->last, KIT_EPOCH + 4, 0);
	kit_assert_extent(&kit, at(KIT_EPOCH, 1), at(KIT_EPOCH, 5));
	kit_store(&kit, 1, "3");
	struct place epochs[8];
	assert_int_equal(kit.reader->operations->epochs(kit.reader, epochs, 8, NULL), 2);
	assert_place(epochs[0], KIT_EPOCH, 5);
	assert_place(epochs[1], KIT_EPOCH + 4, 1);
	buffer_deinit(&copy);
}

static bool is_open_here(const char *name)
{
	char link[64], target[200];
	bool is_open = false;
	for (int fd = 0; fd < 256; fd++) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		ssize_t len = readlink(link, target, sizeof(target) - 1);
		is_open = is_open || (len > 0 && strncmp(target, name, strlen(name)) == 0);
	}
	return is_open;
}

/* Opened on a read-only disk, its shared memory would stay read-only for a writer of this process, also when the disk is no longer. */
static void test_readers_keep_nothing_open_without_a_writer(void **state)
{
	(void)state;
	kit_open(&kit);
	kit_store(&kit, 3, "1");
	kit_assert_extent(&kit, at(KIT_EPOCH, 1), at(KIT_EPOCH, 3));
	kit_close(&kit);
	kit.journal = journal_new("sqlite", &kit.settings, NULL);
	assert_int_equal(kit.journal->operations->open_reader(kit.journal, &kit.reader, NULL), 0);
	kit_assert_extent(&kit, at(KIT_EPOCH, 1), at(KIT_EPOCH, 3));
	assert_false(is_open_here(path));
	kit_open(&kit);
	kit_assert_extent(&kit, at(KIT_EPOCH, 1), at(KIT_EPOCH, 3));
	assert_true(is_open_here(path));
}

/* So that an older copy can be put in its place without another file's WAL being applied to it. */
static void test_an_end_leaves_one_file(void **state)
{
	(void)state;
	kit_open(&kit);
	kit_store(&kit, 3, "1");
	kit_assert_extent(&kit, at(KIT_EPOCH, 1), at(KIT_EPOCH, 3));
	assert_true(size_of("-wal") > 0);
	kit_close(&kit); /* the reader after the writer, as the gateway does */
	assert_int_equal(size_of("-wal"), 0);
	assert_int_equal(size_of("-shm"), 0);
	kit_open(&kit);
	kit_assert_extent(&kit, at(KIT_EPOCH, 1), at(KIT_EPOCH, 3));
}

/* --- space --- */

static sqlite3 *writers_db(void)
{
	return ((struct sqlite_writer *)kit.writer)->file.db;
}

static void pragma(const char *name, long long value)
{
	char sql[100];
	snprintf(sql, sizeof(sql), "PRAGMA %s = %lld", name, value);
	assert_int_equal(sqlite3_exec(writers_db(), sql, NULL, NULL, NULL), SQLITE_OK);
}

static long long ask_pragma(const char *name)
{
	char sql[100];
	sqlite3_stmt *statement;
	snprintf(sql, sizeof(sql), "PRAGMA %s", name);
	assert_int_equal(sqlite3_prepare_v2(writers_db(), sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	long long value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return value;
}

/* Groups of one event until one is not stored; its reason is err. */
static void fill(size_t len, struct error *err)
{
	char *body = malloc(len);
	assert_non_null(body);
	memset(body, 'f', len);
	for (int i = 0; i < 10000; i++) {
		struct journal_record record = kit_event(&kit, kit.writer->last.seq + 1, "");
		record.message.body = (struct bytes){ body, len };
		*err = (struct error){ 0 };
		bool is_begun = kit.writer->operations->begin(kit.writer, err) == 0;
		bool is_added = is_begun && kit.writer->operations->savepoint(kit.writer, 1, err) == 0;
		if (is_added && (kit_append(&kit, &record, err) || kit.writer->operations->release(kit.writer, err)))
			kit.writer->operations->undo(kit.writer);
		if (!is_begun || kit.writer->operations->commit(kit.writer, err) != JOURNAL_STORED || err->code)
			break;
	}
	free(body);
	assert_int_not_equal(err->code, ERROR_NONE);
}

/* One event has no savepoint: refused before it is appended it fails alone, afterwards with its group. */
static void test_an_event_undone(void **state)
{
	(void)state;
	struct error err = { 0 };
	kit_open(&kit);
	kit_begin(&kit);
	kit_add_events(&kit, 1, "good");
	kit_savepoint(&kit, 1);
	struct journal_record record = kit_event(&kit, kit.writer->last.seq + 7, "not the next");
	assert_int_equal(kit_append(&kit, &record, &err), -1);
	kit_undo(&kit);
	assert_int_equal(kit.writer->operations->commit(kit.writer, &err), JOURNAL_STORED);
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, wide, &seen), 1);
	kit_begin(&kit);
	kit_add_events(&kit, 1, "lost with the next");
	kit_savepoint(&kit, 1);
	record = kit_event(&kit, kit.writer->last.seq + 2, "undone");
	assert_int_equal(kit_append(&kit, &record, &err), 0);
	kit_undo(&kit);
	assert_int_equal(kit.writer->operations->commit(kit.writer, &err), JOURNAL_NOT_STORED);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_false(kit.writer->operations->is_lost(kit.writer));
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, wide, &seen), 1);
	kit_store(&kit, 2, "next");
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, wide, &seen), 3);
}

static void test_full_by_its_own_bound(void **state)
{
	(void)state;
	struct error err;
	kit_open(&kit);
	kit_store(&kit, 1, "first");
	pragma("max_page_count", ask_pragma("page_count") + 20);
	fill(3000, &err);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_non_null(strstr(err.text, "full"));
	assert_false(kit.writer->operations->is_lost(kit.writer));
	uint64_t last = kit.writer->last.seq;
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, wide, &seen), last);
	/* A request that is too much fails alone. */
	pragma("max_page_count", ask_pragma("page_count") + 20);
	static char large[200000];
	memset(large, 'l', sizeof(large) - 1);
	kit_begin(&kit);
	kit_add_events(&kit, 1, "small");
	struct journal_record record = kit_event(&kit, last + 2, large);
	kit_savepoint(&kit, 2);
	int result = kit_append(&kit, &record, &err);
	assert_int_equal(result, -1);
	kit_undo(&kit);
	/* SQLite gives the whole transaction up when it is full: then nothing of the group is stored. */
	enum journal_outcome outcome = kit.writer->operations->commit(kit.writer, &err);
	assert_true(outcome == JOURNAL_STORED || outcome == JOURNAL_NOT_STORED);
	assert_int_equal(kit.writer->last.seq, outcome == JOURNAL_STORED ? last + 1 : last);
	pragma("max_page_count", 1 << 30);
	kit_store(&kit, 3, large);
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, wide, &seen), kit.writer->last.seq);
}

/* A small file system of this test's own at kit.dir, in a namespace of its own. */
static bool has_small_disk(const char *options)
{
	if (unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return false;
	return mount("none", kit.dir, "tmpfs", 0, options) == 0;
}

/* In the child: its exit status counts the failure. */
static void live_on_a_small_disk(void)
{
	struct error err = { 0 };
	char filler[100];
	static char block[60000];
	kit_open(&kit);
	kit_store(&kit, 3, "first");
	snprintf(filler, sizeof(filler), "%s/filler", kit.dir);
	for (int round = 0; round < 3; round++) {
		FILE *file = fopen(filler, "w");
		for (int i = 0; i < 100 && file && fwrite(block, 1, sizeof(block), file) == sizeof(block); i++)
			fflush(file);
		if (file)
			fclose(file);
		fill(2000, &err);
		assert_int_equal(err.code, ERROR_UNAVAILABLE);
		assert_int_equal(kit_read(&kit, at(KIT_EPOCH, 0), end_of_time, wide, &seen), kit.writer->last.seq);
		assert_int_equal(unlink(filler), 0);
		(void)!kit.journal->operations->trim(kit.journal, 1, &err); /* makes room in the WAL */
		if (kit.writer->operations->is_lost(kit.writer))
			assert_int_equal(kit_open_writer(&kit, KIT_EPOCH, &err), 0);
		kit_store(&kit, 2, "again");
	}
	/* Read-only, and back. */
	struct place stored = kit.writer->last;
	kit_close(&kit);
	assert_int_equal(mount("none", kit.dir, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	kit.journal = journal_new("sqlite", &kit.settings, &err);
	assert_int_equal(kit_open_writer(&kit, KIT_EPOCH, &err), -1);
	assert_non_null(strstr(err.text, "journal.sqlite: journal: the file cannot be written"));
	struct place last;
	assert_true(kit.journal->operations->holds_lock(kit.journal, &last));
	assert_int_equal(place_compare(last, stored), 0);
	assert_int_equal(kit.journal->operations->open_reader(kit.journal, &kit.reader, &err), 0);
	assert_int_equal(kit_read(&kit, at(KIT_EPOCH, 0), end_of_time, wide, &seen), stored.seq);
	assert_int_equal(mount("none", kit.dir, NULL, MS_REMOUNT | MS_BIND, NULL), 0);
	assert_int_equal(kit_open_writer(&kit, KIT_EPOCH, &err), 0);
	kit_store(&kit, 2, "again");
	kit_close(&kit);
}

static void test_full_disk(void **state)
{
	(void)state;
	pid_t child = fork();
	if (child == 0) {
		if (!has_small_disk("size=3m"))
			_exit(77);
		live_on_a_small_disk();
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static void trim_all(void)
{
	struct error err = { 0 };
	int more;
	while ((more = kit.journal->operations->trim(kit.journal, 1, &err)) > 0)
		continue;
	if (more < 0)
		fail_msg("trim: %s", err.text);
}

static void test_the_file_does_not_grow_for_ever(void **state)
{
	(void)state;
	kit.settings.retention.events = 1000;
	kit_close(&kit);
	kit_open(&kit);
	off_t half = 0;
	for (int i = 0; i < 100; i++) {
		add_events_of(100, 1000);
		trim_all();
		if (i == 50)
			half = size_of("");
	}
	assert_true(half > 0 && size_of("") <= half + half / 10);
	/* Told to keep less, it gives back. */
	kit_close(&kit);
	kit.settings.retention.events = 10;
	off_t before = size_of("");
	assert_true(before > 2 << 20 || before > 1000 * 1000);
	kit_open(&kit);
	add_events_of(5000, 2000);
	off_t large = size_of("") + size_of("-wal");
	trim_all();
	kit_close(&kit);
	assert_true(size_of("") < large * 2 / 3);
}

static void test_the_wal_is_bounded(void **state)
{
	(void)state;
	off_t largest = 0;
	kit.settings.retention.events = 1000;
	kit_close(&kit);
	kit_open(&kit);
	for (int i = 0; i < 400; i++) {
		add_events_of(50, 2000);
		if (i % 10 == 0)
			trim_all();
		largest = size_of("-wal") > largest ? size_of("-wal") : largest;
	}
	assert_in_range(largest, 1, 24 << 20);
	/* Without anybody who trims, the commit itself copies. */
	for (int i = 0; i < 800; i++)
		add_events_of(50, 2000);
	assert_in_range(size_of("-wal"), 1, 48 << 20);
	/* A reader from outside that stays in the WAL lets it grow; when it has gone, the WAL starts anew, cut to its limit. */
	sqlite3 *outside;
	assert_int_equal(sqlite3_open(path, &outside), SQLITE_OK);
	assert_int_equal(sqlite3_exec(outside, "BEGIN; SELECT count(*) FROM events", NULL, NULL, NULL), SQLITE_OK);
	for (int i = 0; i < 400; i++)
		add_events_of(50, 2000);
	assert_int_equal(sqlite3_close(outside), SQLITE_OK);
	add_events_of(1, 2000);
	trim_all();
	add_events_of(1, 2000);
	assert_in_range(size_of("-wal"), 1, 17 << 20);
}

static void test_durability(void **state)
{
	(void)state;
	kit_open(&kit);
	assert_int_equal(ask_pragma("synchronous"), 1);
	kit_close(&kit);
	kit.settings.durability = DURABILITY_FULL;
	kit_open(&kit);
	assert_int_equal(ask_pragma("synchronous"), 2);
	kit_store(&kit, 1, "1");
}

/* A program from outside that holds the file's lock delays us, and no more. */
static void test_locked_from_outside(void **state)
{
	(void)state;
	struct error err = { 0 };
	sqlite3 *outside;
	kit_open(&kit);
	assert_int_equal(sqlite3_open(path, &outside), SQLITE_OK);
	assert_int_equal(sqlite3_exec(outside, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(kit.writer->operations->begin(kit.writer, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_non_null(strstr(err.text, "locked"));
	assert_false(kit.writer->operations->is_lost(kit.writer));
	kit_assert_extent(&kit, at(0, 0), at(0, 0));
	assert_int_equal(sqlite3_close(outside), SQLITE_OK);
	kit_store(&kit, 1, "1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_another_process_is_the_writer),
		TEST(test_killed_while_storing),
		TEST(test_a_damaged_file_is_refused_and_left_alone),
		TEST(test_damage_anywhere_ends_nobody),
		TEST(test_a_foreign_or_newer_file_is_refused),
		TEST(test_another_file_in_its_place),
		TEST(test_an_older_copy_uses_no_epoch_twice),
		TEST(test_readers_keep_nothing_open_without_a_writer),
		TEST(test_an_end_leaves_one_file),
		TEST(test_an_event_undone),
		TEST(test_full_by_its_own_bound),
		TEST(test_full_disk),
		TEST(test_the_file_does_not_grow_for_ever),
		TEST(test_the_wal_is_bounded),
		TEST(test_durability),
		TEST(test_locked_from_outside),
	};
	log_open("test_journal_sqlite", LOG_LEVEL_WARNING);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
