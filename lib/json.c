/* json.c - the strict scanner, and views into what it accepted. Neither recurses nor allocates. */
#include <roomcast/json.h>

#include <assert.h>

/* --- what may stand where -------------------------------------------------------------------------- */

enum byte_class {
	PLAIN,    /* stands for itself inside strings */
	CONTROL,  /* never raw inside strings */
	QUOTE,
	ESCAPE,
	LEAD_2, LEAD_3, LEAD_4, /* first byte of a UTF-8 sequence of that length */
	STRAY,    /* continuation bytes, and what can start no sequence: 0xc0, 0xc1, 0xf5 and up */
};

#define EIGHT(c) c, c, c, c, c, c, c, c
#define THIRTY_TWO(c) EIGHT(c), EIGHT(c), EIGHT(c), EIGHT(c)
static const unsigned char byte_classes[256] = {
	/* 0x00 */ THIRTY_TWO(CONTROL),
	/* 0x20 */ PLAIN, PLAIN, QUOTE, PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, EIGHT(PLAIN), EIGHT(PLAIN), EIGHT(PLAIN),
	/* 0x40 */ EIGHT(PLAIN), EIGHT(PLAIN), EIGHT(PLAIN), PLAIN, PLAIN, PLAIN, PLAIN, ESCAPE, PLAIN, PLAIN, PLAIN,
	/* 0x60 */ THIRTY_TWO(PLAIN),
	/* 0x80 */ THIRTY_TWO(STRAY), THIRTY_TWO(STRAY),
	/* 0xc0 */ STRAY, STRAY, LEAD_2, LEAD_2, LEAD_2, LEAD_2, LEAD_2, LEAD_2, EIGHT(LEAD_2), EIGHT(LEAD_2), EIGHT(LEAD_2),
	/* 0xe0 */ EIGHT(LEAD_3), EIGHT(LEAD_3),
	/* 0xf0 */ LEAD_4, LEAD_4, LEAD_4, LEAD_4, LEAD_4, STRAY, STRAY, STRAY, EIGHT(STRAY),
};
#undef EIGHT
#undef THIRTY_TWO

/* What the character behind a backslash stands for; `u` apart. */
static const char simple_escapes[256] = {
	['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
};

static const struct { const char *text; unsigned char len; } literals[] = {
	{ "null", 4 }, { "false", 5 }, { "true", 4 },
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The code unit of four hexadecimal digits, -1 when they are not. */
static long hex_unit(const char *digits)
{
	long unit = 0;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit_value(digits[i]);
		if (digit < 0)
			return -1;
		unit = unit << 4 | digit;
	}
	return unit;
}

static bool is_high_surrogate(long unit)
{
	return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low_surrogate(long unit)
{
	return unit >= 0xdc00 && unit <= 0xdfff;
}

/* A word at a time, because most bytes of real JSON stand inside strings. */
static bool are_eight_plain(const char *at)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);
	uint64_t word;
	memcpy(&word, at, sizeof(word));
	uint64_t quote = word ^ (ones * '"'), escape = word ^ (ones * '\\');
	/* A top bit is set where a byte is past ASCII, below 0x20, or where a difference is zero. */
	return ((word | (word - ones * 0x20) | (quote - ones) | (escape - ones)) & tops) == 0;
}

/* --- the scanner ----------------------------------------------------------------------------------- */

struct scan {
	const char *start, *at, *end;
	struct error *err;
};

static int fail_at(struct scan *scan, const char *at, const char *what)
{
	return error_set(scan->err, ERROR_INVALID, "%s at byte %zu", what, (size_t)(at - scan->start));
}

static int fail_byte(struct scan *scan, const char *what)
{
	unsigned char c = (unsigned char)*scan->at;
	size_t offset = (size_t)(scan->at - scan->start);
	if (c > 0x20 && c < 0x7f && c != '"' && c != '\\')
		return error_set(scan->err, ERROR_INVALID, "%s '%c' at byte %zu", what, c, offset);
	return error_set(scan->err, ERROR_INVALID, "%s 0x%02x at byte %zu", what, c, offset);
}

static int fail_end(struct scan *scan)
{
	return fail_at(scan, scan->end, "unexpected end");
}

