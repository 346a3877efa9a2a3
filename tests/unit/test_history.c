/* test_history.c - the log of recent events: who would have got what, its bounds, and what it costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "history.h"

enum { NOW = 1000000 };

static const struct history_bounds roomy = { .age_ms = UINT32_MAX, .events = 10000000, .bytes = INT64_MAX };

static struct history *history;

static int setup(void **state)
{
	(void)state;
	struct error err;
	history = history_new(&roomy, &err);
	return history ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	history_free(history);
	return 0;
}

static uint64_t append_at(struct message message, uint64_t seq, uint64_t now_ms)
{
	struct error err;
	char body[32];
	snprintf(body, sizeof(body), "\"e\",%llu", (unsigned long long)seq);
	message.kind = MESSAGE_EVENT;
	message.epoch = message.epoch ? message.epoch : 1;
	message.seq = seq;
	if (!message.body.len)
		message.body = bytes_of(body);
	struct event *event = event_from_message(&message, &err);
	assert_non_null(event);
	uint64_t number = history_append(history, event, now_ms);
	event_unref(event);
	return number;
}

static uint64_t append(struct message message, uint64_t seq)
{
	return append_at(message, seq, NOW);
}

static uint64_t append_to(const char *room, uint64_t seq)
{
	struct bytes name = bytes_of(room);
	return append((struct message){ .rooms = { &name, 1 } }, seq);
}

static void expect(const uint64_t *seqs, size_t count)
{
	struct history_item item;
	for (size_t i = 0; i < count; i++) {
		assert_true(history_next(history, &item));
		assert_int_equal(item.place.seq, seqs[i]);
	}
	assert_false(history_next(history, &item));
	assert_false(history_next(history, &item));
}

#define EXPECT(...) expect((const uint64_t[]){ __VA_ARGS__ }, sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

static void read_rooms(uint64_t after, const char *a, const char *b)
{
	history_read(history, (struct place){ 1, after });
	if (a)
		history_read_room(history, bytes_of(a), (struct place){ 0 });
	if (b)
		history_read_room(history, bytes_of(b), (struct place){ 0 });
}

static void test_rooms_are_merged_in_log_order(void **state)
{
	(void)state;
	struct bytes both[] = { bytes_of("a"), bytes_of("b"), bytes_of("a") };
	append_to("a", 1);
	append_to("b", 2);
	append_to("c", 3);
	append((struct message){ .rooms = { both, 3 } }, 4);
	append((struct message){ .audience = AUDIENCE_EVERYONE }, 5);
	append((struct message){ .audience = AUDIENCE_AUTHENTICATED }, 6);
	append_to("a", 7);
	read_rooms(0, "a", "b");
	EXPECT(1, 2, 4, 7);
	read_rooms(1, "b", "b");
	EXPECT(2, 4);
	read_rooms(2, "a", "nowhere");
	history_read_everyone(history);
	history_read_authenticated(history);
	EXPECT(4, 5, 6, 7);
	history_read(history, (struct place){ 1, 1 });
	history_read_room(history, bytes_of("a"), (struct place){ 1, 4 });
	history_read_room(history, bytes_of("b"), (struct place){ 1, 0 });
	EXPECT(2, 4, 7);
	read_rooms(7, "a", "b");
	struct history_item item;
	assert_false(history_next(history, &item));
	read_rooms(0, NULL, NULL);
	assert_false(history_next(history, &item));
}

static void test_the_frame_ends_with_the_offset_and_is_shared(void **state)
{
	(void)state;
	struct error err;
	struct bytes room = bytes_of("a");
	struct message message = { .kind = MESSAGE_EVENT, .epoch = 7, .seq = 9, .rooms = { &room, 1 }, .body = bytes_of("\"e\",1") };
	struct event *event = event_from_message(&message, &err);
	struct frame *frame = event_frame(event, FRAMING_OFFSET);
	history_append(history, event, NOW);
	event_unref(event);
	struct history_item item;
	history_read(history, (struct place){ 0 });
	history_read_room(history, room, (struct place){ 0 });
	assert_true(history_next(history, &item));
	assert_ptr_equal(item.frame, frame);
	static const char expected[] = "42[\"e\",1,\"7.9\"]";
	assert_int_equal(frame->payload_len, sizeof(expected) - 1);
	assert_memory_equal(frame_payload(frame), expected, sizeof(expected) - 1);
}

static void test_exclusions_are_kept(void **state)
{
	(void)state;
	struct bytes names[] = { bytes_of("a"), bytes_of("b") }, except[] = { bytes_of("user-7"), bytes_of("") };
	append((struct message){ .rooms = { names, 2 }, .except = { except, 1 }, .exclude_user = bytes_of("42") }, 1);
	except[1] = bytes_of("somewhere");
	append((struct message){ .rooms = { names, 1 }, .except = { except, 2 } }, 2);
	struct history_item item;
	read_rooms(0, "b", NULL);
	assert_true(history_next(history, &item));
	assert_true(bytes_equal_text(item.exclude_user, "42"));
	assert_int_equal(item.except_count, 1);
	assert_true(bytes_equal_text(history_next_except(&item), "user-7"));
	read_rooms(1, "a", NULL);
	assert_true(history_next(history, &item));
	assert_int_equal(item.exclude_user.len, 0);
	assert_true(bytes_equal_text(history_next_except(&item), "user-7"));
	assert_true(bytes_equal_text(history_next_except(&item), "somewhere"));
	assert_int_equal(item.except_count, 0);
	/* Only the second cannot be judged later. */
	assert_int_equal(history_unjudged(history, &names[0], false).seq, 2);
	assert_int_equal(history_unjudged(history, &names[1], false).seq, 0);
	append((struct message){ .audience = AUDIENCE_AUTHENTICATED, .except = { except, 2 } }, 3);
	assert_int_equal(history_unjudged(history, NULL, false).seq, 0);
	assert_int_equal(history_unjudged(history, NULL, true).seq, 3);
}

