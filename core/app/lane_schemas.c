#include "core/app/lane_schemas.h"

#include "consumers/schemas.h"
#include "core/app/log.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { ID_TEXT_SIZE = 16 };

static const char source[] = "the schema registry";

void lane_schemas_init(struct lane_schemas *schemas, const struct environment *environment) {
  *schemas = (struct lane_schemas){.environment = environment};
}

static void forget(struct lane_schemas *schemas) {
  schemas_close(schemas->known);
  json_decref(schemas->fetched);
  free(schemas->text);
  schemas->known = NULL;
  schemas->fetched = NULL;
  schemas->text = NULL;
}

void lane_schemas_fini(struct lane_schemas *schemas) {
  forget(schemas);
}

static void describe(struct lane_schemas *schemas) {
  free(schemas->text);
  schemas->text =
      environment_text(schemas->environment, schemas->known, schemas->fetched, schemas->digest);
}

/* What the registry said of our own schemas, or the directory, comes first: the registry may have
 * been made anew. */
static enum status restore_one(struct lane_schemas *schemas, const char *key, const char *canonical,
                               struct error *error) {
  uint32_t id;
  if (!environment_schema_id(key, &id) || canonical == NULL) {
    return error_set(error, STATUS_CONFIG, "an environment with a schema \"%.20s\"", key);
  }
  if (schemas_find_id(schemas->known, id) != NULL) {
    log_warning("a schema id means another schema than it did", LOG_INTEGER("schema_id", id));
    return STATUS_OK;
  }
  const enum status status = schemas_put(schemas->known, id, source, span_text(canonical), error);
  if (status == STATUS_OK) {
    json_object_set_new(schemas->fetched, key, json_string(canonical));
  }
  return status;
}

enum status lane_schemas_restore(struct lane_schemas *schemas, struct span content,
                                 struct error *error) {
  enum status status = STATUS_OK;
  json_t *recorded = NULL;
  if (content.size > 0) { /* read before anything is forgotten: it may be our own text */
    recorded = json_loadb((const char *)content.data, content.size, 0, NULL);
    if (recorded == NULL) {
      status = error_set(error, STATUS_CONFIG, "a recorded environment is not JSON");
    }
  }
  forget(schemas);
  schemas->known = schemas_derive(schemas->environment->schemas);
  schemas->fetched = json_object();
  const char *key;
  json_t *value;
  json_object_foreach(json_object_get(recorded, "fetched"), key, value) {
    if (status == STATUS_OK) {
      status = restore_one(schemas, key, json_string_value(value), error);
    }
  }
  json_decref(recorded);
  describe(schemas);
  return status;
}

bool lane_schemas_has_room(const struct lane_schemas *schemas, const char *canonical) {
  enum { ESCAPED = 2, ROOM = 1024 }; /* quotes double at most; the rest of an entry */
  return strlen(schemas->text) + ESCAPED * strlen(canonical) + ROOM <= ENVIRONMENT_SIZE_MAX;
}

void lane_schemas_learn(struct lane_schemas *schemas, uint32_t id, const char *canonical) {
  char key[ID_TEXT_SIZE];
  struct error error;
  snprintf(key, sizeof key, "%" PRIu32, id);
  const enum status status = schemas_put(schemas->known, id, source, span_text(canonical), &error);
  assert(status == STATUS_OK); /* it was parsed when it was fetched, and the id is not known */
  (void)status;
  json_object_set_new(schemas->fetched, key, json_string(canonical));
  describe(schemas);
}
