/* All that is known of one device, as a page for people. */
#ifndef MUSTER_APP_DEVICE_PAGE_H
#define MUSTER_APP_DEVICE_PAGE_H

#include "core/app/output.h"

struct json_t; /* jansson's value */

/* What `device get` tells beside the device's columns. */
struct device_page {
  const struct cell *cells;   /* one a column of device_columns */
  const char *hint;           /* NULL: none */
  const struct json_t *rules; /* violated ones: an array of {"rule", "title", "observed", ...} */
  struct cell wipe;           /* null: none is pending; a JSON object */
  const struct json_t *history;
  bool is_history_whole;
};

void device_page_print(FILE *stream, const struct device_page *page);

#endif
