/* test_journal.c - what every journal must do (journal.h): each test runs against all of them. */
#include "journal_kit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <roomcast/log.h>

#include "journal_pending.h"

static const struct journal_bound wide = { 100000, 100 << 20 };
static const struct place end_of_time = { UINT64_MAX, UINT64_MAX };

static struct kit kit;
static bool has_postgres;

static int set_up(void **state)
{
	kit = (struct kit){ 0 };
	if (strcmp(*state, "postgres") == 0 && !has_postgres)
		skip();
	kit_start(&kit, *state);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kit_end(&kit);
	return 0;
}

/* "off" forgets with the journal; the others begin where they ended. */
static bool is_lasting(void)
{
	return strcmp(kit.kind, "off") != 0;
}

static void open_again(uint64_t now_s)
{
	struct error err = { 0 };
	if (is_lasting()) {
		kit_close(&kit);
		kit_open(&kit);
		return;
	}
	if (kit_open_writer(&kit, now_s, &err))
		fail_msg("%s", err.text);
}

/* --- records --- */

static char every_byte[1024];
static const struct bytes rooms[] = { { "sync-a", 6 }, { "user-\xc3\xa9", 7 } }, excepted[] = { { "x", 1 } };

static struct journal_record full_event(uint64_t seq)
{
	for (size_t i = 0; i < sizeof(every_byte); i++)
		every_byte[i] = (char)i;
	struct journal_record record = kit_data_change(&kit, seq, "equipment", "17", 5, "{\"id\":17}");
	record.message.audience = AUDIENCE_ROOMS;
	record.message.rooms = (struct message_list){ rooms, 2 };
	record.message.except = (struct message_list){ excepted, 1 };
	record.message.exclude_user = bytes_of("u\"1'");
	record.message.exclude_sid = bytes_of("sid\\");
	record.message.body = (struct bytes){ every_byte, sizeof(every_byte) };
	record.event = bytes_of("data-change");
	record.user_id = bytes_of("anna");
	record.api_key = bytes_of("default");
	record.idempotency_key = (struct bytes){ every_byte, 200 };
	record.body_hash = (struct bytes){ every_byte + 100, BODY_HASH_LEN };
	return record;
}

static struct journal_record full_control(uint64_t seq)
{
	struct journal_record record = kit_event(&kit, seq, "");
	record.message.kind = MESSAGE_CONTROL;
	record.message.operation = CONTROL_DISCONNECT;
	record.message.sid = bytes_of("abc");
	record.message.room = bytes_of("room");
	record.message.close = 1;
	record.message.until_ms = 99;
	return record;
}

static void assert_bytes(struct bytes a, struct bytes b)
{
	assert_int_equal(a.len, b.len);
	if (a.len)
		assert_memory_equal(a.data, b.data, a.len);
}

static void assert_list(struct message_list a, struct message_list b)
{
	assert_int_equal(a.count, b.count);
	for (size_t i = 0; i < a.count; i++)
		assert_bytes(a.items[i], b.items[i]);
}

/* All that is read back is as it was: what hubs get, byte for byte, and the journal's own. */
static void assert_same(const struct journal_record *a, const struct journal_record *b)
{
	struct buffer packed_a = { 0 }, packed_b = { 0 };
	assert_int_equal(journal_record_pack(a, &packed_a, NULL), 0);
	assert_int_equal(journal_record_pack(b, &packed_b, NULL), 0);
	assert_bytes(buffer_bytes(&packed_a), buffer_bytes(&packed_b));
	buffer_deinit(&packed_a);
	buffer_deinit(&packed_b);
	assert_list(a->message.rooms, b->message.rooms);
	assert_list(a->message.except, b->message.except);
	assert_bytes(a->event, b->event);
	assert_bytes(a->user_id, b->user_id);
	assert_bytes(a->api_key, b->api_key);
	assert_bytes(a->idempotency_key, b->idempotency_key);
	assert_bytes(a->body_hash, b->body_hash);
	assert_int_equal(a->version, b->version);
}

static void compare(void *data, const struct journal_record *record)
{
	struct journal_record expected = record->message.seq == 1 ? full_event(1) : full_control(2);
	assert_same(record, &expected);
	++*(int *)data;
}

static void test_records_come_back_as_they_were(void **state)
{
	(void)state;
	int compared = 0;
	kit_open(&kit);
	kit_begin(&kit);
	struct journal_record event = full_event(1), control = full_control(2);
	kit_add(&kit, &event);
	kit_add(&kit, &control);
	kit_commit(&kit);
	assert_int_equal(kit.reader->operations->read(kit.reader, at(0, 0), end_of_time, wide, compare, &compared, NULL), 2);
	assert_int_equal(compared, 2);
}