static void test_bounds(void **state)
{
	(void)state;
	struct error err;
	history_free(history);
	history = history_new(&(struct history_bounds){ .age_ms = 60000, .events = 1000, .bytes = 1 << 20 }, &err);
	for (uint64_t seq = 1; seq <= 1500; seq++)
		append_to(seq % 2 ? "odd" : "even", seq);
	assert_int_equal(history_figures(history).events, 1000);
	assert_int_equal(history_reach(history).seq, 500);
	assert_int_equal(history_newest(history).seq, 1500);
	struct history_item item;
	read_rooms(0, "even", NULL);
	assert_true(history_next(history, &item));
	assert_int_equal(item.place.seq, 502);
	/* bytes */
	static char large[100000];
	memset(large, '1', sizeof(large));
	struct bytes room = bytes_of("odd");
	for (uint64_t seq = 1501; seq <= 1520; seq++)
		append((struct message){ .rooms = { &room, 1 }, .body = { large, sizeof(large) } }, seq);
	struct history_figures figures = history_figures(history);
	assert_in_range(figures.bytes, 900000, 1 << 20);
	assert_int_equal(figures.events, 10);
	assert_int_equal(figures.rooms, 1);
	/* age */
	append_at((struct message){ .rooms = { &room, 1 } }, 1521, NOW + 50000);
	history_trim(history, NOW + 62000);
	assert_int_equal(history_figures(history).events, 1);
	history_trim(history, NOW + 150000);
	figures = history_figures(history);
	assert_int_equal(figures.events, 0);
	assert_int_equal(figures.rooms, 0);
	assert_int_equal(figures.oldest_ms, 0);
	assert_in_range(figures.bytes, 0, 4096);
	assert_int_equal(history_reach(history).seq, 1521);
	assert_int_equal(figures.appended, 1521);
	assert_int_equal(figures.dropped, 1521);
}

