/* batch.h - POST /batch: many events, all of them stored or none. */
#ifndef ROOMCAST_GATEWAY_BATCH_H
#define ROOMCAST_GATEWAY_BATCH_H

#include "route.h"
#include "submission.h"

void batch_handle(struct call *call);

/* Reads {"events":[{"type":...},...]}, which json_check accepted. -1 with the response written; otherwise the submission is to be deinited. */
int batch_read(struct call *call, struct bytes body, struct submission *submission) MUST_CHECK;

#endif
