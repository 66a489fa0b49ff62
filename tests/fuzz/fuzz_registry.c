/* A registry's answers. What is taken from one is canonical, is its own canonical form, and can be
 * learnt by a lane and told in an environment. */
#include "consumers/avro_canonical.h"
#include "consumers/registry.h"
#include "consumers/schemas.h"
#include "tests/fuzz/fuzz.h"

static void check_canonical(const struct schemas *base, const char *canonical) {
  struct avro_schema *schema;
  struct error error;
  HOLDS(avro_schema_parse(span_text(canonical), &schema, &error) == STATUS_OK);
  char *const again = avro_canonical_text(schema);
  HOLDS(strcmp(again, canonical) == 0);
  HOLDS(schema->fingerprint == avro_canonical_fingerprint(span_text(canonical)));
  free(again);
  struct schemas *const known = schemas_derive(base);
  HOLDS(schemas_put(known, 7, "fuzz", span_text(canonical), &error) == STATUS_OK);
  HOLDS(schemas_find_id(known, 7)->fingerprint == schema->fingerprint);
  HOLDS(schemas_find_id(base, 7) == NULL);
  schemas_close(known);
  avro_schema_free(schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct schemas *base;
  struct error error;
  char *canonical;
  uint32_t id;
  if (base == NULL) {
    HOLDS(schemas_open(NULL, &base, &error) == STATUS_OK);
  }
  const enum status status = registry_read_schema(span_of(data, size), &canonical, &error);
  HOLDS(status == STATUS_OK || status == STATUS_REFUSED || status == STATUS_UNAVAILABLE);
  if (status == STATUS_OK) {
    check_canonical(base, canonical);
    free(canonical);
  }
  if (registry_read_id(span_of(data, size), &id, &error) == STATUS_OK) {
    HOLDS(id <= INT32_MAX);
  }
  return 0;
}
