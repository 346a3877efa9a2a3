/* line_tap.c - a hub that only listens: says hello, reports, and prints every message that it gets as a JSON line.
 *
 *   line_tap NAME LINE_ENDPOINT
 * Commands on standard input, one a line: `ask EPOCH FROM TO`, `relay COUNTER BODY`, `raw BYTES` (sent as they stand),
 * `report EPOCH SEQ`, `clients N`. It ends with standard input. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zmq.h>

#include <roomcast/clock.h>
#include <roomcast/message.h>

enum { REPORT_MS = 500, LINE_MAX_LEN = 1 << 16 };

struct tap {
	void *context, *events, *line;
	const char *name;
	uint64_t instance, epoch, seq, clients;
	bool is_welcome, is_connected;
};

static void add_list(struct buffer *out, const char *name, const struct message_list *list)
{
	buffer_add_format(out, ",\"%s\":[", name);
	for (size_t i = 0; i < list->count; i++) {
		if (i)
			buffer_add_char(out, ',');
		buffer_add_json_string(out, list->items[i]);
	}
	buffer_add_char(out, ']');
}

static void add_text(struct buffer *out, const char *name, struct bytes text)
{
	buffer_add_format(out, ",\"%s\":", name);
	buffer_add_json_string(out, text);
}

static void print_message(const struct message *message, const char *by)
{
	struct buffer out = { 0 };
	buffer_add_format(&out, "{\"kind\":\"%s\",\"by\":\"%s\",\"epoch\":%" PRIu64 ",\"seq\":%" PRIu64 ",\"lastSeq\":%" PRIu64 ",\"firstSeq\":%" PRIu64,
	                  message_kind_name(message->kind), by, message->epoch, message->seq, message->last_seq, message->first_seq);
	buffer_add_format(&out, ",\"audience\":%" PRIu64 ",\"counter\":%" PRIu64 ",\"clients\":%" PRIu64 ",\"droppable\":%" PRIu64,
	                  message->audience, message->counter, message->clients, message->droppable);
	add_text(&out, "hub", message->hub);
	add_text(&out, "reason", message->reason);
	add_text(&out, "excludeUser", message->exclude_user);
	add_text(&out, "body", message->body);
	buffer_add_format(&out, ",\"operation\":%" PRIu64 ",\"close\":%" PRIu64 ",\"timeMs\":%" PRIu64 ",\"untilMs\":%" PRIu64 ",\"action\":%" PRIu64,
	                  message->operation, message->close, message->time_ms, message->until_ms, message->action);
	add_text(&out, "user", message->user);
	add_text(&out, "sid", message->sid);
	add_text(&out, "room", message->room);
	add_text(&out, "entityType", message->entity_type);
	add_text(&out, "entityId", message->entity_id);
	add_list(&out, "rooms", &message->rooms);
	add_list(&out, "except", &message->except);
	add_list(&out, "hubs", &message->hubs);
	puts(out.has_failed ? "{\"kind\":\"no memory\"}" : (buffer_add_char(&out, '}'), out.data));
	fflush(stdout);
	buffer_deinit(&out);
}

static void say(struct tap *tap, struct message *message)
{
	struct buffer packed = { 0 };
	struct error err;
	message->hub = bytes_of(tap->name);
	message->instance = tap->instance;
	if (message_pack(message, &packed, &err))
		fprintf(stderr, "line_tap: %s\n", err.text);
	else
		zmq_send(tap->line, packed.data, packed.len, ZMQ_DONTWAIT);
	buffer_deinit(&packed);
}

static void say_state(struct tap *tap, enum message_kind kind)
{
	struct message message = { .kind = kind, .epoch = tap->epoch, .seq = tap->seq, .clients = tap->clients };
	say(tap, &message);
}

static void on_welcome(struct tap *tap, const struct message *welcome)
{
	char endpoint[MESSAGE_NAME_MAX + 1];
	memcpy(endpoint, welcome->endpoint.data, welcome->endpoint.len);
	endpoint[welcome->endpoint.len] = '\0';
	if (!tap->is_connected && zmq_connect(tap->events, endpoint))
		fprintf(stderr, "line_tap: %s: %s\n", endpoint, zmq_strerror(errno));
	tap->is_connected = tap->is_welcome = true;
	tap->epoch = welcome->epoch;
	tap->seq = welcome->last_seq;
}

static void hear(struct tap *tap, void *socket, const char *by)
{
	zmq_msg_t content;
	zmq_msg_init(&content);
	while (zmq_msg_recv(&content, socket, ZMQ_DONTWAIT) >= 0) {
		struct message message;
		struct error err;
		if (message_unpack((struct bytes){ zmq_msg_data(&content), zmq_msg_size(&content) }, &message, &err)) {
			fprintf(stderr, "line_tap: %s\n", err.text);
			continue;
		}
		if (message.kind == MESSAGE_WELCOME)
			on_welcome(tap, &message);
		else if (message.kind == MESSAGE_REFUSAL) /* a gateway that does not know us: hello again */
			tap->is_welcome = false;
		print_message(&message, by);
		message_deinit(&message);
	}
	zmq_msg_close(&content);
}