static void test_large_bodies_and_groups(void **state)
{
	(void)state;
	static struct kit_seen seen;
	const size_t len = 1 << 20;
	char *body = malloc(len + 1);
	assert_non_null(body);
	memset(body, 'x', len);
	body[len] = '\0';
	kit_open(&kit);
	kit_store(&kit, 1000, "\"small\"");
	kit_store(&kit, 3, body);
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, wide, &seen), 1003);
	assert_int_equal(seen.bytes, 1000 * 7 + 3 * len);
	for (size_t i = 0; i < seen.count; i++)
		assert_place(seen.places[i], KIT_EPOCH, i + 1);
	/* The first is given whatever its size, the second is past the bound. */
	assert_int_equal(kit_read(&kit, at(KIT_EPOCH, 1000), end_of_time, (struct journal_bound){ 10, len }, &seen), 1);
	free(body);
}

/* --- groups --- */

static void test_only_what_is_committed_is_seen(void **state)
{
	(void)state;
	static struct kit_seen seen;
	kit_open(&kit);
	assert_place(kit.writer->last, KIT_EPOCH, 0);
	kit_assert_extent(&kit, at(0, 0), at(0, 0));
	kit_begin(&kit);
	kit_add_events(&kit, 3, "1");
	kit_assert_extent(&kit, at(0, 0), at(0, 0));
	kit_commit(&kit);
	assert_place(kit.writer->last, KIT_EPOCH, 3);
	kit_assert_extent(&kit, at(KIT_EPOCH, 1), at(KIT_EPOCH, 3));
	kit_begin(&kit);
	kit_add_events(&kit, 2, "2");
	kit.writer->operations->rollback(kit.writer);
	assert_place(kit.writer->last, KIT_EPOCH, 3);
	kit_begin(&kit); /* a group of nothing */
	kit_commit(&kit);
	kit_store(&kit, 1, "3");
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, wide, &seen), 4);
	assert_place(seen.places[3], KIT_EPOCH, 4);
	assert_false(kit.writer->operations->is_lost(kit.writer));
}

static struct journal_key some_key(const char *api_key, const char *key, const char *answer)
{
	struct journal_key result = { .api_key = bytes_of(api_key), .key = bytes_of(key), .time_ms = 5, .answer = bytes_of(answer) };
	memset(result.body_hash, 7, BODY_HASH_LEN);
	return result;
}

static int find_key(const char *api_key, const char *key, struct journal_key *out)
{
	struct error err = { 0 };
	int result = kit.writer->operations->find_key(kit.writer, bytes_of(api_key), bytes_of(key), out, &err);
	if (result < 0)
		fail_msg("find_key: %s", err.text);
	return result;
}

static void test_a_failed_request_leaves_nothing(void **state)
{
	(void)state;
	static struct kit_seen seen;
	struct journal_key key = some_key("default", "k", "\"id\":1"), found;
	struct journal_record first, second;
	int64_t version;
	kit_open(&kit);
	kit_begin(&kit);
	first = kit_data_change(&kit, 1, "t", "1", 10, "a");
	kit_add(&kit, &first);
	kit_savepoint(&kit, 3);
	second = kit_data_change(&kit, 2, "t", "1", 11, "b");
	assert_int_equal(kit_append(&kit, &second, NULL), 0);
	second = kit_data_change(&kit, 3, "t", "1", 12, "c");
	assert_int_equal(kit_append(&kit, &second, NULL), 0);
	second = kit_data_change(&kit, 4, "t", "2", 1, "d");
	assert_int_equal(kit_append(&kit, &second, NULL), 0);
	assert_int_equal(kit.writer->operations->keep_key(kit.writer, &key, NULL), 0);
	assert_int_equal(kit_find_version(&kit, "t", "1", &version), 1);
	assert_int_equal(version, 12);
	kit_undo(&kit);
	assert_int_equal(kit_find_version(&kit, "t", "1", &version), 1);
	assert_int_equal(version, 10);
	assert_int_equal(kit_find_version(&kit, "t", "2", &version), 0);
	assert_int_equal(find_key("default", "k", &found), 0);
	second = kit_event(&kit, 2, "2"); /* its place is free again */
	kit_add(&kit, &second);
	kit_commit(&kit);
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, wide, &seen), 2);
	kit_begin(&kit);
	assert_int_equal(kit_find_version(&kit, "t", "1", &version), 1);
	assert_int_equal(version, 10);
	assert_int_equal(find_key("default", "k", &found), 0);
	kit_commit(&kit);
}

