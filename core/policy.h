/* What is asked of a device, and what follows when it does not hold.
 *
 * A policy is data: who writes one fills in its first part, as the author said it, and
 * policy_compile makes the flat operations of its last part, which alone are looked at for each
 * report. One plain struct of bounded size; once compiled it is not changed or moved. */
#ifndef MUSTER_CORE_POLICY_H
#define MUSTER_CORE_POLICY_H

#include "core/device.h"

enum {
  POLICY_NAME_SIZE = 64,   /* of ids, versions, templates, with the terminator */
  POLICY_TITLE_SIZE = 128, /* with the terminator */
  POLICY_TEXT_SIZE = 512,  /* of a remediation, with the terminator */
  POLICY_RULES_MAX = VIOLATIONS_MAX,
  POLICY_NODES_MAX = 512,
  POLICY_NESTING_MAX = 8, /* of all, any and not in a rule */
  POLICY_VERSION_TEXTS_MAX = 64,
  POLICY_COMPARISONS_MAX = 64, /* different ones in a policy: bits of a word */
  POLICY_CLAUSES_MAX = 64,     /* of a rule, and of all rules together */
  POLICY_STAGES_MAX = 8,
  POLICY_TEMPLATES_MAX = 4, /* mails of one stage */
  POLICY_EXEMPTIONS_MAX = 128,
  POLICY_GROUPS_MAX = 16, /* different ones that rules name */
};

/* How long a device may be PENDING: the contract's, not a policy's. */
#define PENDING_MAX_MS INT64_C(1800000)

/* X(name, text, type): the facts that a rule can name. Ages are the clock less the fact's instant.
 */
#define FACT_LIST(X)                                                                               \
  X(OS_VERSION, "os_version", FACT_TYPE_VERSION)                                                   \
  X(ANTIVIRUS_ENABLED, "antivirus_enabled", FACT_TYPE_BOOLEAN)                                     \
  X(DISK_ENCRYPTED, "disk_encrypted", FACT_TYPE_BOOLEAN)                                           \
  X(ANTIVIRUS_SIGNATURES_AGE, "antivirus_signatures_age", FACT_TYPE_DURATION)                      \
  X(SCREEN_LOCK_PIN_LENGTH, "screen_lock_pin_length", FACT_TYPE_NUMBER)                            \
  X(THREAT_DEFENCE_LEVEL, "threat_defence_level", FACT_TYPE_LEVEL)                                 \
  X(THREAT_DEFENCE_AGE, "threat_defence_age", FACT_TYPE_DURATION)

enum fact {
#define X(name, text, type) FACT_##name,
  FACT_LIST(X)
#undef X
      FACT_COUNT
};

enum fact_type {
  FACT_TYPE_VERSION,
  FACT_TYPE_BOOLEAN,
  FACT_TYPE_NUMBER,
  FACT_TYPE_DURATION, /* milliseconds */
  FACT_TYPE_LEVEL,    /* of threat: the least is the best */
};

const char *fact_name(enum fact fact);
enum fact_type fact_type_of(enum fact fact);
const char *threat_level_name(enum threat_level level);

/* X(name, text): how a fact is compared. */
#define RELATION_LIST(X)                                                                           \
  X(IS, "is")                                                                                      \
  X(IS_NOT, "is_not")                                                                              \
  X(BELOW, "below")                                                                                \
  X(AT_MOST, "at_most")                                                                            \
  X(AT_LEAST, "at_least")                                                                          \
  X(ABOVE, "above")

enum relation {
#define X(name, text) RELATION_##name,
  RELATION_LIST(X)
#undef X
      RELATION_COUNT
};

const char *relation_name(enum relation relation);

/* Whether a comparison that came out so (below 0, 0, above 0) is what the relation asks for. */
bool relation_satisfied(enum relation relation, int order);

enum condition_kind { CONDITION_COMPARISON, CONDITION_ALL, CONDITION_ANY, CONDITION_NOT };

/* What a fact is compared with. */
enum operand {
  OPERAND_NUMBER,     /* `number`; of a boolean 0 or 1 */
  OPERAND_VERSION,    /* the policy's version_texts[text] */
  OPERAND_MINIMUM_OS, /* the policy's minimum for the platform */
  OPERAND_UNKNOWN,    /* never reported: with is and is_not */
};

/* A part of what a rule requires. Three values: a comparison with a fact that was never reported
 * is neither true nor false, `not` of that is the same, and a rule holds when the whole is true. */
