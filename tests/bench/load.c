/* load.c - the load generator: starts workers, leads them through the phases, and prints what they found.
 *
 * One JSON object a line: {"phase":"ready",...} when every client is in its rooms, {"phase":"measured",...} at the end. With --steps
 * it waits for a line on standard input after `ready` and after `measured`, so that somebody can look at the server meanwhile. */
#include <arpa/inet.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"
#include "process.h"
#include "worker.h"

struct load {
	struct load_settings settings;
	struct board *boards; /* one for each process */
	pid_t *workers;
	bool has_steps, wants_help;
};

static const struct protocol *const protocols[] = { &protocol_plain, &protocol_websocket, &protocol_polling };

static void usage(void)
{
	puts("load --server=PORT[,PORT...] [OPTION...]\n"
	     "  --protocol=NAME      plain, websocket (Socket.IO; default) or polling (Socket.IO)\n"
	     "  --path=PATH          of the Engine.IO server (default /api/socket); plain: what stands before the room's number\n"
	     "  --query=TEXT         further query parameters, each with its & in front\n"
	     "  --token=JWT          for the clients' CONNECT\n"
	     "  --clients=N          (100)      --processes=N    they are spread over (1)\n"
	     "  --rooms=N            (1)        --joins=N        rooms that a client is in (1; 0: none)\n"
	     "  --first-room=N       where the rooms' numbers begin (0), for several crowds at one server\n"
	     "  --opening=N          clients connecting at once (64)\n"
	     "  --source=ADDRESS     line:DIRECTORY, control:PORT, gateway:PORT/PATH or nchan:PORT/PATH\n"
	     "  --measure=NAME       closed, rate, idle or storm (idle)\n"
	     "  --seconds=S          (3)        --burst=N        events published together (1)\n"
	     "  --rate=R             events a second (20)        --bytes=N  of a packet (200)\n"
	     "  --pids=P[,P...]      the server's processes, whose CPU time is counted\n"
	     "  --spin               do not sleep while deliveries are awaited: no server pays for waking the generator\n"
	     "  --steps              wait for a line on standard input after each phase");
}

/* --- the command line ------------------------------------------------------ */

static size_t parse_list(const char *text, unsigned long *out, size_t most)
{
	size_t count = 0;
	while (*text && count < most) {
		char *end;
		out[count++] = strtoul(text, &end, 10);
		text = *end == ',' ? end + 1 : end + strlen(end);
	}
	return count;
}

static void set_servers(struct load_settings *settings, const char *text)
{
	unsigned long ports[SERVERS_MAX];
	settings->crowd.server_count = (uint32_t)parse_list(text, ports, SERVERS_MAX);
	for (uint32_t i = 0; i < settings->crowd.server_count; i++)
		settings->servers[i] = (struct sockaddr_in){
			.sin_family = AF_INET, .sin_port = htons((uint16_t)ports[i]), .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		};
}

static void set_pids(struct load_settings *settings, const char *text)
{
	unsigned long pids[PIDS_MAX];
	settings->pid_count = parse_list(text, pids, PIDS_MAX);
	for (size_t i = 0; i < settings->pid_count; i++)
		settings->pids[i] = (pid_t)pids[i];
}

static void set_protocol(struct load_settings *settings, const char *text)
{
	settings->crowd.protocol = NULL;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (strcmp(protocols[i]->name, text) == 0)
			settings->crowd.protocol = protocols[i];
}

enum { TEXT, COUNT, REAL, SPECIAL, FLAG };

