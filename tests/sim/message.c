#include "tests/sim/message.h"

#include "consumers/schemas.h"
#include "core/app/digest.h"
#include "core/app/policy_shipped.h"
#include "core/app/policy_yaml.h"
#include "core/event.h"
#include "tests/sim/member.h"

#include <stdio.h>
#include <string.h>

enum { HOUR_MS = 3600000 };

static uint32_t event_number;

void messages_begin(void) {
  event_number = 0;
}

static const char *const emails[] = {"ann@example.org", "Bob@Example.org", "bob@example.org",
                                     "carla.long.name@sub.example.org"};
static const char *const versions[] = {"10.0.22631", "14.0", "9.1", "11", "17.2.1"};

static void put_long(struct buffer *buffer, int64_t value) {
  uint64_t bits = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
  while (bits >= 0x80) {
    buffer_append_u8(buffer, (uint8_t)(bits | 0x80));
    bits >>= 7;
  }
  buffer_append_u8(buffer, (uint8_t)bits);
}

static void put_string(struct buffer *buffer, const char *text) {
  put_long(buffer, (int64_t)strlen(text));
  buffer_append(buffer, text, strlen(text));
}

static void put_frame(struct buffer *buffer, const char *name) {
  const uint64_t fingerprint = schemas_find_own(shared.schemas, name)->fingerprint;
  buffer_append_u8(buffer, 0xc3);
  buffer_append_u8(buffer, 0x01);
  for (size_t i = 0; i < 8; i++) {
    buffer_append_u8(buffer, (uint8_t)(fingerprint >> (8 * i)));
  }
}

/* Most ids are new; some have been another message's. */
static void put_event_id(struct buffer *buffer) {
  char id[40];
  uint32_t number = ++event_number;
  if (number > 1 && fault(FAULT_ID_AGAIN)) {
    number -= 1 + draw(number - 1 < 12 ? number - 1 : 12);
  }
  snprintf(id, sizeof id, "00000000-0000-4000-8000-%012x", number);
  put_string(buffer, id);
}

static void put_head(struct buffer *buffer, const char *name, const char *serial, int64_t at_ms) {
  put_frame(buffer, name);
  put_event_id(buffer);
  put_long(buffer, at_ms);
  if (serial != NULL) {
    put_string(buffer, serial);
  }
}

static void put_optional_text(struct buffer *buffer, const char *text) {
  put_long(buffer, text != NULL);
  if (text != NULL) {
    put_string(buffer, text);
  }
}

static void put_optional_symbol(struct buffer *buffer, bool is_there, uint32_t symbol) {
  put_long(buffer, is_there);
  if (is_there) {
    put_long(buffer, symbol);
  }
}

void message_enrollment(struct buffer *buffer, const char *serial, int64_t at_ms) {
  put_head(buffer, "Enrollment", serial, at_ms);
  put_string(buffer, emails[draw(COUNT_OF(emails))]);
  put_long(buffer, draw(8) == 0 ? draw(PLATFORM_COUNT) : PLATFORM_WINDOWS);
  put_long(buffer, draw(4) == 0 ? draw(PROFILE_COUNT) : PROFILE_STANDARD);
  put_string(buffer, versions[draw(COUNT_OF(versions))]);
  put_long(buffer, draw(4) == 0 ? OWNERSHIP_PERSONAL : OWNERSHIP_CORPORATE);
  if (draw(3) == 0) {
    put_long(buffer, 0);
  } else {
    put_long(buffer, 1);
    put_string(buffer, "2026-01");
    put_long(buffer, at_ms);
  }
}

void message_checkin(struct buffer *buffer, const char *serial, int64_t at_ms) {
  put_head(buffer, "CheckIn", serial, at_ms);
  put_string(buffer, versions[draw(COUNT_OF(versions))]);
  put_long(buffer, draw(TRIGGER_ON_DEMAND + 1));
}

static void put_optional_bool(struct buffer *buffer, bool healthy) {
  const bool is_there = healthy || draw(2) == 0;
  put_long(buffer, is_there);
  if (is_there) {
    buffer_append_u8(buffer, healthy || draw(2) == 0);
  }
}

