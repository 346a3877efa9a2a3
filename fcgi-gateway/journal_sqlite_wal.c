/* journal_sqlite_wal.c - an older copy of the journal, put back beside the WAL that a killed gateway left, is known as such.
 *
 * SQLite would apply the WAL to it, and so destroy it: nothing in the two says that they are strangers. So the journal's header (page 1,
 * user_version) has a generation that grows when a writer opens and before every checkpoint, and a file beside it names, for the WAL with
 * these salts, the generation that the journal had on disk when that WAL was begun. A journal that is behind it is not the one that the WAL
 * belongs to. One that is not behind may be a copy too, but a newer one than the WAL's beginning, to which the WAL can be applied.
 *
 * A valid WAL is never taken for a stale one: before a WAL is begun SQLite has synced the journal, which only grows from there. Where that is
 * not certain, nothing is written down; where nothing is written down, or of another WAL, nothing is judged. */
#include "journal_sqlite_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <roomcast/log.h>

enum {
	WAL_SALTS_AT = 16, WAL_SALTS_LEN = 8,    /* www.sqlite.org/fileformat2.html, 4.1 */
	USER_VERSION_AT = 60, APPLICATION_ID_AT = 68, HEADER_LEN = 100, /* 1.3 */
	GENERATION_MAX = (1 << 27) - 1,          /* past it all are alike, and nothing is judged */
	NOTE_LEN = 2 * WAL_SALTS_LEN + 10 + 2,
};

static const char note_file[] = "journal.sqlite-base";