/* One row an option: where its value goes. */
static const struct row {
	const char *name;
	int type;
	size_t offset; /* into struct load */
	void (*set)(struct load_settings *settings, const char *text);
} rows[] = {
	{ "server", SPECIAL, 0, set_servers },
	{ "protocol", SPECIAL, 0, set_protocol },
	{ "pids", SPECIAL, 0, set_pids },
	{ "path", TEXT, offsetof(struct load, settings.crowd.path), NULL },
	{ "query", TEXT, offsetof(struct load, settings.crowd.query), NULL },
	{ "token", TEXT, offsetof(struct load, settings.crowd.token), NULL },
	{ "source", TEXT, offsetof(struct load, settings.source), NULL },
	{ "measure", TEXT, offsetof(struct load, settings.measure), NULL },
	{ "clients", COUNT, offsetof(struct load, settings.crowd.clients), NULL },
	{ "rooms", COUNT, offsetof(struct load, settings.crowd.rooms), NULL },
	{ "joins", COUNT, offsetof(struct load, settings.crowd.rooms_per_client), NULL },
	{ "first-room", COUNT, offsetof(struct load, settings.crowd.first_room), NULL },
	{ "opening", COUNT, offsetof(struct load, settings.crowd.opening_max), NULL },
	{ "processes", COUNT, offsetof(struct load, settings.processes), NULL },
	{ "burst", COUNT, offsetof(struct load, settings.burst), NULL },
	{ "bytes", COUNT, offsetof(struct load, settings.packet_len), NULL },
	{ "seconds", REAL, offsetof(struct load, settings.seconds), NULL },
	{ "rate", REAL, offsetof(struct load, settings.rate), NULL },
	{ "spin", FLAG, offsetof(struct load, settings.spins), NULL },
	{ "help", FLAG, offsetof(struct load, wants_help), NULL },
	{ "steps", FLAG, offsetof(struct load, has_steps), NULL },
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void set(struct load *load, const struct row *row, const char *text)
{
	void *place = (char *)load + row->offset;
	if (row->type == TEXT)
		*(const char **)place = text;
	else if (row->type == COUNT)
		*(uint32_t *)place = (uint32_t)strtoul(text, NULL, 10);
	else if (row->type == REAL)
		*(double *)place = strtod(text, NULL);
	else if (row->type == FLAG)
		*(bool *)place = true;
	else
		row->set(&load->settings, text);
}

static int parse(struct load *load, int argc, char **argv)
{
	struct option options[ROWS + 1] = { 0 };
	int found;
	for (size_t i = 0; i < ROWS; i++)
		options[i] = (struct option){ rows[i].name, rows[i].type == FLAG ? no_argument : required_argument, NULL, (int)i + 1 };
	while ((found = getopt_long(argc, argv, "", options, NULL)) > 0) {
		if (found == '?')
			return -1;
		set(load, &rows[found - 1], optarg);
	}
	const struct load_settings *settings = &load->settings;
	return settings->crowd.server_count && settings->crowd.protocol && settings->crowd.clients && settings->processes && settings->burst &&
	               measurement_find(settings->measure) ? 0 : -1;
}

/* --- the workers ----------------------------------------------------------- */

static int start_workers(struct load *load)
{
	uint32_t processes = load->settings.processes, started = 0;
	for (uint32_t i = 0; i < processes; i++) {
		struct load_settings settings = load->settings;
		settings.crowd.servers = settings.servers;
		settings.crowd.clients = load->settings.crowd.clients / processes + (i < load->settings.crowd.clients % processes);
		settings.crowd.first_index = started;
		settings.source = i ? NULL : settings.source;
		settings.pid_count = i ? 0 : settings.pid_count;
		started += settings.crowd.clients;
		fflush(stdout);
		pid_t pid = fork();
		if (pid < 0)
			return -1;
		if (pid == 0)
			_exit(worker_run(&settings, &load->boards[i]));
		load->workers[i] = pid;
	}
	return 0;
}

/* A worker that crashed says nothing itself. */
static void wait_for_worker(struct load *load, uint32_t i, enum phase phase)
{
	struct board *board = &load->boards[i];
	while (atomic_load(&board->done) < (int)phase) {
		if (waitpid(load->workers[i], NULL, WNOHANG) == load->workers[i] && atomic_load(&board->done) < (int)phase) {
			snprintf(board->failure, sizeof(board->failure), "worker %u ended by itself", i);
			atomic_store(&board->done, PHASE_END);
		}
		usleep(1000);
	}
}

/* Sends everybody into a phase and waits until all are through, or one has failed. Returns how long it took, in ns. */
static uint64_t lead(struct load *load, enum phase phase)
{
	uint64_t start = now_ns();
	for (uint32_t i = 0; i < load->settings.processes; i++)
		atomic_store(&load->boards[i].wanted, (int)phase);
	for (uint32_t i = 0; i < load->settings.processes; i++)
		wait_for_worker(load, i, phase);
	return now_ns() - start;
}

static const char *failure(const struct load *load)
{
	for (uint32_t i = 0; i < load->settings.processes; i++)
		if (load->boards[i].failure[0])
			return load->boards[i].failure;
	return NULL;
}

static void step(const struct load *load)
{
	char line[64];
	fflush(stdout);
	if (load->has_steps && !fgets(line, sizeof(line), stdin))
		return;
}

/* --- what they found ------------------------------------------------------- */

static void print_latency(const char *name, const struct histogram *histogram)
{
	printf(",\"%s\":{\"count\":%" PRIu64 ",\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}", name, histogram->count,
	       (double)histogram_quantile(histogram, 0.5) / 1e3, (double)histogram_quantile(histogram, 0.99) / 1e3,
	       (double)histogram_quantile(histogram, 0.999) / 1e3, (double)histogram->max / 1e3);
}

static void print_ready(const struct load *load, uint64_t elapsed_ns, uint64_t cpu_ns)
{
	double seconds = (double)elapsed_ns / 1e9;
	printf("{\"phase\":\"ready\",\"clients\":%u,\"seconds\":%.4f,\"perSecond\":%.1f,\"cpuSeconds\":%.4f}\n", load->settings.crowd.clients, seconds,
	       (double)load->settings.crowd.clients / seconds, (double)cpu_ns / 1e9);
}

static void add_figures(struct figures *sum, const struct figures *one)
{
	if (one->elapsed_ns > sum->elapsed_ns)
		sum->elapsed_ns = one->elapsed_ns;
	sum->cpu_ns += one->cpu_ns;
	sum->events += one->events;
	sum->deliveries += one->deliveries;
	sum->missing += one->missing;
	sum->surplus += one->surplus;
	histogram_add_all(&sum->each, &one->each);
	histogram_add_all(&sum->last, &one->last);
}

static void print_measured(const struct load *load)
{
	static struct figures sum;
	uint64_t heartbeats = 0;
	for (uint32_t i = 0; i < load->settings.processes; i++) {
		add_figures(&sum, &load->boards[i].figures);
		heartbeats += atomic_load(&load->boards[i].heartbeats);
	}
	double seconds = (double)sum.elapsed_ns / 1e9;
	printf("{\"phase\":\"measured\",\"measure\":\"%s\",\"clients\":%u,\"seconds\":%.4f,\"cpuSeconds\":%.4f", load->settings.measure,
	       load->settings.crowd.clients, seconds, (double)sum.cpu_ns / 1e9);
	printf(",\"events\":%" PRIu64 ",\"deliveries\":%" PRIu64 ",\"perSecond\":%.1f,\"missing\":%" PRIu64 ",\"surplus\":%" PRIu64, sum.events,
	       sum.deliveries, (double)sum.deliveries / seconds, sum.missing, sum.surplus);
	if (sum.deliveries)
		printf(",\"cpuPerDelivery\":%.1f", (double)sum.cpu_ns / (double)sum.deliveries);
	printf(",\"heartbeats\":%" PRIu64, heartbeats);
	print_latency("each", &sum.each);
	print_latency("last", &sum.last);
	puts("}");
}

static int give_up(const struct load *load)
{
	fprintf(stderr, "load: %s\n", failure(load));
	return 1;
}

/* Returns the exit status. */
static int lead_all(struct load *load)
{
	const struct load_settings *settings = &load->settings;
	if (start_workers(load) < 0) {
		perror("load: fork");
		return 1;
	}
	lead(load, PHASE_GREET);
	uint64_t cpu = process_cpu_ns(settings->pids, settings->pid_count), elapsed = lead(load, PHASE_CONNECT);
	if (failure(load))
		return give_up(load);
	print_ready(load, elapsed, process_cpu_ns(settings->pids, settings->pid_count) - cpu);
	step(load);
	lead(load, PHASE_MEASURE);
	if (failure(load))
		return give_up(load);
	print_measured(load);
	step(load);
	lead(load, PHASE_END);
	while (wait(NULL) > 0)
		continue;
	return 0;
}

int main(int argc, char **argv)
{
	static struct load load = { .settings = {
		.crowd = {
			.protocol = &protocol_websocket, .path = "/api/socket", .query = "", .token = "",
			.clients = 100, .rooms = 1, .rooms_per_client = 1, .opening_max = 64,
		},
		.measure = "idle", .seconds = 3, .rate = 20, .burst = 1, .packet_len = 200, .processes = 1,
	} };
	struct rlimit files;
	int result = parse(&load, argc, argv);
	if (result < 0 || load.wants_help) {
		usage();
		return load.wants_help ? 0 : 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	load.boards = mmap(NULL, load.settings.processes * sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	load.workers = calloc(load.settings.processes, sizeof(*load.workers));
	if (load.boards == MAP_FAILED || !load.workers) {
		perror("load: memory");
		return 1;
	}
	result = lead_all(&load);
	free(load.workers);
	return result;
}
