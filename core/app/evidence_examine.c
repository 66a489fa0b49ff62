#include "core/app/evidence_examine.h"

#include "consumers/base64.h"
#include "core/app/finding.h"
#include "core/app/journal_tree.h"
#include "core/app/replay_lane.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

void evidence_checkpoint_names(uint32_t lane, char note[64], char proof[64]) {
  snprintf(note, 64, "lanes/%" PRIu32 "/checkpoint.note", lane);
  snprintf(proof, 64, "lanes/%" PRIu32 "/consistency.txt", lane);
}

/* Checkpoints. --------------------------------------------------------------------------- */

static void diverge(struct verify_result *result, json_t *finding) {
  if (result->verdict != VERDICT_VERIFIED) {
    json_decref(finding);
    return;
  }
  result->verdict = VERDICT_DIVERGED;
  result->finding = finding;
}

/* One hash a line, in base64. */
static bool read_proof(struct span text, struct merkle_proof *proof) {
  proof->count = 0;
  while (text.size > 0) {
    const uint8_t *end = memchr(text.data, '\n', text.size);
    uint8_t *bytes;
    size_t size;
    if (end == NULL || proof->count == MERKLE_PROOF_MAX ||
        !base64_bytes(span_of(text.data, (size_t)(end - text.data)), &bytes, &size)) {
      return false;
    }
    if (size == DIGEST_SIZE) {
      memcpy(proof->nodes[proof->count++].hash, bytes, DIGEST_SIZE);
    }
    free(bytes);
    if (size != DIGEST_SIZE) {
      return false;
    }
    text = span_of(end + 1, text.size - (size_t)(end + 1 - text.data));
  }
  return true;
}

static json_t *tree_json(const struct merkle_tree *tree) {
  char hex[HEX_DIGEST_SIZE];
  hex_format(tree->root.hash, DIGEST_SIZE, hex);
  return json_pack("{s:I, s:s}", "batches", (json_int_t)tree->size, "root", hex);
}

/* A checkpoint of more batches than the pack has: its proof must show that they begin with these.
 */
static void check_consistency(struct examination *examination, uint32_t number,
                              const struct pack_file *proof_file, const char *where) {
  struct evidence_lane *lane = &examination->lanes[number];
  const struct merkle_tree *after = &lane->checkpoint.is.tree;
  struct merkle_proof proof;
  if (proof_file != NULL && read_proof(proof_file->bytes, &proof) &&
      merkle_proves_consistency(digest_of, &proof, &lane->result.tree, after)) {
    lane->result.checkpoints++;
    lane->result.signed_batch = lane->result.tree.size;
    return;
  }
  json_t *finding = finding_begin("journal cut", number, lane->result.tree.size + 1);
  json_object_set_new(finding, "at", json_string(where));
  finding_explain(finding,
                  "the journal ends at batch %" PRIu64 ", a signed checkpoint has %" PRIu64
                  " batches, and nothing shows that these begin with what is here",
                  lane->result.tree.size, after->size);
  finding_compare(finding, tree_json(after), tree_json(&lane->result.tree));
  diverge(&lane->result, finding);
}

/* The lane's checkpoint under the key; false: there is none, or it is not good, which is a finding
 * for when the lane has been decided. */
static bool read_checkpoint(struct examination *examination, uint32_t number,
                            const struct note_key *key, const struct pack_file *file,
                            json_t **finding) {
  struct evidence_checkpoint *checkpoint = &examination->lanes[number].checkpoint;
  char origin[CHECKPOINT_ORIGIN_SIZE];
  char why[CHECKPOINT_WHY_SIZE] = "the pack has no key for it, and none was given";
  bool is_good = key != NULL && checkpoint_read(file->bytes, key, &checkpoint->is, why);
  checkpoint->is_there = true;
  if (is_good) {
    checkpoint_origin(note_key_name(key), examination->terms->topic_prefix, number, origin);
    is_good = checkpoint->is.is_signed && strcmp(origin, checkpoint->is.origin) == 0;
    snprintf(why, sizeof why, "%s",
             checkpoint->is.is_signed ? "it is of another log" : "it is not signed under the key");
    snprintf(checkpoint->key_name, sizeof checkpoint->key_name, "%s", note_key_name(key));
  }
  checkpoint->is_checked = is_good;
  if (!is_good) {
    *finding = finding_begin("checkpoint unsigned", number, 0);
    json_object_set_new(*finding, "at", json_string(file->name));
    finding_explain(*finding, "%s", why);
  }
  return is_good;
}

/* Lanes. --------------------------------------------------------------------------------- */

static void verify(struct examination *examination, uint32_t number,
                   const struct checkpoint_list *list) {
  struct verify_progress progress = {0};
  struct replay_files files = {.is_pseudonymised = examination->terms->is_pseudonymised};
  files.partitions = pack_lane(examination->pack, number, &files.count);
  const struct verify_options options = {
      .config = &examination->config,
      .schemas = examination->schemas,
      .lane = number,
      .lane_count = examination->terms->lane_count,
      .from_ms = TIME_NONE,
      .to_ms = TIME_NONE,
      .files = &files,
      .watch = story_watch(&examination->story),
      .checkpoints = list,
      .progress = &progress,
  };
  story_begin_lane(&examination->story, number, examination->terms->lane_count);
  verify_lane(&options, &examination->lanes[number].result);
  story_end_lane(&examination->story);
}

