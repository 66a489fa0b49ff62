#include "core/app/policy_store.h"

#include "core/app/policy_shipped.h"
#include "core/app/policy_text.h"
#include "core/app/policy_yaml.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct stored_policy {
  uint8_t text_digest[DIGEST_SIZE]; /* of the text that it was compiled from first */
  uint8_t hash[DIGEST_SIZE];
  struct policy *policy;
};

static struct {
  pthread_mutex_t mutex;
  struct stored_policy *items;
  size_t count;
} store = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Under the mutex; NULL when there is none. */
static const struct stored_policy *find(const uint8_t *text_digest, const uint8_t *hash) {
  for (size_t i = 0; i < store.count; i++) {
    const struct stored_policy *const item = &store.items[i];
    if ((text_digest != NULL && memcmp(item->text_digest, text_digest, DIGEST_SIZE) == 0) ||
        (hash != NULL && memcmp(item->hash, hash, DIGEST_SIZE) == 0)) {
      return item;
    }
  }
  return NULL;
}

/* Takes the policy; answers with the one that is kept, which may be an equal one. */
static const struct policy *keep(const struct stored_policy *made) {
  pthread_mutex_lock(&store.mutex);
  const struct stored_policy *const known = find(NULL, made->hash);
  const struct policy *kept = made->policy;
  if (known != NULL) {
    kept = known->policy;
    free(made->policy);
  } else {
    store.items = memory_grown(store.items, store.count + 1, sizeof *store.items);
    store.items[store.count++] = *made;
  }
  pthread_mutex_unlock(&store.mutex);
  return kept;
}

static bool refuse(struct reject *reject, const char *reason) {
  reject_set(reject, REJECT_MALFORMED, STAGE_VALUE, "%s", reason);
  return false;
}

/* On true the caller owns `made->policy`. */
static bool compile(struct span text, struct stored_policy *made, struct reject *reject) {
  struct findings *const findings = memory_zeroed(1, sizeof *findings);
  made->policy = memory_zeroed(1, sizeof *made->policy);
  const bool is_good = policy_read(text, made->policy, findings);
  if (is_good) {
    policy_hash(made->policy, made->hash);
  } else {
    const struct finding *const first = &findings->items[0];
    reject_set(reject, REJECT_MALFORMED, STAGE_VALUE, "text:%" PRIu32 ":%" PRIu32 ": %s",
               first->line, first->column, first->text);
    free(made->policy);
  }
  free(findings);
  return is_good;
}

static bool is_as_said(const struct policy_change *change, const struct policy *policy,
                       const uint8_t hash[DIGEST_SIZE], struct reject *reject) {
  if (!span_equal(change->version, span_text(policy->version))) {
    return refuse(reject, "version: the text says another one");
  }
  return memcmp(change->hash, hash, DIGEST_SIZE) == 0
             ? true
             : refuse(reject, "hash: not that of what the text means");
}

static bool take_text(struct policy_change *change, struct span text, struct reject *reject) {
  struct stored_policy made = {0};
  digest_of(text, made.text_digest);
  pthread_mutex_lock(&store.mutex);
  const struct stored_policy *const known = find(made.text_digest, NULL);
  const struct stored_policy copy = known != NULL ? *known : made; /* items move when they grow */
  pthread_mutex_unlock(&store.mutex);
  if (copy.policy != NULL) {
    change->policy = copy.policy;
    return is_as_said(change, copy.policy, copy.hash, reject);
  }
  if (!compile(text, &made, reject)) {
    return false;
  }
  if (!is_as_said(change, made.policy, made.hash, reject)) {
    free(made.policy);
    return false;
  }
  change->policy = keep(&made);
  return true;
}

bool policy_store_take(struct policy_change *change, struct reject *reject) {
  change->policy = NULL;
  if (change->has_text) {
    return take_text(change, change->text, reject);
  }
  char version[SHORT_NAME_SIZE_MAX + 1];
  struct reject ignored;
  assert(change->version.size < sizeof version);
  memcpy(version, change->version.data, change->version.size);
  version[change->version.size] = '\0';
  const struct span shipped = policy_shipped_text(version);
  if (shipped.data != NULL && !take_text(change, shipped, &ignored)) {
    change->policy = NULL; /* one of that name came into force before, perhaps */
  }
  return true;
}
