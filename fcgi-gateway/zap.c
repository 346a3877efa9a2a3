/* zap.c - the list of peers, and its keeper. */
#include "zap.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <ctype.h>

#include <openssl/crypto.h>
#include <zmq.h>

#include <roomcast/ini_file.h>
#include <roomcast/log.h>

struct zap {
	struct zap_peers peers;
	void *socket;
	pthread_t thread;
	atomic_ullong refused;
};

/* --- peers --- */

int zap_peers_add(struct zap_peers *peers, const char *name, const char *key, struct error *err)
{
	if (peers->count == ZAP_PEERS_MAX)
		return error_set(err, ERROR_TOO_LARGE, "more than %d peers", ZAP_PEERS_MAX);
	size_t len = strlen(name);
	if (len > ZAP_NAME_MAX)
		return error_set(err, ERROR_TOO_LARGE, "a peer's name has at most %d bytes", ZAP_NAME_MAX);
	if (curve_decode(key, peers->items[peers->count].key, err))
		return error_context(err, "%s", name);
	memcpy(peers->items[peers->count].name, name, len + 1);
	peers->count++;
	return 0;
}

static int on_entry(void *data, const char *section, const char *name, const char *value, struct error *err)
{
	if (section[0])
		return error_set(err, ERROR_INVALID, "sections are not known here: [%s]", section);
	return zap_peers_add(data, name, value, err);
}

int zap_peers_load(struct zap_peers *peers, const char *path, struct error *err)
{
	return ini_file_read(path, on_entry, peers, err);
}

/* Every one is compared, so that time tells nothing. */
static const char *find(const struct zap_peers *peers, const unsigned char key[static CURVE_KEY_BYTES])
{
	const char *found = NULL;
	for (size_t i = 0; i < peers->count; i++)
		if (CRYPTO_memcmp(key, peers->items[i].key, CURVE_KEY_BYTES) == 0)
			found = peers->items[i].name;
	return found;
}

/* --- the keeper --- */

/* A request's parts: version, request id, domain, address, identity, mechanism, credentials. */
enum { PART_VERSION, PART_ID, PART_DOMAIN, PART_ADDRESS, PART_IDENTITY, PART_MECHANISM, PART_KEY, PART_COUNT };

struct question {
	zmq_msg_t parts[PART_COUNT];
	size_t count;
};

/* -1 when the context ends. Parts past the last are dropped. */
static int receive(struct zap *zap, struct question *question)
{
	int has_more = 1;
	zmq_msg_t rest;
	question->count = 0;
	while (has_more) {
		zmq_msg_t *part = question->count < PART_COUNT ? &question->parts[question->count] : &rest;
		zmq_msg_init(part);
		if (zmq_msg_recv(part, zap->socket, 0) < 0 && errno != EINTR)
			return -1;
		has_more = zmq_msg_more(part);
		if (part == &rest)
			zmq_msg_close(&rest);
		else
			question->count++;
	}
	return 0;
}

static bool is_text(zmq_msg_t *part, const char *text)
{
	return bytes_equal_text((struct bytes){ zmq_msg_data(part), zmq_msg_size(part) }, text);
}

static const char *judge(struct zap *zap, struct question *question)
{
	zmq_msg_t *parts = question->parts;
	if (question->count != PART_COUNT || !is_text(&parts[PART_VERSION], "1.0") || !is_text(&parts[PART_MECHANISM], "CURVE")
	    || zmq_msg_size(&parts[PART_KEY]) != CURVE_KEY_BYTES)
		return NULL;
	return find(&zap->peers, zmq_msg_data(&parts[PART_KEY]));
}

static void answer(struct zap *zap, struct question *question, const char *name)
{
	const char *const texts[] = { name ? "200" : "400", name ? "" : "this key is not among curve-peers", name ? name : "", "" };
	zmq_send(zap->socket, "1.0", 3, ZMQ_SNDMORE);
	zmq_send(zap->socket, zmq_msg_data(&question->parts[PART_ID]), zmq_msg_size(&question->parts[PART_ID]), ZMQ_SNDMORE);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		zmq_send(zap->socket, texts[i], strlen(texts[i]), i + 1 < sizeof(texts) / sizeof(texts[0]) ? ZMQ_SNDMORE : 0);
}

static void log_refused(struct question *question)
{
	static struct log_limit limit;
	char address[64] = "unknown";
	zmq_msg_t *part = &question->parts[PART_ADDRESS];
	if (question->count > PART_ADDRESS)
		snprintf(address, sizeof(address), "%.*s", (int)zmq_msg_size(part), (const char *)zmq_msg_data(part));
	log_limited(&limit, "msg=\"connection refused\" address=\"%s\" reason=\"its key is not among curve-peers\"", address);
}

static void *run(void *data)
{
	struct zap *zap = data;
	struct question question;
	while (receive(zap, &question) == 0) {
		const char *name = question.count > PART_ID ? judge(zap, &question) : NULL;
		if (!name) {
			atomic_fetch_add(&zap->refused, 1);
			log_refused(&question);
		}
		answer(zap, &question, name);
		for (size_t i = 0; i < question.count; i++)
			zmq_msg_close(&question.parts[i]);
	}
	zmq_close(zap->socket);
	return NULL;
}

struct zap *zap_new(void *context, const struct zap_peers *peers, struct error *err)
{
	struct zap *zap = calloc(1, sizeof(*zap));
	if (!zap) {
		error_set(err, ERROR_SYSTEM, "no memory for the list of peers");
		return NULL;
	}
	zap->peers = *peers;
	zap->socket = zmq_socket(context, ZMQ_REP);
	if (!zap->socket || zmq_bind(zap->socket, "inproc://zeromq.zap.01")) {
		error_set(err, ERROR_SYSTEM, "ZAP: %s", zmq_strerror(errno));
	} else {
		int failure = pthread_create(&zap->thread, NULL, run, zap);
		if (failure == 0)
			return zap;
		error_set(err, ERROR_SYSTEM, "ZAP thread: %s", strerror(failure));
	}
	if (zap->socket)
		zmq_close(zap->socket);
	free(zap);
	return NULL;
}

void zap_free(struct zap *zap)
{
	if (!zap)
		return;
	pthread_join(zap->thread, NULL);
	free(zap);
}

uint64_t zap_refused(struct zap *zap)
{
	return zap ? atomic_load(&zap->refused) : 0;
}
