/* One line of text for what a lane does: steps, results, devices, batches. The form that golden
 * traces are recorded in; it shows everything that decides, and nothing that does not.
 *
 * Instants are told from the base: T, T+23h59m59s999ms, T-1h; or from the clock of a lane that has
 * none yet: start, start+30m. "-" is no such instant. Ids and subjects are shown as the text they
 * were made of. No function writes the end of the line.
 */
#ifndef MUSTER_TESTS_LIB_RENDER_H
#define MUSTER_TESTS_LIB_RENDER_H

#include "core/batch.h"

#include <stdio.h>

struct render {
  FILE *out;
  int64_t base_ms;             /* the instant T */
  const struct policy *policy; /* NULL: the default */
};

void render_time(const struct render *render, int64_t at_ms);

/* #3 T licenses D001 SN1 ann ASSIGN <- checkins/0 e2 */
void render_result(const struct render *render, const struct result *result);

/* timer block D001 T+24h */
void render_timer(const struct render *render, const struct timer_cursor *timer);

/* sweep D001 */
void render_sweep(const struct render *render, uint64_t device_number);

/* checkins/0 T+1h, with "(not believed)" where that holds */
void render_message(const struct render *render, enum topic topic, const struct head *head);

/* = D001 SN1 ann STANDARD WINDOWS ...: all that is known; ~ when a Device record would not show
 * what has changed. */
void render_device(const struct render *render, const struct device_image *image);

/* batch 1: enrollments 0..1, seq 1..2, clock -..T, 1 message */
void render_batch(const struct render *render, const struct journal_row *row);

#endif
