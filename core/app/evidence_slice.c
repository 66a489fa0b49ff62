#include "core/app/evidence_slice.h"

#include "core/app/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static enum status failed(const struct slice *slice, struct error *error) {
  return error_set(error, STATUS_UNAVAILABLE, "%s: %s", slice->path, strerror(errno));
}

/* Of one length whatever the numbers: it is written again at the end. */
static bool put_line(struct slice *slice) {
  return fprintf(slice->file, "muster records 1 %s %" PRId32 " %020" PRId64 " %020" PRId64 "\n",
                 slice->topic, slice->partition, slice->first, slice->end) > 0;
}

enum status slice_open(struct slice *slice, const char *path, const char *topic, int32_t partition,
                       struct error *error) {
  *slice = (struct slice){.partition = partition};
  slice->path = text_copy(path);
  snprintf(slice->topic, sizeof slice->topic, "%s", topic);
  slice->file = fopen(path, "wbx");
  return slice->file != NULL && put_line(slice) ? STATUS_OK : failed(slice, error);
}

enum status slice_put(struct slice *slice, const struct stored_record *record,
                      struct error *error) {
  const size_t size = stored_size(record);
  buffer_clear(&slice->bytes);
  stored_write(record, buffer_reserve(&slice->bytes, size));
  return fwrite(slice->bytes.data, 1, size, slice->file) == size ? STATUS_OK : failed(slice, error);
}

enum status slice_close(struct slice *slice, struct error *error) {
  const bool is_whole =
      fseek(slice->file, 0, SEEK_SET) == 0 && put_line(slice) && fflush(slice->file) == 0;
  const enum status status = is_whole ? STATUS_OK : failed(slice, error);
  slice_abandon(slice);
  return status;
}

void slice_abandon(struct slice *slice) {
  if (slice->file != NULL) {
    fclose(slice->file);
    slice->file = NULL;
  }
  buffer_fini(&slice->bytes);
  free(slice->path);
  slice->path = NULL;
}