/* One UTF-8 sequence of two to four bytes (RFC 3629, 4). */
static int scan_utf8(struct scan *scan, int class)
{
	size_t len = (size_t)(class - LEAD_2) + 2;
	const unsigned char *bytes = (const unsigned char *)scan->at;
	if ((size_t)(scan->end - scan->at) < len)
		return fail_at(scan, scan->at, "truncated UTF-8");
	/* The second byte is what tells overlong forms, surrogates and code points past U+10FFFF. */
	unsigned low = 0x80, high = 0xbf;
	if (bytes[0] == 0xe0)
		low = 0xa0;
	else if (bytes[0] == 0xed)
		high = 0x9f;
	else if (bytes[0] == 0xf0)
		low = 0x90;
	else if (bytes[0] == 0xf4)
		high = 0x8f;
	if (bytes[1] < low || bytes[1] > high)
		return fail_at(scan, scan->at, "invalid UTF-8");
	for (size_t i = 2; i < len; i++)
		if ((bytes[i] & 0xc0) != 0x80)
			return fail_at(scan, scan->at, "invalid UTF-8");
	scan->at += len;
	return 0;
}

static int scan_escape(struct scan *scan)
{
	const char *at = scan->at;
	size_t left = (size_t)(scan->end - at);
	if (left < 2)
		return fail_end(scan);
	if (simple_escapes[(unsigned char)at[1]]) {
		scan->at += 2;
		return 0;
	}
	if (at[1] != 'u')
		return fail_at(scan, at, "unknown escape");
	if (left < 6)
		return fail_at(scan, at, "truncated escape");
	long unit = hex_unit(at + 2);
	if (unit < 0)
		return fail_at(scan, at, "escape without four hexadecimal digits");
	if (is_low_surrogate(unit))
		return fail_at(scan, at, "lone low surrogate");
	if (is_high_surrogate(unit)) {
		if (left < 12 || at[6] != '\\' || at[7] != 'u' || !is_low_surrogate(hex_unit(at + 8)))
			return fail_at(scan, at, "lone high surrogate");
		scan->at += 6;
	}
	scan->at += 6;
	return 0;
}

static int scan_string(struct scan *scan)
{
	scan->at++;
	for (;;) {
		while (scan->end - scan->at >= 8 && are_eight_plain(scan->at))
			scan->at += 8;
		while (scan->at < scan->end && byte_classes[(unsigned char)*scan->at] == PLAIN)
			scan->at++;
		if (scan->at == scan->end)
			return fail_at(scan, scan->end, "string without an end");
		int class = byte_classes[(unsigned char)*scan->at];
		int result = 0;
		if (class == QUOTE) {
			scan->at++;
			return 0;
		}
		if (class == ESCAPE)
			result = scan_escape(scan);
		else if (class == CONTROL)
			result = fail_byte(scan, "unescaped control character");
		else if (class == STRAY)
			result = fail_at(scan, scan->at, "invalid UTF-8");
		else
			result = scan_utf8(scan, class);
		if (result)
			return -1;
	}
}

static int scan_digits(struct scan *scan)
{
	if (scan->at == scan->end || !is_digit(*scan->at))
		return fail_at(scan, scan->at, "number without a digit where one must be");
	while (scan->at < scan->end && is_digit(*scan->at))
		scan->at++;
	return 0;
}

static int scan_number(struct scan *scan)
{
	const char *start = scan->at;
	if (*scan->at == '-')
		scan->at++;
	const char *whole = scan->at;
	if (scan_digits(scan))
		return -1;
	if (*whole == '0' && scan->at - whole > 1)
		return fail_at(scan, whole, "number with a leading zero");
	if (scan->at < scan->end && *scan->at == '.') {
		scan->at++;
		if (scan_digits(scan))
			return -1;
	}
	if (scan->at < scan->end && (*scan->at == 'e' || *scan->at == 'E')) {
		scan->at++;
		if (scan->at < scan->end && (*scan->at == '+' || *scan->at == '-'))
			scan->at++;
		if (scan_digits(scan))
			return -1;
	}
	if (scan->at - start > JSON_NUMBER_MAX)
		return fail_at(scan, start, "number of too many digits");
	return 0;
}

static int scan_literal(struct scan *scan)
{
	for (size_t i = 0; i < sizeof(literals) / sizeof(literals[0]); i++) {
		size_t len = literals[i].len;
		if ((size_t)(scan->end - scan->at) >= len && memcmp(scan->at, literals[i].text, len) == 0) {
			scan->at += len;
			return 0;
		}
	}
	return fail_byte(scan, "unexpected");
}

