/* bare.c - the least that a WebSocket server can do: a prebuilt frame, and send() to each member of the room in turn.
 *
 *   bare PORT CONTROL_PORT
 * Clients ask for /<anything><room number>; on the control port come lines `ROOM PAYLOAD`. Lines for one room that arrive
 * together leave in one send(). It is the measure of what the kernel alone costs; it has no other features. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <roomcast/bytes.h>

enum { FILES_MAX = 1 << 20, BACKLOG = 4096, HEAD_MAX = 2048, CONTROL_READ = 1 << 16 };

enum role { ROLE_NONE, ROLE_LISTENER, ROLE_CONTROL_LISTENER, ROLE_CONTROL, ROLE_NEWCOMER, ROLE_MEMBER };

struct room {
	int *members;
	uint32_t count, capacity;
	struct buffer frames; /* to be sent */
};

static int epoll_fd;
static unsigned char *roles; /* by descriptor */
static struct room *rooms;
static uint32_t room_count;
static struct buffer control; /* an unfinished line */
static uint32_t *touched;     /* rooms that have frames to be sent */
static size_t touched_count, touched_capacity;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void *grown(void *items, size_t count, size_t size)
{
	void *more = realloc(items, count * size);
	if (!more)
		die("realloc");
	return more;
}

static void watch(int fd, enum role role)
{
	struct epoll_event interest = { .events = EPOLLIN, .data.fd = fd };
	roles[fd] = (unsigned char)role;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &interest))
		die("epoll_ctl");
}

static void listen_on(const char *port, enum role role)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, BACKLOG))
		die(port);
	watch(fd, role);
}

static void accept_all(int listener, enum role role)
{
	int fd, one = 1;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		watch(fd, role);
	}
}

/* --- members --------------------------------------------------------------- */

static void leave(int fd)
{
	for (uint32_t i = 0; i < room_count && roles[fd] == ROLE_MEMBER; i++) {
		struct room *room = &rooms[i];
		for (uint32_t j = 0; j < room->count; j++)
			if (room->members[j] == fd)
				room->members[j--] = room->members[--room->count];
	}
	roles[fd] = ROLE_NONE;
	close(fd);
}

static struct room *room_at(uint32_t number)
{
	if (number >= room_count) {
		rooms = grown(rooms, number + 1, sizeof(*rooms));
		memset(rooms + room_count, 0, (number + 1 - room_count) * sizeof(*rooms));
		room_count = number + 1;
	}
	return &rooms[number];
}

static void enter(int fd, uint32_t number)
{
	struct room *room = room_at(number);
	if (room->count == room->capacity) {
		room->capacity = room->capacity ? room->capacity * 2 : 16;
		room->members = grown(room->members, room->capacity, sizeof(*room->members));
	}
	room->members[room->count++] = fd;
	roles[fd] = ROLE_MEMBER;
}

/* RFC 6455, 4.2.2. */
static void write_accept(const char *key, size_t key_len, char out[32])
{
	unsigned char digest[SHA_DIGEST_LENGTH];
	char text[128];
	int len = snprintf(text, sizeof(text), "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", (int)key_len, key);
	SHA1((const unsigned char *)text, (size_t)len, digest);
	EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
}

