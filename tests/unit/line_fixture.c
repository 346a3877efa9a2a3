/* line_fixture.c - a line and its peers. */
#include "line_fixture.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include <roomcast/clock.h>

/* --- the journal --- */

struct fixture_reader {
	struct journal_reader reader;
	struct fixture_journal *journal;
};

/* Comes back with the lock held. */
static int enter(struct journal_reader *reader, struct fixture_journal **journal, struct error *err)
{
	*journal = ((struct fixture_reader *)reader)->journal;
	pthread_mutex_lock(&(*journal)->lock);
	(*journal)->held++;
	while ((*journal)->is_held)
		pthread_cond_wait(&(*journal)->changed, &(*journal)->lock);
	(*journal)->held--;
	if (!(*journal)->fails)
		return 0;
	pthread_mutex_unlock(&(*journal)->lock);
	return error_set(err, ERROR_UNAVAILABLE, "the test's journal fails");
}

static int read_extent(struct journal_reader *reader, struct journal_extent *out, struct error *err)
{
	struct fixture_journal *journal;
	if (enter(reader, &journal, err))
		return -1;
	*out = (struct journal_extent){ 0 };
	if (journal->count)
		*out = (struct journal_extent){ journal->places[0], journal->places[journal->count - 1] };
	pthread_mutex_unlock(&journal->lock);
	return 0;
}

static long read_epochs(struct journal_reader *reader, struct place *out, size_t max, struct error *err)
{
	struct fixture_journal *journal;
	if (enter(reader, &journal, err))
		return -1;
	assert_true(max >= journal->epoch_count);
	memcpy(out, journal->epochs, journal->epoch_count * sizeof(*out));
	long count = (long)journal->epoch_count;
	pthread_mutex_unlock(&journal->lock);
	return count;
}

static long read_records(struct journal_reader *reader, struct place after, struct place last, struct journal_bound bound, journal_visit *visit,
                         void *data, struct error *err)
{
	struct fixture_journal *journal;
	long count = 0;
	if (enter(reader, &journal, err))
		return -1;
	for (size_t i = 0; i < journal->count && (size_t)count < bound.events; i++) {
		struct place place = journal->places[i];
		if (place_compare(place, after) <= 0 || place_compare(place, last) > 0)
			continue;
		struct journal_record record = {
			.message = { .kind = MESSAGE_EVENT, .epoch = place.epoch, .seq = place.seq, .time_ms = 1, .body = bytes_of("\"e\",1") },
		};
		visit(data, &record);
		count++;
	}
	pthread_mutex_unlock(&journal->lock);
	return count;
}

static int read_window(struct journal_reader *reader, uint64_t since_ms, struct journal_bound bound, struct place *after, struct error *err)
{
	struct fixture_journal *journal;
	assert_true(since_ms && bound.events == 5 && bound.bytes == 500);
	if (enter(reader, &journal, err))
		return -1;
	*after = journal->window;
	pthread_mutex_unlock(&journal->lock);
	return 0;
}

static int read_standing(struct journal_reader *reader, uint64_t now_ms, journal_visit_grant *grant, journal_visit_block *block, void *data,
                         struct error *err)
{
	struct fixture_journal *journal;
	assert_true(now_ms);
	if (enter(reader, &journal, err))
		return -1;
	pthread_mutex_unlock(&journal->lock);
	for (int i = 0; i < 1500; i++) /* more than fit into one message */
		grant(data, bytes_of("user"), bytes_of("room"));
	block(data, bytes_of("guest"), 77);
	grant(data, bytes_of("late"), bytes_of("room"));
	return 0;
}

static void close_reader(struct journal_reader *reader)
{
	free(reader);
}

static int open_reader(struct journal *journal, struct journal_reader **out, struct error *err)
{
	static const struct journal_reader_operations operations = {
		.extent = read_extent, .epochs = read_epochs, .read = read_records, .window = read_window, .standing = read_standing, .close = close_reader,
	};
	(void)err;
	struct fixture_reader *reader = calloc(1, sizeof(*reader));
	assert_non_null(reader);
	reader->reader.operations = &operations;
	reader->journal = (struct fixture_journal *)journal;
	*out = &reader->reader;
	return 0;
}

/* --- the line --- */

