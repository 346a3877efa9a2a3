/* test_listener.c - addresses become listening sockets; socket files of the dead are replaced, of the living not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "listener.h"

static char directory[64], path[80], address[96];
static struct error err;

static int setup(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/roomcast-listener-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/s", directory);
	snprintf(address, sizeof(address), "unix:%s", path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

static unsigned port_of(int fd)
{
	struct sockaddr_in name;
	socklen_t len = sizeof(name);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	return ntohs(name.sin_port);
}

static bool answers(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bool result = connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0;
	close(fd);
	return result;
}

static void test_tcp(void **state)
{
	(void)state;
	int fd = listener_open("127.0.0.1:0", &err);
	assert_true(fd >= 0);
	assert_true(port_of(fd) > 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(listen(fd, LISTENER_BACKLOG), 0);
	char taken[32];
	snprintf(taken, sizeof(taken), "127.0.0.1:%u", port_of(fd));
	assert_int_equal(listener_open(taken, &err), -1);
	assert_int_equal(err.code, ERROR_SYSTEM);
	assert_non_null(strstr(err.text, taken));
	close(fd);
}

static void test_names_and_brackets(void **state)
{
	(void)state;
	static const char *const good[] = { "localhost:0", ":0", "0.0.0.0:0" };
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int fd = listener_open(good[i], &err);
		if (fd < 0)
			fail_msg("%s", err.text);
		close(fd);
	}
	int fd = listener_open("[::1]:0", &err);
	if (fd < 0) /* a machine without IPv6: then at least it was understood */
		assert_int_equal(err.code, ERROR_SYSTEM);
	else
		close(fd);
}

static void test_bad_addresses(void **state)
{
	(void)state;
	char too_long[300], long_path[200];
	snprintf(too_long, sizeof(too_long), "%0280d:1", 0);
	snprintf(long_path, sizeof(long_path), "unix:/%0150d", 0);
	const char *const bad[] = {
		"", "3010", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http-alt-of-nobody", "127.0.0.1:99999", "no.such.host.invalid:1", too_long, "unix:", long_path,
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err = (struct error){ 0 };
		assert_int_equal(listener_open(bad[i], &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_true(err.text[0]);
	}
}

static void test_unix(void **state)
{
	(void)state;
	struct stat status;
	assert_string_equal(listener_unix_path(address), path);
	assert_null(listener_unix_path("127.0.0.1:1"));
	int fd = listener_open(address, &err);
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0666);
	assert_int_equal(listen(fd, 1), 0);
	assert_true(answers());
	close(fd);
}

static void test_stale_socket_is_replaced(void **state)
{
	(void)state;
	int dead = listener_open(address, &err);
	assert_int_equal(listen(dead, 1), 0);
	close(dead);
	assert_false(answers());
	int fd = listener_open(address, &err);
	assert_true(fd >= 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_true(answers());
	close(fd);
}

static void test_live_socket_is_not(void **state)
{
	(void)state;
	int living = listener_open(address, &err);
	assert_int_equal(listen(living, 4), 0);
	assert_int_equal(listener_open(address, &err), -1);
	assert_non_null(strstr(err.text, path));
	assert_true(answers());
	close(living);
}

static void test_other_files_are_not(void **state)
{
	(void)state;
	int file = open(path, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(file, "mine", 4), 4);
	close(file);
	assert_int_equal(listener_open(address, &err), -1);
	struct stat status;
	assert_int_equal(lstat(path, &status), 0);
	assert_int_equal(status.st_size, 4);
}

static void test_missing_directory(void **state)
{
	(void)state;
	assert_int_equal(listener_open("unix:/tmp/roomcast-no-such-directory/s", &err), -1);
	assert_int_equal(err.code, ERROR_SYSTEM);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_tcp), TEST(test_names_and_brackets), TEST(test_bad_addresses), TEST(test_unix), TEST(test_stale_socket_is_replaced),
		TEST(test_live_socket_is_not), TEST(test_other_files_are_not), TEST(test_missing_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