static void test_one_event_past_the_bound(void **state)
{
	(void)state;
	struct error err;
	history_free(history);
	history = history_new(&(struct history_bounds){ .age_ms = 60000, .events = 1000, .bytes = 1000 }, &err);
	append_to("a", 1);
	assert_int_equal(history_figures(history).events, 0);
	assert_int_equal(history_reach(history).seq, 1);
}

static void test_epochs(void **state)
{
	(void)state;
	struct bytes room = bytes_of("a");
	append_to("a", 5);
	append((struct message){ .epoch = 2, .rooms = { &room, 1 } }, 1);
	append((struct message){ .epoch = 3, .rooms = { &room, 1 } }, 1);
	read_rooms(4, "a", NULL);
	EXPECT(5, 1, 1);
	read_rooms(1000, "a", NULL);
	EXPECT(1, 1);
	history_read(history, (struct place){ 2, 1 });
	history_read_room(history, room, (struct place){ 0 });
	EXPECT(1);
	/* A log that goes back cannot be joined with what was here. */
	append((struct message){ .epoch = 2, .rooms = { &room, 1 } }, 8);
	assert_int_equal(history_figures(history).events, 1);
	assert_int_equal(history_reach(history).epoch, 2);
	assert_int_equal(history_reach(history).seq, 7);
}

static void test_replaced_entries_are_told(void **state)
{
	(void)state;
	uint64_t number = append_to("a", 1);
	append_to("a", 2);
	history_replace(history, number);
	history_replace(history, number + 100);
	struct history_item item;
	read_rooms(0, "a", NULL);
	assert_true(history_next(history, &item));
	assert_true(item.is_replaced);
	assert_true(history_next(history, &item));
	assert_false(item.is_replaced);
}

