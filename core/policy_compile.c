/* From what the author wrote to flat operations.
 *
 * `not` is pushed down to the comparisons, where it turns the relation around: "not at least 6"
 * is "below 6", and neither holds of a number never reported. So what is left are `all` and `any`
 * of comparisons that hold or do not, and a rule is true under three-valued logic just when that
 * formula is. The formula becomes a list of clauses, all of which must have a comparison that
 * holds. A clause of one comparison needs no list at run time: failing the comparison fails the
 * rule. */
#include "core/policy.h"

/* A comparison as it is held against a device: different ones once. */
struct literal {
  uint8_t fact;
  uint8_t relation, operand; /* of a version */
  uint16_t text;
  uint8_t tris;        /* of a boolean: bits by enum tri that hold */
  int64_t min, max;    /* of a number */
  violation_set alone; /* rules that fail by this one */
};

struct clauses {
  uint64_t any_of[POLICY_CLAUSES_MAX];
  uint32_t count;
};

struct compiler {
  struct policy *policy;
  struct literal literals[POLICY_COMPARISONS_MAX];
  uint32_t literal_count;
};

static bool literal_equal(const struct literal *a, const struct literal *b) {
  return a->fact == b->fact && a->relation == b->relation && a->operand == b->operand &&
         a->text == b->text && a->tris == b->tris && a->min == b->min && a->max == b->max;
}

/* The bit of a literal, which is kept; 0 when there is no more room. */
static uint64_t literal_bit(struct compiler *compiler, const struct literal *literal) {
  uint32_t i = 0;
  while (i < compiler->literal_count && !literal_equal(&compiler->literals[i], literal)) {
    i++;
  }
  if (i == POLICY_COMPARISONS_MAX) {
    return 0;
  }
  if (i == compiler->literal_count) {
    compiler->literals[compiler->literal_count++] = *literal;
  }
  return UINT64_C(1) << i;
}

static enum relation opposite(enum relation relation) {
  static const enum relation opposites[RELATION_COUNT] = {
      [RELATION_IS] = RELATION_IS_NOT,      [RELATION_IS_NOT] = RELATION_IS,
      [RELATION_BELOW] = RELATION_AT_LEAST, [RELATION_AT_LEAST] = RELATION_BELOW,
      [RELATION_AT_MOST] = RELATION_ABOVE,  [RELATION_ABOVE] = RELATION_AT_MOST,
  };
  return opposites[relation];
}

static uint64_t boolean_bits(struct compiler *compiler, const struct policy_node *node,
                             enum relation relation) {
  const uint8_t known = 1u << TRI_FALSE | 1u << TRI_TRUE;
  const bool is = relation == RELATION_IS;
  struct literal literal = {.fact = node->fact};
  if (node->operand == OPERAND_UNKNOWN) {
    literal.tris = is ? 1u << TRI_UNKNOWN : known;
  } else {
    literal.tris = (node->number != 0) == is ? 1u << TRI_TRUE : 1u << TRI_FALSE;
  }
  return literal_bit(compiler, &literal);
}

static uint64_t range_bit(struct compiler *compiler, uint8_t fact, int64_t min, int64_t max) {
  const struct literal literal = {.fact = fact, .min = min, .max = max};
  return literal_bit(compiler, &literal);
}

