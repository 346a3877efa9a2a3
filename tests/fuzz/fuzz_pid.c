/* fuzz_pid.c - nothing that a stranger makes up is a good pid; bytes that could be one are, once they were signed. */
#include <stdint.h>
#include <stdlib.h>

#include "pid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char key[MAC_KEY_LEN] = "the key of the fuzzer";
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	struct pid pid = { 0 }, again;
	char text[PID_TEXT_MAX + 1];
	must(pid_read((struct bytes){ (const char *)data, size }, key, &pid) != PID_GOOD);
	for (size_t i = 0; i < size && i < 16; i++)
		(i < 8 ? &pid.floor.epoch : &pid.floor.seq)[0] = (i < 8 ? pid.floor.epoch : pid.floor.seq) << 8 | data[i];
	for (size_t i = 0; i < CLIENT_SID_SIZE - 1; i++)
		pid.sid[i] = letters[(i < size ? data[i] : i) & 63];
	for (size_t i = 16, len = 0; i < size && len < USER_ID_MAX; i++)
		if (data[i])
			pid.user_id[len++] = (char)data[i];
	must(pid_write(&pid, key, text) == 0);
	must(pid_read(bytes_of(text), key, &again) == PID_GOOD);
	must(place_compare(pid.floor, again.floor) == 0 && strcmp(pid.sid, again.sid) == 0 && strcmp(pid.user_id, again.user_id) == 0);
	return 0;
}