/* On the fixture's endpoints. */
static void open_line(struct fixture *fixture, uint64_t silence_ms, const struct curve *curve, const struct zap_peers *peers)
{
	static const struct journal_operations operations = { .name = "test", .open_reader = open_reader };
	struct error err = { 0 };
	struct fixture_journal *journal = &fixture->journal;
	journal->journal.operations = &operations;
	journal->journal.has_mac_key = true;
	memset(journal->journal.mac_key, 'k', MAC_KEY_LEN);
	pthread_mutex_init(&journal->journal.lock, NULL);
	pthread_mutex_init(&journal->lock, NULL);
	pthread_cond_init(&journal->changed, NULL);
	struct line_settings settings = {
		.events_endpoint = fixture->events, .line_endpoint = fixture->endpoint, .heartbeat_ms = HEARTBEAT_MS, .silence_ms = silence_ms,
		.queue_bytes = 1 << 20, .chunk = { 4, 1 << 20 }, .inbound_max = 1 << 20, .curve = curve, .peers = peers,
	};
	fixture->line = line_new(&journal->journal, &settings, &err);
	if (!fixture->line)
		fail_msg("%s", err.text);
}

static void open_on_files(struct fixture *fixture, uint64_t silence_ms)
{
	*fixture = (struct fixture){ .dir = "/tmp/roomcast-line-XXXXXX" };
	assert_non_null(mkdtemp(fixture->dir));
	snprintf(fixture->events, sizeof(fixture->events), "ipc://%s/events", fixture->dir);
	snprintf(fixture->endpoint, sizeof(fixture->endpoint), "ipc://%s/line", fixture->dir);
	open_line(fixture, silence_ms, NULL, NULL);
}

void fixture_open(struct fixture *fixture)
{
	open_on_files(fixture, LONG_SILENCE_MS);
}

void fixture_open_impatient(struct fixture *fixture)
{
	open_on_files(fixture, SILENCE_MS);
}

/* A port that nobody listens on now. */
static unsigned free_port(void)
{
	struct sockaddr_in place = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(place);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&place, len) == 0 && getsockname(fd, (struct sockaddr *)&place, &len) == 0);
	close(fd);
	return ntohs(place.sin_port);
}

void fixture_open_secured(struct fixture *fixture, const struct curve *curve, const struct zap_peers *peers)
{
	*fixture = (struct fixture){ .dir = "/tmp/roomcast-line-XXXXXX" };
	assert_non_null(mkdtemp(fixture->dir));
	snprintf(fixture->events, sizeof(fixture->events), "tcp://127.0.0.1:%u", free_port());
	snprintf(fixture->endpoint, sizeof(fixture->endpoint), "tcp://127.0.0.1:%u", free_port());
	open_line(fixture, LONG_SILENCE_MS, curve, peers);
}

void fixture_close(struct fixture *fixture)
{
	char path[160];
	fixture_hold(fixture, false);
	line_free(fixture->line);
	pthread_cond_destroy(&fixture->journal.changed);
	pthread_mutex_destroy(&fixture->journal.lock);
	pthread_mutex_destroy(&fixture->journal.journal.lock);
	snprintf(path, sizeof(path), "%s/events", fixture->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/line", fixture->dir);
	unlink(path);
	rmdir(fixture->dir);
}

void fixture_store(struct fixture *fixture, uint64_t epoch, uint64_t first, uint64_t last)
{
	struct fixture_journal *journal = &fixture->journal;
	pthread_mutex_lock(&journal->lock);
	for (uint64_t seq = first; seq <= last; seq++) {
		assert_true(journal->count < FIXTURE_RECORDS);
		journal->places[journal->count++] = (struct place){ epoch, seq };
	}
	if (!journal->epoch_count || journal->epochs[journal->epoch_count - 1].epoch != epoch)
		journal->epoch_count++;
	journal->epochs[journal->epoch_count - 1] = (struct place){ epoch, last };
	pthread_mutex_unlock(&journal->lock);
}

void fixture_publish(struct fixture *fixture, uint64_t epoch, uint64_t first, uint64_t last)
{
	for (uint64_t seq = first; seq <= last; seq++) {
		struct message message = { .kind = MESSAGE_EVENT, .epoch = epoch, .seq = seq, .time_ms = 1, .body = bytes_of("\"e\",1") };
		struct buffer packed = { 0 };
		assert_int_equal(message_pack(&message, &packed, NULL), 0);
		line_publish(fixture->line, epoch, seq, buffer_bytes(&packed));
		buffer_deinit(&packed);
	}
	line_flush(fixture->line);
}

void fixture_hold(struct fixture *fixture, bool is_held)
{
	pthread_mutex_lock(&fixture->journal.lock);
	fixture->journal.is_held = is_held;
	pthread_cond_broadcast(&fixture->journal.changed);
	pthread_mutex_unlock(&fixture->journal.lock);
}

/* --- peers --- */

static void *open_socket(struct peer *peer, int type, const char *endpoint)
{
	int none = 0;
	void *socket = zmq_socket(peer->context, type);
	assert_non_null(socket);
	zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof(none));
	if (type == ZMQ_SUB)
		zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
	if (peer->curve)
		assert_int_equal(curve_connect(peer->curve, socket, endpoint), 0);
	assert_int_equal(zmq_connect(socket, endpoint), 0);
	return socket;
}

