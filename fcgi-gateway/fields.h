/* fields.h - reads the members of a request body, refusing what does not fit by the member's name.
 *
 * All functions return 0, or -1 with the response written. `where` names the place in the body: "data", "notification.title",
 * "rooms[3]". A null counts as absent, except where any JSON value is welcome. */
#ifndef ROOMCAST_GATEWAY_FIELDS_H
#define ROOMCAST_GATEWAY_FIELDS_H

#include <roomcast/json.h>

#include "publication.h"

/* value.len is 0 when absent or null. */
struct bytes field_find(struct bytes object, const char *name);
/* Refuses what is absent or null. */
int field_present(struct bytes value, const char *where, struct response *response) MUST_CHECK;
int field_require(struct bytes object, const char *name, const char *where, struct bytes *value, struct response *response) MUST_CHECK;

/* Several in one walk. names end with NULL; values[i] is of names[i] as it stands, null too; its len is 0 when it is absent. */
void fields_collect(struct bytes object, const char *const *names, struct bytes *values);
/* value unless it is null. */
struct bytes field_given(struct bytes value);

/* Refuses a member that is one of names (ends with NULL) but for case, `_` or `-`: excludeUserID would otherwise be ignored, and its
 * user would get what was meant for the others. */
int fields_check_spelling(struct bytes object, const char *const *names, struct response *response) MUST_CHECK;

/* A string of least..most decoded bytes without control characters; out gets it, terminated (NULL: only checked). */
struct text_rule { size_t least, most; };
int field_text(struct bytes value, const char *where, struct text_rule rule, char *out, struct response *response) MUST_CHECK;

/* A user id: a string of 1..USER_ID_MAX bytes, or an integer, whose text counts as it is written. */
int field_id(struct bytes value, const char *where, char out[static USER_ID_MAX + 1], struct response *response) MUST_CHECK;

int field_object(struct bytes value, const char *where, struct response *response) MUST_CHECK;
/* An integer without fraction or exponent, from least to most. */
int field_integer(struct bytes value, const char *where, int64_t least, int64_t most, int64_t *out, struct response *response) MUST_CHECK;
int field_bool(struct bytes value, const char *where, bool *out, struct response *response) MUST_CHECK;

/* Adds prefix + name. */
int room_set_add(struct room_set *set, const char *prefix, const char *name, struct response *response) MUST_CHECK;
/* An array of rooms, least to MESSAGE_LIST_MAX of them. */
int field_rooms(struct bytes array, const char *where, size_t least, struct room_set *set, struct response *response) MUST_CHECK;
/* The own room of a user id, or of each of an array of 1 to MESSAGE_LIST_MAX. */
int field_user_room(struct bytes id, const char *where, struct room_set *set, struct response *response) MUST_CHECK;
int field_user_rooms(struct bytes array, const char *where, struct room_set *set, struct response *response) MUST_CHECK;
/* Makes items valid. */
int room_set_finish(struct room_set *set, struct response *response) MUST_CHECK;

#endif