struct policy_node {
  uint8_t kind; /* enum condition_kind */
  uint8_t fact;
  uint8_t relation;
  uint8_t operand;
  uint16_t text;
  uint16_t first, next; /* children and siblings: indexes of nodes; 0: none, node 0 is not used */
  int64_t number;
};

/* Bits by platform, profile, ownership; and by the policy's groups: a rule that names groups
 * concerns only devices that are in one of them, or whose user is. */
struct policy_scope {
  uint8_t platforms, profiles, ownerships;
  uint16_t user_groups, device_groups; /* both 0: whatever groups there are */
};

struct policy_rule {
  char id[POLICY_NAME_SIZE];
  char title[POLICY_TITLE_SIZE];
  char remediation[POLICY_TEXT_SIZE];
  struct policy_scope scope; /* whom it concerns */
  uint16_t root;             /* of what it requires */
};

/* "fail", "block"; NULL for none. */
const char *timer_kind_name(enum timer_kind kind);

enum resource { RESOURCE_EMAIL, RESOURCE_SAP, RESOURCE_COUNT };

const char *resource_name(enum resource resource);

/* What is done when an episode has lasted so long. */
struct policy_stage {
  int64_t after_ms; /* of overdue syncs: since the last check-in */
  char templates[POLICY_TEMPLATES_MAX][POLICY_NAME_SIZE];
  uint8_t template_count;
  uint8_t blocks; /* bits by resource */
  bool opens_ticket;
  bool retires;                  /* the device is given up: the last stage of a plan */
  char reason[POLICY_NAME_SIZE]; /* of an access decision: "noncompliant for 24 h" */
};

/* What a stage is called: by the gravest of what it does. */
enum timer_kind policy_stage_kind(const struct policy_stage *stage);

struct policy_plan {
  struct policy_stage stages[POLICY_STAGES_MAX]; /* by after_ms, which grows */
  uint32_t count;
};

/* Hours of the day in which no mail is sent; equal ends: none. */
struct policy_quiet {
  int32_t from_min, to_min; /* minutes of the local day; `to` may lie before `from` */
  int32_t utc_offset_min;
};

/* What may be asked for, and by whom. */
struct policy_commands {
  uint8_t of_users;          /* bits by enum command_kind: what a device's own user may ask for */
  uint32_t wipe_approvals;   /* other admins who must agree to a wipe: WIPE_APPROVALS_MAX at most */
  uint32_t wipe_limit;       /* asked for in a lane within the window; 0: no limit */
  int64_t wipe_limit_per_ms; /* the window */
};

/* A rule that is waived for a device, until an instant. */
struct policy_exemption {
  uint64_t device_number; /* 0: by serial */
  char serial[SERIAL_SIZE_MAX + 1];
  char approver[POLICY_NAME_SIZE];
  char reason[POLICY_TITLE_SIZE];
  uint32_t rule;
  int64_t expires_at_ms;
};

/* What follows from one value of one fact: rules that fail by it alone, and the comparisons that
 * hold, for rules that need more than one. */
struct policy_outcome {
  violation_set failed;
  uint64_t holds; /* bits of comparisons */
};

enum { FACT_BOOLEAN_COUNT = 2, FACT_NUMBER_COUNT = 4, PLAIN_NUMBER_COUNT = 2 };

/* A fact that is a number holds when it lies in the range; never reported lies below every
 * known value, so ranges of known ones begin above it. */
struct policy_range {
  int64_t min, max;
  struct policy_outcome outcome;
};

/* A rule fails when none of these comparisons holds. */
struct policy_clause {
  uint64_t any_of;
  violation_set rule;
};

/* A comparison of the operating system's version. */
struct policy_version_test {
  uint8_t relation;
  uint8_t operand;
  uint16_t text;
  struct policy_outcome outcome;
};

struct policy_checks {
  struct policy_outcome booleans[FACT_BOOLEAN_COUNT][3]; /* by enum tri */
  violation_set scopes[PLATFORM_COUNT][PROFILE_COUNT][OWNERSHIP_COUNT];
  /* No rule needs more than one comparison at a time, and each number one at most, of the first
   * PLAIN_NUMBER_COUNT: most policies are so, and need neither facts put together nor loops. */
  bool is_plain;
  struct policy_range plain[PLAIN_NUMBER_COUNT];
  /* Those of number i are ranges[range_ends[i - 1]] up to range_ends[i]. */
  uint8_t range_ends[FACT_NUMBER_COUNT];
  uint32_t clause_count, version_test_count;
  violation_set exempted; /* rules that an exemption names */
  uint8_t resources;      /* what the policy can take away: email, and what the plan blocks */
  struct policy_range ranges[POLICY_COMPARISONS_MAX];
  struct policy_clause clauses[POLICY_CLAUSES_MAX];
  struct policy_version_test version_tests[POLICY_COMPARISONS_MAX];
};

