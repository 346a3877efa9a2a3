/* test_state_dir.c - the lock and the epoch on disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "state_dir.h"

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
		cmocka_unit_test(test_epochs_only_grow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