void message_report(struct buffer *buffer, const char *serial, int64_t at_ms) {
  const bool healthy = draw(2) == 0;
  put_head(buffer, "ComplianceReport", serial, at_ms);
  put_long(buffer, 1);
  put_string(buffer, healthy ? "17.2.1" : versions[draw(COUNT_OF(versions))]);
  put_optional_bool(buffer, healthy);
  put_long(buffer, 1);
  put_long(buffer, healthy ? at_ms : at_ms - (int64_t)draw(240) * HOUR_MS);
  put_optional_bool(buffer, healthy);
  put_long(buffer, 1);
  put_long(buffer, healthy ? 8 : draw(8));
  const bool has_threat = draw(3) == 0;
  put_optional_symbol(buffer, has_threat, draw(THREAT_LEVEL_COUNT));
  put_long(buffer, has_threat);
  if (has_threat) {
    put_long(buffer, at_ms - (int64_t)draw(30) * HOUR_MS);
  }
}

/* Commands. ------------------------------------------------------------------------------ */

/* Who asks: the configuration's admin, a person who may hold a role, nobody named. */
static const char *some_actor(void) {
  static const char *const actors[] = {SIM_ADMIN, SIM_ADMIN, SIM_OTHER_ADMIN, NULL, NULL};
  const uint32_t which = draw(COUNT_OF(actors) + 2);
  return which < COUNT_OF(actors) ? actors[which] : emails[draw(COUNT_OF(emails))];
}

static enum command_kind some_command(void) {
  static const enum command_kind often[] = {COMMAND_WIPE, COMMAND_WIPE, COMMAND_APPROVE_WIPE};
  const uint32_t which = draw(COUNT_OF(often) + COMMAND_COUNT);
  return which < COUNT_OF(often) ? often[which] : (enum command_kind)(which - COUNT_OF(often));
}

void message_command(struct buffer *buffer, const char *serial, int64_t at_ms) {
  const enum command_kind kind = some_command();
  const bool is_wipe = kind == COMMAND_WIPE;
  put_head(buffer, "Command", serial, at_ms);
  put_long(buffer, kind);
  put_optional_text(buffer, is_wipe && draw(4) != 0 ? SIM_ADMIN : some_actor());
  put_long(buffer, draw(6) == 0);
  put_optional_symbol(buffer, kind == COMMAND_SET_STATUS && draw(8) != 0,
                      draw(DEVICE_STATUS_COUNT));
  put_optional_symbol(buffer, is_wipe && draw(8) != 0, draw(WIPE_REASON_COUNT));
  put_optional_text(buffer, is_wipe && draw(8) != 0 ? serial : NULL);
  put_optional_text(buffer, kind == COMMAND_RENAME && draw(4) != 0 ? "Front desk" : NULL);
  put_optional_text(buffer, draw(4) == 0 ? "as agreed" : NULL);
}

/* Control. ------------------------------------------------------------------------------- */

/* Whose rules depend on groups. It is not part of the program, so its text must be kept. */
static const char grouped_text[] = "version: grouped\n"
                                   "title: Grouped\n"
                                   "rules:\n"
                                   "  - id: not_encrypted\n"
                                   "    title: The disk is not encrypted\n"
                                   "    remediation: Turn it on.\n"
                                   "    applies_to: {device_groups: [kiosks]}\n"
                                   "    require: [disk_encrypted, is, true]\n"
                                   "  - id: weak_screen_lock\n"
                                   "    title: The screen lock is too weak\n"
                                   "    remediation: Set a longer one.\n"
                                   "    applies_to: {user_groups: [staff, guests]}\n"
                                   "    require: [screen_lock_pin_length, at_least, 6]\n"
                                   "escalation:\n"
                                   "  noncompliant:\n"
                                   "    stages:\n"
                                   "      - after: 0s\n"
                                   "        notify: noncompliant\n"
                                   "      - after: 20h\n"
                                   "        block: email\n"
                                   "  overdue_sync:\n"
                                   "    interval: 8h\n"
                                   "    grace: 1h\n"
                                   "    stages:\n"
                                   "      - after: 9h\n"
                                   "        notify: sync_overdue\n";

/* One of three by turns; each sets a sweep going unless it is in force already. A text that came
 * once need not come again. */
