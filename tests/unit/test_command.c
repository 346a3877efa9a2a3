/* test_command.c - what clients may say, through a whole hub: rights, odd arguments, acknowledgements. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include <roomcast/clock.h>

#include "command.h"
#include "whole_hub.h"

/* Says `42<n><arguments>` and expects `43<n>[<answer>` as the beginning of the next packet. */
static void expect(struct peer *peer, const char *arguments, const char *answer)
{
	static int id;
	char *text = malloc(strlen(arguments) + strlen(answer) + 32);
	id++;
	sprintf(text, "42%d%s", id, arguments);
	peer_send_text(peer, text);
	struct received_frame frame = peer_frame(peer);
	sprintf(text, "43%d[%s", id, answer);
	if (frame.payload.len < strlen(text) || memcmp(frame.payload.data, text, strlen(text)) != 0)
		fail_msg("%s: `%.*s` instead of `%s`", arguments, (int)frame.payload.len, frame.payload.data, text);
	free(text);
}

static void test_join_and_leave(void **state)
{
	struct whole_hub *whole = *state;
	struct peer peer;
	whole_hub_follow(whole, NULL, NULL);
	whole_hub_connect(whole, &peer, "7");
	expect(&peer, "[\"join-data-sync\",[\"A\",\"B \\u00e9\"]]", "{\"success\":true,\"rooms\":[\"sync-A\",\"sync-B é\"],\"denied\":[],");
	whole_hub_expect(&peer, whole_hub_emit(whole, "sync-B é"));
	expect(&peer, "[\"join-data-sync\",\"A\"]", "{\"success\":true,\"rooms\":[\"sync-A\"],");
	expect(&peer, "[\"leave-data-sync\",[\"A\",7,\"\"]]", "{\"success\":true,\"rooms\":[\"sync-A\"]}]");
	whole_hub_emit(whole, "sync-A");
	whole_hub_expect(&peer, whole_hub_emit(whole, "sync-B é"));
	expect(&peer, "[\"leave-data-sync\",\"B é\"]", "{\"success\":true,\"rooms\":[\"sync-B é\"]}]");
	expect(&peer, "[\"join-data-sync\",[\"\",7,null,\"a\\u0001\",{}]]",
	       "{\"success\":false,\"rooms\":[],\"denied\":[\"\",7,null,\"a\\u0001\",{}],\"reasons\":{\"\":\"invalid_type\",\"a\\u0001\":\"invalid_type\"},");
	expect(&peer, "[\"join-data-sync\",{}]", "{\"success\":false,\"error\":\"expected an array of entity types\",\"code\":\"invalid_arguments\"}]");
	expect(&peer, "[\"join-data-sync\"]", "{\"success\":false,");
	expect(&peer, "[\"leave-data-sync\",7]", "{\"success\":false,");
	expect(&peer, "[\"join-data-sync\",[]]", "{\"success\":true,\"rooms\":[],\"denied\":[],");
	peer_close(&peer);
}

/* Names are data: no type reaches another kind of room, and the longest is 128 bytes. */
static void test_names_of_types(void **state)
{
	struct whole_hub *whole = *state;
	struct peer peer;
	char text[400], longest[ENTITY_TYPE_MAX + 2];
	whole_hub_follow(whole, NULL, NULL);
	whole_hub_connect(whole, &peer, "7");
	expect(&peer, "[\"join-data-sync\",[\"user-8\"]]", "{\"success\":true,\"rooms\":[\"sync-user-8\"],");
	whole_hub_emit(whole, "user-8");
	whole_hub_expect(&peer, whole_hub_emit(whole, "user-7"));
	memset(longest, 'x', sizeof(longest));
	longest[ENTITY_TYPE_MAX] = '\0';
	snprintf(text, sizeof(text), "[\"join-data-sync\",[\"%s\"]]", longest);
	expect(&peer, text, "{\"success\":true,");
	longest[ENTITY_TYPE_MAX] = 'x';
	snprintf(text, sizeof(text), "[\"join-data-sync\",[\"%.*s\"]]", ENTITY_TYPE_MAX + 1, longest);
	expect(&peer, text, "{\"success\":false,");
	peer_close(&peer);
}

