/* test_place.c - places in the log, compared and as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <roomcast/place.h>

static void epochs_count_before_numbers(void **state)
{
	(void)state;
	struct place a = { 1, 90 }, b = { 2, 1 };
	assert_true(place_compare(a, b) < 0);
	assert_true(place_compare(b, a) > 0);
	assert_int_equal(place_compare(a, a), 0);
	assert_true(place_compare((struct place){ 2, 1 }, (struct place){ 2, 2 }) < 0);
	assert_int_equal(place_larger(a, b).epoch, 2);
	assert_int_equal(place_larger(b, a).epoch, 2);
}

static void text_round_trips(void **state)
{
	(void)state;
	const struct place places[] = { { 0, 0 }, { 1, 0 }, { 1764021600, 42 }, { UINT64_MAX, UINT64_MAX } };
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char text[PLACE_TEXT_SIZE];
		struct place parsed;
		place_format(places[i], text);
		assert_true(place_parse(bytes_of(text), &parsed));
		assert_int_equal(place_compare(parsed, places[i]), 0);
	}
}

static void other_texts_are_refused(void **state)
{
	(void)state;
	const char *const texts[] = {
		"", ".", "1", "1.", ".1", "1.2.3", "01.2", "1.02", "-1.2", "+1.2", "1. 2", " 1.2", "1.2 ", "1,2", "a.b",
		"18446744073709551616.1", "1.18446744073709551616", "1.99999999999999999999999999999999999999999999",
	};
	struct place parsed;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_false(place_parse(bytes_of(texts[i]), &parsed));
	assert_false(place_parse((struct bytes){ "1.2\0", 4 }, &parsed));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(epochs_count_before_numbers),
		cmocka_unit_test(text_round_trips),
		cmocka_unit_test(other_texts_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
