/* What a pack says of itself, and the files that follow from its records. */
#ifndef MUSTER_APP_EVIDENCE_MANIFEST_H
#define MUSTER_APP_EVIDENCE_MANIFEST_H

#include "core/app/evidence_examine.h"

/* The manifest's text, with sorted keys, ended by a line end; the caller frees it. `pack` has every
 * file of it by now. */
char *manifest_text(const struct examination *examination, const struct pack *pack);

/* The terms that a manifest states. STATUS_REFUSED: it is none of a pack that this program knows.
 */
enum status manifest_terms(const struct json_t *manifest, struct evidence_terms *terms,
                           struct error *error) MUST_USE;

/* Each file that follows from a pack's records and from the program: its name, and what writes it.
 * `take` is given them in order of names. Ends at the first answer but STATUS_OK. */
typedef enum status (*derived_put_fn)(struct examination *examination, const char *name, FILE *file,
                                      struct error *error);
typedef enum status (*derived_take_fn)(void *context, const char *name, derived_put_fn put,
                                       struct error *error);
enum status derived_each(void *context, derived_take_fn take, struct error *error) MUST_USE;

/* The directory of a pack's foreign schemas, below the pack; and all that is known with them. */
#define EVIDENCE_SCHEMAS_DIRECTORY "schemas/directory"
enum status pack_schemas_open(const char *directory, struct schemas **schemas,
                              struct error *error) MUST_USE;

#endif
