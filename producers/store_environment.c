#include "producers/store_environment.h"

#include "producers/store_internal.h"

#include <inttypes.h>
#include <libpq-fe.h>

static struct span cell(const PGresult *result, int row) {
  return span_of(PQgetvalue(result, row, 0), (size_t)PQgetlength(result, row, 0));
}

enum status store_load_environment(struct store *store, uint32_t lane, uint64_t batch,
                                   struct buffer *content, struct error *error) {
  struct buffer script = {0};
  store_script(&script,
               "SELECT content FROM muster.environment WHERE lane = %" PRIu32
               " AND batch <= %" PRIu64 " ORDER BY batch DESC LIMIT 1",
               lane, batch);
  PGresult *result = NULL;
  const enum status status = store_query(store->connection, (const char *)script.data,
                                         "read the environment", &result, error);
  if (status == STATUS_OK && PQntuples(result) > 0) {
    const struct span found = cell(result, 0);
    buffer_append(content, found.data, found.size);
  }
  PQclear(result);
  buffer_fini(&script);
  return status;
}

enum status store_load_environments(struct store *store,
                                    void (*each)(void *context, struct span content), void *context,
                                    struct error *error) {
  PGresult *result = NULL;
  const enum status status = store_query(store->connection,
                                         "SELECT DISTINCT ON (lane) content FROM muster.environment"
                                         " ORDER BY lane, batch DESC",
                                         "read the environments", &result, error);
  for (int i = 0; status == STATUS_OK && i < PQntuples(result); i++) {
    each(context, cell(result, i));
  }
  PQclear(result);
  return status;
}