void peer_open(struct peer *peer, struct fixture *fixture, const char *name, uint64_t instance)
{
	peer_open_secured(peer, fixture, name, instance, NULL);
}

void peer_open_secured(struct peer *peer, struct fixture *fixture, const char *name, uint64_t instance, const struct curve *curve)
{
	*peer = (struct peer){ .name = name, .instance = instance, .curve = curve, .context = zmq_ctx_new() };
	peer->line = open_socket(peer, ZMQ_DEALER, fixture->endpoint);
	peer->events = open_socket(peer, ZMQ_SUB, fixture->events);
}

void peer_close(struct peer *peer)
{
	message_deinit(&peer->message);
	buffer_deinit(&peer->packed);
	zmq_close(peer->line);
	zmq_close(peer->events);
	zmq_ctx_term(peer->context);
}

void peer_say(struct peer *peer, struct message message)
{
	struct buffer packed = { 0 };
	struct error err = { 0 };
	message.hub = bytes_of(peer->name);
	message.instance = peer->instance;
	if (message_pack(&message, &packed, &err))
		fail_msg("%s", err.text);
	assert_int_equal(zmq_send(peer->line, packed.data, packed.len, 0), (int)packed.len);
	buffer_deinit(&packed);
}

void peer_report(struct peer *peer, uint64_t epoch, uint64_t seq)
{
	peer_say(peer, (struct message){ .kind = MESSAGE_REPORT, .epoch = epoch, .seq = seq, .clients = 1 });
}

/* False when nothing comes for so long. */
static bool receive(struct peer *peer, void *socket, long ms)
{
	zmq_pollitem_t item = { .socket = socket, .events = ZMQ_POLLIN };
	zmq_msg_t content;
	struct error err = { 0 };
	if (zmq_poll(&item, 1, ms) <= 0)
		return false;
	zmq_msg_init(&content);
	assert_true(zmq_msg_recv(&content, socket, 0) >= 0);
	message_deinit(&peer->message);
	buffer_clear(&peer->packed);
	buffer_add(&peer->packed, zmq_msg_data(&content), zmq_msg_size(&content));
	zmq_msg_close(&content);
	if (message_unpack(buffer_bytes(&peer->packed), &peer->message, &err))
		fail_msg("%s", err.text);
	return true;
}

void peer_expect(struct peer *peer, enum message_kind kind)
{
	if (!receive(peer, peer->line, PATIENCE_MS))
		fail_msg("no %s came", message_kind_name(kind));
	if (peer->message.kind != kind)
		fail_msg("%s came, not %s", message_kind_name(peer->message.kind), message_kind_name(kind));
}

void peer_expect_published(struct peer *peer, enum message_kind kind)
{
	uint64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS; /* heartbeats come all the time */
	do {
		if (clock_monotonic_ms() > deadline_ms || !receive(peer, peer->events, PATIENCE_MS))
			fail_msg("no %s was published", message_kind_name(kind));
	} while (peer->message.kind != kind);
}

void peer_expect_silence(struct peer *peer, long ms)
{
	if (receive(peer, peer->line, ms))
		fail_msg("%s came, where nothing was due", message_kind_name(peer->message.kind));
}

void peer_greet(struct peer *peer, uint64_t epoch, uint64_t seq)
{
	peer_say(peer, (struct message){ .kind = MESSAGE_HELLO, .epoch = epoch, .seq = seq });
	peer_expect(peer, MESSAGE_WELCOME);
	do
		peer_expect(peer, MESSAGE_STANDING);
	while (!peer->message.is_last);
}
