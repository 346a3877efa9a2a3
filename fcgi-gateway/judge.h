/* judge.h - judges one submission inside an open group of the journal, and appends what passes.
 *
 * First its key, then ifVersion, each by what is stored and what this group stored before it. No thread, no clock of its own. */
#ifndef ROOMCAST_GATEWAY_JUDGE_H
#define ROOMCAST_GATEWAY_JUDGE_H

#include "submission.h"

/* Tells the journal what judge_submission will look up, before the group's first. */
void judge_expect(struct journal_writer *writer, const struct submission *submission);

/* Its events get the places behind *last, which moves when they are appended (outcome STORED: as soon as the group is committed). -1: the
 * journal failed at it; nothing of it is in the group, which goes on unless the writer is lost. */
int judge_submission(struct journal_writer *writer, struct submission *submission, uint64_t now_ms, struct place *last,
                     struct submission_result *result, struct error *err) MUST_CHECK;

#endif