/* "Is not" is below or above. Returns 0 when there is no more room. */
static uint64_t number_bits(struct compiler *compiler, const struct policy_node *node,
                            enum relation relation) {
  const int64_t least = FACT_NONE + 1;
  const int64_t number = node->number;
  assert(number > least && number < INT64_MAX);
  if (node->operand == OPERAND_UNKNOWN) {
    return relation == RELATION_IS ? range_bit(compiler, node->fact, FACT_NONE, FACT_NONE)
                                   : range_bit(compiler, node->fact, least, INT64_MAX);
  }
  switch (relation) {
  case RELATION_IS:
    return range_bit(compiler, node->fact, number, number);
  case RELATION_BELOW:
    return range_bit(compiler, node->fact, least, number - 1);
  case RELATION_AT_MOST:
    return range_bit(compiler, node->fact, least, number);
  case RELATION_AT_LEAST:
    return range_bit(compiler, node->fact, number, INT64_MAX);
  case RELATION_ABOVE:
    return range_bit(compiler, node->fact, number + 1, INT64_MAX);
  case RELATION_IS_NOT: {
    const uint64_t below = range_bit(compiler, node->fact, least, number - 1);
    const uint64_t above = range_bit(compiler, node->fact, number + 1, INT64_MAX);
    return below == 0 || above == 0 ? 0 : below | above;
  }
  case RELATION_COUNT:
    break;
  }
  assert(false);
  return 0;
}

static uint64_t version_bit(struct compiler *compiler, const struct policy_node *node,
                            enum relation relation) {
  const struct literal literal = {.fact = node->fact,
                                  .relation = (uint8_t)relation,
                                  .operand = node->operand,
                                  .text = node->text};
  return literal_bit(compiler, &literal);
}

static enum policy_fault comparison_clauses(struct compiler *compiler,
                                            const struct policy_node *node, bool negated,
                                            struct clauses *clauses) {
  const enum relation relation = negated ? opposite(node->relation) : node->relation;
  uint64_t bits = 0;
  switch (fact_type_of(node->fact)) {
  case FACT_TYPE_VERSION:
    bits = version_bit(compiler, node, relation);
    break;
  case FACT_TYPE_BOOLEAN:
    bits = boolean_bits(compiler, node, relation);
    break;
  case FACT_TYPE_NUMBER:
  case FACT_TYPE_DURATION:
  case FACT_TYPE_LEVEL:
    bits = number_bits(compiler, node, relation);
    break;
  }
  clauses->any_of[0] = bits;
  clauses->count = 1;
  return bits == 0 ? POLICY_COMPARISONS_TOO_MANY : POLICY_FITS;
}

/* Adds a clause unless another says as much with less; drops those that it says better. */
static enum policy_fault add_clause(struct clauses *clauses, uint64_t any_of) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < clauses->count; i++) {
    if ((clauses->any_of[i] & ~any_of) == 0) {
      return POLICY_FITS; /* nothing was dropped before: clauses never contain one another */
    }
    if ((any_of & ~clauses->any_of[i]) != 0) {
      clauses->any_of[kept++] = clauses->any_of[i];
    }
  }
  clauses->count = kept;
  if (kept == POLICY_CLAUSES_MAX) {
    return POLICY_CLAUSES_TOO_MANY;
  }
  clauses->any_of[clauses->count++] = any_of;
  return POLICY_FITS;
}

/* All of both: their clauses together. */
static enum policy_fault join_all(struct clauses *sum, const struct clauses *part) {
  enum policy_fault fault = POLICY_FITS;
  for (uint32_t i = 0; i < part->count && fault == POLICY_FITS; i++) {
    fault = add_clause(sum, part->any_of[i]);
  }
  return fault;
}

/* One of both: each clause of the one with each of the other. */
static enum policy_fault join_any(struct clauses *sum, const struct clauses *part) {
  const struct clauses before = *sum;
  enum policy_fault fault = POLICY_FITS;
  sum->count = 0;
  for (uint32_t i = 0; i < before.count; i++) {
    for (uint32_t j = 0; j < part->count && fault == POLICY_FITS; j++) {
      fault = add_clause(sum, before.any_of[i] | part->any_of[j]);
    }
  }
  return fault;
}

