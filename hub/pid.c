/* pid.c - writes and checks the secret of connection state recovery. */
#include "pid.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <roomcast/base64.h>

enum { VERSION = 1, SID_LEN = CLIENT_SID_SIZE - 1, HEAD_LEN = 1 + 3 * 8 + SID_LEN };

static unsigned char *put_number(unsigned char *out, uint64_t number)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		*out++ = (unsigned char)(number >> shift);
	return out;
}

static uint64_t get_number(const unsigned char *in)
{
	uint64_t number = 0;
	for (int i = 0; i < 8; i++)
		number = number << 8 | in[i];
	return number;
}

static int make_mac(const unsigned char *key, const unsigned char *data, size_t len, unsigned char mac[static EVP_MAX_MD_SIZE])
{
	return HMAC(EVP_sha256(), key, MAC_KEY_LEN, data, len, mac, NULL) ? 0 : -1;
}

int pid_write(const struct pid *pid, const unsigned char key[static MAC_KEY_LEN], char out[static PID_TEXT_MAX + 1])
{
	unsigned char raw[PID_BYTES_MAX], mac[EVP_MAX_MD_SIZE], *next = raw;
	size_t user_len = strlen(pid->user_id);
	*next++ = VERSION;
	next = put_number(next, pid->issued_ms);
	next = put_number(next, pid->floor.epoch);
	next = put_number(next, pid->floor.seq);
	memcpy(next, pid->sid, SID_LEN);
	memcpy(next + SID_LEN, pid->user_id, user_len);
	next += SID_LEN + user_len;
	if (make_mac(key, raw, (size_t)(next - raw), mac))
		return -1;
	memcpy(next, mac, PID_MAC_LEN);
	size_t len = (size_t)(next - raw) + PID_MAC_LEN;
	base64url_encode((struct bytes){ (const char *)raw, len }, out);
	out[base64url_encoded_len(len)] = '\0';
	return 0;
}

enum pid_verdict pid_read(struct bytes text, const unsigned char key[static MAC_KEY_LEN], struct pid *out)
{
	unsigned char raw[PID_TEXT_MAX], mac[EVP_MAX_MD_SIZE];
	if (!text.len || text.len > PID_TEXT_MAX)
		return PID_MALFORMED;
	long len = base64url_decode(text, raw);
	if (len < HEAD_LEN + PID_MAC_LEN || len > PID_BYTES_MAX || raw[0] != VERSION)
		return PID_MALFORMED;
	size_t signed_len = (size_t)len - PID_MAC_LEN, user_len = signed_len - HEAD_LEN;
	if (make_mac(key, raw, signed_len, mac) || CRYPTO_memcmp(mac, raw + signed_len, PID_MAC_LEN) != 0)
		return PID_FORGED;
	*out = (struct pid){ .issued_ms = get_number(raw + 1), .floor = { get_number(raw + 9), get_number(raw + 17) } };
	memcpy(out->sid, raw + 25, SID_LEN);
	memcpy(out->user_id, raw + HEAD_LEN, user_len);
	return PID_GOOD;
}
