/* clock.c - clocks and timestamps. */
#include <roomcast/clock.h>

#include <time.h>

static uint64_t clock_ms(clockid_t id)
{
	struct timespec now;
	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t clock_wall_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

uint64_t clock_monotonic_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

static char *put_number(char *out, unsigned number, int digits, char behind)
{
	for (int i = digits; i-- > 0; number /= 10)
		out[i] = (char)('0' + number % 10);
	out[digits] = behind;
	return out + digits + 1;
}

void timestamp_format(uint64_t wall_ms, char out[static TIMESTAMP_SIZE])
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm utc;
	gmtime_r(&seconds, &utc);
	out = put_number(out, (unsigned)utc.tm_year + 1900, 4, '-');
	out = put_number(out, (unsigned)utc.tm_mon + 1, 2, '-');
	out = put_number(out, (unsigned)utc.tm_mday, 2, 'T');
	out = put_number(out, (unsigned)utc.tm_hour, 2, ':');
	out = put_number(out, (unsigned)utc.tm_min, 2, ':');
	out = put_number(out, (unsigned)utc.tm_sec, 2, '.');
	out = put_number(out, (unsigned)(wall_ms % 1000), 3, 'Z');
	*out = '\0';
}