static void test_what_cannot_be_stored_fails_alone(void **state)
{
	(void)state;
	static const struct bytes bad_room = { "a\nb", 3 };
	static const struct bytes one_room = { "a", 1 };
	static struct kit_seen seen;
	struct message_list too_many = { calloc(MESSAGE_LIST_MAX + 1, sizeof(struct bytes)), MESSAGE_LIST_MAX + 1 };
	for (size_t i = 0; i <= MESSAGE_LIST_MAX; i++)
		((struct bytes *)(uintptr_t)too_many.items)[i] = one_room;
	kit_open(&kit);
	struct journal_record bad[8], good = kit_event(&kit, 1, "good");
	for (size_t i = 0; i < 8; i++)
		bad[i] = kit_event(&kit, 2, "bad");
	bad[0].message.seq = 3;
	bad[1].message.epoch = KIT_EPOCH + 1;
	bad[2].message.rooms = (struct message_list){ &bad_room, 1 };
	bad[3].event = (struct bytes){ "a\0b", 3 };
	bad[4].version = 5; /* of nothing */
	bad[5].body_hash = bytes_of("short");
	bad[6].message.rooms = too_many;
	bad[7].message.kind = MESSAGE_VOLATILE;
	kit_begin(&kit);
	kit_add(&kit, &good);
	for (size_t i = 0; i < 8; i++) {
		struct error err = { 0 };
		kit_savepoint(&kit, 2);
		assert_int_equal(kit_append(&kit, &bad[i], &err), -1);
		assert_true(err.code != ERROR_NONE && err.text[0]);
		kit_undo(&kit);
	}
	good.message.seq = 2;
	kit_add(&kit, &good);
	kit_commit(&kit);
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, wide, &seen), 2);
	free((void *)(uintptr_t)too_many.items);
}

/* --- keys and versions --- */

static void test_keys(void **state)
{
	(void)state;
	struct journal_key key = some_key("default", "order-1", "\"id\":\"1000.1\""), found = { 0 };
	char answer[3000];
	kit_open(&kit);
	kit_begin(&kit);
	kit.writer->operations->expect_key(kit.writer, bytes_of("default"), bytes_of("order-1"));
	kit.writer->operations->expect_key(kit.writer, bytes_of("default"), bytes_of("order-2"));
	assert_int_equal(find_key("default", "order-1", &found), 0);
	assert_int_equal(kit.writer->operations->keep_key(kit.writer, &key, NULL), 0);
	assert_int_equal(find_key("default", "order-1", &found), 1); /* pending */
	assert_true(bytes_equal(found.answer, key.answer));
	kit_commit(&kit);
	open_again(KIT_EPOCH);
	kit_begin(&kit);
	kit.writer->operations->expect_key(kit.writer, bytes_of("default"), bytes_of("order-1"));
	assert_int_equal(find_key("default", "order-1", &found), 1);
	assert_true(bytes_equal(found.answer, key.answer) && found.time_ms == 5);
	assert_memory_equal(found.body_hash, key.body_hash, BODY_HASH_LEN);
	assert_int_equal(find_key("default", "order-2", &found), 0);
	assert_int_equal(find_key("other", "order-1", &found), 0);
	assert_int_equal(find_key("defaultorder", "-1", &found), 0);
	/* A key whose life is over is used anew. */
	memset(answer, 'a', sizeof(answer));
	key.answer = (struct bytes){ answer, sizeof(answer) };
	key.time_ms = 6;
	assert_int_equal(kit.writer->operations->keep_key(kit.writer, &key, NULL), 0);
	kit_commit(&kit);
	kit_begin(&kit);
	assert_int_equal(find_key("default", "order-1", &found), 1);
	assert_true(bytes_equal(found.answer, key.answer) && found.time_ms == 6);
	kit_commit(&kit);
}