static void put_policy(struct buffer *buffer, int64_t at_ms) {
  static struct policy policies[3];
  static const char *const versions_of[] = {"default", "extended", "grouped"};
  const uint32_t which = draw(COUNT_OF(policies));
  const struct span shipped = policy_shipped_text(versions_of[which]);
  const struct span text = shipped.size > 0 ? shipped : span_text(grouped_text);
  struct policy *policy = &policies[which];
  char hash[HEX_DIGEST_SIZE];
  if (policy->version[0] == '\0') {
    static struct findings findings;
    const bool is_read = policy_read(text, policy, &findings);
    assert(is_read);
  }
  hex_format(policy->hash, DIGEST_SIZE, hash);
  put_head(buffer, "Policy", NULL, at_ms);
  put_string(buffer, versions_of[which]);
  put_string(buffer, hash);
  const bool has_text = shipped.size > 0 ? draw(2) == 0 : draw(3) != 0;
  put_long(buffer, has_text);
  if (has_text) {
    put_long(buffer, (int64_t)text.size);
    buffer_append(buffer, text.data, text.size);
  }
  put_optional_text(buffer, draw(4) == 0 ? some_actor() : NULL);
}

static void put_role(struct buffer *buffer, int64_t at_ms) {
  put_head(buffer, "RoleChange", NULL, at_ms);
  put_string(buffer, draw(3) == 0 ? SIM_ADMIN : emails[draw(COUNT_OF(emails))]);
  put_long(buffer, draw(4) == 0 ? ROLE_OPERATOR : ROLE_ADMIN);
  put_long(buffer, draw(5) < 2); /* taken away */
  put_optional_text(buffer, draw(2) == 0 ? some_actor() : NULL);
}

static void put_tenant_event(struct buffer *buffer, int64_t at_ms) {
  put_head(buffer, "TenantEvent", NULL, at_ms);
  put_long(buffer, draw(3) == 0 ? TENANT_PUSH_CERTIFICATE_EXPIRED : TENANT_UPSTREAM_OUTAGE);
  put_long(buffer, draw(2)); /* over */
  put_optional_text(buffer, draw(4) == 0 ? some_actor() : NULL);
}

static void put_revision(struct buffer *buffer, int64_t at_ms) {
  static const char *const revisions[] = {"r1", "2026-02"};
  put_head(buffer, "ProfileRevision", NULL, at_ms);
  put_long(buffer, draw(3) == 0 ? draw(PROFILE_COUNT) : PROFILE_STANDARD);
  put_string(buffer, revisions[draw(COUNT_OF(revisions))]);
  put_optional_text(buffer, draw(4) == 0 ? some_actor() : NULL);
}

static void put_group_change(struct buffer *buffer, const char *serial, int64_t at_ms) {
  static const char *const user_groups[] = {"staff", "guests"};
  const bool is_user = draw(2) == 0;
  put_head(buffer, "GroupChange", NULL, at_ms);
  put_string(buffer, is_user ? user_groups[draw(COUNT_OF(user_groups))] : "kiosks");
  put_optional_text(buffer, is_user ? emails[draw(COUNT_OF(emails))] : NULL);
  put_optional_text(buffer, is_user ? NULL : serial);
  put_long(buffer, draw(3) == 0); /* taken out */
  put_optional_text(buffer, draw(4) == 0 ? some_actor() : NULL);
}

static void put_state_request(struct buffer *buffer, int64_t at_ms) {
  put_head(buffer, "StateRequest", NULL, at_ms);
  put_optional_text(buffer, draw(4) == 0 ? some_actor() : NULL);
}

void message_control(struct buffer *buffer, const char *serial, int64_t at_ms) {
  switch (draw(9)) {
  case 0:
  case 1:
  case 2:
    put_policy(buffer, at_ms);
    break;
  case 3:
    put_revision(buffer, at_ms);
    break;
  case 4:
    put_role(buffer, at_ms);
    break;
  case 5:
  case 6:
    put_tenant_event(buffer, at_ms);
    break;
  case 7:
    put_state_request(buffer, at_ms);
    break;
  default:
    put_group_change(buffer, serial, at_ms);
    break;
  }
}
