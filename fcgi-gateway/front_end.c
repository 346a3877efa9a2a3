/* front_end.c - front ends. */
#include "front_end.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <roomcast/clock.h>

#include "cgi.h"

enum {
	CONNECT_MS = 1500,
	ANSWER_MORE_MS = 3000, /* than the active gateway itself waits for its journal: for ?confirm=1 and the way */
	READ_SIZE = 64 << 10,
	DISCARD_MAX = 64 << 20,
};

struct forward_settings front_end_forward_settings(const struct gateway_config *config, const struct curve *curve)
{
	return (struct forward_settings){ .connect_ms = CONNECT_MS, .answer_ms = (uint64_t)config->publish_timeout + ANSWER_MORE_MS, .curve = curve };
}

static struct forward *open_forward(const struct gateway_config *config, struct curve *curve, struct error *err)
{
	struct forward_settings settings = front_end_forward_settings(config, curve);
	if (config_load_curve(config, curve, NULL, err))
		return NULL;
	struct forward *forward = forward_new(&settings, err);
	if (forward)
		forward_set_target(forward, config->line);
	return forward;
}

/* --- a FastCGI server --- */

static void handle(void *data, const struct request *request, struct response *response)
{
	(void)forward_request(data, request, response);
}

int front_end_begin(struct front_end *front_end, const struct gateway_config *config, struct error *err)
{
	if (carrier_open(&front_end->carrier, config, err))
		return -1;
	front_end->forward = open_forward(config, &front_end->curve, err);
	const struct fcgi_settings handlers = { .handle = handle, .data = front_end->forward };
	return front_end->forward ? carrier_start(&front_end->carrier, config, &handlers, err) : -1;
}

void front_end_end(struct front_end *front_end)
{
	carrier_stop(&front_end->carrier);
	if (front_end->forward)
		forward_stop(front_end->forward);
	carrier_close(&front_end->carrier);
	forward_free(front_end->forward);
	curve_forget(&front_end->curve);
}

/* --- a CGI program --- */

static void find_variables(const void *data, struct cgi_variable *variables, size_t count)
{
	(void)data;
	for (size_t i = 0; i < count; i++) {
		const char *value = getenv(variables[i].name.data);
		if (value)
			variables[i].value = bytes_of(value);
	}
}

/* 0 at the end of what will come, or at the deadline. */
static size_t read_some(char *place, size_t most, uint64_t until_ms)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	uint64_t now_ms;
	while ((now_ms = clock_monotonic_ms()) < until_ms) {
		if (poll(&input, 1, (int)(until_ms - now_ms)) <= 0)
			continue;
		ssize_t got = read(STDIN_FILENO, place, most);
		if (got >= 0)
			return (size_t)got;
		if (errno != EINTR && errno != EAGAIN)
			return 0;
	}
	return 0;
}

/* At most max bytes. */
static void read_input(struct buffer *out, size_t max, uint64_t until_ms)
{
	while (out->len < max) {
		size_t most = max - out->len < READ_SIZE ? max - out->len : READ_SIZE;
		char *place = buffer_reserve(out, most);
		size_t got = place ? read_some(place, most, until_ms) : 0;
		if (!got)
			return;
		out->len += got;
	}
}

/* A web server that cannot get rid of the body may never look at the answer. */
static void discard_input(uint64_t until_ms)
{
	static char nowhere[READ_SIZE];
	size_t got, discarded = 0;
	while (discarded < DISCARD_MAX && (got = read_some(nowhere, sizeof(nowhere), until_ms)))
		discarded += got;
}

/* RFC 3875, 4.2: no more is read than was announced. Without an announcement the body ends with the input. */
static void read_body(struct request *request, const struct gateway_config *config, struct buffer *body)
{
	size_t max_body = (size_t)config->max_body;
	uint64_t until_ms = clock_monotonic_ms() + (uint64_t)config->request_timeout;
	request->is_too_large = request->content_length > config->max_body;
	if (!request->is_too_large && request->content_length > 0)
		read_input(body, (size_t)request->content_length, until_ms);
	else if (request->content_length == LENGTH_ABSENT && bytes_equal_text(request->method, "POST"))
		read_input(body, max_body + 1, until_ms);
	if (body->len > max_body) {
		request->is_too_large = true;
		buffer_clear(body);
	}
	if (request->is_too_large)
		discard_input(until_ms);
	request->body = buffer_bytes(body);
}

static int print(const struct response *response)
{
	struct buffer head = { 0 };
	cgi_add_head(response, &head);
	bool is_printed = !head.has_failed && fwrite(head.data, 1, head.len, stdout) == head.len
	    && fwrite(response->body.data, 1, response->body.len, stdout) == response->body.len && fflush(stdout) == 0;
	buffer_deinit(&head);
	return is_printed ? EXIT_SUCCESS : EXIT_FAILURE;
}

int front_end_refuse_cgi(const char *reason)
{
	struct response response = { 0 };
	fprintf(stderr, "roomcast-gateway: %s\n", reason);
	response_refuse(&response, REFUSAL_UNAVAILABLE, "the gateway's front end cannot start: its configuration is wrong");
	int status = print(&response);
	response_deinit(&response);
	return status;
}

int front_end_run_cgi(const struct gateway_config *config)
{
	struct buffer scratch = { 0 }, body = { 0 };
	struct request request;
	struct response response = { 0 };
	struct error err = { 0 };
	cgi_read_request(find_variables, NULL, config->mount, &scratch, &request);
	read_body(&request, config, &body);
	struct curve curve;
	struct forward *forward = open_forward(config, &curve, &err);
	if (forward)
		(void)forward_request(forward, &request, &response);
	else
		response_refuse(&response, REFUSAL_UNAVAILABLE, "%s", err.text);
	int status = print(&response);
	forward_free(forward);
	curve_forget(&curve);
	response_deinit(&response);
	buffer_deinit(&body);
	buffer_deinit(&scratch);
	return status;
}