static void test_versions(void **state)
{
	(void)state;
	struct journal_record record;
	struct journal_entity entity;
	int64_t version;
	kit_open(&kit);
	assert_int_equal(kit.reader->operations->entity(kit.reader, bytes_of("t"), bytes_of("1"), &entity, NULL), 0);
	kit_begin(&kit);
	kit.writer->operations->expect_entity(kit.writer, bytes_of("t"), bytes_of("1"));
	assert_int_equal(kit_find_version(&kit, "t", "1", &version), 0);
	record = kit_data_change(&kit, 1, "t", "1", 0, "{\"a\":1}");
	kit_add(&kit, &record);
	record = kit_data_change(&kit, 2, "t", "1", INT64_MAX, "{\"a\":2}");
	kit_add(&kit, &record);
	record = kit_data_change(&kit, 3, "t1", "", VERSION_NONE, "no entity");
	kit_add(&kit, &record);
	assert_int_equal(kit_find_version(&kit, "t", "1", &version), 1);
	assert_true(version == INT64_MAX);
	kit_commit(&kit);
	open_again(KIT_EPOCH);
	kit_begin(&kit);
	kit.writer->operations->expect_entity(kit.writer, bytes_of("t"), bytes_of("1"));
	kit.writer->operations->expect_entity(kit.writer, bytes_of("t"), bytes_of("1"));
	assert_int_equal(kit.writer->operations->find_entity(kit.writer, bytes_of("t"), bytes_of("1"), &entity, NULL), 1);
	assert_true(entity.version == INT64_MAX && bytes_equal_text(entity.data, "{\"a\":2}"));
	assert_int_equal(kit_find_version(&kit, "t1", "", &version), 0);
	assert_int_equal(kit_find_version(&kit, "", "t1", &version), 0);
	record = kit_data_change(&kit, 1, "t", "1", 3, ""); /* deleted; a version may go down */
	kit_add(&kit, &record);
	kit_commit(&kit);
	assert_int_equal(kit.reader->operations->entity(kit.reader, bytes_of("t"), bytes_of("1"), &entity, NULL), 1);
	assert_true(entity.version == 3 && entity.data.len == 0);
}

/* --- epochs and reading --- */

static void test_epochs_only_grow(void **state)
{
	(void)state;
	struct error err = { 0 };
	struct journal_writer *second;
	char endpoint[100] = "x";
	unsigned char key[MAC_KEY_LEN], same[MAC_KEY_LEN];
	assert_int_equal(kit.journal->operations->find_active(kit.journal, endpoint, sizeof(endpoint), &err) == 0 && endpoint[0], 0);
	assert_int_equal(kit_open_writer(&kit, 1000, &err), 0);
	assert_place(kit.writer->last, 1000, 0);
	assert_true(journal_mac_key(kit.journal, key));
	assert_int_equal(kit.journal->operations->find_active(kit.journal, endpoint, sizeof(endpoint), &err), 0);
	assert_string_equal(endpoint, "ipc:///tmp/line");
	assert_int_equal(kit.journal->operations->open_writer(kit.journal, 1000, "", &second, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	kit_store(&kit, 1, "1"); /* who was first is not disturbed */
	assert_int_equal(kit_open_writer(&kit, 1000, &err), 0);
	assert_place(kit.writer->last, 1001, 0);
	assert_int_equal(kit_open_writer(&kit, 5, &err), 0); /* the clock went back */
	assert_place(kit.writer->last, 1002, 0);
	assert_int_equal(kit_open_writer(&kit, 2000, &err), 0);
	assert_place(kit.writer->last, 2000, 0);
	if (!is_lasting())
		return;
	kit_close(&kit);
	kit_open(&kit);
	assert_place(kit.writer->last, 2001, 0);
	assert_true(journal_mac_key(kit.journal, same));
	assert_memory_equal(key, same, MAC_KEY_LEN);
}

static void test_reading_crosses_epochs(void **state)
{
	(void)state;
	static struct kit_seen seen;
	struct place epochs[8];
	struct error err;
	kit_open(&kit);
	assert_int_equal(kit.reader->operations->epochs(kit.reader, epochs, 8, &err), 1);
	assert_place(epochs[0], KIT_EPOCH, 0);
	kit_store(&kit, 3, "1");
	assert_int_equal(kit_open_writer(&kit, 2000, &err), 0);
	assert_int_equal(kit_open_writer(&kit, 3000, &err), 0);
	kit_store(&kit, 2, "2");
	kit_store(&kit, 2, "3");
	kit_assert_extent(&kit, at(KIT_EPOCH, 1), at(3000, 4));
	assert_int_equal(kit.reader->operations->epochs(kit.reader, epochs, 8, &err), 3);
	assert_place(epochs[0], KIT_EPOCH, 3);
	assert_place(epochs[1], 2000, 0);
	assert_place(epochs[2], 3000, 4);
	assert_int_equal(kit.reader->operations->epochs(kit.reader, epochs, 2, &err), 2);
	assert_place(epochs[0], 2000, 0);
	static const struct {
		struct place after, last;
		long count;
		struct place first;
	} cases[] = {
		{ { 0, 0 }, { UINT64_MAX, UINT64_MAX }, 7, { KIT_EPOCH, 1 } },
		{ { KIT_EPOCH, 0 }, { 3000, 4 }, 7, { KIT_EPOCH, 1 } },
		{ { KIT_EPOCH, 2 }, { 3000, 1 }, 2, { KIT_EPOCH, 3 } },
		{ { KIT_EPOCH, 3 }, { 3000, 4 }, 4, { 3000, 1 } },
		{ { KIT_EPOCH, 50 }, { 3000, 4 }, 4, { 3000, 1 } },   /* past its epoch's end */
		{ { KIT_EPOCH, UINT64_MAX }, { 3000, 4 }, 4, { 3000, 1 } },
		{ { 2000, 7 }, { 3000, 4 }, 4, { 3000, 1 } },
		{ { 2500, 1 }, { 3000, 4 }, 4, { 3000, 1 } },         /* an epoch that never was */
		{ { 7, 100 }, { KIT_EPOCH, 2 }, 2, { KIT_EPOCH, 1 } },
		{ { 3000, 2 }, { 3000, 3 }, 1, { 3000, 3 } },
		{ { 3000, 4 }, { 3000, UINT64_MAX }, 0, { 0, 0 } },
		{ { 3000, 2 }, { KIT_EPOCH, 3 }, 0, { 0, 0 } },       /* ends before it begins */
		{ { 4000, 0 }, { UINT64_MAX, 0 }, 0, { 0, 0 } },
		{ { UINT64_MAX, UINT64_MAX }, { UINT64_MAX, UINT64_MAX }, 0, { 0, 0 } },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(kit_read(&kit, cases[i].after, cases[i].last, wide, &seen), cases[i].count);
		assert_place(seen.places[0], cases[i].first.epoch, cases[i].first.seq);
		for (size_t j = 1; j < seen.count; j++)
			assert_true(place_compare(seen.places[j - 1], seen.places[j]) < 0);
	}
	struct journal_record record = kit_event(&kit, 1, "1");
	size_t size = journal_record_size(&record);
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, (struct journal_bound){ 4, SIZE_MAX }, &seen), 4);
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, (struct journal_bound){ 100, 3 * size }, &seen), 3);
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, (struct journal_bound){ 100, 3 * size - 1 }, &seen), 2);
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, (struct journal_bound){ 100, 0 }, &seen), 1);
	assert_int_equal(kit_read(&kit, at(0, 0), end_of_time, (struct journal_bound){ 0, 100 }, &seen), 0);
}