struct policy {
  char version[POLICY_NAME_SIZE];
  char title[POLICY_TITLE_SIZE];
  char minimum_os[PLATFORM_COUNT][OS_VERSION_SIZE_MAX + 1]; /* empty: any version will do */
  struct policy_rule rules[POLICY_RULES_MAX]; /* in policy order: the index is the bit */
  uint32_t rule_count;
  struct policy_node nodes[POLICY_NODES_MAX];
  uint32_t node_count; /* node 0 included */
  char version_texts[POLICY_VERSION_TEXTS_MAX][OS_VERSION_SIZE_MAX + 1];
  uint32_t version_text_count;
  struct policy_plan noncompliant; /* from the moment the device became non-compliant */
  int64_t minimum_clean_ms;        /* an episode ends when the device was compliant for so long */
  struct policy_plan overdue;      /* from the last check-in; may have mails only */
  int64_t overdue_after_ms;        /* without a check-in for so long; 0: syncs are never overdue */
  struct policy_quiet quiet;
  struct policy_commands commands;
  char groups[POLICY_GROUPS_MAX][POLICY_NAME_SIZE]; /* that rules name; users' and devices' alike */
  uint32_t group_count;
  bool pushes_profile; /* an Action PUSH_PROFILE when a device becomes ENROLLED */
  struct policy_exemption exemptions[POLICY_EXEMPTIONS_MAX];
  uint32_t exemption_count;
  uint8_t hash[32]; /* over what it means, by whoever read it; zeros: nobody did */
  /* Made by policy_compile. */
  const char *rule_ids[POLICY_RULES_MAX]; /* the rules' own */
  struct policy_checks checks;
};

/* What a policy is too big for. */
enum policy_fault {
  POLICY_FITS,
  POLICY_COMPARISONS_TOO_MANY, /* different comparisons, over POLICY_COMPARISONS_MAX */
  POLICY_CLAUSES_TOO_MANY,     /* the rule's `all` and `any` multiply to more than can be held */
};

/* Makes rule_ids and checks from the rest. A fault names the rule by its index. */
enum policy_fault policy_compile(struct policy *policy, uint32_t *rule) MUST_USE;

/* Facts as rules see them. */
struct facts {
  uint8_t platform, profile, ownership;
  uint8_t booleans[FACT_BOOLEAN_COUNT];
  int64_t numbers[FACT_NUMBER_COUNT]; /* FACT_NONE: never reported */
};

#define FACT_NONE INT64_MIN

static inline struct rule_names policy_rule_names(const struct policy *policy) {
  return (struct rule_names){.ids = policy->rule_ids, .count = policy->rule_count};
}

/* What follows from a version's text on each platform. Computed once for each distinct text, not
 * once for each report. */
void policy_version_outcomes(const struct policy *policy, struct span os_version,
                             struct policy_outcome outcomes[PLATFORM_COUNT]);

/* The rules that do not hold. `version` is the version's outcome on the facts' platform. */
violation_set policy_evaluate(const struct policy *policy, const struct facts *facts,
                              const struct policy_outcome *version);

/* The same for a device at the clock; `versions` are the outcomes of its os_version. */
violation_set policy_violations(const struct policy *policy, const struct device *device,
                                const struct policy_outcome versions[PLATFORM_COUNT],
                                int64_t clock_ms);

/* Those of the violations whose rules name groups, none of which the device or its user is in.
 * The sets are bits by the policy's groups. */
violation_set policy_of_other_groups(const struct policy *policy, violation_set violations,
                                     uint32_t user_groups, uint32_t device_groups);

/* The rules that are waived for the device at the clock. */
violation_set policy_exempted(const struct policy *policy, uint64_t device_number,
                              struct span serial, int64_t clock_ms);

/* When a mail of that instant may be sent: then, or when the quiet hours around it are over. */
int64_t policy_mail_at(const struct policy *policy, int64_t at_ms);

#endif
