/* Batches as the journal recorded them: what a lane decides again when its device rows, or the
 * whole database, are behind. */
#ifndef MUSTER_APP_RECORDED_H
#define MUSTER_APP_RECORDED_H

#include "core/app/config.h"
#include "core/journal.h"
#include "producers/encode.h"

struct schemas;

struct recorded_batch {
  struct journal_row row;         /* owns its not_believed list */
  struct journal_witness witness; /* who committed it: its record says so, whoever publishes it */
  struct buffer environment;      /* content of the environment that began with it, if one did */
};

struct recorded_batches {
  struct recorded_batch *items; /* in order of batch */
  size_t count;
};

/* Adds a batch at the end: a copy of the row, with its list. Returns it, valid until the next. */
struct recorded_batch *recorded_add(struct recorded_batches *batches, const struct journal_row *row,
                                    const struct journal_witness *witness);

/* The same from a journal record of kind BATCH as JSON: of the topic (times as numbers), or of the
 * view (times as texts). A field that is missing or of another type is TIME_NONE or zeros. */
struct json_t; /* jansson's value */
struct recorded_batch *recorded_add_json(struct recorded_batches *batches, const char *topic_prefix,
                                         const struct json_t *record);
void recorded_fini(struct recorded_batches *batches);

/* Reads a lane's batches after `batch` from the journal's topic and adds them. STATUS_CONFIG when
 * the topic does not have all of them, or has what is no journal record. */
enum status recorded_read(const struct config *config, const struct schemas *schemas, uint32_t lane,
                          uint64_t batch, struct recorded_batches *batches,
                          struct error *error) MUST_USE;

/* Reads those batches of a lane alone whose rows have the state's digest, without environments. The
 * caller ends them with recorded_fini in any case. */
enum status recorded_read_told(const struct config *config, const struct schemas *schemas,
                               uint32_t lane, struct recorded_batches *batches,
                               struct error *error) MUST_USE;

#endif