/* Recursion is as deep as the rule is nested, which is bounded. */
static enum policy_fault node_clauses(struct compiler *compiler, uint16_t at, bool negated,
                                      uint32_t depth, struct clauses *clauses) {
  const struct policy_node *node = &compiler->policy->nodes[at];
  assert(depth <= POLICY_NESTING_MAX + 1);
  if (node->kind == CONDITION_COMPARISON) {
    return comparison_clauses(compiler, node, negated, clauses);
  }
  if (node->kind == CONDITION_NOT) {
    return node_clauses(compiler, node->first, !negated, depth + 1, clauses);
  }
  const bool is_all = (node->kind == CONDITION_ALL) != negated;
  assert(node->first != 0);
  enum policy_fault fault = node_clauses(compiler, node->first, negated, depth + 1, clauses);
  for (uint16_t child = compiler->policy->nodes[node->first].next;
       child != 0 && fault == POLICY_FITS; child = compiler->policy->nodes[child].next) {
    struct clauses part;
    fault = node_clauses(compiler, child, negated, depth + 1, &part);
    if (fault == POLICY_FITS) {
      fault = is_all ? join_all(clauses, &part) : join_any(clauses, &part);
    }
  }
  return fault;
}

static bool is_single(uint64_t bits) {
  return (bits & (bits - 1)) == 0;
}

static uint32_t index_of(uint64_t bit) {
  uint32_t index = 0;
  while ((bit >> index & 1u) == 0) {
    index++;
  }
  return index;
}

static enum policy_fault compile_rule(struct compiler *compiler, uint32_t rule) {
  struct policy_checks *checks = &compiler->policy->checks;
  struct clauses clauses;
  const enum policy_fault fault =
      node_clauses(compiler, compiler->policy->rules[rule].root, false, 1, &clauses);
  if (fault != POLICY_FITS) {
    return fault;
  }
  for (uint32_t i = 0; i < clauses.count; i++) {
    if (is_single(clauses.any_of[i])) {
      compiler->literals[index_of(clauses.any_of[i])].alone |= 1u << rule;
    } else if (checks->clause_count == POLICY_CLAUSES_MAX) {
      return POLICY_CLAUSES_TOO_MANY;
    } else {
      checks->clauses[checks->clause_count++] =
          (struct policy_clause){.any_of = clauses.any_of[i], .rule = 1u << rule};
    }
  }
  return POLICY_FITS;
}

/* The place of a fact among its kind in struct facts. */
static uint32_t place_of(enum fact fact) {
  switch (fact) {
  case FACT_ANTIVIRUS_ENABLED:
  case FACT_ANTIVIRUS_SIGNATURES_AGE:
    return 0;
  case FACT_DISK_ENCRYPTED:
  case FACT_SCREEN_LOCK_PIN_LENGTH:
    return 1;
  case FACT_THREAT_DEFENCE_LEVEL:
    return 2;
  case FACT_THREAT_DEFENCE_AGE:
    return 3;
  case FACT_OS_VERSION:
  case FACT_COUNT:
    break;
  }
  assert(false);
  return 0;
}

static void place_boolean(struct policy_checks *checks, const struct literal *literal,
                          const struct policy_outcome *outcome) {
  for (uint32_t value = TRI_UNKNOWN; value <= TRI_TRUE; value++) {
    struct policy_outcome *sum = &checks->booleans[place_of(literal->fact)][value];
    if ((literal->tris >> value & 1u) != 0) {
      sum->holds |= outcome->holds;
    } else {
      sum->failed |= outcome->failed;
    }
  }
}

static void place_literal(struct policy_checks *checks, const struct literal *literal, uint64_t bit,
                          uint8_t *range_count) {
  const struct policy_outcome outcome = {.failed = literal->alone, .holds = bit};
  switch (fact_type_of(literal->fact)) {
  case FACT_TYPE_VERSION:
    checks->version_tests[checks->version_test_count++] =
        (struct policy_version_test){.relation = literal->relation,
                                     .operand = literal->operand,
                                     .text = literal->text,
                                     .outcome = outcome};
    return;
  case FACT_TYPE_BOOLEAN:
    place_boolean(checks, literal, &outcome);
    return;
  case FACT_TYPE_NUMBER:
  case FACT_TYPE_DURATION:
  case FACT_TYPE_LEVEL:
    checks->ranges[(*range_count)++] = (struct policy_range){
        .min = literal->min,
        .max = literal->max,
        .outcome = outcome,
    };
  }
}