/* Against a plain list of who is meant, with random rooms, bounds and readers. */
static void test_random_model(void **state)
{
	(void)state;
	enum { ROOMS = 12, EVENTS = 6000, KEPT = 1700 };
	static uint16_t meant[EVENTS + 1]; /* a bit for each room; 15: everyone */
	uint32_t seed = (uint32_t)time(NULL), random = seed;
	print_message("# seed %u\n", seed);
	struct error err;
	history_free(history);
	history = history_new(&(struct history_bounds){ .age_ms = UINT32_MAX, .events = KEPT, .bytes = INT64_MAX }, &err);
	for (uint32_t seq = 1; seq <= EVENTS; seq++) {
		char names[3][8];
		struct bytes rooms[3];
		random = random * 1664525 + 1013904223;
		uint32_t count = random >> 30;
		meant[seq] = count ? 0 : 0x8000;
		for (uint32_t i = 0; i < count; i++) {
			random = random * 1664525 + 1013904223;
			uint32_t room = (random >> 16) % ROOMS;
			snprintf(names[i], sizeof(names[i]), "r%u", room);
			rooms[i] = bytes_of(names[i]);
			meant[seq] |= (uint16_t)(1u << room);
		}
		append((struct message){ .audience = count ? AUDIENCE_ROOMS : AUDIENCE_EVERYONE, .rooms = { rooms, count } }, seq);
		if (random >> 26)
			continue;
		random = random * 1664525 + 1013904223;
		uint32_t oldest = seq > KEPT ? seq - KEPT : 0, after = oldest + (random >> 8) % (seq - oldest + 1);
		uint16_t wanted = (uint16_t)(random >> 4);
		struct history_item item;
		history_read(history, (struct place){ 1, after });
		for (uint32_t room = 0; room < ROOMS; room++) {
			char name[8];
			snprintf(name, sizeof(name), "r%u", room);
			if (wanted & 1u << room)
				history_read_room(history, bytes_of(name), (struct place){ 0 });
		}
		if (wanted & 0x8000)
			history_read_everyone(history);
		for (uint32_t expected = after + 1; expected <= seq; expected++) {
			if (!(meant[expected] & wanted & (0x8000 | ((1u << ROOMS) - 1))))
				continue;
			assert_true(history_next(history, &item));
			assert_int_equal(item.place.seq, expected);
		}
		assert_false(history_next(history, &item));
	}
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void append_many(uint64_t from, uint64_t to)
{
	static char body[300];
	memset(body, '1', sizeof(body));
	char name[16];
	struct bytes room;
	for (uint64_t seq = from; seq <= to; seq++) {
		snprintf(name, sizeof(name), "sync-Type%llu", (unsigned long long)seq % 50);
		room = bytes_of(name);
		append((struct message){ .rooms = { &room, 1 }, .body = { body, sizeof(body) } }, seq);
	}
}

/* The figure that the manual states, and that what is counted is what the system is asked for. */
static void test_bytes_of_an_entry(void **state)
{
	(void)state;
	enum { EVENTS = 100000 };
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
	append_many(1, EVENTS);
	size_t taken = mallinfo2().uordblks + mallinfo2().hblkhd - before;
	uint64_t counted = history_figures(history).bytes;
	print_message("# 100,000 events of 300 bytes: %.1f bytes each counted, %.1f taken\n", (double)counted / EVENTS, (double)taken / EVENTS);
	assert_in_range(counted / EVENTS, 300, 430);
	if (taken) { /* a sanitizer's allocator does not tell */
		assert_in_range(taken, counted * 95 / 100, counted * 105 / 100);
	}
	history_restart(history, (struct place){ 1, EVENTS });
	assert_in_range(history_figures(history).bytes, 0, 8192);
}

static size_t resident(void)
{
	size_t total, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%zu %zu", &total, &pages), 2);
	fclose(file);
	return pages * 4096;
}

/* Also when something that stays was allocated in between. */
static void test_the_system_gets_memory_back(void **state)
{
	(void)state;
	if (!mallinfo2().uordblks) /* a sanitizer's allocator keeps what is freed: nothing to see */
		return;
	append_many(1, 100000);
	void *stays = malloc(100);
	size_t before = resident();
	history_trim(history, (uint64_t)UINT32_MAX * 2000);
	assert_int_equal(history_figures(history).events, 0);
	assert_true(before - resident() > 30 << 20);
	free(stays);
}

/* Ten times the events take about ten times as long: appended, walked, dropped. */
static void test_a_million_events_stay_linear(void **state)
{
	(void)state;
	double times[2];
	uint64_t seq = 0;
	for (int round = 0; round < 2; round++) {
		uint64_t count = round ? 1000000 : 100000;
		double start = seconds();
		append_many(seq + 1, seq + count);
		history_read(history, (struct place){ 1, seq });
		struct history_item item;
		for (int room = 0; room < 50; room++) {
			char name[16];
			snprintf(name, sizeof(name), "sync-Type%d", room);
			history_read_room(history, bytes_of(name), (struct place){ 0 });
		}
		uint64_t read = 0;
		while (history_next(history, &item))
			assert_int_equal(item.place.seq, seq + ++read);
		assert_int_equal(read, count);
		seq += count;
		history_restart(history, (struct place){ 1, seq });
		times[round] = seconds() - start;
	}
	print_message("# 100,000 events: %.3f s, 1,000,000 events: %.3f s\n", times[0], times[1]);
	assert_true(times[1] < 25 * times[0]);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_rooms_are_merged_in_log_order),
		TEST(test_the_frame_ends_with_the_offset_and_is_shared),
		TEST(test_exclusions_are_kept),
		TEST(test_bounds),
		TEST(test_one_event_past_the_bound),
		TEST(test_epochs),
		TEST(test_replaced_entries_are_told),
		TEST(test_random_model),
		TEST(test_bytes_of_an_entry),
		TEST(test_the_system_gets_memory_back),
		TEST(test_a_million_events_stay_linear),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
