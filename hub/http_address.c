/* http_address.c - a table of addresses, each as long as it has connections. */
#include "http_address.h"

#include <stdlib.h>
#include <string.h>

struct http_address *http_address_count(struct http_address **addresses, const char *text)
{
	struct http_address *address;
	HASH_FIND_STR(*addresses, text, address);
	if (!address) {
		address = calloc(1, sizeof(*address));
		if (!address)
			return NULL;
		memcpy(address->text, text, strlen(text) + 1);
		HASH_ADD_STR(*addresses, text, address);
	}
	address->connections++;
	return address;
}

void http_address_forget(struct http_address **addresses, struct http_address *address)
{
	if (!address || --address->connections > 0)
		return;
	HASH_DEL(*addresses, address);
	free(address);
}