static uint32_t number_at(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

uint32_t sqlite_generation_of(int64_t user_version)
{
	return (uint32_t)user_version >> SQLITE_SCHEMA_BITS;
}

int sqlite_advance_generation(struct sqlite_journal *self, struct sqlite_file *file, struct error *err)
{
	char sql[64];
	int64_t version;
	if (sqlite_file_ask(file, "PRAGMA user_version", &version, err))
		return -1;
	uint32_t generation = sqlite_generation_of(version);
	if (generation < self->newest_generation)
		generation = self->newest_generation;
	if (generation >= GENERATION_MAX)
		return 0;
	self->newest_generation = ++generation;
	sqlite3_snprintf(sizeof(sql), sql, "PRAGMA user_version = %u",
	                 generation << SQLITE_SCHEMA_BITS | ((uint32_t)version & ((1u << SQLITE_SCHEMA_BITS) - 1)));
	return sqlite_file_execute(file, sql, err);
}

/* --- what is written down --- */

/* Through SQLite's own files: closing another descriptor of them would give up the process's locks. */
static bool read_through(struct sqlite_file *file, int which, void *out, int len, sqlite3_int64 at)
{
	sqlite3_file *os_file = NULL;
	return sqlite3_file_control(file->db, "main", which, &os_file) == SQLITE_OK && os_file && os_file->pMethods
	    && os_file->pMethods->xRead(os_file, out, len, at) == SQLITE_OK;
}

static void write_note(struct sqlite_journal *self, const unsigned char *salts, uint32_t generation)
{
	static struct log_limit limit;
	char text[NOTE_LEN + 1];
	int len = snprintf(text, sizeof(text), "%08" PRIx32 "%08" PRIx32 " %010" PRIu32 "\n", number_at(salts), number_at(salts + 4), generation);
	int fd = openat(self->state_dir.fd, note_file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || pwrite(fd, text, (size_t)len, 0) != len)
		log_limited(&limit, "msg=\"a stale WAL would not be known\" file=%s error=\"%s\"", note_file, strerror(errno));
	if (fd >= 0)
		close(fd);
}

void sqlite_wal_note(struct sqlite_writer *writer)
{
	struct sqlite_journal *self = writer->journal;
	unsigned char salts[WAL_SALTS_LEN], version[4];
	if (!read_through(&writer->maintenance, SQLITE_FCNTL_JOURNAL_POINTER, salts, sizeof(salts), WAL_SALTS_AT)
	    || memcmp(salts, writer->noted_salts, sizeof(salts)) == 0)
		return;
	memcpy(writer->noted_salts, salts, sizeof(salts));
	/* What a checkpoint of this very WAL has copied already may not be on disk. */
	bool is_certain = !atomic_exchange(&self->has_checkpointed, false);
	if (is_certain && read_through(&writer->maintenance, SQLITE_FCNTL_FILE_POINTER, version, sizeof(version), USER_VERSION_AT))
		write_note(self, salts, sqlite_generation_of(number_at(version)));
}

void sqlite_wal_begin(struct sqlite_writer *writer)
{
	unsigned char salts[WAL_SALTS_LEN];
	atomic_store(&writer->journal->has_checkpointed, false);
	/* Emptied, it begins anew with the next commit. One that cannot be was another process's, of which nothing is known. */
	(void)sqlite3_wal_checkpoint_v2(writer->maintenance.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	if (read_through(&writer->maintenance, SQLITE_FCNTL_JOURNAL_POINTER, salts, sizeof(salts), WAL_SALTS_AT))
		memcpy(writer->noted_salts, salts, sizeof(salts));
}

/* --- judgement --- */

/* The descriptor stays open, for the same reason as above. Of a file that is damaged nothing is known. */
static bool read_journal(struct sqlite_journal *self, uint32_t *generation)
{
	static const char magic[16] = "SQLite format 3";
	unsigned char header[HEADER_LEN];
	struct stat there, ours;
	if (self->raw_fd >= 0 && (stat(self->path, &there) || fstat(self->raw_fd, &ours) || there.st_ino != ours.st_ino || there.st_dev != ours.st_dev)) {
		close(self->raw_fd);
		self->raw_fd = -1;
	}
	if (self->raw_fd < 0)
		self->raw_fd = open(self->path, O_RDONLY | O_CLOEXEC);
	if (self->raw_fd < 0 || pread(self->raw_fd, header, sizeof(header), 0) != (ssize_t)sizeof(header) || memcmp(header, magic, sizeof(magic)) != 0)
		return false;
	*generation = sqlite_generation_of(number_at(header + USER_VERSION_AT));
	return number_at(header + APPLICATION_ID_AT) == SQLITE_APPLICATION_ID;
}

static bool read_text(int fd, void *out, size_t len, off_t at)
{
	bool is_read = fd >= 0 && pread(fd, out, len, at) == (ssize_t)len;
	if (fd >= 0)
		close(fd);
	return is_read;
}

static bool read_note(struct sqlite_journal *self, unsigned char salts[static WAL_SALTS_LEN], uint32_t *generation)
{
	char text[NOTE_LEN + 1] = "";
	uint32_t first, second;
	if (!read_text(openat(self->state_dir.fd, note_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), text, NOTE_LEN, 0)
	    || sscanf(text, "%8" SCNx32 "%8" SCNx32 " %10" SCNu32 "\n", &first, &second, generation) != 3 || *generation > GENERATION_MAX)
		return false;
	for (int i = 0; i < 4; i++) {
		salts[i] = (unsigned char)(first >> (24 - 8 * i));
		salts[4 + i] = (unsigned char)(second >> (24 - 8 * i));
	}
	return true;
}

static bool is_stale(struct sqlite_journal *self)
{
	unsigned char noted[WAL_SALTS_LEN], salts[WAL_SALTS_LEN];
	uint32_t base, generation;
	if (!read_note(self, noted, &base))
		return false;
	if (self->newest_generation < base)
		self->newest_generation = base;
	return read_text(open(self->wal_path, O_RDONLY | O_CLOEXEC), salts, sizeof(salts), WAL_SALTS_AT) && memcmp(salts, noted, sizeof(salts)) == 0
	    && read_journal(self, &generation) && generation < base;
}

int sqlite_wal_check(struct sqlite_journal *self, struct error *err)
{
	struct buffer aside = { 0 };
	self->has_stale_wal = is_stale(self);
	if (!self->has_stale_wal)
		return 0;
	buffer_add_format(&aside, "%s.stale-%lld", self->wal_path, (long long)time(NULL));
	int result = aside.has_failed ? error_set(err, ERROR_UNAVAILABLE, "no memory") : 0;
	if (result == 0)
		(void)unlinkat(self->state_dir.fd, "journal.sqlite-shm", 0); /* its index */
	if (result == 0 && rename(self->wal_path, aside.data))
		result = error_set(err, ERROR_UNAVAILABLE, "%s: is of a newer journal than the one beside it, and cannot be set aside: %s", self->wal_path, strerror(errno));
	if (result == 0) {
		log_warning("msg=\"an older copy of the journal is in its place: the WAL of the newer one is set aside\" path=%s", aside.data);
		self->has_stale_wal = false;
	}
	buffer_deinit(&aside);
	return result;
}
