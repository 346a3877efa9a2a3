/* cgi.h - CGI 1.1 (RFC 3875): what FastCGI and CGI programs have in common. */
#ifndef ROOMCAST_GATEWAY_CGI_H
#define ROOMCAST_GATEWAY_CGI_H

#include "request.h"
#include "response.h"

/* Fills all but the body from meta-variables. find: "" for one that is not there. mount as in request_path; scratch holds what the path
 * may be joined from. */
void cgi_read_request(struct bytes (*find)(const void *data, const char *name), const void *data, const char *mount, struct buffer *scratch,
                      struct request *out);

/* The content of CONTENT_LENGTH, as in struct request. */
int64_t cgi_parse_length(struct bytes text);

/* Appends the answer's header, to the empty line. */
void cgi_add_head(const struct response *response, struct buffer *out);

#endif
