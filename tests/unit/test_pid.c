/* test_pid.c - the secret of connection state recovery: nothing but what a hub of ours wrote is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "pid.h"

static const unsigned char key[MAC_KEY_LEN] = "0123456789abcdef0123456789abcde", other_key[MAC_KEY_LEN] = "another";

static struct pid sample(const char *user_id)
{
	struct pid pid = { .issued_ms = 1764022710123, .floor = { 1764022700, 42 }, .sid = "abcdefghijABCDEF-_09" };
	strcpy(pid.user_id, user_id);
	return pid;
}

static void assert_same(const struct pid *a, const struct pid *b)
{
	assert_int_equal(a->issued_ms, b->issued_ms);
	assert_int_equal(place_compare(a->floor, b->floor), 0);
	assert_string_equal(a->sid, b->sid);
	assert_string_equal(a->user_id, b->user_id);
}

static void test_round_trip(void **state)
{
	(void)state;
	char longest[USER_ID_MAX + 1];
	memset(longest, 'x', USER_ID_MAX);
	longest[USER_ID_MAX] = '\0';
	const char *users[] = { "", "7", "\xc3\xa9", longest };
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		struct pid pid = sample(users[i]), read;
		char text[PID_TEXT_MAX + 1];
		assert_int_equal(pid_write(&pid, key, text), 0);
		assert_int_equal(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), strlen(text));
		assert_int_equal(pid_read(bytes_of(text), key, &read), PID_GOOD);
		assert_same(&pid, &read);
		assert_int_equal(pid_read(bytes_of(text), other_key, &read), PID_FORGED);
	}
}

static void test_every_changed_character_is_noticed(void **state)
{
	(void)state;
	struct pid pid = sample("user"), read;
	char text[PID_TEXT_MAX + 1], original[PID_TEXT_MAX + 1];
	assert_int_equal(pid_write(&pid, key, text), 0);
	strcpy(original, text);
	size_t len = strlen(text), tolerated = 0;
	for (size_t i = 0; i < len; i++) {
		for (int digit = 0; digit < 3; digit++) {
			text[i] = "A_9"[digit];
			if (text[i] != original[i] && pid_read(bytes_of(text), key, &read) == PID_GOOD) {
				assert_int_equal(i, len - 1); /* the last one may have bits to spare */
				assert_same(&pid, &read);
				tolerated++;
			}
		}
		text[i] = original[i];
	}
	assert_in_range(tolerated, 0, 3);
}

static void test_every_length_but_the_right_one_is_refused(void **state)
{
	(void)state;
	struct pid pid = sample("user"), read;
	char text[PID_TEXT_MAX + 64];
	assert_int_equal(pid_write(&pid, key, text), 0);
	size_t len = strlen(text);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_not_equal(pid_read((struct bytes){ text, cut }, key, &read), PID_GOOD);
	memset(text + len, 'A', sizeof(text) - len);
	for (size_t more = len + 1; more < sizeof(text); more++)
		assert_int_not_equal(pid_read((struct bytes){ text, more }, key, &read), PID_GOOD);
}

static void test_what_is_no_pid(void **state)
{
	(void)state;
	struct pid pid = sample(""), read;
	char text[PID_TEXT_MAX + 1];
	assert_int_equal(pid_write(&pid, key, text), 0);
	static const char *const others[] = { "", "null", "a b", "====", "\xff\xfe", "AQ" };
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(pid_read(bytes_of(others[i]), key, &read), PID_MALFORMED);
	text[0] = 'B'; /* another version */
	assert_int_equal(pid_read(bytes_of(text), key, &read), PID_MALFORMED);
	assert_int_equal(pid_read((struct bytes){ "A\0A", 3 }, key, &read), PID_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_changed_character_is_noticed),
		cmocka_unit_test(test_every_length_but_the_right_one_is_refused),
		cmocka_unit_test(test_what_is_no_pid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
