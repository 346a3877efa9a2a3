/* process.c - CPU time of other processes. */
#include "process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* The first number of schedstat is the time on a CPU: exact, where the ticks of stat are not. */
static uint64_t thread_cpu_ns(const char *tasks, const char *thread)
{
	char path[320];
	uint64_t ns = 0;
	snprintf(path, sizeof(path), "%s/%s/schedstat", tasks, thread);
	FILE *file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%" SCNu64, &ns) != 1)
		ns = 0;
	fclose(file);
	return ns;
}

uint64_t process_cpu_ns(const pid_t *pids, size_t count)
{
	uint64_t total = 0;
	for (size_t i = 0; i < count; i++) {
		char tasks[32];
		snprintf(tasks, sizeof(tasks), "/proc/%d/task", (int)pids[i]);
		DIR *directory = opendir(tasks);
		const struct dirent *entry;
		while (directory && (entry = readdir(directory)))
			if (entry->d_name[0] != '.')
				total += thread_cpu_ns(tasks, entry->d_name);
		if (directory)
			closedir(directory);
	}
	return total;
}

uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
