/* fuzz_router.c - what strangers may say to the gateway's line and to a front end, as a conversation: who is who, repairs, forwarded requests.
 *
 * Input: one after the other a byte of routing (who speaks), a byte of time that passes, a byte of length, so many bytes of fields
 * behind a good header whose kind is the next byte. */
#include <stdint.h>
#include <stdlib.h>

#include "forward_message.h"
#include "hubs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct place published = { 3, 1000 };

static void must(bool condition)
{
	if (!condition)
		abort();
}

static void on_gone(const struct hub *hub)
{
	must(hub->name[0]);
}

/* Drives one hub's repair as the line does, with a journal that has everything. */
static void repair(struct hub *hub, uint64_t now_ms, bool is_answered)
{
	struct place position = { hub->epoch, hub->seq }, after, last;
	repair_push(&hub->repair, position, published, now_ms);
	unsigned question = hub->repair.question;
	if (repair_next(&hub->repair, position, &after, &last)) {
		must(place_compare(after, last) < 0 && hub->repair.state == REPAIR_READING);
		must(!repair_next(&hub->repair, position, &after, &last)); /* one at a time */
		question = hub->repair.question;
	}
	if (is_answered && repair_is_wanted(&hub->repair, question))
		repair_sent(&hub->repair, hub->repair.begin, now_ms);
}

static void on_hello(struct hubs *hubs, const struct message *message, const struct routing_id *from, uint64_t now_ms)
{
	struct hub *hub = NULL;
	if (hubs_hello(hubs, message, from, now_ms, &hub) != HELLO_WELCOME)
		return;
	must(hub && hubs_find(hubs, from) == hub && hubs_find_instance(hubs, hub->name, hub->instance) == hub);
	must(hub_check(hub, message) == 0);
}

static void on_hub(struct hub *hub, const struct message *message, uint64_t now_ms)
{
	struct place before = { hub->epoch, hub->seq };
	if (message->kind == MESSAGE_REPORT && hub_check(hub, message) == 0) {
		(void)hub_report(hub, message, now_ms);
		repair_hear(&hub->repair, before, (struct place){ hub->epoch, hub->seq }, published, now_ms);
	} else if (message->kind == MESSAGE_ASK) {
		repair_ask(&hub->repair, (struct place){ message->epoch, message->seq - 1 }, (struct place){ message->epoch, message->last_seq }, now_ms);
	} else if (message->kind == MESSAGE_RELAY && hub_relays(hub, message)) {
		must(!hub_relays(hub, message));
	}
	repair(hub, now_ms, message->counter & 1);
}

static void on_forward(const struct message *message)
{
	struct request request, again;
	struct buffer packed = { 0 };
	struct message copy;
	forward_read_request(message, &request);
	must(request.is_forwarded && request.content_length >= LENGTH_MALFORMED);
	must(forward_pack_request(&request, message->counter, message->deadline_ms, &packed, NULL) == 0);
	must(message_unpack(buffer_bytes(&packed), &copy, NULL) == 0);
	forward_read_request(&copy, &again);
	must(bytes_equal(request.path, again.path) && bytes_equal(request.body, again.body) && request.content_length == again.content_length);
	message_deinit(&copy);
	buffer_deinit(&packed);
}

static void on_answer(const struct message *message)
{
	struct response response = { 0 };
	if (forward_read_response(message, &response) == 0)
		must(response.status >= 200 && response.status <= 599 && bytes_equal(buffer_bytes(&response.body), message->body));
	response_deinit(&response);
}

static void on_message(struct hubs *hubs, struct bytes packed, const struct routing_id *from, uint64_t now_ms)
{
	struct message message;
	if (message_unpack(packed, &message, NULL))
		return;
	struct hub *hub = hubs_find(hubs, from);
	if (message.kind == MESSAGE_HELLO)
		on_hello(hubs, &message, from, now_ms);
	else if (message.kind == MESSAGE_FORWARD)
		on_forward(&message);
	else if (message.kind == MESSAGE_ANSWER)
		on_answer(&message);
	else if (hub)
		on_hub(hub, &message, now_ms);
	message_deinit(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct hubs hubs;
	struct buffer packed = { 0 };
	uint64_t now_ms = 0;
	hubs = (struct hubs){ .count = 0 };
	while (size >= 4) {
		struct routing_id from = { { data[0] }, 1 };
		size_t len = data[2] < size - 4 ? data[2] : size - 4;
		now_ms += (uint64_t)data[1] * 16;
		buffer_clear(&packed);
		buffer_add(&packed, (const char[]){ 'R', 'C', MESSAGE_VERSION, (char)data[3] }, 4);
		buffer_add(&packed, data + 4, len);
		on_message(&hubs, buffer_bytes(&packed), &from, now_ms);
		(void)hubs_expire(&hubs, now_ms, 3000, on_gone);
		must(hubs.count <= HUBS_MAX);
		data += 4 + len;
		size -= 4 + len;
	}
	buffer_deinit(&packed);
	return 0;
}