static struct place window(uint64_t since_ms, size_t events, size_t bytes)
{
	struct place after = { 9, 9 };
	struct error err = { 0 };
	if (kit.reader->operations->window(kit.reader, since_ms, (struct journal_bound){ events, bytes }, &after, &err))
		fail_msg("window: %s", err.text);
	return after;
}

static void test_window(void **state)
{
	(void)state;
	struct error err;
	kit_open(&kit);
	assert_place(window(0, 100, SIZE_MAX), KIT_EPOCH, 0);
	kit_store(&kit, 10, "1"); /* event n is n seconds old */
	struct journal_record record = kit_event(&kit, 1, "1");
	size_t size = journal_record_size(&record);
	assert_place(window(0, 100, SIZE_MAX), KIT_EPOCH, 0);
	assert_place(window(0, 10, SIZE_MAX), KIT_EPOCH, 0);
	assert_place(window(0, 4, SIZE_MAX), KIT_EPOCH, 6);
	assert_place(window(0, 0, SIZE_MAX), KIT_EPOCH, 10);
	assert_place(window(8000, 100, SIZE_MAX), KIT_EPOCH, 7);
	assert_place(window(8001, 100, SIZE_MAX), KIT_EPOCH, 8);
	assert_place(window(1000000, 100, SIZE_MAX), KIT_EPOCH, 10);
	assert_place(window(0, 100, 3 * size), KIT_EPOCH, 7);
	assert_place(window(0, 100, 4 * size - 1), KIT_EPOCH, 7);
	assert_place(window(0, 100, 10 * size), KIT_EPOCH, 0);
	assert_place(window(9000, 2, 3 * size), KIT_EPOCH, 8);
	assert_int_equal(kit_open_writer(&kit, 2000, &err), 0);
	assert_place(window(0, 4, SIZE_MAX), KIT_EPOCH, 6);
	assert_place(window(1000000, 100, SIZE_MAX), KIT_EPOCH, 10);
}

static long query(struct place after, const char *type, const char *id, size_t limit, struct kit_seen *seen)
{
	struct journal_query query = { after, bytes_of(type), bytes_of(id), limit };
	struct error err = { 0 };
	*seen = (struct kit_seen){ 0 };
	long count = kit.reader->operations->query(kit.reader, &query, kit_see, seen, &err);
	if (count < 0)
		fail_msg("query: %s", err.text);
	return count;
}

