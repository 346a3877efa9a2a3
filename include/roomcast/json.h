/* json.h - a strict byte scanner for JSON (RFC 8259), and views into what it accepted.
 *
 * What applications publish is forwarded as they wrote it, so nothing here re-serializes: json_check
 * says whether every conforming parser will take the bytes, the rest cuts checked bytes into views.
 * Views point into the caller's bytes. Nothing allocates unless said. */
#ifndef ROOMCAST_JSON_H
#define ROOMCAST_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

/* JSON_NUMBER_MAX characters of one number: Python refuses integers of more than 4,300 digits, and its clients
 * would lose their connection over one. */
enum { JSON_DEPTH_DEFAULT = 64, JSON_DEPTH_LIMIT = 1024, JSON_NUMBER_MAX = 1024 };

/* Not called a type: json-c has an enum json_type, and whoever extracts fields includes both. */
enum json_kind {
	JSON_INVALID, JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT,
};

/* 0 when text is one JSON value with optional white space around it: strict UTF-8 (no overlong form, no
 * surrogate, nothing past U+10FFFF), no byte below 0x20 inside strings, escapes of surrogates only in pairs,
 * numbers by the RFC's grammar and bounded, at most max_depth (at most JSON_DEPTH_LIMIT) nested arrays and objects.
 * Otherwise -1, and err names what and the byte offset ("unescaped control character 0x1e at byte 17"); its code
 * is ERROR_TOO_LARGE for depth, else ERROR_INVALID. Bytes past a terminating 0 count. */
int json_check(struct bytes text, unsigned max_depth, struct error *err) MUST_CHECK;

/* All below demand bytes that json_check accepted, or a view returned from here. */

/* The value without the white space around it. */
struct bytes json_trim(struct bytes text);
enum json_kind json_kind(struct bytes value);

/* Walks an array or object: start with `rest` = the whole value. Returns false at its end. */
bool json_next_element(struct bytes *rest, struct bytes *value);
bool json_next_member(struct bytes *rest, struct bytes *key, struct bytes *value); /* key: raw, with quotes */

/* Cuts the next token off *rest: one of `[]{},:`, or a whole string, number or literal. For flat walks through
 * nested values, whose cost does not grow with the depth. false at the end. */
bool json_next_token(struct bytes *rest, struct bytes *token);

/* The value of the member whose decoded key is `key`; the last one when it stands there twice, as in every
 * mainstream parser. false when absent or when object is not an object. */
bool json_member(struct bytes object, const char *key, struct bytes *value);

/* Decodes a raw string (with quotes) into UTF-8 and terminates it. Returns the decoded length, which
 * can be smaller than strlen suggests when it holds \u0000; -1 when it does not fit into size bytes. The
 * decoded form is never longer than the raw one. */
long json_string_decode(struct bytes raw, char *out, size_t size);
bool json_string_equals(struct bytes raw, const char *text);

/* Exact integer without fraction or exponent within int64, else false. */
bool json_int64(struct bytes number, int64_t *out);

/* Adds value without white space outside strings. */
void json_compact(struct buffer *out, struct bytes value);

#endif
