#include "core/app/option_range.h"

#include "core/app/jobs.h"
#include "core/app/option_number.h"
#include "core/app/option_time.h"
#include "core/result.h"

#include <inttypes.h>

enum status option_range(const struct option_range_texts *texts, struct option_range *range,
                         struct error *error) {
  *range = (struct option_range){
      .lane = -1, .from_ms = TIME_NONE, .to_ms = TIME_NONE, .jobs = jobs_default()};
  enum status status = option_number("lane", texts->lane, 0, INT32_MAX, &range->lane, error);
  if (status == STATUS_OK) {
    status = option_number("jobs", texts->jobs, 1, JOBS_MAX, &range->jobs, error);
  }
  if (status == STATUS_OK) {
    status = option_time("from", texts->from, &range->from_ms, error);
  }
  if (status == STATUS_OK) {
    status = option_time("to", texts->to, &range->to_ms, error);
  }
  return status;
}

enum status option_lane_exists(int64_t lane, uint32_t lane_count, struct error *error) {
  return lane < (int64_t)lane_count
             ? STATUS_OK
             : error_set(error, STATUS_USAGE,
                         "--lane %" PRId64 ": there are %" PRIu32 " lanes, counted from 0", lane,
                         lane_count);
}
