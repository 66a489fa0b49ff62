#include "core/time_text.h"

enum { MS_PER_SECOND = 1000, MS_PER_MINUTE = 60000, MS_PER_DAY = 86400000 };
enum { DAYS_PER_ERA = 146097, DAYS_BEFORE_1970 = 719468 };

static_assert(TIME_TEXT_SIZE > sizeof "9999-12-31T23:59:59.999Z", "the text has room");

/* Days since 1970-01-01. Counts in eras of 400 years that begin on the first of March of a
 * year divisible by 400, so that the leap day is the last of its year. */
static int64_t days_of_date(int64_t year, int64_t month, int64_t day) {
  const int64_t march_year = month <= 2 ? year - 1 : year;
  const int64_t era = (march_year >= 0 ? march_year : march_year - 399) / 400;
  const int64_t year_of_era = march_year - era * 400;
  const int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const int64_t leap_days = year_of_era / 4 - year_of_era / 100;
  const int64_t day_of_era = year_of_era * 365 + leap_days + day_of_year;
  return era * DAYS_PER_ERA + day_of_era - DAYS_BEFORE_1970;
}

static int64_t days_of_month(int64_t year, int64_t month) {
  static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return days[month - 1] + (month == 2 && is_leap ? 1 : 0);
}

/* What is left to read; a failed step empties nothing, its caller gives up. */
static bool take_number(struct span *text, size_t digits, int64_t *number) {
  if (text->size < digits) {
    return false;
  }
  *number = 0;
  for (size_t i = 0; i < digits; i++) {
    const uint8_t digit = text->data[i];
    if (digit < '0' || digit > '9') {
      return false;
    }
    *number = *number * 10 + (digit - '0');
  }
  text->data += digits;
  text->size -= digits;
  return true;
}

static bool take_one_of(struct span *text, const char *accepted, uint8_t *taken) {
  if (text->size == 0 || text->data[0] == 0 || strchr(accepted, text->data[0]) == NULL) {
    return false;
  }
  *taken = text->data[0];
  text->data++;
  text->size--;
  return true;
}

/* Decimals of a second as milliseconds; those beyond the third are cut. */
static bool take_decimals(struct span *text, int64_t *ms) {
  uint8_t taken;
  int64_t digit;
  int64_t weight = 100;
  *ms = 0;
  if (!take_one_of(text, ".", &taken)) {
    return true;
  }
  if (!take_number(text, 1, &digit)) {
    return false;
  }
  do {
    *ms += digit * weight;
    weight /= 10;
  } while (take_number(text, 1, &digit));
  return true;
}

static bool take_offset(struct span *text, int64_t *minutes) {
  uint8_t sign;
  uint8_t colon;
  int64_t hour;
  int64_t minute;
  if (!take_one_of(text, "Zz+-", &sign)) {
    return false;
  }
  *minutes = 0;
  if (sign == 'Z' || sign == 'z') {
    return true;
  }
  if (!take_number(text, 2, &hour) || !take_one_of(text, ":", &colon) ||
      !take_number(text, 2, &minute) || hour > 23 || minute > 59) {
    return false;
  }
  *minutes = (sign == '-' ? -1 : 1) * (hour * 60 + minute);
  return true;
}

static bool take_date(struct span *text, int64_t *days) {
  uint8_t dash;
  int64_t year;
  int64_t month;
  int64_t day;
  if (!take_number(text, 4, &year) || !take_one_of(text, "-", &dash) ||
      !take_number(text, 2, &month) || !take_one_of(text, "-", &dash) ||
      !take_number(text, 2, &day)) {
    return false;
  }
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_of_month(year, month)) {
    return false;
  }
  *days = days_of_date(year, month, day);
  return true;
}

bool time_parse(struct span text, int64_t *at_ms) {
  uint8_t taken;
  int64_t days;
  int64_t hour;
  int64_t minute;
  int64_t second;
  int64_t ms;
  int64_t offset_minutes;
  if (!take_date(&text, &days) || !take_one_of(&text, "Tt ", &taken) ||
      !take_number(&text, 2, &hour) || !take_one_of(&text, ":", &taken) ||
      !take_number(&text, 2, &minute) || !take_one_of(&text, ":", &taken) ||
      !take_number(&text, 2, &second) || !take_decimals(&text, &ms) ||
      !take_offset(&text, &offset_minutes) || text.size != 0) {
    return false;
  }
  const bool is_leap_second = second == 60 && minute == 59;
  if (hour > 23 || minute > 59 || (second > 59 && !is_leap_second)) {
    return false;
  }
  const int64_t minutes = hour * 60 + minute - offset_minutes;
  const int64_t sum = days * MS_PER_DAY + minutes * MS_PER_MINUTE + second * MS_PER_SECOND +
                      (is_leap_second ? 0 : ms);
  if (sum < TIME_TEXT_MIN_MS || sum > TIME_TEXT_MAX_MS) {
    return false;
  }
  *at_ms = sum;
  return true;
}

static char *put_number(char *at, int64_t number, int digits) {
  for (int i = digits - 1; i >= 0; i--) {
    at[i] = (char)('0' + number % 10);
    number /= 10;
  }
  return at + digits;
}

static char *put_date(char *at, int64_t days) {
  const int64_t shifted = days + DAYS_BEFORE_1970;
  const int64_t era = shifted / DAYS_PER_ERA;
  const int64_t day_of_era = shifted % DAYS_PER_ERA;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t march_month = (5 * day_of_year + 2) / 153;
  const int64_t day = day_of_year - (153 * march_month + 2) / 5 + 1;
  const int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
  at = put_number(at, era * 400 + year_of_era + (month <= 2 ? 1 : 0), 4);
  *at++ = '-';
  at = put_number(at, month, 2);
  *at++ = '-';
  return put_number(at, day, 2);
}

void time_format(int64_t at_ms, char text[TIME_TEXT_SIZE]) {
  assert(at_ms >= TIME_TEXT_MIN_MS);
  assert(at_ms <= TIME_TEXT_MAX_MS);
  /* Division rounds towards zero; days before 1970 need it to round down. */
  const int64_t days = (at_ms >= 0 ? at_ms : at_ms - (MS_PER_DAY - 1)) / MS_PER_DAY;
  const int64_t ms = at_ms - days * MS_PER_DAY;
  char *at = put_date(text, days);
  *at++ = 'T';
  at = put_number(at, ms / (60 * MS_PER_MINUTE), 2);
  *at++ = ':';
  at = put_number(at, ms / MS_PER_MINUTE % 60, 2);
  *at++ = ':';
  at = put_number(at, ms / MS_PER_SECOND % 60, 2);
  *at++ = '.';
  at = put_number(at, ms % MS_PER_SECOND, 3);
  *at++ = 'Z';
  *at = '\0';
}
