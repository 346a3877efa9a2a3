/* test_journal_memory.c - the ring of the newest events, and the epoch on disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "journal.h"
#include "state_dir.h"

struct seen {
	uint64_t first, last;
	size_t bytes;
};

static void visit(void *data, const struct journal_record *record)
{
	struct seen *seen = data;
	if (!seen->first)
		seen->first = record->message.seq;
	seen->last = record->message.seq;
	seen->bytes += record->message.body.len;
}

static struct journal *journal;
static struct journal_writer *writer;
static struct journal_reader *reader;

static void open_with(uint64_t events, uint64_t bytes)
{
	struct journal_settings settings = { .retention = { .events = events, .bytes = bytes } };
	journal = journal_new("off", &settings, NULL);
	assert_non_null(journal);
	assert_int_equal(journal->operations->open_writer(journal, 7, "ipc://here", &writer, NULL), 0);
	assert_int_equal(journal->operations->open_reader(journal, &reader, NULL), 0);
	assert_true(writer->last.epoch == 7 && writer->last.seq == 0);
}

static void close_all(void)
{
	writer->operations->close(writer);
	reader->operations->close(reader);
	journal_close(journal);
}

static void store(size_t count, struct bytes body)
{
	assert_int_equal(writer->operations->begin(writer, NULL), 0);
	for (size_t i = 1; i <= count; i++) {
		struct journal_record record = { .version = VERSION_NONE };
		record.message = (struct message){ .kind = MESSAGE_EVENT, .epoch = 7, .seq = writer->last.seq + i, .body = body };
		assert_int_equal(writer->operations->savepoint(writer, NULL), 0);
		assert_int_equal(writer->operations->append(writer, &record, NULL), 0);
		assert_int_equal(writer->operations->release(writer, NULL), 0);
	}
	assert_int_equal(writer->operations->commit(writer, NULL), JOURNAL_STORED);
}

static long read_range(uint64_t after, uint64_t last, struct journal_bound bound, struct seen *seen)
{
	*seen = (struct seen){ 0 };
	return reader->operations->read(reader, (struct place){ 7, after }, (struct place){ 7, last }, bound, visit, seen, NULL);
}

static void assert_extent(uint64_t first, uint64_t last)
{
	struct journal_extent extent;
	assert_int_equal(reader->operations->extent(reader, &extent, NULL), 0);
	assert_true(extent.first.seq == first && extent.last.seq == last && extent.first.epoch == (last ? 7 : 0));
}

static void test_ring(void **state)
{
	(void)state;
	struct seen seen;
	const struct journal_bound wide = { 100, 100000 };
	const size_t size = 74; /* of one record */
	open_with(10, 100000);
	assert_extent(0, 0);
	assert_int_equal(read_range(0, 100, wide, &seen), 0);
	store(10, bytes_of("0123456789"));
	assert_extent(1, 10);
	store(3, bytes_of("0123456789"));
	assert_extent(4, 13);
	assert_int_equal(read_range(0, 100, wide, &seen), 10);
	assert_true(seen.first == 4 && seen.last == 13 && seen.bytes == 100);
	assert_int_equal(read_range(4, 6, wide, &seen), 2);
	assert_int_equal(read_range(4, 13, (struct journal_bound){ 3, 100000 }, &seen), 3);
	assert_int_equal(read_range(4, 13, (struct journal_bound){ 100, 2 * size + 5 }, &seen), 2);
	assert_int_equal(read_range(4, 13, (struct journal_bound){ 100, 1 }, &seen), 1);
	close_all();
}

static void test_bytes_bound(void **state)
{
	(void)state;
	char large[1000] = { 0 };
	open_with(100, 2 * 74 + 5);
	store(5, bytes_of("0123456789"));
	assert_extent(4, 5);
	store(1, (struct bytes){ large, sizeof(large) }); /* the newest stays whatever its size */
	assert_extent(6, 6);
	store(1, bytes_of("x"));
	assert_extent(7, 7);
	close_all();
}

static void write_epoch_file(const char *dir, const char *text)
{
	char path[200];
	snprintf(path, sizeof(path), "%s/epoch", dir);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void remove_dir(const char *dir)
{
	static const char *const files[] = { "epoch", "lock" };
	char path[200];
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(dir), 0);
}

static void test_epochs_only_grow(void **state)
{
	(void)state;
	char parent[] = "/tmp/roomcast-test-XXXXXX", dir[100];
	struct state_dir state_dir, second;
	struct error err;
	uint64_t epoch;
	assert_non_null(mkdtemp(parent));
	snprintf(dir, sizeof(dir), "%s/state", parent);
	assert_int_equal(state_dir_open(dir, &state_dir, &err), 0);
	assert_int_equal(state_dir_open(dir, &second, &err), -1); /* locked */
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_int_equal(state_dir_next_epoch(&state_dir, 1000, &epoch, &err), 0);
	assert_true(epoch == 1000);
	assert_int_equal(state_dir_next_epoch(&state_dir, 1000, &epoch, &err), 0);
	assert_true(epoch == 1001);
	assert_int_equal(state_dir_next_epoch(&state_dir, 5, &epoch, &err), 0); /* the clock went back */
	assert_true(epoch == 1002);
	assert_int_equal(state_dir_next_epoch(&state_dir, 2000, &epoch, &err), 0);
	assert_true(epoch == 2000);
	static const char *const broken[] = { "", "x\n", "12", "-1\n", "99999999999999999999999\n", "1 2\n" };
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		write_epoch_file(dir, broken[i]);
		assert_int_equal(state_dir_next_epoch(&state_dir, 2000, &epoch, &err), -1);
	}
	state_dir_close(&state_dir);
	remove_dir(dir);
	rmdir(parent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_bytes_bound),
		cmocka_unit_test(test_epochs_only_grow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