static void test_anonymous(void **state)
{
	struct whole_hub *whole = *state;
	struct peer peer;
	whole_hub_follow(whole, NULL, NULL);
	whole_hub_connect(whole, &peer, NULL);
	expect(&peer, "[\"join-data-sync\",[\"Open\",\"Secret\"]]",
	       "{\"success\":false,\"rooms\":[\"sync-Open\"],\"denied\":[\"Secret\"],\"reasons\":{\"Secret\":\"authentication_required\"},");
	expect(&peer, "[\"join-user-room\",\"7\"]", "{\"success\":false,\"error\":\"only authenticated clients have a user room\",");
	expect(&peer, "[\"user:activity\",{}]", "{\"success\":false,\"error\":\"only authenticated clients have activity\",");
	assert_int_equal(whole->hub.counters.denied, 3);
	peer_close(&peer);
}

static void test_user_room(void **state)
{
	struct whole_hub *whole = *state;
	struct peer peer;
	whole_hub_follow(whole, NULL, NULL);
	whole_hub_connect(whole, &peer, "7");
	expect(&peer, "[\"join-user-room\",\"7\"]", "{\"success\":true,\"rooms\":[\"user-7\"]}]");
	expect(&peer, "[\"join-user-room\",7]", "{\"success\":true,\"rooms\":[\"user-7\"]}]");
	expect(&peer, "[\"join-user-room\",\"8\"]", "{\"success\":false,\"error\":\"this is not your own user id\",\"code\":\"not_your_room\"}]");
	expect(&peer, "[\"join-user-room\",[7]]", "{\"success\":false,\"error\":\"expected a user id\",");
	expect(&peer, "[\"join-user-room\",\"\"]", "{\"success\":false,\"error\":\"expected a user id\",");
	expect(&peer, "[\"join-user-room\"]", "{\"success\":false,\"error\":\"expected a user id\",");
	peer_close(&peer);
}

static void test_activity(void **state)
{
	struct whole_hub *whole = *state;
	struct peer a, b, anonymous;
	whole_hub_follow(whole, NULL, NULL);
	whole_hub_connect(whole, &a, "7");
	whole_hub_connect(whole, &b, "8");
	whole_hub_connect(whole, &anonymous, NULL);
	expect(&a, "[\"user:activity\",{\"page\":\"/x\",\"userId\":\"8\",\"user\\u0049d\":9,\"timestamp\":0,\"n\":1.10}]", "{\"success\":true}]");
	struct received_frame frame = peer_frame(&b);
	static const char activity[] = "42[\"user:activity\",{\"page\":\"/x\",\"n\":1.10,\"userId\":\"7\",\"username\":\"name of 7\",\"timestamp\":\"";
	assert_memory_equal(frame.payload.data, activity, sizeof(activity) - 1);
	const struct message *relay = fake_gateway_hear(&whole->gateway, MESSAGE_RELAY);
	assert_int_equal(relay->audience, AUDIENCE_AUTHENTICATED);
	/* Something that is no object says nothing, but that somebody is there. */
	expect(&a, "[\"user:activity\",[1]]", "{\"success\":true}]");
	frame = peer_frame(&b);
	assert_memory_equal(frame.payload.data, "42[\"user:activity\",{\"userId\":\"7\",", 33);
	uint64_t n = whole_hub_emit(whole, "user-7");
	whole_hub_expect(&a, n); /* and nothing of its own before */
	peer_close(&a);
	peer_close(&b);
	peer_close(&anonymous);
}

static void test_ping_and_strangers(void **state)
{
	struct whole_hub *whole = *state;
	struct peer peer;
	whole_hub_follow(whole, NULL, NULL);
	whole_hub_connect(whole, &peer, "7");
	peer_send_text(&peer, "42[\"ping\"]"); /* no acknowledgement wanted */
	assert_memory_equal(peer_frame(&peer).payload.data, "42[\"pong\",{\"timestamp\":\"2", 25);
	peer_send_text(&peer, "4299[\"ping\",{}]");
	assert_memory_equal(peer_frame(&peer).payload.data, "42[\"pong\",", 10);
	assert_memory_equal(peer_frame(&peer).payload.data, "4399[{\"success\":true,", 21);
	peer_send_text(&peer, "421[\"unknown\",{}]");
	peer_send_text(&peer, "422[7]");
	peer_send_text(&peer, "42[\"PING\"]");
	peer_send_text(&peer, "42");
	WAIT_FOR(&whole->loop, whole->hub.counters.unknown_events == 3);
	peer_send_text(&peer, "42[\"p\\u0069ng\"]");
	assert_memory_equal(peer_frame(&peer).payload.data, "42[\"pong\",", 10);
	peer_close(&peer);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, whole_hub_setup, whole_hub_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_join_and_leave), CASE(test_names_of_types), CASE(test_anonymous), CASE(test_user_room), CASE(test_activity),
		CASE(test_ping_and_strangers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