static int scan_scalar(struct scan *scan)
{
	if (*scan->at == '"')
		return scan_string(scan);
	if (*scan->at == '-' || is_digit(*scan->at))
		return scan_number(scan);
	return scan_literal(scan);
}

static void skip_space(struct scan *scan)
{
	while (scan->at < scan->end && is_space(*scan->at))
		scan->at++;
}

/* A member's key and its colon. */
static int scan_key(struct scan *scan)
{
	if (*scan->at != '"')
		return fail_byte(scan, "expected a member's name instead of");
	if (scan_string(scan))
		return -1;
	skip_space(scan);
	if (scan->at == scan->end)
		return fail_end(scan);
	if (*scan->at != ':')
		return fail_byte(scan, "expected ':' instead of");
	scan->at++;
	return 0;
}

/* Which of the open containers are objects: a bit each, so that nesting costs neither stack nor heap. */
struct nesting {
	unsigned depth;
	uint64_t objects[JSON_DEPTH_LIMIT / 64];
};

static bool is_in_object(const struct nesting *nesting)
{
	unsigned top = nesting->depth - 1;
	return nesting->depth && (nesting->objects[top / 64] >> top % 64 & 1);
}

static void nesting_push(struct nesting *nesting, bool is_object)
{
	uint64_t bit = UINT64_C(1) << nesting->depth % 64;
	uint64_t *word = &nesting->objects[nesting->depth / 64];
	*word = is_object ? *word | bit : *word & ~bit;
	nesting->depth++;
}

enum expectation {
	EXPECT_VALUE,
	EXPECT_VALUE_OR_CLOSE, /* behind `[` */
	EXPECT_KEY,
	EXPECT_KEY_OR_CLOSE,   /* behind `{` */
	EXPECT_MORE_OR_CLOSE,  /* behind a value: `,`, a closing bracket, or outside all brackets the end */
};

/* A value starts, or a scalar passes. Returns what to expect next, -1 on errors. */
static int scan_value(struct scan *scan, struct nesting *nesting, unsigned max_depth)
{
	char c = *scan->at;
	if (c != '[' && c != '{')
		return scan_scalar(scan) ? -1 : EXPECT_MORE_OR_CLOSE;
	if (nesting->depth == max_depth)
		return error_set(scan->err, ERROR_TOO_LARGE, "more than %u levels of nesting at byte %zu", max_depth,
		                 (size_t)(scan->at - scan->start));
	nesting_push(nesting, c == '{');
	scan->at++;
	return c == '{' ? EXPECT_KEY_OR_CLOSE : EXPECT_VALUE_OR_CLOSE;
}

/* Behind a value inside a container. */
static int scan_more(struct scan *scan, struct nesting *nesting)
{
	bool is_object = is_in_object(nesting);
	char c = *scan->at;
	if (nesting->depth && c == (is_object ? '}' : ']')) {
		nesting->depth--;
		scan->at++;
		return EXPECT_MORE_OR_CLOSE;
	}
	if (nesting->depth && c == ',') {
		scan->at++;
		return is_object ? EXPECT_KEY : EXPECT_VALUE;
	}
	return fail_byte(scan, nesting->depth ? "unexpected" : "unexpected byte behind the value:");
}

static int scan_step(struct scan *scan, struct nesting *nesting, int expected, unsigned max_depth)
{
	bool may_close = expected == EXPECT_VALUE_OR_CLOSE || expected == EXPECT_KEY_OR_CLOSE;
	bool is_key = expected == EXPECT_KEY || expected == EXPECT_KEY_OR_CLOSE;
	if (expected == EXPECT_MORE_OR_CLOSE || (may_close && *scan->at == (is_key ? '}' : ']')))
		return scan_more(scan, nesting);
	if (is_key)
		return scan_key(scan) ? -1 : EXPECT_VALUE;
	return scan_value(scan, nesting, max_depth);
}

