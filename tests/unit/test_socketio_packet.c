/* test_socketio_packet.c - the Socket.IO codec: good packets, every malformed one, placeholders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "socketio_packet.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_bytes(struct bytes bytes, const char *text)
{
	if (!bytes_equal_text(bytes, text))
		fail_msg("`%.*s` is not `%s`", (int)bytes.len, bytes.data, text);
}

static void test_good_packets(void **state)
{
	(void)state;
	static const struct { const char *message; enum socketio_type type; const char *nsp, *id, *json; unsigned attachments; } cases[] = {
		{ "0", SOCKETIO_CONNECT, "/", "", "", 0 },
		{ "0{}", SOCKETIO_CONNECT, "/", "", "{}", 0 },
		{ "0{\"token\":\"a,b\"}", SOCKETIO_CONNECT, "/", "", "{\"token\":\"a,b\"}", 0 },
		{ "0/admin,{\"a\":1}", SOCKETIO_CONNECT, "/admin", "", "{\"a\":1}", 0 },
		{ "0/admin", SOCKETIO_CONNECT, "/admin", "", "", 0 },
		{ "0/admin,", SOCKETIO_CONNECT, "/admin", "", "", 0 },
		{ "0/,{}", SOCKETIO_CONNECT, "/", "", "{}", 0 },
		{ "0/x?token=1&a=b", SOCKETIO_CONNECT, "/x", "", "", 0 },
		{ "0/?token=1,{}", SOCKETIO_CONNECT, "/", "", "{}", 0 },
		{ "0/gr\xc3\xb6\xc3\x9f" "e,", SOCKETIO_CONNECT, "/gr\xc3\xb6\xc3\x9f" "e", "", "", 0 },
		{ "1", SOCKETIO_DISCONNECT, "/", "", "", 0 },
		{ "1/admin", SOCKETIO_DISCONNECT, "/admin", "", "", 0 },
		{ "1/admin,", SOCKETIO_DISCONNECT, "/admin", "", "", 0 },
		{ "2[\"a\"]", SOCKETIO_EVENT, "/", "", "[\"a\"]", 0 },
		{ "2 [ \"a\" ] ", SOCKETIO_EVENT, "/", "", " [ \"a\" ] ", 0 },
		{ "2[1]", SOCKETIO_EVENT, "/", "", "[1]", 0 },
		{ "20[\"a\"]", SOCKETIO_EVENT, "/", "0", "[\"a\"]", 0 },
		{ "2/x,12[\"a\",{}]", SOCKETIO_EVENT, "/x", "12", "[\"a\",{}]", 0 },
		{ "212345678901234567890[\"a\"]", SOCKETIO_EVENT, "/", "12345678901234567890", "[\"a\"]", 0 },
		{ "2[\"Connect\"]", SOCKETIO_EVENT, "/", "", "[\"Connect\"]", 0 },
		{ "2[\"a\",{\"_placeholder\":true,\"num\":99}]", SOCKETIO_EVENT, "/", "", "[\"a\",{\"_placeholder\":true,\"num\":99}]", 0 },
		{ "2", SOCKETIO_EVENT, "/", "", "", 0 },
		{ "27", SOCKETIO_EVENT, "/", "7", "", 0 },
		{ "30[]", SOCKETIO_ACK, "/", "0", "[]", 0 },
		{ "3/x,1[1,2]", SOCKETIO_ACK, "/x", "1", "[1,2]", 0 },
		{ "3", SOCKETIO_ACK, "/", "", "", 0 },
		{ "51-[\"a\",{\"_placeholder\":true,\"num\":0}]", SOCKETIO_BINARY_EVENT, "/", "", "[\"a\",{\"_placeholder\":true,\"num\":0}]", 1 },
		{ "52-/x,3[\"a\",{\"num\":1,\"_placeholder\":true},[{\"_placeholder\":true,\"num\":0}]]", SOCKETIO_BINARY_EVENT, "/x", "3",
		  "[\"a\",{\"num\":1,\"_placeholder\":true},[{\"_placeholder\":true,\"num\":0}]]", 2 },
		{ "50-[\"a\"]", SOCKETIO_BINARY_EVENT, "/", "", "[\"a\"]", 0 },
		{ "510-[\"a\",{\"_placeholder\":false,\"num\":77}]", SOCKETIO_BINARY_EVENT, "/", "", "[\"a\",{\"_placeholder\":false,\"num\":77}]", 10 },
		{ "61-7[{\"_placeholder\":true,\"num\":0}]", SOCKETIO_BINARY_ACK, "/", "7", "[{\"_placeholder\":true,\"num\":0}]", 1 },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct socketio_packet packet;
		struct error err;
		if (socketio_packet_parse(bytes_of(cases[i].message), &packet, &err))
			fail_msg("refused: %s: %s", cases[i].message, err.text);
		assert_int_equal(packet.type, cases[i].type);
		assert_bytes(packet.nsp, cases[i].nsp);
		assert_bytes(packet.id, cases[i].id);
		assert_bytes(packet.json, cases[i].json);
		assert_int_equal(packet.attachments, cases[i].attachments);
		assert_null(packet.binary);
	}
}

static void test_bad_packets(void **state)
{
	(void)state;
	static const struct { const char *message, *error; } cases[] = {
		{ "", "empty packet" },
		{ "4{\"message\":\"x\"}", "packet of a type that no client sends" },
		{ "4", "packet of a type that no client sends" },
		{ "7", "packet of a type that no client sends" },
		{ "9[]", "packet of a type that no client sends" },
		{ "x", "packet of a type that no client sends" },
		{ " 2[\"a\"]", "packet of a type that no client sends" },
		{ "\xff", "packet of a type that no client sends" },
		{ "0[]", "CONNECT whose payload is not an object" },
		{ "0null", "CONNECT whose payload is not an object" },
		{ "0\"token\"", "CONNECT whose payload is not an object" },
		{ "0 ", "unexpected end at byte 1" },
		{ "0/x,,", "unexpected ',' at byte 0" },
		{ "1{}", "DISCONNECT with a payload" },
		{ "1/x,\"bye\"", "DISCONNECT with a payload" },
		{ "2{}", "event without a name" },
		{ "2[]", "event without a name" },
		{ "2\"a\"", "event without a name" },
		{ "2null", "event without a name" },
		{ "2[null]", "event whose name is neither a string nor a number" },
		{ "2[{}]", "event whose name is neither a string nor a number" },
		{ "2[[\"a\"]]", "event whose name is neither a string nor a number" },
		{ "2[true]", "event whose name is neither a string nor a number" },
		{ "2[\"connect\"]", "event with the reserved name connect" },
		{ "2[\"connect_error\"]", "event with the reserved name connect_error" },
		{ "2[\"disconnect\"]", "event with the reserved name disconnect" },
		{ "2[\"disconnecting\"]", "event with the reserved name disconnecting" },
		{ "2[\"newListener\"]", "event with the reserved name newListener" },
		{ "2[\"removeListener\"]", "event with the reserved name removeListener" },
		{ "2[\"\\u0063onnect\"]", "event with the reserved name connect" },
		{ "2[\"a\"", "unexpected end at byte 4" },
		{ "2[\"a\"]x", "unexpected byte behind the value: 'x' at byte 5" },
		{ "2[\"a\",]", "unexpected ']' at byte 5" },
		{ "2[\"a\x1e\"]", "unescaped control character 0x1e at byte 3" },
		{ "2-1[\"a\"]", "unexpected byte behind the value: '[' at byte 2" },
		{ "2x[\"a\"]", "unexpected 'x' at byte 0" },
		{ "2123456789012345678901[\"a\"]", "id of more than 20 digits" },
		{ "2abc", "unexpected 'a' at byte 0" },
		{ "3{}", "ACK whose payload is not an array" },
		{ "31\"a\"", "ACK whose payload is not an array" },
		{ "5", "binary packet without a number of attachments" },
		{ "5[\"a\"]", "binary packet without a number of attachments" },
		{ "51[\"a\"]", "binary packet without a number of attachments" },
		{ "5-[\"a\"]", "binary packet without a number of attachments" },
		{ "5a-[\"a\"]", "binary packet without a number of attachments" },
		{ "5/x,1-[\"a\"]", "binary packet without a number of attachments" },
		{ "51-", "binary packet without a payload" },
		{ "51-/x,3", "binary packet without a payload" },
		{ "61-", "binary packet without a payload" },
		{ "511-[\"a\"]", "more than 10 attachments" },
		{ "599999999999999999999-[\"a\"]", "more than 10 attachments" },
		{ "51-[\"a\",{\"_placeholder\":true,\"num\":1}]", "placeholder that names no attachment" },
		{ "51-[\"a\",{\"_placeholder\":true,\"num\":-1}]", "placeholder that names no attachment" },
		{ "51-[\"a\",{\"_placeholder\":true,\"num\":0.5}]", "placeholder that names no attachment" },
		{ "51-[\"a\",{\"_placeholder\":true,\"num\":\"0\"}]", "placeholder that names no attachment" },
		{ "51-[\"a\",{\"_placeholder\":true,\"num\":null}]", "placeholder that names no attachment" },
		{ "51-[\"a\",{\"_placeholder\":true,\"num\":[0]}]", "placeholder that names no attachment" },
		{ "51-[\"a\",{\"_placeholder\":true}]", "placeholder that names no attachment" },
		{ "51-[\"a\",{\"_placeholder\":true,\"num\":0,\"num\":1}]", "placeholder that names no attachment" },
		{ "51-[\"a\",{\"_placeholder\":true,\"num\":99999999999999999999}]", "placeholder that names no attachment" },
		{ "51-[\"a\",{\"b\":[{\"_placeholder\":true,\"num\":2}]}]", "placeholder that names no attachment" },
		{ "51-[\"a\",{\"_placeholder\":true,\"num\":0,\"x\":{}}]", "placeholder that names no attachment" },
		{ "50-[\"a\",{\"_placeholder\":true,\"num\":0}]", "placeholder that names no attachment" },
		{ "51-[\"connect\",{\"_placeholder\":true,\"num\":0}]", "event with the reserved name connect" },
		{ "51-{\"_placeholder\":true,\"num\":0}", "event without a name" },
		{ "0/a\x1f,", "namespace with control characters" },
		{ "0/a\xff,", "namespace that is not UTF-8" },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct socketio_packet packet;
		struct error err;
		if (!socketio_packet_parse(bytes_of(cases[i].message), &packet, &err))
			fail_msg("accepted: %s", cases[i].message);
		assert_string_equal(err.text, cases[i].error);
	}
}

static void test_huge(void **state)
{
	(void)state;
	size_t len = 1000000;
	char *text = malloc(len);
	assert_non_null(text);
	struct socketio_packet packet;
	struct error err;
	memset(text, '1', len); /* an id without end */
	text[0] = '2';
	assert_int_equal(socketio_packet_parse((struct bytes){ text, len }, &packet, &err), -1);
	text[0] = '5'; /* a number of attachments without end */
	assert_int_equal(socketio_packet_parse((struct bytes){ text, len }, &packet, &err), -1);
	text[len - 1] = '-';
	assert_int_equal(socketio_packet_parse((struct bytes){ text, len }, &packet, &err), -1);
	memset(text, '[', len); /* nesting without end */
	text[0] = '2';
	assert_int_equal(socketio_packet_parse((struct bytes){ text, len }, &packet, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	memset(text, 'a', len); /* a name of a megabyte */
	memcpy(text, "2[\"", 3);
	memcpy(text + len - 2, "\"]", 2);
	assert_int_equal(socketio_packet_parse((struct bytes){ text, len }, &packet, &err), 0);
	assert_int_equal(socketio_event_name(&packet).len, len - 3);
	memset(text, 'a', len);
	memcpy(text, "0/", 2);
	assert_int_equal(socketio_packet_parse((struct bytes){ text, len }, &packet, &err), -1);
	assert_string_equal(err.text, "namespace of more than 256 bytes");
	assert_int_equal(socketio_packet_parse((struct bytes){ text, 257 }, &packet, &err), 0);
	assert_int_equal(socketio_packet_parse((struct bytes){ text, 258 }, &packet, &err), -1);
	free(text);
}

static void test_names_and_arguments(void **state)
{
	(void)state;
	static const struct { const char *message, *name, *arguments; } cases[] = {
		{ "2[\"a\"]", "\"a\"", "" },
		{ "2 [ \"a\" ] ", "\"a\"", "" },
		{ "2[\"a\",1,{\"b\":[2]}]", "\"a\"", "1,{\"b\":[2]}" },
		{ "2 [ \"a\" , [1 , 2] , 3 ] \n", "\"a\"", "[1 , 2] , 3" },
		{ "27[12,null]", "12", "null" },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct socketio_packet packet;
		assert_int_equal(socketio_packet_parse(bytes_of(cases[i].message), &packet, NULL), 0);
		assert_bytes(socketio_event_name(&packet), cases[i].name);
		assert_bytes(socketio_event_arguments(&packet), cases[i].arguments);
	}
}

static void test_heads(void **state)
{
	(void)state;
	static const struct { enum socketio_type type; unsigned attachments; const char *nsp, *id, *head; } cases[] = {
		{ SOCKETIO_CONNECT, 0, "/", "", "40" }, { SOCKETIO_CONNECT, 0, "/x", "", "40/x," },
		{ SOCKETIO_DISCONNECT, 0, "/x", "", "41/x," }, { SOCKETIO_EVENT, 0, "/", "", "42" },
		{ SOCKETIO_EVENT, 2, "/x", "", "452-/x," }, { SOCKETIO_ACK, 0, "/", "0", "430" },
		{ SOCKETIO_ACK, 1, "/", "99999999999999999999", "461-99999999999999999999" },
		{ SOCKETIO_CONNECT_ERROR, 0, "/x", "", "44/x," },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buffer out = { 0 };
		socketio_packet_add_head(&out, cases[i].type, cases[i].attachments, bytes_of(cases[i].nsp), bytes_of(cases[i].id));
		assert_string_equal(out.data, cases[i].head);
		buffer_deinit(&out);
	}
}

static void test_placeholders_numbered_anew(void **state)
{
	(void)state;
	static const struct bytes binary[] = { { "zero", 4 }, { "one", 3 }, { "two", 3 } };
	struct bytes sorted[SOCKETIO_ATTACHMENTS_MAX];
	struct buffer out = { 0 };
	int count = socketio_packet_add_json(&out, bytes_of("{ \"num\" : 2 , \"_placeholder\" : true }, {\"b\": [ {\"_placeholder\":true,\"num\":0}, 7 ],"
	                                                    "\"c\":{\"num\":1,\"_placeholder\":false}}, {\"_placeholder\":true,\"num\":2}"),
	                                     binary, 3, sorted);
	assert_int_equal(count, 3);
	assert_string_equal(out.data, "{\"_placeholder\":true,\"num\":0},{\"b\":[{\"_placeholder\":true,\"num\":1},7],"
	                              "\"c\":{\"num\":1,\"_placeholder\":false}},{\"_placeholder\":true,\"num\":2}");
	assert_bytes(sorted[0], "two");
	assert_bytes(sorted[1], "zero");
	assert_bytes(sorted[2], "two");
	buffer_clear(&out);
	/* Without attachments nothing is a placeholder. */
	assert_int_equal(socketio_packet_add_json(&out, bytes_of("[ {\"num\":5, \"_placeholder\":true} ]"), NULL, 0, sorted), 0);
	assert_string_equal(out.data, "[{\"num\":5,\"_placeholder\":true}]");
	buffer_clear(&out);
	/* One attachment named often would grow with every mention. */
	struct buffer many = { 0 };
	for (int i = 0; i < 11; i++)
		buffer_add_text(&many, i ? ",{\"_placeholder\":true,\"num\":0}" : "{\"_placeholder\":true,\"num\":0}");
	assert_int_equal(socketio_packet_add_json(&out, buffer_bytes(&many), binary, 1, sorted), -1);
	buffer_deinit(&many);
	buffer_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_packets),
		cmocka_unit_test(test_bad_packets),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_names_and_arguments),
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_placeholders_numbered_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