static void test_query(void **state)
{
	(void)state;
	static struct kit_seen seen;
	static const char *const ids[] = { "1", "2", "" };
	kit_open(&kit);
	kit_begin(&kit);
	for (uint64_t seq = 1; seq <= 30; seq++) {
		struct journal_record record = kit_data_change(&kit, seq, seq % 2 ? "odd" : "even", ids[seq % 3], VERSION_NONE, "");
		kit_add(&kit, &record);
	}
	kit_add_events(&kit, 0, "");
	kit_commit(&kit);
	kit_store(&kit, 5, "plain");
	assert_int_equal(query(at(0, 0), "", "", 100, &seen), 35);
	assert_int_equal(query(at(0, 0), "", "", 3, &seen), 3);
	assert_int_equal(query(at(KIT_EPOCH, 30), "", "", 100, &seen), 5);
	assert_int_equal(query(at(0, 0), "odd", "", 100, &seen), 15);
	assert_int_equal(query(at(KIT_EPOCH, 10), "odd", "", 3, &seen), 3);
	assert_place(seen.places[0], KIT_EPOCH, 11);
	assert_place(seen.places[2], KIT_EPOCH, 15);
	assert_int_equal(query(at(0, 0), "odd", "1", 100, &seen), 5);
	assert_place(seen.places[0], KIT_EPOCH, 3);
	assert_place(seen.places[1], KIT_EPOCH, 9);
	assert_int_equal(query(at(KIT_EPOCH, 9), "odd", "1", 1, &seen), 1);
	assert_place(seen.places[0], KIT_EPOCH, 15);
	assert_int_equal(query(at(0, 0), "od", "", 100, &seen), 0);
	assert_int_equal(query(at(UINT64_MAX, 1), "odd", "", 100, &seen), 0);
}

/* --- standing --- */

static void control(enum control_operation operation, const char *user, const char *room, uint64_t until_ms)
{
	struct bytes item = bytes_of(room);
	struct journal_record record = kit_event(&kit, kit.writer->last.seq + 1, "");
	record.message.kind = MESSAGE_CONTROL;
	record.message.operation = operation;
	record.message.user = bytes_of(user);
	record.message.time_ms = 1000;
	record.message.until_ms = until_ms;
	if (room)
		record.message.rooms = (struct message_list){ &item, 1 };
	kit_begin(&kit);
	kit_add(&kit, &record);
	kit_commit(&kit);
}

static void on_grant(void *data, struct bytes user, struct bytes room)
{
	buffer_add_format(data, "%.*s+%.*s ", (int)user.len, user.data, (int)room.len, room.data);
}

static void on_block(void *data, struct bytes user, uint64_t until_ms)
{
	buffer_add_format(data, "%.*s!%u ", (int)user.len, user.data, (unsigned)until_ms);
}

static void assert_standing(const char *expected)
{
	struct buffer text = { 0 };
	struct error err = { 0 };
	buffer_add_text(&text, "");
	if (kit.reader->operations->standing(kit.reader, 1500, on_grant, on_block, &text, &err))
		fail_msg("standing: %s", err.text);
	assert_string_equal(text.len ? text.data : "", expected);
	buffer_deinit(&text);
}

static void test_standing(void **state)
{
	(void)state;
	kit_open(&kit);
	assert_standing("");
	control(CONTROL_JOIN, "anna", "a", 0);
	control(CONTROL_JOIN, "anna", "b", 0);
	control(CONTROL_JOIN, "anna", "a", 0);
	assert_standing(is_lasting() ? "anna+a anna+b " : "anna+b anna+a ");
	control(CONTROL_LEAVE, "anna", "a", 0);
	control(CONTROL_LEAVE, "anna", "c", 0);
	control(CONTROL_LEAVE, "ann", "b", 0);
	assert_standing("anna+b ");
	control(CONTROL_DISCONNECT, "bob", NULL, 2000);
	control(CONTROL_DISCONNECT, "carl", NULL, 1400); /* ended by now */
	control(CONTROL_DISCONNECT, "dora", NULL, 0);    /* no block at all */
	assert_standing("anna+b bob!2000 ");
	control(CONTROL_DISCONNECT, "bob", NULL, 3000);
	assert_standing("anna+b bob!3000 ");
	open_again(KIT_EPOCH);
	assert_standing("anna+b bob!3000 ");
	control(CONTROL_DISCONNECT, "bob", NULL, 1);
	control(CONTROL_LEAVE, "anna", "b", 0);
	assert_standing("");
	/* In one group, in order; what is undone does not count. */
	kit_begin(&kit);
	for (int i = 0; i < 4; i++) {
		static const struct bytes item = { "z", 1 };
		struct journal_record record = kit_event(&kit, kit.writer->last.seq + 1 + (uint64_t)i, "");
		record.message.kind = MESSAGE_CONTROL;
		record.message.operation = i % 2 ? CONTROL_LEAVE : CONTROL_JOIN;
		record.message.user = bytes_of("eve");
		record.message.rooms = (struct message_list){ &item, 1 };
		kit_savepoint(&kit, 2);
		assert_int_equal(kit_append(&kit, &record, NULL), 0);
		if (i < 3)
			kit_release(&kit);
		else
			kit_undo(&kit);
	}
	kit_commit(&kit);
	assert_standing("eve+z ");
}