static bool is_number(enum fact fact) {
  return fact_type_of(fact) != FACT_TYPE_VERSION && fact_type_of(fact) != FACT_TYPE_BOOLEAN;
}

/* Ranges stand together by the number that they are of. */
static void place_literals(struct compiler *compiler) {
  struct policy_checks *checks = &compiler->policy->checks;
  uint8_t range_count = 0;
  for (uint32_t i = 0; i < compiler->literal_count; i++) {
    if (!is_number(compiler->literals[i].fact)) {
      place_literal(checks, &compiler->literals[i], UINT64_C(1) << i, &range_count);
    }
  }
  for (uint32_t number = 0; number < FACT_NUMBER_COUNT; number++) {
    for (uint32_t i = 0; i < compiler->literal_count; i++) {
      if (is_number(compiler->literals[i].fact) && place_of(compiler->literals[i].fact) == number) {
        place_literal(checks, &compiler->literals[i], UINT64_C(1) << i, &range_count);
      }
    }
    checks->range_ends[number] = range_count;
  }
}

static void place_plain(struct policy_checks *checks) {
  checks->is_plain = checks->clause_count == 0;
  for (uint32_t number = 0; number < FACT_NUMBER_COUNT; number++) {
    const uint8_t begin = number == 0 ? 0 : checks->range_ends[number - 1];
    const uint8_t count = (uint8_t)(checks->range_ends[number] - begin);
    if (count > (number < PLAIN_NUMBER_COUNT ? 1 : 0)) {
      checks->is_plain = false;
    }
    if (number < PLAIN_NUMBER_COUNT) {
      checks->plain[number] = count > 0 ? checks->ranges[begin]
                                        : (struct policy_range){.min = INT64_MIN, .max = INT64_MAX};
    }
  }
}

static void place_scopes(struct policy *policy) {
  for (uint32_t rule = 0; rule < policy->rule_count; rule++) {
    const struct policy_scope *scope = &policy->rules[rule].scope;
    for (uint32_t platform = 0; platform < PLATFORM_COUNT; platform++) {
      for (uint32_t profile = 0; profile < PROFILE_COUNT; profile++) {
        for (uint32_t ownership = 0; ownership < OWNERSHIP_COUNT; ownership++) {
          const bool concerns = (scope->platforms >> platform & 1u) != 0 &&
                                (scope->profiles >> profile & 1u) != 0 &&
                                (scope->ownerships >> ownership & 1u) != 0;
          policy->checks.scopes[platform][profile][ownership] |= concerns ? 1u << rule : 0;
        }
      }
    }
  }
}

enum policy_fault policy_compile(struct policy *policy, uint32_t *rule) {
  struct compiler compiler = {.policy = policy};
  policy->checks = (struct policy_checks){0};
  for (*rule = 0; *rule < policy->rule_count; ++*rule) {
    const enum policy_fault fault = compile_rule(&compiler, *rule);
    if (fault != POLICY_FITS) {
      return fault;
    }
    policy->rule_ids[*rule] = policy->rules[*rule].id;
  }
  place_literals(&compiler);
  place_plain(&policy->checks);
  place_scopes(policy);
  policy->checks.resources = 1u << RESOURCE_EMAIL;
  for (uint32_t i = 0; i < policy->noncompliant.count; i++) {
    policy->checks.resources |= policy->noncompliant.stages[i].blocks;
  }
  for (uint32_t i = 0; i < policy->exemption_count; i++) {
    policy->checks.exempted |= 1u << policy->exemptions[i].rule;
  }
  return POLICY_FITS;
}
