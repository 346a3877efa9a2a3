/* test_journal_upkeep.c - what every journal must do (journal.h) beside storing: grants and blocks, retention, several threads. */
#include "journal_contract.h"

#include <pthread.h>
#include <string.h>

#include "journal_pending.h"

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

int main(void)
{
	static const struct contract contract[] = {
		{ "standing", test_standing },
		{ "trim by count", test_trim_by_count },
		{ "trim by age and size", test_trim_by_age_and_size },
		{ "trim leaves what is not an event", test_trim_leaves_what_is_not_an_event },
		{ "readers and trimming beside the writer", test_readers_and_trimming_beside_the_writer },
		{ "a reader may come first", test_a_reader_may_come_first },
	};
	return contract_run("test_journal_upkeep", contract, sizeof(contract) / sizeof(contract[0]));
}
