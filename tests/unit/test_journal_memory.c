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

static void visit(void *data, uint64_t seq, struct bytes packed)
{
	struct seen *seen = data;
	if (!seen->first)
		seen->first = seq;
	seen->last = seq;
	seen->bytes += packed.len;
}

static void append(struct journal *journal, uint64_t seq, struct bytes packed)
{
	assert_int_equal(journal->operations->append(journal, seq, NULL, packed, NULL), 0);
}

static void store(struct journal *journal, uint64_t from, uint64_t to, struct bytes packed)
{
	assert_int_equal(journal->operations->begin(journal, NULL), 0);
	for (uint64_t seq = from; seq <= to; seq++)
		append(journal, seq, packed);
	assert_int_equal(journal->operations->commit(journal, NULL), 0);
}

static long read_range(struct journal *journal, uint64_t from, uint64_t last, struct journal_bound bound, struct seen *seen)
{
	*seen = (struct seen){ 0 };
	return journal->operations->read(journal, 7, from, last, bound, visit, seen, NULL);
}

static void assert_extent(struct journal *journal, uint64_t first, uint64_t last)
{
	struct journal_extent extent;
	assert_int_equal(journal->operations->extent(journal, 7, &extent, NULL), 0);
	assert_true(extent.first == first && extent.last == last);
}

static void test_ring(void **state)
{
	(void)state;
	struct journal *journal = journal_memory_open(7, (struct journal_bound){ 10, 1000 }, NULL);
	struct journal_extent extent;
	struct seen seen;
	const struct journal_bound wide = { 100, 100000 };
	assert_extent(journal, 1, 0);
	assert_int_equal(read_range(journal, 1, 100, wide, &seen), 0);
	store(journal, 1, 10, bytes_of("0123456789"));
	assert_extent(journal, 1, 10);
	store(journal, 11, 13, bytes_of("0123456789"));
	assert_extent(journal, 4, 13);
	assert_int_equal(read_range(journal, 3, 13, wide, &seen), 0); /* gone: not even in part */
	assert_int_equal(read_range(journal, 4, 100, wide, &seen), 10);
	assert_true(seen.first == 4 && seen.last == 13 && seen.bytes == 100);
	assert_int_equal(read_range(journal, 5, 6, wide, &seen), 2);
	assert_int_equal(read_range(journal, 5, 13, (struct journal_bound){ 3, 1000 }, &seen), 3);
	assert_int_equal(read_range(journal, 5, 13, (struct journal_bound){ 100, 25 }, &seen), 2);
	assert_int_equal(read_range(journal, 5, 13, (struct journal_bound){ 100, 1 }, &seen), 1);
	assert_int_equal(journal->operations->extent(journal, 8, &extent, NULL), -1);
	/* What is not committed is not seen. */
	append(journal, 14, bytes_of("x"));
	assert_int_equal(read_range(journal, 14, 14, wide, &seen), 0);
	assert_int_equal(journal->operations->commit(journal, NULL), 0);
	assert_int_equal(read_range(journal, 14, 14, wide, &seen), 1);
	journal_close(journal);
}

static void test_bytes_bound(void **state)
{
	(void)state;
	struct journal *journal = journal_memory_open(7, (struct journal_bound){ 100, 25 }, NULL);
	char large[100] = { 0 };
	store(journal, 1, 5, bytes_of("0123456789"));
	assert_extent(journal, 4, 5);
	store(journal, 6, 6, (struct bytes){ large, sizeof(large) }); /* the newest stays whatever its size */
	assert_extent(journal, 6, 6);
	store(journal, 7, 7, bytes_of("x"));
	assert_extent(journal, 7, 7);
	journal_close(journal);
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
