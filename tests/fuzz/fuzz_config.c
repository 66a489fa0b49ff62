/* Configuration: any bytes as a YAML file. What is accepted can be shown and ended; what is not has
 * a place. */
#define _GNU_SOURCE /* memfd_create */
#include "core/app/config.h"
#include "core/app/setting.h"
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int file = -1;
  static char path[64];
  struct config config;
  struct error error;
  if (file < 0) {
    file = memfd_create("configuration", 0);
    HOLDS(file >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    HOLDS(setenv("FUZZ", "value: [of, a variable]", 1) == 0);
  }
  HOLDS(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
  const enum status status = config_load(&config, path, NULL, NULL, &error);
  if (status == STATUS_OK) {
    for (size_t i = 0; i < setting_count; i++) {
      if (settings[i].type == SETTING_TEXT) {
        const struct span text = span_text(setting_text(&settings[i], &config));
        HOLDS(span_is_utf8_text(text));
      }
    }
    config_fini(&config);
  } else {
    HOLDS(status == STATUS_CONFIG);
    HOLDS(strstr(error.text, path) != NULL);
  }
  return 0;
}
