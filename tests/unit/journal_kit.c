/* journal_kit.c - journals for tests. */
#include "journal_kit.h"

#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int remove_one(const char *path, const struct stat *stats, int type, struct FTW *walk)
{
	(void)stats, (void)type, (void)walk;
	return remove(path);
}

static char postgres_dir[] = "/tmp/roomcast-pg-XXXXXX";
static char postgres_connection[200];

int kit_postgres(const char *action, const char *mode)
{
	char program[] = POSTGRES_SH, first[16], second[16];
	char *arguments[] = { program, first, postgres_dir, second, NULL };
	snprintf(first, sizeof(first), "%s", action);
	snprintf(second, sizeof(second), "%s", mode);
	pid_t child;
	int status = 0;
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, 2, 1); /* TAP is on our standard output */
	int failure = posix_spawn(&child, program, &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (failure || waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const char *kit_postgres_dir(void)
{
	return postgres_dir;
}

const char *kit_start_postgres(void)
{
	char owner[16];
	snprintf(owner, sizeof(owner), "%d", (int)getpid());
	setenv("POSTGRES_OWNER", owner, 1);
	if (!mkdtemp(postgres_dir) || kit_postgres("start", "fast"))
		return NULL;
	snprintf(postgres_connection, sizeof(postgres_connection), "host=%s user=postgres dbname=postgres", postgres_dir);
	return postgres_connection;
}

void kit_stop_postgres(void)
{
	kit_postgres("remove", "");
}

void kit_start(struct kit *kit, const char *kind)
{
	static unsigned number;
	strcpy(kit->dir, "/tmp/roomcast-journal-XXXXXX");
	assert_non_null(mkdtemp(kit->dir));
	snprintf(kit->schema, sizeof(kit->schema), "test_%d_%u", (int)getpid(), number++);
	kit->kind = kind;
	kit->settings.state_dir = kit->dir;
	kit->settings.schema = kit->schema;
	kit->settings.connection = postgres_connection;
	kit->journal = journal_new(kind, &kit->settings, NULL);
	assert_non_null(kit->journal);
}

static void close_writer(struct kit *kit)
{
	if (kit->writer)
		kit->writer->operations->close(kit->writer);
	kit->writer = NULL;
}

void kit_close(struct kit *kit)
{
	close_writer(kit);
	if (kit->reader)
		kit->reader->operations->close(kit->reader);
	kit->reader = NULL;
	journal_close(kit->journal);
	kit->journal = NULL;
}

void kit_end(struct kit *kit)
{
	kit_close(kit);
	assert_int_equal(nftw(kit->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

int kit_open_writer(struct kit *kit, uint64_t now_s, struct error *err)
{
	close_writer(kit);
	return kit->journal->operations->open_writer(kit->journal, now_s, "ipc:///tmp/line", &kit->writer, err);
}

void kit_open(struct kit *kit)
{
	struct error err = { 0 };
	if (!kit->journal)
		kit->journal = journal_new(kit->kind, &kit->settings, &err);
	if (!kit->journal || kit_open_writer(kit, KIT_EPOCH, &err) || (!kit->reader && kit->journal->operations->open_reader(kit->journal, &kit->reader, &err)))
		fail_msg("%s", err.text);
}

void kit_begin(struct kit *kit)
{
	struct error err = { 0 };
	if (kit->writer->operations->begin(kit->writer, &err))
		fail_msg("begin: %s", err.text);
}

void kit_savepoint(struct kit *kit, size_t events)
{
	struct error err = { 0 };
	if (kit->writer->operations->savepoint(kit->writer, events, &err))
		fail_msg("savepoint: %s", err.text);
}

void kit_release(struct kit *kit)
{
	struct error err = { 0 };
	if (kit->writer->operations->release(kit->writer, &err))
		fail_msg("release: %s", err.text);
}

void kit_undo(struct kit *kit)
{
	kit->writer->operations->undo(kit->writer);
}

void kit_commit(struct kit *kit)
{
	struct error err = { 0 };
	if (kit->writer->operations->commit(kit->writer, &err) != JOURNAL_STORED)
		fail_msg("commit: %s", err.text);
}

struct journal_record kit_event(const struct kit *kit, uint64_t seq, const char *body)
{
	struct journal_record record = { .version = VERSION_NONE };
	record.message = (struct message){
		.kind = MESSAGE_EVENT, .epoch = kit->writer->last.epoch, .seq = seq, .time_ms = 1000 * seq, .audience = AUDIENCE_EVERYONE,
		.body = bytes_of(body),
	};
	return record;
}

struct journal_record kit_data_change(const struct kit *kit, uint64_t seq, const char *type, const char *id, int64_t version, const char *data)
{
	struct journal_record record = kit_event(kit, seq, "\"data-change\"");
	record.message.entity_type = bytes_of(type);
	record.message.entity_id = bytes_of(id);
	record.message.action = ACTION_UPDATE;
	record.version = version;
	record.data = bytes_of(data);
	return record;
}

int kit_append(struct kit *kit, const struct journal_record *record, struct error *err)
{
	return kit->writer->operations->append(kit->writer, record, err);
}

void kit_add(struct kit *kit, const struct journal_record *record)
{
	struct error err = { 0 };
	kit_savepoint(kit, 1);
	if (kit_append(kit, record, &err))
		fail_msg("append: %s", err.text);
	kit_release(kit);
}

void kit_add_events(struct kit *kit, size_t count, const char *body)
{
	for (size_t i = 1; i <= count; i++) {
		struct journal_record record = kit_event(kit, kit->writer->last.seq + i, body);
		kit_add(kit, &record);
	}
}

void kit_store(struct kit *kit, size_t count, const char *body)
{
	kit_begin(kit);
	kit_add_events(kit, count, body);
	kit_commit(kit);
}

int kit_find_version(struct kit *kit, const char *type, const char *id, int64_t *version)
{
	struct journal_entity entity = { 0 };
	struct error err = { 0 };
	int result = kit->writer->operations->find_entity(kit->writer, bytes_of(type), bytes_of(id), &entity, &err);
	if (result < 0)
		fail_msg("find_entity: %s", err.text);
	*version = entity.version;
	return result;
}

void kit_see(void *data, const struct journal_record *record)
{
	struct kit_seen *seen = data;
	assert_true(seen->count < KIT_SEEN_MAX);
	seen->places[seen->count++] = (struct place){ record->message.epoch, record->message.seq };
	seen->bytes += record->message.body.len;
}

long kit_read(struct kit *kit, struct place after, struct place last, struct journal_bound bound, struct kit_seen *seen)
{
	struct error err = { 0 };
	*seen = (struct kit_seen){ 0 };
	long count = kit->reader->operations->read(kit->reader, after, last, bound, kit_see, seen, &err);
	if (count < 0)
		fail_msg("read: %s", err.text);
	assert_int_equal(count, seen->count);
	return count;
}

void kit_assert_extent(struct kit *kit, struct place first, struct place last)
{
	struct journal_extent extent;
	struct error err = { 0 };
	if (kit->reader->operations->extent(kit->reader, &extent, &err))
		fail_msg("extent: %s", err.text);
	assert_place(extent.first, first.epoch, first.seq);
	assert_place(extent.last, last.epoch, last.seq);
}