int json_check(struct bytes text, unsigned max_depth, struct error *err)
{
	if (text.len == 0)
		return error_set(err, ERROR_INVALID, "unexpected end at byte 0");
	if (max_depth > JSON_DEPTH_LIMIT)
		max_depth = JSON_DEPTH_LIMIT;
	struct scan scan = { text.data, text.data, text.data + text.len, err };
	struct nesting nesting = { .depth = 0 };
	int expected = EXPECT_VALUE;
	for (;;) {
		skip_space(&scan);
		if (scan.at == scan.end)
			break;
		expected = scan_step(&scan, &nesting, expected, max_depth);
		if (expected < 0)
			return -1;
	}
	if (expected != EXPECT_MORE_OR_CLOSE || nesting.depth)
		return fail_end(&scan);
	return 0;
}

/* --- views into checked bytes ---------------------------------------------------------------------- */

struct bytes json_trim(struct bytes text)
{
	while (text.len && is_space(text.data[0])) {
		text.data++;
		text.len--;
	}
	while (text.len && is_space(text.data[text.len - 1]))
		text.len--;
	return text;
}

enum json_kind json_kind(struct bytes value)
{
	static const unsigned char types[256] = {
		['n'] = JSON_NULL, ['f'] = JSON_FALSE, ['t'] = JSON_TRUE, ['"'] = JSON_STRING, ['['] = JSON_ARRAY,
		['{'] = JSON_OBJECT, ['-'] = JSON_NUMBER,
	};
	value = json_trim(value);
	if (value.len == 0)
		return JSON_INVALID;
	return is_digit(value.data[0]) ? JSON_NUMBER : (enum json_kind)types[(unsigned char)value.data[0]];
}

/* Length of the raw string that text starts with. */
static size_t string_len(struct bytes text)
{
	const char *end = text.data + text.len, *quote = text.data + 1;
	while ((quote = memchr(quote, '"', (size_t)(end - quote)))) {
		const char *escapes = quote;
		while (escapes[-1] == '\\')
			escapes--;
		if ((quote++ - escapes) % 2 == 0)
			return (size_t)(quote - text.data);
	}
	return text.len;
}

/* Length of the value that text starts with, without white space behind it. */
static size_t value_len(struct bytes text)
{
	size_t depth = 0, i = 0;
	while (i < text.len) {
		char c = text.data[i];
		if (c == '"') {
			i += string_len((struct bytes){ text.data + i, text.len - i });
			if (depth == 0)
				return i;
			continue;
		}
		if (depth == 0 && (c == ',' || c == ']' || c == '}' || is_space(c)))
			return i; /* a number or literal ended */
		i++;
		if (c == '[' || c == '{')
			depth++;
		else if ((c == ']' || c == '}') && --depth == 0)
			return i;
	}
	return i;
}

static struct bytes skip(struct bytes text, size_t len)
{
	text.data += len;
	text.len -= len;
	while (text.len && is_space(text.data[0])) {
		text.data++;
		text.len--;
	}
	return text;
}

/* Between two elements rest starts with the comma, at the end with the closing bracket: so an opening
 * bracket at its start always is the container's own. */
static bool enter(struct bytes *rest, char open, char close)
{
	struct bytes text = skip(*rest, 0);
	if (text.len == 0 || (text.data[0] != open && text.data[0] != ','))
		return false;
	text = skip(text, 1);
	if (text.len == 0 || text.data[0] == close)
		return false;
	*rest = text;
	return true;
}

static struct bytes take_value(struct bytes *rest)
{
	struct bytes value = { rest->data, value_len(*rest) };
	*rest = skip(*rest, value.len);
	return value;
}

bool json_next_element(struct bytes *rest, struct bytes *value)
{
	if (!enter(rest, '[', ']'))
		return false;
	*value = take_value(rest);
	return true;
}

bool json_next_member(struct bytes *rest, struct bytes *key, struct bytes *value)
{
	if (!enter(rest, '{', '}'))
		return false;
	*key = take_value(rest);
	*rest = skip(*rest, 1); /* the colon */
	*value = take_value(rest);
	return true;
}

bool json_next_token(struct bytes *rest, struct bytes *token)
{
	struct bytes text = skip(*rest, 0);
	if (text.len == 0)
		return false;
	bool is_punctuation = memchr("[]{},:", text.data[0], 6) != NULL;
	*token = (struct bytes){ text.data, is_punctuation ? 1 : value_len(text) };
	*rest = skip(text, token->len);
	return true;
}

bool json_member(struct bytes object, const char *key, struct bytes *value)
{
	bool is_found = false;
	struct bytes name, candidate;
	while (json_next_member(&object, &name, &candidate)) {
		if (json_string_equals(name, key)) {
			*value = candidate;
			is_found = true;
		}
	}
	return is_found;
}

