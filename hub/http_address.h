/* http_address.h - how many connections each address has open. */
#ifndef ROOMCAST_HUB_HTTP_ADDRESS_H
#define ROOMCAST_HUB_HTTP_ADDRESS_H

#include <netinet/in.h>

#include <uthash.h>

struct http_address {
	UT_hash_handle hh;
	unsigned connections;
	char text[INET6_ADDRSTRLEN]; /* numeric */
};

/* One connection more; *addresses is NULL at first. NULL without memory. */
struct http_address *http_address_count(struct http_address **addresses, const char *text);
/* One less; the address is freed with its last. NULL is fine. */
void http_address_forget(struct http_address **addresses, struct http_address *address);

#endif