/* The generator sends its whole request in one segment. */
static void welcome(int fd)
{
	char head[HEAD_MAX + 1], answer[256], accept[32];
	ssize_t len = recv(fd, head, HEAD_MAX, 0);
	head[len > 0 ? len : 0] = '\0';
	const char *key = strstr(head, "Sec-WebSocket-Key: "), *target_end = strstr(head, " HTTP/1.1");
	if (!key || !target_end) {
		leave(fd);
		return;
	}
	key += strlen("Sec-WebSocket-Key: ");
	write_accept(key, strcspn(key, "\r"), accept);
	len = snprintf(answer, sizeof(answer),
	               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
	const char *number = target_end;
	while (number[-1] >= '0' && number[-1] <= '9')
		number--;
	enter(fd, (uint32_t)strtoul(number, NULL, 10));
	if (send(fd, answer, (size_t)len, MSG_NOSIGNAL) != len)
		leave(fd);
}

static void listen_to_member(int fd)
{
	char ignored[512];
	ssize_t len = recv(fd, ignored, sizeof(ignored), 0);
	if (len == 0 || (len < 0 && errno != EAGAIN))
		leave(fd);
}

/* --- events ---------------------------------------------------------------- */

static void add_frame(struct buffer *out, struct bytes payload)
{
	unsigned char header[4] = { 0x81, (unsigned char)payload.len };
	size_t len = 2;
	if (payload.len >= 126) {
		header[1] = 126;
		header[2] = (unsigned char)(payload.len >> 8);
		header[3] = (unsigned char)payload.len;
		len = 4;
	}
	buffer_add(out, header, len);
	buffer_add_bytes(out, payload);
}

static void take_line(struct bytes line)
{
	char *end;
	struct room *room = room_at((uint32_t)strtoul(line.data, &end, 10));
	if (!room->frames.len) {
		if (touched_count == touched_capacity) {
			touched_capacity = touched_capacity ? touched_capacity * 2 : 64;
			touched = grown(touched, touched_capacity, sizeof(*touched));
		}
		touched[touched_count++] = (uint32_t)(room - rooms);
	}
	end++;
	add_frame(&room->frames, (struct bytes){ end, line.len - (size_t)(end - line.data) });
}

/* A client that does not read holds up everybody: a bare loop has nothing else to offer. */
static void send_all(int fd, struct bytes bytes)
{
	while (bytes.len) {
		ssize_t sent = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
		if (sent < 0 && errno == EAGAIN) {
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
			continue;
		}
		if (sent < 0)
			return;
		bytes.data += sent;
		bytes.len -= (size_t)sent;
	}
}

static void send_touched(void)
{
	for (size_t i = 0; i < touched_count; i++) {
		struct room *room = &rooms[touched[i]];
		for (uint32_t j = 0; j < room->count; j++)
			send_all(room->members[j], buffer_bytes(&room->frames));
		buffer_clear(&room->frames);
	}
	touched_count = 0;
}

static void listen_to_control(int fd)
{
	char part[CONTROL_READ];
	ssize_t len;
	while ((len = recv(fd, part, sizeof(part), 0)) > 0)
		buffer_add(&control, part, (size_t)len);
	struct bytes left = buffer_bytes(&control);
	const char *end;
	while (left.len && (end = memchr(left.data, '\n', left.len))) {
		size_t line = (size_t)(end - left.data);
		take_line((struct bytes){ left.data, line });
		left.data += line + 1;
		left.len -= line + 1;
	}
	buffer_consume(&control, control.len - left.len);
	send_touched();
	if (len == 0)
		leave(fd);
}

static void serve(int fd)
{
	switch ((enum role)roles[fd]) {
	case ROLE_LISTENER:
		accept_all(fd, ROLE_NEWCOMER);
		return;
	case ROLE_CONTROL_LISTENER:
		accept_all(fd, ROLE_CONTROL);
		return;
	case ROLE_CONTROL:
		listen_to_control(fd);
		return;
	case ROLE_NEWCOMER:
		welcome(fd);
		return;
	case ROLE_MEMBER:
		listen_to_member(fd);
		return;
	case ROLE_NONE:
		return;
	}
}

int main(int argc, char **argv)
{
	struct rlimit files;
	struct epoll_event events[512];
	if (argc != 3) {
		fputs("bare PORT CONTROL_PORT\n", stderr);
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	roles = calloc(FILES_MAX, 1);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!roles || epoll_fd < 0)
		die("start");
	listen_on(argv[1], ROLE_LISTENER);
	listen_on(argv[2], ROLE_CONTROL_LISTENER);
	for (;;) {
		int count = epoll_wait(epoll_fd, events, 512, -1);
		for (int i = 0; i < count; i++)
			serve(events[i].data.fd);
	}
}