/* The files are all there is: what cannot be read of them is not as it was made. */
static void name_damage(struct verify_result *result, uint32_t number) {
  if (result->status != STATUS_OK) {
    json_t *finding = finding_begin("file damaged", number, result->batches + 1);
    finding_explain(finding, "%s", result->error.text);
    json_object_set_new(finding, "expected", json_null());
    json_object_set_new(finding, "found", json_null());
    diverge(result, finding);
    result->status = STATUS_OK;
  }
}

static void examine_lane(struct examination *examination, uint32_t number,
                         const struct note_key *key) {
  struct evidence_lane *lane = &examination->lanes[number];
  struct checkpoint_list list = {0};
  json_t *finding = NULL;
  char note[64];
  char proof[64];
  evidence_checkpoint_names(number, note, proof);
  const struct pack_file *file = pack_find(examination->pack, note);
  const struct pack_file *proof_file = pack_find(examination->pack, proof);
  const bool is_good = file != NULL && read_checkpoint(examination, number, key, file, &finding);
  if (is_good && proof_file == NULL) { /* of no more batches than are here */
    struct listed_checkpoint *listed = list.items = memory_zeroed(1, sizeof *list.items);
    *listed = (struct listed_checkpoint){.lane = number, .is = lane->checkpoint.is};
    snprintf(listed->where, sizeof listed->where, "%s", note);
    list.count = 1;
  }
  verify(examination, number, &list);
  name_damage(&lane->result, number);
  if (is_good && proof_file != NULL) {
    check_consistency(examination, number, proof_file, note);
  }
  if (finding != NULL) {
    diverge(&lane->result, finding);
  }
  checkpoint_list_fini(&list);
}

/* The names between the commas. */
static void split_devices(struct examination *examination) {
  size_t count = 0;
  char *rest = NULL;
  examination->wanted_text = text_copy(examination->terms->devices);
  examination->wanted = memory_zeroed(strlen(examination->wanted_text) + 1, sizeof(char *));
  for (char *word = strtok_r(examination->wanted_text, ",", &rest); word != NULL;
       word = strtok_r(NULL, ",", &rest)) {
    examination->wanted[count++] = word;
  }
  examination->story.wanted = examination->wanted;
  examination->story.wanted_count = count;
}

void examine(const struct config *config, const struct schemas *schemas,
             const struct evidence_terms *terms, const struct pack *pack,
             const struct note_key *key, struct examination *examination) {
  *examination = (struct examination){
      .terms = terms,
      .pack = pack,
      .config = *config,
      .schemas = schemas,
      .lanes = memory_zeroed(terms->lane_count + 1, sizeof *examination->lanes),
      .story = {.from_ms = terms->from_ms,
                .to_ms = terms->to_ms,
                .first_at_ms = TIME_NONE,
                .last_at_ms = TIME_NONE},
  };
  examination->config.kafka.topic_prefix = (char *)(uintptr_t)terms->topic_prefix;
  split_devices(examination);
  const struct pack_file *const own = pack_find(pack, EVIDENCE_KEY_FILE);
  struct note_key *const own_key = own == NULL ? NULL : note_key_read_public(own->bytes);
  for (uint32_t number = 0; number < terms->lane_count; number++) {
    examine_lane(examination, number, key != NULL ? key : own_key);
  }
  story_sort(&examination->story);
  note_key_close(own_key);
}

void examination_fini(struct examination *examination) {
  for (uint32_t i = 0; examination->lanes != NULL && i < examination->terms->lane_count; i++) {
    json_decref(examination->lanes[i].result.finding);
    json_decref(examination->lanes[i].result.gaps);
  }
  story_fini(&examination->story);
  free(examination->lanes);
  free(examination->wanted);
  free(examination->wanted_text);
}

bool examination_is_clean(const struct examination *examination) {
  for (uint32_t i = 0; i < examination->terms->lane_count; i++) {
    if (examination->lanes[i].result.verdict != VERDICT_VERIFIED) {
      return false;
    }
  }
  return true;
}

static json_t *checkpoint_json(const struct evidence_checkpoint *checkpoint) {
  if (!checkpoint->is_there) {
    return json_null();
  }
  json_t *const json = tree_json(&checkpoint->is.tree);
  json_object_set_new(json, "key", json_string(checkpoint->key_name));
  return json;
}

struct json_t *examination_lane_json(const struct examination *examination, uint32_t number) {
  const struct evidence_lane *lane = &examination->lanes[number];
  const struct verify_result *result = &lane->result;
  char chain[HEX_DIGEST_SIZE];
  uint64_t results = 0;
  for (size_t kind = 0; kind < RESULT_KIND_COUNT; kind++) {
    results += result->results[kind];
  }
  hex_format(result->chain, DIGEST_SIZE, chain);
  json_t *const json = json_pack(
      "{s:I, s:s, s:o, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "lane",
      (json_int_t)number, "verdict", verify_verdict_name(result->verdict), "tree",
      tree_json(&result->tree), "batches", (json_int_t)result->batches, "messages",
      (json_int_t)result->messages, "timers", (json_int_t)result->timers, "results",
      (json_int_t)results, "chain", chain, "expired", (json_int_t)result->expired, "erased",
      (json_int_t)result->erased, "withheld", (json_int_t)result->withheld, "partial",
      (json_int_t)result->partial, "unknown_subjects", (json_int_t)result->unknown_subjects,
      "checkpoint", checkpoint_json(&lane->checkpoint));
  if (result->finding != NULL) {
    json_object_set(json, "finding", result->finding);
  }
  if (result->gaps != NULL) {
    json_object_set(json, "gaps", result->gaps);
  }
  if (result->verdict == VERDICT_UNVERIFIABLE) {
    json_object_set_new(json, "reason", json_string(result->reason));
  }
  return json;
}
