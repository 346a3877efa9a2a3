/* cgi.h - CGI 1.1 (RFC 3875): what FastCGI and CGI programs have in common. */
#ifndef ROOMCAST_GATEWAY_CGI_H
#define ROOMCAST_GATEWAY_CGI_H

#include "request.h"
#include "response.h"

struct cgi_variable {
	struct bytes name, value;
};

/* Fills in the values of those that are there; they come as "". */
typedef void cgi_find(const void *data, struct cgi_variable *variables, size_t count);

/* Fills all but the body from meta-variables. mount as in request_path; scratch holds what the path may be joined from. */
void cgi_read_request(cgi_find *find, const void *data, const char *mount, struct buffer *scratch, struct request *out);

/* The content of CONTENT_LENGTH, as in struct request. */
int64_t cgi_parse_length(struct bytes text);

/* Appends the answer's header, to the empty line. */
void cgi_add_head(const struct response *response, struct buffer *out);

#endif
