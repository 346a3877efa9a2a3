/* cors.h - which web origins may read answers (Fetch standard, CORS protocol). */
#ifndef ROOMCAST_HUB_CORS_H
#define ROOMCAST_HUB_CORS_H

#include <stdbool.h>

#include <roomcast/bytes.h>
#include <roomcast/error.h>

/* A list of exact origins, answered with credentials; or everyone (`*`), answered without. */
struct cors;

/* origins: separated by commas, white space and a final `/` ignored: `https://a.example,http://localhost:3000`.
 * Each must be `*`, or scheme://host[:port]. */
struct cors *cors_new(const char *origins, struct error *err);
void cors_free(struct cors *cors); /* NULL is fine */

/* Whether the origin is named in the list, and so trusted with its visitors' cookies. `*` names nobody. */
bool cors_allows(const struct cors *cors, struct bytes origin);
/* Whether origin names the host that the request was sent to: python's clients send that on every request. */
bool cors_is_own(struct bytes origin, struct bytes host);

/* Adds the complete header lines of an answer to a request from this origin (empty: none came). */
void cors_add_headers(const struct cors *cors, struct bytes origin, struct buffer *out);
/* The same for the answer to a preflight; requested: Access-Control-Request-Headers. */
void cors_add_preflight_headers(const struct cors *cors, struct bytes origin, struct bytes requested, struct buffer *out);

#endif
