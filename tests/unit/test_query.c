/* test_query.c - the parameters of a URL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "query.h"

static const struct {
	const char *query, *a, *b; /* NULL: not there */
} good[] = {
	{ "", NULL, NULL },
	{ "a=1", "1", NULL },
	{ "b=&a", "", "" },
	{ "&&b=x%20y%2b+z&", NULL, "x y+ z" },
	{ "a=%C3%A9%26%3d&b=a=b", "\xc3\xa9&=", "a=b" },
	{ "a=%7f%ff", "\x7f\xff", NULL },
};

static const struct {
	const char *query, *error;
} bad[] = {
	{ "a=1&a=2", "a: stands there twice" },
	{ "A=1", "A: there is no such parameter" },
	{ "c", "c: there is no such parameter" },
	{ "=1", ": there is no such parameter" },
	{ "a=%", "a: is not encoded" },
	{ "a=%4", "a: is not encoded" },
	{ "a=%4g", "a: is not encoded" },
	{ "b=%00", "b: is not encoded" },
};

static struct query_parameter parameters[] = { { .name = "a" }, { .name = "b" }, { .name = NULL } };

static void check_value(const struct query_parameter *parameter, const char *expected)
{
	assert_int_equal(parameter->value.data != NULL, expected != NULL);
	assert_true(bytes_equal_text(parameter->value, expected));
}

static void test_values(void **state)
{
	(void)state;
	struct buffer scratch = { 0 };
	struct response response = { 0 };
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(query_read(bytes_of(good[i].query), parameters, false, &scratch, &response), 0);
		check_value(&parameters[0], good[i].a);
		check_value(&parameters[1], good[i].b);
	}
	assert_int_equal(query_read(bytes_of("x=%&a=5&y"), parameters, true, &scratch, &response), 0);
	check_value(&parameters[0], "5");
	assert_int_equal(query_read((struct bytes){ "a=\0", 3 }, parameters, false, &scratch, &response), -1);
	buffer_deinit(&scratch);
	response_deinit(&response);
}

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buffer scratch = { 0 };
		struct response response = { 0 };
		assert_int_equal(query_read(bytes_of(bad[i].query), parameters, false, &scratch, &response), -1);
		assert_int_equal(response.status, 422);
		if (!strstr(response.body.data, bad[i].error))
			fail_msg("%s -> %s", bad[i].query, response.body.data);
		buffer_deinit(&scratch);
		response_deinit(&response);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