/* --- retention --- */

static void trim(uint64_t now_ms)
{
	struct error err = { 0 };
	int more, rounds = 0;
	while ((more = kit.journal->operations->trim(kit.journal, now_ms, &err)) > 0)
		assert_true(++rounds < 1000);
	if (more < 0)
		fail_msg("trim: %s", err.text);
}

static void with_retention(struct journal_retention retention)
{
	kit_close(&kit);
	kit.settings.retention = retention;
	kit_open(&kit);
}

static void test_trim_by_count(void **state)
{
	(void)state;
	with_retention((struct journal_retention){ .events = 100 });
	assert_int_equal(kit.journal->operations->trim(kit.journal, 1, NULL), 0); /* nothing there */
	for (int i = 0; i < 8; i++)
		kit_store(&kit, 250, "x");
	trim(1);
	kit_assert_extent(&kit, at(KIT_EPOCH, 1901), at(KIT_EPOCH, 2000));
	trim(1);
	kit_assert_extent(&kit, at(KIT_EPOCH, 1901), at(KIT_EPOCH, 2000));
}

static void test_trim_by_age_and_size(void **state)
{
	(void)state;
	kit_open(&kit);
	struct journal_record record = kit_event(&kit, 1, "1");
	size_t size = journal_record_size(&record);
	with_retention((struct journal_retention){ .age_ms = 5000, .bytes = 20 * size });
	uint64_t epoch = kit.writer->last.epoch;
	kit_store(&kit, 30, "1");
	trim(15000);
	kit_assert_extent(&kit, at(epoch, 11), at(epoch, 30)); /* size is the narrower */
	trim(20000);
	kit_assert_extent(&kit, at(epoch, 15), at(epoch, 30));
	trim(20001);
	kit_assert_extent(&kit, at(epoch, 16), at(epoch, 30));
	trim(10000000); /* the newest stays: it tells where its epoch ends */
	kit_assert_extent(&kit, at(epoch, 30), at(epoch, 30));
	kit_store(&kit, 1, "1");
	static struct kit_seen seen;
	assert_int_equal(kit_read(&kit, at(epoch, 2), end_of_time, wide, &seen), 2);
	assert_place(window(0, 100, SIZE_MAX), epoch, 29);
}

static void test_trim_leaves_what_is_not_an_event(void **state)
{
	(void)state;
	struct journal_key old = some_key("k", "old", "1"), young = some_key("k", "young", "2"), found;
	struct journal_record record;
	int64_t version;
	with_retention((struct journal_retention){ .events = 1, .bytes = 1 << 20 });
	if (!is_lasting()) /* there versions live as long as events */
		with_retention((struct journal_retention){ .events = 2 });
	control(CONTROL_JOIN, "anna", "a", 0);
	kit_begin(&kit);
	record = kit_data_change(&kit, 2, "t", "1", 7, "data");
	kit_add(&kit, &record);
	old.time_ms = 1000;
	young.time_ms = 2000;
	assert_int_equal(kit.writer->operations->keep_key(kit.writer, &old, NULL), 0);
	assert_int_equal(kit.writer->operations->keep_key(kit.writer, &young, NULL), 0);
	kit_commit(&kit);
	kit_store(&kit, 10, "x");
	trim(1500 + KEY_LIFE_MS);
	assert_standing("anna+a ");
	kit_begin(&kit);
	assert_int_equal(kit_find_version(&kit, "t", "1", &version), 1);
	assert_int_equal(version, 7);
	assert_int_equal(find_key("k", "old", &found), 0);
	assert_int_equal(find_key("k", "young", &found), 1);
	kit_commit(&kit);
}

/* --- threads --- */

static void *read_along(void *data)
{
	struct kit_seen seen;
	struct place after = { 0, 0 };
	const bool *is_done = data;
	struct journal_reader *reader;
	void *failure = NULL;
	if (kit.journal->operations->open_reader(kit.journal, &reader, NULL))
		return (void *)1;
	for (bool is_last = false; !is_last && !failure;) {
		is_last = __atomic_load_n(is_done, __ATOMIC_ACQUIRE);
		seen = (struct kit_seen){ 0 };
		long count = reader->operations->read(reader, after, end_of_time, (struct journal_bound){ 100, SIZE_MAX }, kit_see, &seen, NULL);
		for (long i = 0; i < count; i++) {
			if (seen.places[i].seq != after.seq + 1)
				failure = (void *)2;
			after = seen.places[i];
		}
		if (count < 0)
			failure = (void *)3;
		is_last = is_last && count == 0;
	}
	reader->operations->close(reader);
	return after.seq == 2000 ? failure : (void *)4;
}