static void ask(struct tap *tap, const char *text)
{
	struct message message = { .kind = MESSAGE_ASK };
	if (sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &message.epoch, &message.seq, &message.last_seq) == 3)
		say(tap, &message);
}

static void relay(struct tap *tap, const char *text)
{
	char *body;
	struct message message = { .kind = MESSAGE_RELAY, .audience = AUDIENCE_AUTHENTICATED, .counter = strtoull(text, &body, 10) };
	message.body = bytes_of(*body ? body + 1 : body);
	say(tap, &message);
}

static void raw(struct tap *tap, const char *text)
{
	zmq_send(tap->line, text, strlen(text), ZMQ_DONTWAIT);
}

static void report(struct tap *tap, const char *text)
{
	if (sscanf(text, "%" SCNu64 " %" SCNu64, &tap->epoch, &tap->seq) == 2)
		say_state(tap, MESSAGE_REPORT);
}

static void set_clients(struct tap *tap, const char *text)
{
	tap->clients = strtoull(text, NULL, 10);
	say_state(tap, MESSAGE_REPORT);
}

static const struct {
	const char *name;
	void (*run)(struct tap *tap, const char *text);
} commands[] = { { "ask", ask }, { "relay", relay }, { "raw", raw }, { "report", report }, { "clients", set_clients } };

static bool command(struct tap *tap)
{
	static char line[LINE_MAX_LEN];
	if (!fgets(line, sizeof(line), stdin))
		return false;
	line[strcspn(line, "\n")] = '\0';
	char *space = strchr(line, ' ');
	if (space)
		*space = '\0';
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(line, commands[i].name) == 0)
			commands[i].run(tap, space ? space + 1 : "");
	return true;
}

static int open_tap(struct tap *tap, const char *endpoint)
{
	int none = 0;
	tap->context = zmq_ctx_new();
	tap->events = zmq_socket(tap->context, ZMQ_SUB);
	tap->line = zmq_socket(tap->context, ZMQ_DEALER);
	zmq_setsockopt(tap->events, ZMQ_SUBSCRIBE, "", 0);
	zmq_setsockopt(tap->events, ZMQ_LINGER, &none, sizeof(none));
	zmq_setsockopt(tap->line, ZMQ_LINGER, &none, sizeof(none));
	return zmq_connect(tap->line, endpoint);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fputs("usage: line_tap NAME LINE_ENDPOINT\n", stderr);
		return EXIT_FAILURE;
	}
	struct tap tap = { .name = argv[1], .instance = clock_wall_ms() << 16 | (uint64_t)getpid() };
	if (open_tap(&tap, argv[2])) {
		fprintf(stderr, "line_tap: %s: %s\n", argv[2], zmq_strerror(errno));
		return EXIT_FAILURE;
	}
	setvbuf(stdin, NULL, _IONBF, 0); /* what is read is seen by poll */
	zmq_pollitem_t items[] = { { .socket = tap.line, .events = ZMQ_POLLIN }, { .socket = tap.events, .events = ZMQ_POLLIN },
	                           { .fd = STDIN_FILENO, .events = ZMQ_POLLIN } };
	uint64_t said_ms = 0;
	for (bool is_on = true; is_on;) {
		zmq_poll(items, 3, REPORT_MS);
		if (clock_monotonic_ms() - said_ms >= REPORT_MS) {
			said_ms = clock_monotonic_ms();
			say_state(&tap, tap.is_welcome ? MESSAGE_REPORT : MESSAGE_HELLO);
		}
		hear(&tap, tap.line, "line");
		hear(&tap, tap.events, "events");
		is_on = !items[2].revents || command(&tap);
	}
	zmq_close(tap.events);
	zmq_close(tap.line);
	zmq_ctx_term(tap.context);
	return EXIT_SUCCESS;
}
