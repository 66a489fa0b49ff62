#include "core/result.h"

#include "core/names.h"

#include <stdio.h>

const char *result_topic_name(enum result_kind kind) {
  static const char *const names[RESULT_KIND_COUNT] = {
#define X(kind, topic, record) [RESULT_##kind] = topic,
      RESULT_KIND_LIST(X)
#undef X
  };
  assert(kind < RESULT_KIND_COUNT);
  return names[kind];
}

const char *result_record_name(enum result_kind kind) {
  static const char *const names[RESULT_KIND_COUNT] = {
#define X(kind, topic, record) [RESULT_##kind] = record,
      RESULT_KIND_LIST(X)
#undef X
  };
  assert(kind < RESULT_KIND_COUNT);
  return names[kind];
}

NAMES_OF(compliance_name, compliance, COMPLIANCE_SYMBOLS, COMPLIANCE_COUNT)
NAMES_OF(access_decision_name, access_decision, DECISION_SYMBOLS, ACCESS_COUNT)
NAMES_OF(ticket_action_name, ticket_action, TICKET_SYMBOLS, TICKET_ACTION_COUNT)
NAMES_OF(license_action_name, license_action, LICENSE_SYMBOLS, LICENSE_ACTION_COUNT)
NAMES_OF(audit_action_name, audit_action, AUDIT_ACTION_SYMBOLS, AUDIT_ACTION_COUNT)
NAMES_OF(action_kind_name, action_kind, ACTION_SYMBOLS, ACTION_KIND_COUNT)
NAMES_OF(outcome_name, outcome, OUTCOME_SYMBOLS, OUTCOME_COUNT)

/* Written without printf: it runs for every result. */
size_t device_id_format(uint64_t number, char text[DEVICE_ID_SIZE]) {
  char digits[DEVICE_ID_SIZE];
  size_t count = 0;
  do {
    digits[count++] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  while (count < 3) {
    digits[count++] = '0';
  }
  text[0] = 'D';
  for (size_t i = 0; i < count; i++) {
    text[1 + i] = digits[count - 1 - i];
  }
  text[1 + count] = '\0';
  return 1 + count;
}

uint64_t device_id_parse(struct span text) {
  if (text.size < 4 || text.size > 20 || (text.data[0] | 0x20) != 'd') {
    return 0;
  }
  uint64_t number = 0;
  for (size_t i = 1; i < text.size; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') {
      return 0;
    }
    number = number * 10 + (uint64_t)(text.data[i] - '0');
  }
  /* D0001 is not how device 1 is written: an ID has one form. */
  char canonical[DEVICE_ID_SIZE];
  return device_id_format(number, canonical) == text.size ? number : 0;
}
