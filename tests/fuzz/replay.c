/* replay.c - the main of a fuzz target where libFuzzer is not linked: feeds it files, and speaks TAP.
 *
 * Arguments are files or directories of inputs; without any, $srcdir/corpus/<target>, as `make check` runs it. Each
 * input is also fed cut at every length up to a bound, for what ends early is where parsers err most. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { INPUT_MAX = 64 << 20, CUTS_MAX = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exactly as large as the input, so that the sanitizer sees a read past its end. */
static void feed_copy(const unsigned char *data, size_t size)
{
	unsigned char *copy = malloc(size ? size : 1);
	if (!copy)
		abort();
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int feed_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat status;
	if (!file || fstat(fileno(file), &status) || status.st_size > INPUT_MAX) {
		printf("Bail out! %s: %s\n", path, strerror(errno));
		exit(1);
	}
	size_t size = (size_t)status.st_size;
	unsigned char *data = malloc(size + 1);
	if (!data || fread(data, 1, size, file) != size)
		abort();
	fclose(file);
	feed_copy(data, size);
	for (size_t cut = 0; cut < size && cut < CUTS_MAX; cut++)
		feed_copy(data, cut);
	free(data);
	return 1;
}

/* Returns how many files were fed. */
static int feed(const char *path)
{
	DIR *directory = opendir(path);
	if (!directory)
		return feed_file(path);
	int count = 0;
	const struct dirent *entry;
	while ((entry = readdir(directory))) {
		char inner[4096];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
		count += feed(inner);
	}
	closedir(directory);
	return count;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	name = name ? name + 1 : argv[0];
	const char *target = strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name;
	int count = 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("1..1");
	if (argc > 1) {
		for (int i = 1; i < argc; i++)
			count += feed(argv[i]);
	} else {
		char path[4096];
		const char *srcdir = getenv("srcdir");
		snprintf(path, sizeof(path), "%s/corpus/%s", srcdir ? srcdir : ".", target);
		count = feed(path);
	}
	printf("%s 1 - %s survives its %d inputs\n", count ? "ok" : "not ok", name, count);
	return count == 0;
}
