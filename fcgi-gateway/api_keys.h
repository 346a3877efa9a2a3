/* api_keys.h - the file of API keys: an INI section for each, whose name is the key's.
 *
 *   [billing]
 *   hash = sha256:<64 hexadecimal digits>   of the key that the backend shows; or `secret = <the key itself>`
 *   calls = publish, events                 names of calls, or publish, control, all; several lines add up. Default: all
 *   types = Invoice, Order                  entity types; several lines add up. Default: all
 *   rate = 50                               events and questions a second. Default: no limit
 *   burst = 200                             at once, after a rest. Default: rate
 */
#ifndef ROOMCAST_GATEWAY_API_KEYS_H
#define ROOMCAST_GATEWAY_API_KEYS_H

#include "authorize.h"

/* Adds the file's keys. err names file and line. */
int api_keys_load(struct authorizer *authorizer, const char *path, uint64_t now_ms, struct error *err) MUST_CHECK;

/* Adds the bits of a comma-separated list of calls and groups. */
int scopes_parse(const char *list, unsigned *scopes, struct error *err) MUST_CHECK;

#endif