static void *trim_along(void *data)
{
	const bool *is_done = data;
	while (!__atomic_load_n(is_done, __ATOMIC_ACQUIRE))
		if (kit.journal->operations->trim(kit.journal, 1, NULL) < 0)
			return (void *)1;
	return NULL;
}

static void test_readers_and_trimming_beside_the_writer(void **state)
{
	(void)state;
	pthread_t threads[3];
	bool is_done = false;
	with_retention((struct journal_retention){ .events = 3000 });
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i == 2 ? trim_along : read_along, &is_done), 0);
	for (int i = 0; i < 200; i++)
		kit_store(&kit, 10, "\"x\"");
	__atomic_store_n(&is_done, true, __ATOMIC_RELEASE);
	for (int i = 0; i < 3; i++) {
		void *failure;
		pthread_join(threads[i], &failure);
		assert_null(failure);
	}
}

static void test_a_reader_may_come_first(void **state)
{
	(void)state;
	struct error err = { 0 };
	struct journal_extent extent;
	unsigned char key[MAC_KEY_LEN], same[MAC_KEY_LEN];
	if (!is_lasting())
		return;
	assert_int_equal(kit.journal->operations->open_reader(kit.journal, &kit.reader, &err), 0);
	assert_int_equal(kit.reader->operations->extent(kit.reader, &extent, &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_false(journal_mac_key(kit.journal, key));
	kit_open(&kit);
	kit_store(&kit, 1, "1");
	kit_assert_extent(&kit, at(KIT_EPOCH, 1), at(KIT_EPOCH, 1));
	assert_true(journal_mac_key(kit.journal, key));
	/* Without any writer, in a process that never had one. */
	kit_close(&kit);
	kit.journal = journal_new(kit.kind, &kit.settings, &err);
	assert_int_equal(kit.journal->operations->open_reader(kit.journal, &kit.reader, &err), 0);
	kit_assert_extent(&kit, at(KIT_EPOCH, 1), at(KIT_EPOCH, 1));
	assert_true(journal_mac_key(kit.journal, same));
	assert_memory_equal(key, same, MAC_KEY_LEN);
	assert_int_equal(kit.journal->operations->trim(kit.journal, 1, &err), 0);
}

static const struct contract {
	const char *name;
	CMUnitTestFunction test;
} contract[] = {
	{ "records come back as they were", test_records_come_back_as_they_were },
	{ "large bodies and groups", test_large_bodies_and_groups },
	{ "only what is committed is seen", test_only_what_is_committed_is_seen },
	{ "a failed request leaves nothing", test_a_failed_request_leaves_nothing },
	{ "what cannot be stored fails alone", test_what_cannot_be_stored_fails_alone },
	{ "keys", test_keys },
	{ "versions", test_versions },
	{ "epochs only grow", test_epochs_only_grow },
	{ "reading crosses epochs", test_reading_crosses_epochs },
	{ "window", test_window },
	{ "query", test_query },
	{ "standing", test_standing },
	{ "trim by count", test_trim_by_count },
	{ "trim by age and size", test_trim_by_age_and_size },
	{ "trim leaves what is not an event", test_trim_leaves_what_is_not_an_event },
	{ "readers and trimming beside the writer", test_readers_and_trimming_beside_the_writer },
	{ "a reader may come first", test_a_reader_may_come_first },
};
enum { CONTRACT_COUNT = sizeof(contract) / sizeof(contract[0]) };

static char kinds[][16] = { "off", "sqlite", "postgres" };
enum { KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]) };

int main(void)
{
	static char names[KIND_COUNT][CONTRACT_COUNT][80];
	struct CMUnitTest tests[KIND_COUNT * CONTRACT_COUNT];
	for (size_t kind = 0; kind < KIND_COUNT; kind++) {
		for (size_t i = 0; i < CONTRACT_COUNT; i++) {
			snprintf(names[kind][i], sizeof(names[kind][i]), "%s: %s", kinds[kind], contract[i].name);
			tests[kind * CONTRACT_COUNT + i] = (struct CMUnitTest){ names[kind][i], contract[i].test, set_up, tear_down, kinds[kind] };
		}
	}
	log_open("test_journal", LOG_LEVEL_WARNING);
	has_postgres = kit_start_postgres() != NULL;
	int result = _cmocka_run_group_tests("journal", tests, sizeof(tests) / sizeof(tests[0]), NULL, NULL);
	kit_stop_postgres();
	return result;
}