/* --- strings --------------------------------------------------------------------------------------- */

/* The inside of a raw string. */
static struct bytes string_inside(struct bytes raw)
{
	raw = json_trim(raw);
	assert(raw.len >= 2 && raw.data[0] == '"');
	return (struct bytes){ raw.data + 1, raw.len - 2 };
}

static size_t utf8_put(unsigned long code, char out[static 4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const unsigned char leads[] = { [2] = 0xc0, [3] = 0xe0, [4] = 0xf0 };
	for (size_t i = len - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (code & 0x3f));
		code >>= 6;
	}
	out[0] = (char)(leads[len] | code);
	return len;
}

/* Decodes the escape that text starts with; *used is its raw length. Returns the decoded length. */
static size_t decode_escape(struct bytes text, char out[static 4], size_t *used)
{
	assert(text.len >= 2);
	char simple = simple_escapes[(unsigned char)text.data[1]];
	if (simple) {
		*used = 2;
		out[0] = simple;
		return 1;
	}
	assert(text.len >= 6);
	*used = 6;
	unsigned long code = (unsigned long)hex_unit(text.data + 2);
	if (is_high_surrogate((long)code)) {
		assert(text.len >= 12);
		*used = 12;
		code = 0x10000 + ((code - 0xd800) << 10) + ((unsigned long)hex_unit(text.data + 8) - 0xdc00);
	}
	return utf8_put(code, out);
}

/* The next decoded piece of *inside: up to the next escape, or one escape in scratch. Empty at the end. */
static struct bytes next_piece(struct bytes *inside, char scratch[static 4])
{
	if (inside->len == 0)
		return (struct bytes){ NULL, 0 };
	size_t used;
	struct bytes piece = { inside->data, 0 };
	if (inside->data[0] == '\\') {
		piece.len = decode_escape(*inside, scratch, &used);
		piece.data = scratch;
	} else {
		const char *escape = memchr(inside->data, '\\', inside->len);
		used = piece.len = escape ? (size_t)(escape - inside->data) : inside->len;
	}
	inside->data += used;
	inside->len -= used;
	return piece;
}

long json_string_decode(struct bytes raw, char *out, size_t size)
{
	struct bytes inside = string_inside(raw), piece;
	char scratch[4];
	size_t len = 0;
	if (size == 0)
		return -1;
	while ((piece = next_piece(&inside, scratch)).len) {
		if (piece.len >= size - len)
			return -1;
		memcpy(out + len, piece.data, piece.len);
		len += piece.len;
	}
	out[len] = '\0';
	return (long)len;
}

bool json_string_equals(struct bytes raw, const char *text)
{
	struct bytes inside = string_inside(raw), piece;
	char scratch[4];
	size_t left = strlen(text);
	if (!inside.len || !memchr(inside.data, '\\', inside.len))
		return inside.len == left && memcmp(inside.data, text, left) == 0;
	while ((piece = next_piece(&inside, scratch)).len) {
		if (piece.len > left || memcmp(piece.data, text, piece.len) != 0)
			return false;
		text += piece.len;
		left -= piece.len;
	}
	return left == 0;
}

/* --- numbers and white space ----------------------------------------------------------------------- */

bool json_int64(struct bytes number, int64_t *out)
{
	number = json_trim(number);
	bool is_negative = number.len && number.data[0] == '-';
	size_t i = is_negative;
	if (i == number.len)
		return false;
	int64_t value = 0; /* kept negative: that side reaches one further */
	for (; i < number.len; i++) {
		if (!is_digit(number.data[i]) || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_sub_overflow(value, number.data[i] - '0', &value))
			return false;
	}
	if (!is_negative && __builtin_sub_overflow(0, value, &value))
		return false;
	*out = value;
	return true;
}

void json_compact(struct buffer *out, struct bytes value)
{
	size_t start = 0, i = 0; /* start of what is not yet added */
	while (i < value.len) {
		if (value.data[i] == '"') {
			i += string_len((struct bytes){ value.data + i, value.len - i });
			continue;
		}
		if (is_space(value.data[i])) {
			buffer_add(out, value.data + start, i - start);
			start = i + 1;
		}
		i++;
	}
	if (value.len)
		buffer_add(out, value.data + start, value.len - start);
}
