/* post.c - POSTs the same body over several kept-alive connections, each sending the next when it has its answer; prints how many a second.
 *
 *   post PORT PATH PUBLISHERS SECONDS BODY [PID...]
 * The API key is the environment's ROOMCAST_API_KEY; the CPU time of the processes is counted. One JSON object on standard output. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "histogram.h"
#include "http_answer.h"
#include "process.h"

enum { PUBLISHERS_MAX = 1024, ANSWER_MAX = 65536, PIDS_MAX = 64, FIRST_PID = 6 /* of the arguments */ };

struct publisher {
	int fd;
	size_t received;
	uint64_t sent_ns;
	char answer[ANSWER_MAX];
};

static struct sockaddr_in server;
static struct buffer request;
static struct histogram latencies;
static uint64_t answered, refused;
static char first_refusal[256];
static int epoll_fd;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "post: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void open_connection(struct publisher *publisher)
{
	int one = 1;
	struct epoll_event interest = { .events = EPOLLIN, .data.ptr = publisher };
	publisher->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	publisher->received = 0;
	if (publisher->fd < 0 || connect(publisher->fd, (struct sockaddr *)&server, sizeof(server)) ||
	    setsockopt(publisher->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, publisher->fd, &interest))
		fail("connect");
}

static void post(struct publisher *publisher)
{
	publisher->sent_ns = now_ns();
	if (send(publisher->fd, request.data, request.len, MSG_NOSIGNAL) != (ssize_t)request.len)
		fail("send");
}

static void count(const struct publisher *publisher, const struct http_answer *answer)
{
	answered++;
	histogram_add(&latencies, now_ns() - publisher->sent_ns);
	if (answer->status / 100 != 2 && !refused++)
		snprintf(first_refusal, sizeof(first_refusal), "%u %.*s", answer->status, (int)answer->body.len, answer->body.data);
}

static void on_readable(struct publisher *publisher)
{
	struct http_answer answer;
	ssize_t len = recv(publisher->fd, publisher->answer + publisher->received, ANSWER_MAX - publisher->received, 0);
	if (len < 0)
		fail("recv");
	publisher->received += (size_t)len;
	ssize_t used = http_answer_cut((struct bytes){ publisher->answer, publisher->received }, &answer);
	if (used < 0 || (len == 0 && used == 0)) {
		errno = EPROTO;
		fail("no answer");
	}
	if (used == 0)
		return;
	count(publisher, &answer);
	publisher->received = 0;
	if (answer.is_last) {
		close(publisher->fd);
		open_connection(publisher);
	}
	post(publisher);
}

static void run_for(double seconds)
{
	struct epoll_event events[PUBLISHERS_MAX];
	uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
	while (now_ns() < end) {
		int count_ready = epoll_wait(epoll_fd, events, PUBLISHERS_MAX, 1000);
		for (int i = 0; i < count_ready; i++)
			on_readable(events[i].data.ptr);
	}
}

static void make_request(const char *path, const char *body)
{
	const char *key = getenv("ROOMCAST_API_KEY");
	buffer_add_format(&request, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n"
	                  "Content-Length: %zu\r\n\r\n%s", path, key ? key : "", strlen(body), body);
}

int main(int argc, char **argv)
{
	pid_t pids[PIDS_MAX];
	size_t publishers = argc >= FIRST_PID ? strtoul(argv[3], NULL, 10) : 0, pid_count = 0;
	if (!publishers || publishers > PUBLISHERS_MAX || argc - FIRST_PID > PIDS_MAX) {
		fputs("post PORT PATH PUBLISHERS SECONDS BODY [PID...]\n", stderr);
		return 2;
	}
	for (int i = FIRST_PID; i < argc; i++)
		pids[pid_count++] = (pid_t)atoi(argv[i]);
	double seconds = strtod(argv[4], NULL);
	server = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	make_request(argv[2], argv[5]);
	struct publisher *all = calloc(publishers, sizeof(*all));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!all || epoll_fd < 0)
		fail("start");
	for (size_t i = 0; i < publishers; i++) {
		open_connection(&all[i]);
		post(&all[i]);
	}
	run_for(seconds / 5);
	answered = 0;
	latencies = (struct histogram){ 0 };
	uint64_t start = now_ns(), cpu = process_cpu_ns(pids, pid_count);
	run_for(seconds);
	cpu = process_cpu_ns(pids, pid_count) - cpu;
	double elapsed = (double)(now_ns() - start) / 1e9;
	printf("{\"publishers\":%zu,\"seconds\":%.3f,\"answered\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"perSecond\":%.1f", publishers, elapsed,
	       answered, refused, (double)answered / elapsed);
	printf(",\"cpuPerPost\":%.0f", (double)cpu / (double)answered);
	printf(",\"p50\":%.1f,\"p99\":%.1f}\n", (double)histogram_quantile(&latencies, 0.5) / 1e3, (double)histogram_quantile(&latencies, 0.99) / 1e3);
	free(all);
	buffer_deinit(&request);
	if (refused)
		fprintf(stderr, "post: %" PRIu64 " refused; the first: %s\n", refused, first_refusal);
	return refused ? 1 : 0;
}
