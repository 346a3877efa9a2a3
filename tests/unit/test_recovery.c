/* test_recovery.c - for which connections events end with an offset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "recovery.h"

static void test_modes(void **state)
{
	(void)state;
	enum recovery_mode mode;
	assert_int_equal(recovery_mode_parse("auto", &mode), 0);
	assert_int_equal(mode, RECOVERY_AUTO);
	assert_int_equal(recovery_mode_parse("on", &mode), 0);
	assert_int_equal(mode, RECOVERY_ON);
	assert_int_equal(recovery_mode_parse("off", &mode), 0);
	assert_int_equal(mode, RECOVERY_OFF);
	assert_int_equal(recovery_mode_parse("", &mode), -1);
	assert_int_equal(recovery_mode_parse("yes", &mode), -1);
}

static bool is_wanted(enum recovery_mode mode, const char *auth, const char *query, const char *user_agent)
{
	uint8_t note = 0;
	const struct request_info request = { .query = bytes_of(query), .user_agent = bytes_of(user_agent) }, forgotten = { 0 };
	bool result = recovery_is_wanted(mode, bytes_of(auth), &request, &note);
	/* Once more on the same session, whose request is no longer there. */
	assert_int_equal(recovery_is_wanted(mode, bytes_of(auth), &forgotten, &note), result);
	return result;
}

static void test_auto(void **state)
{
	(void)state;
	static const struct { const char *auth, *query, *user_agent; bool is_wanted; } rows[] = {
		{ "{}", "EIO=4", "", false },
		{ "{}", "EIO=4", "node-XMLHttpRequest", false },
		{ "{}", "EIO=4", "Mozilla/5.0 (X11)", true },
		{ "{}", "EIO=4", "Mozilla", false },
		{ "{}", "EIO=4&recovery=0", "Mozilla/5.0", false },
		{ "{}", "EIO=4&recovery=1", "python-requests/2", true },
		{ "{}", "recovery=2", "Mozilla/5.0", true },
		{ "{}", "recovery=true", "", true },
		{ "{\"recovery\":true}", "", "", true },
		{ "{\"recovery\":1}", "", "", true },
		{ "{\"recovery\":\"1\"}", "recovery=0", "", true },
		{ "{\"recovery\":false}", "recovery=1", "Mozilla/5.0", false },
		{ "{\"recovery\":0}", "", "Mozilla/5.0", false },
		{ "{\"recovery\":null}", "", "Mozilla/5.0", true },
		{ "{\"recovery\":{\"a\":1}}", "", "", false },
		{ "{\"recovery\":\"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\"}", "", "", false },
		{ "[1]", "recovery=1", "", true },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(is_wanted(RECOVERY_AUTO, rows[i].auth, rows[i].query, rows[i].user_agent), rows[i].is_wanted);
		assert_true(is_wanted(RECOVERY_ON, rows[i].auth, rows[i].query, rows[i].user_agent));
		assert_false(is_wanted(RECOVERY_OFF, rows[i].auth, rows[i].query, rows[i].user_agent));
	}
}

static void test_what_is_kept_of_auth(void **state)
{
	(void)state;
	static const struct { const char *auth, *kept; } rows[] = {
		{ "{}", "{}" },
		{ "{\"token\":\"x\",\"pid\":\"p\",\"much\":[1,[2]],\"offset\":\"1.2\"}", "{\"pid\":\"p\",\"offset\":\"1.2\"}" },
		{ "{\"offset\":\"1.2\",\"a\":{\"pid\":1}}", "{\"offset\":\"1.2\"}" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buffer kept = { 0 };
		recovery_keep_shown(bytes_of(rows[i].auth), &kept);
		assert_true(bytes_equal_text(buffer_bytes(&kept), rows[i].kept));
		buffer_deinit(&kept);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_auto),
		cmocka_unit_test(test_what_is_kept_of_auth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
