/* test_gateway_listener.c - the FastCGI socket: made, inherited, taken over from the dead and from nobody else; and what a process then is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "listener.h"
#include "role.h"

static char dir[] = "/tmp/roomcast-listener-XXXXXX";
static char path[64];

static int make_dir(void **state)
{
	(void)state;
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static int open_at(const char *where, const char *mode, struct listener *listener)
{
	struct error err = { 0 };
	int result = listener_open(where, mode, listener, &err);
	assert_true(result == 0 || err.text[0]);
	return result;
}

static bool can_connect(void)
{
	struct sockaddr_un place = { .sun_family = AF_UNIX };
	snprintf(place.sun_path, sizeof(place.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bool result = connect(fd, (struct sockaddr *)&place, sizeof(place)) == 0;
	close(fd);
	return result;
}

static void test_a_path(void **state)
{
	(void)state;
	struct listener listener, second;
	struct stat info;
	char prefixed[80];
	snprintf(prefixed, sizeof(prefixed), "unix:%s", path);
	assert_int_equal(open_at(prefixed, "0620", &listener), 0);
	assert_int_equal(stat(path, &info), 0);
	assert_true(S_ISSOCK(info.st_mode) && (info.st_mode & 0777) == 0620);
	assert_true(fcntl(listener.fd, F_GETFL) & O_NONBLOCK && fcntl(listener.fd, F_GETFD) & FD_CLOEXEC);
	assert_true(can_connect());
	assert_int_equal(open_at(path, "0620", &second), -1); /* somebody listens there */
	assert_true(can_connect());
	listener_close(&listener);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_what_lies_there(void **state)
{
	(void)state;
	struct listener listener;
	assert_int_equal(open_at(path, "0600", &listener), 0);
	close(listener.fd); /* as kill -9 leaves it */
	assert_int_equal(open_at(path, "0600", &listener), 0);
	assert_true(can_connect());
	listener_close(&listener);
	int fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(open_at(path, "0600", &listener), -1); /* a file that is no socket is left alone */
	assert_int_equal(access(path, F_OK), 0);
}

static void test_addresses(void **state)
{
	(void)state;
	static const char *const good[] = { "127.0.0.1:0", "[::1]:0" };
	static const char *const wrong[] = { "nothing", "127.0.0.1", "127.0.0.1:", ":x", "256.0.0.1:1", "name.example:80", "127.0.0.1:99999x" };
	struct listener listener;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (i == 1 && access("/proc/net/if_inet6", F_OK))
			continue; /* no IPv6 here */
		assert_int_equal(open_at(good[i], "0600", &listener), 0);
		listener_close(&listener);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (open_at(wrong[i], "0600", &listener) == 0)
			fail_msg("%s was opened", wrong[i]);
}

static void test_modes(void **state)
{
	(void)state;
	static const char *const wrong[] = { "", "x", "0888", "1777", "06600", "-1" };
	struct listener listener;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(open_at(path, wrong[i], &listener), -1);
		assert_int_equal(access(path, F_OK), -1);
	}
	char longer[200];
	memset(longer, 'a', sizeof(longer));
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(open_at(longer, "0600", &listener), -1);
}

/* What a child finds that was started with this standard input. */
struct found {
	int result;
	bool is_standard_input;
	enum role role;
};

static struct found start_with(int input, bool is_systemd, bool is_cgi)
{
	struct found found = { .result = -2 };
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct listener listener;
		char pid[24];
		struct error err;
		dup2(input, is_systemd ? 3 : STDIN_FILENO);
		snprintf(pid, sizeof(pid), "%d", (int)getpid());
		if (is_systemd) {
			setenv("LISTEN_PID", pid, 1);
			setenv("LISTEN_FDS", "1", 1);
			close(STDIN_FILENO);
		}
		if (is_cgi) {
			setenv("GATEWAY_INTERFACE", "CGI/1.1", 1);
			setenv("REQUEST_METHOD", "GET", 1);
		}
		found.is_standard_input = listener_is_standard_input();
		found.result = role_choose("auto", false, &found.role, &err) ? -3 : listener_open("", "0600", &listener, &err);
		_exit(write(pipes[1], &found, sizeof(found)) == (ssize_t)sizeof(found) ? 0 : 1);
	}
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &found, sizeof(found)), (ssize_t)sizeof(found));
	close(pipes[0]);
	waitpid(child, NULL, 0);
	return found;
}

static void test_inherited(void **state)
{
	(void)state;
	struct listener listener;
	assert_int_equal(open_at(path, "0600", &listener), 0);
	int socket = dup(listener.fd), file = open("/dev/null", O_RDONLY);
	struct found found = start_with(socket, false, false); /* mod_fcgid */
	assert_true(found.result == 0 && found.is_standard_input && found.role == ROLE_FRONT_END);
	found = start_with(socket, true, false);
	assert_true(found.result == 0 && !found.is_standard_input && found.role == ROLE_GATEWAY);
	found = start_with(file, false, false);
	assert_true(found.result == -1 && !found.is_standard_input && found.role == ROLE_GATEWAY);
	found = start_with(file, false, true);
	assert_int_equal(found.role, ROLE_CGI);
	close(socket);
	close(file);
	listener_close(&listener);
}

static void test_roles(void **state)
{
	(void)state;
	enum role role;
	struct error err;
	assert_int_equal(role_choose("gateway", false, &role, &err), 0);
	assert_int_equal(role, ROLE_GATEWAY);
	assert_int_equal(role_choose("front-end", true, &role, &err), 0);
	assert_int_equal(role, ROLE_FRONT_END);
	assert_int_equal(role_choose("auto", true, &role, &err), 0);
	assert_int_equal(role, ROLE_GATEWAY);
	assert_int_equal(role_choose("Gateway", false, &role, &err), -1);
	assert_non_null(strstr(err.text, "Gateway"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_path, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_what_lies_there, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_addresses, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_modes, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_inherited, make_dir, remove_dir),
		cmocka_unit_test(test_roles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
