/* test_journal.c - what every journal must do (journal.h): each test runs against all of them. */
#include "journal_contract.h"

#include <stdlib.h>

#include "journal_pending.h"

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

int main(void)
{
	static const struct contract contract[] = {
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
	};
	return contract_run("test_journal", contract, sizeof(contract) / sizeof(contract[0]));
}
