#include "tests/sim/database.h"

#include "producers/encode.h"
#include "producers/store_environment.h"
#include "producers/store_internal.h"
#include "tests/sim/member.h"
#include "tests/sim/tables.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SESSION_FD = 10000, LOCK_TIMEOUT_MS = 60000 };

/* Of the commit that a session executes. */
enum progress {
  PROGRESS_NONE,
  PROGRESS_SENT,     /* the text is on its way */
  PROGRESS_PERSONS,  /* arrived: the persons' transaction comes first */
  PROGRESS_FENCE,    /* wants the lane's row */
  PROGRESS_LOCKED,   /* has it; the rows are coming in */
  PROGRESS_ANSWERED, /* has ended, one way or the other: the answer is on its way */
};

/* The server's side of a connection, and the client's: what libpq would hold. */
struct pg_conn {
  struct pg_conn *next;
  int fd;
  struct member *member;
  bool has_client; /* somebody would take an answer */
  bool is_broken;  /* as the client sees it */
  bool is_ended;   /* the server's side is gone */
  bool is_killed;  /* and will be gone at its next step */
  uint32_t lane;   /* whose lock it takes */
  enum progress progress;
  struct change *persons, *batch;
  enum status answer;
  bool answer_is_there;
};

static struct {
  struct pg_conn *sessions;
  int next_fd;
  int64_t down_until_ms;
  struct pg_conn *owners[LANES_MAX]; /* recorded by the last take, while it lives */
  struct pg_conn *locks[LANES_MAX];
} database;

void database_begin(void) {
  memset(&database, 0, sizeof database);
  database.next_fd = SESSION_FD;
  tables_begin();
}

static bool is_down(void) {
  return sim.now_ms < database.down_until_ms;
}

static void free_changes(struct pg_conn *session) {
  if (session->persons != NULL) {
    change_free(session->persons);
  }
  if (session->batch != NULL) {
    change_free(session->batch);
  }
  session->persons = session->batch = NULL;
}

static void remove_session(struct pg_conn *session) {
  struct pg_conn **at = &database.sessions;
  while (*at != session) {
    at = &(*at)->next;
  }
  *at = session->next;
  free_changes(session);
  free(session);
}

/* Rolls back, gives locks up; the client finds out. */
static void end_session(struct pg_conn *session) {
  free_changes(session);
  session->is_ended = true;
  session->is_broken = true;
  session->progress = PROGRESS_NONE;
  for (size_t lane = 0; lane < LANES_MAX; lane++) {
    database.locks[lane] = database.locks[lane] == session ? NULL : database.locks[lane];
    database.owners[lane] = database.owners[lane] == session ? NULL : database.owners[lane];
  }
  if (!session->has_client) {
    remove_session(session);
  }
}

static void end_all_sessions(void) {
  for (struct pg_conn *session = database.sessions, *next; session != NULL; session = next) {
    next = session->next;
    if (!session->is_ended) {
      end_session(session);
    }
  }
}

void database_end(void) {
  end_all_sessions();
  assert(database.sessions == NULL);
  tables_end();
}

/* The server. ---------------------------------------------------------------------------- */

static void answer(struct pg_conn *session, enum status status) {
  free_changes(session);
  session->answer = status;
  session->progress = PROGRESS_ANSWERED;
  if (database.locks[session->lane] == session) {
    database.locks[session->lane] = NULL;
  }
  if (!session->has_client) {
    end_session(session);
  }
}

static bool owns(const struct ownership_of_lane *ownership) {
  const struct lane_tables *lane = tables_lane(ownership->lane);
  return lane->exists && lane->epoch == ownership->epoch &&
         memcmp(lane->owner, ownership->owner, OWNER_SIZE) == 0;
}

/* The client's connection breaks. What has arrived may be executed to its end all the same. */
static void cut(struct pg_conn *session) {
  session->is_broken = true;
  if (session->progress != PROGRESS_SENT && fault(FAULT_STORE_LATE)) {
    return;
  }
  end_session(session);
}

static void execute(void *context, int64_t argument) {
  (void)argument;
  struct pg_conn *session = context;
  if (session->is_killed) {
    end_session(session);
    return;
  }
  if (!session->is_broken && fault(FAULT_STORE_CUT)) {
    cut(session);
    return;
  }
  switch (session->progress) {
  case PROGRESS_SENT:
    session->progress = PROGRESS_PERSONS;
    break;
  case PROGRESS_PERSONS:
    if (session->persons != NULL) {
      tables_apply(session->persons);
      session->persons = NULL;
    }
    session->progress = PROGRESS_FENCE;
    break;
  case PROGRESS_FENCE:
    if (!owns(&session->batch->ownership)) {
      answer(session, STATUS_FENCED);
      break;
    }
    database.locks[session->lane] = session;
    session->progress = PROGRESS_LOCKED;
    break;
  case PROGRESS_LOCKED:
    trace("lane %u: committed batch %" PRIu64, session->lane, session->batch->batch.row.batch);
    tables_apply(session->batch);
    session->batch = NULL;
    answer(session, STATUS_OK);
    break;
  case PROGRESS_NONE:
  case PROGRESS_ANSWERED:
    break;
  }
}

static void deliver_answer(void *context, int64_t argument) {
  (void)argument;
  struct pg_conn *session = context;
  session->progress = PROGRESS_NONE;
  if (session->answer == STATUS_OK && fault(FAULT_STORE_LOST_ANSWER)) {
    end_session(session);
    return;
  }
  session->answer_is_there = true;
}

static bool can_execute(const struct pg_conn *session) {
  switch (session->progress) {
  case PROGRESS_SENT:
  case PROGRESS_LOCKED: /* rows are still being sent, by a client that must not be frozen */
    return session->is_killed || !session->has_client || !member_is_stuck(session->member);
  case PROGRESS_PERSONS:
    return true;
  case PROGRESS_FENCE:
    return session->is_killed || database.locks[session->lane] == NULL;
  case PROGRESS_NONE:
  case PROGRESS_ANSWERED:
    return false;
  }
  return false;
}

void database_offer(void) {
  sim_wake_at(database.down_until_ms);
  if (is_down()) {
    return;
  }
  for (struct pg_conn *session = database.sessions; session != NULL; session = session->next) {
    if (can_execute(session)) {
      static const char *const names[] = {"",      "commit arrives",  "persons committed",
                                          "fence", "commit executed", ""};
      sim_offer(names[session->progress], NULL, 10, execute, session, session->lane);
    } else if (session->progress == PROGRESS_ANSWERED) {
      sim_offer("commit answered", NULL, 10, deliver_answer, session, session->lane);
    } else if (session->is_killed && !session->is_ended && session->progress == PROGRESS_NONE) {
      sim_offer("backend ends", NULL, 10, execute, session, session->lane);
    }
  }
}

static void go_down(void *context, int64_t argument) {
  (void)context, (void)argument;
  fault_note(FAULT_STORE_DOWN);
  database.down_until_ms = sim.now_ms + 1 + draw(draw(3) == 0 ? 60000 : 3000);
  end_all_sessions();
}

/* Another server takes over, which may lack the last commits. */
static void fail_over(void *context, int64_t argument) {
  (void)context, (void)argument;
  fault_note(FAULT_STORE_FAILOVER);
  end_all_sessions();
  const size_t count = tables_change_count();
  const size_t lost = draw(2) == 0 ? draw(12) : draw(3);
  if (lost > 0 && count > 0) {
    const size_t kept = lost < count ? count - lost : 0;
    sim.faults[FAULT_STORE_LOST_TAIL] += count - kept;
    trace("the last %zu commits are lost", count - kept);
    tables_lose(kept);
  }
  database.down_until_ms = sim.now_ms + 1 + draw(1000);
}

void database_offer_faults(void) {
  if (!is_down() && sim.plan.rates[FAULT_STORE_DOWN] > 0) {
    sim_offer("database goes down", NULL, sim.plan.rates[FAULT_STORE_DOWN], go_down, NULL, 0);
  }
  if (sim.plan.rates[FAULT_STORE_FAILOVER] > 0) {
    sim_offer("database fails over", NULL, sim.plan.rates[FAULT_STORE_FAILOVER], fail_over, NULL,
              0);
  }
}

void database_drain(void) {
  database.down_until_ms = 0;
}

void database_cut_off(const struct member *member) {
  for (struct pg_conn *session = database.sessions, *next; session != NULL; session = next) {
    next = session->next;
    if (session->member == member && session->has_client && !session->is_ended) {
      cut(session);
    }
  }
}

bool session_is_readable(int fd) {
  const struct pg_conn *session = database.sessions;
  while (session->fd != fd) {
    session = session->next;
  }
  return session->answer_is_there || session->is_broken;
}

/* The store, as producers/store.h has it. ------------------------------------------------ */

static enum status lost(struct error *error) {
  return error_set(error, STATUS_UNAVAILABLE, "the database is out of reach");
}

/* One statement's way: false when its answer does not come. */
static bool ask(const struct store *store, const char *what) {
  fiber_wait(what, sim.now_ms, NULL, NULL);
  if (!member_is_cut_off(sim.current) && fault(FAULT_STORE_SLOW)) {
    fiber_stall("waits for a slow answer", 50 + draw(draw(3) == 0 ? 1500 : 400));
  }
  return !store->connection->is_broken && !member_is_cut_off(store->connection->member) &&
         !is_down();
}

enum status store_open(const char *dsn, struct store **store, struct error *error) {
  (void)dsn;
  *store = NULL;
  fiber_wait("connects to the database", sim.now_ms, NULL, NULL);
  if (is_down() || member_is_cut_off(sim.current)) {
    return lost(error);
  }
  struct pg_conn *session = grab(sizeof *session);
  session->fd = database.next_fd++;
  session->member = sim.current;
  session->has_client = true;
  session->next = database.sessions;
  database.sessions = session;
  *store = grab(sizeof **store);
  (*store)->connection = session;
  return STATUS_OK;
}

void store_close(struct store *store) {
  if (store == NULL) {
    return;
  }
  struct pg_conn *session = store->connection;
  free(store);
  session->has_client = false;
  if (session->is_ended) {
    remove_session(session);
  } else if (session->progress == PROGRESS_NONE || session->progress == PROGRESS_ANSWERED) {
    end_session(session);
  }
}

int store_fd(const struct store *store) {
  return store->connection->fd;
}

bool store_wants_write(const struct store *store) {
  (void)store;
  return false;
}

static bool is_unlocked(void *context) {
  const struct pg_conn *session = context;
  const struct pg_conn *lock = database.locks[session->lane];
  return session->is_broken || session->is_killed || lock == NULL || lock == session;
}

static void load_head(const struct lane_tables *lane, struct lane_head *head) {
  head->has_row = lane->batch_count > 0;
  if (head->has_row) {
    head->row = lane->batches[lane->batch_count - 1].row;
    head->row.not_believed = NULL;
    head->row.not_believed_count = 0;
  }
}

/* Counts what a new owner finds unfinished. */
static void note_taken(const struct lane_tables *lane, const struct journal_row *checkpoint) {
  bool has_wipe = false;
  bool is_muted = false;
  for (size_t i = 0; i < lane->device_count; i++) {
    bool is_null;
    const struct span wipe =
        row_field(buffer_span(&lane->devices[i]), store_device_columns, "wipe", &is_null);
    has_wipe = has_wipe || (!is_null && wipe.data[0] != WIPE_OVER);
  }
  for (size_t i = 0; i < lane->batch_count; i++) {
    const struct store_control *control = (const void *)lane->controls[i].data;
    is_muted = is_muted || (lane->controls[i].size > 0 && control->event.kind == EVENT_TENANT);
  }
  if (checkpoint->sweep.is_set) {
    fault_note(FAULT_SWEEP_TAKEN);
  }
  if (has_wipe) {
    fault_note(FAULT_WIPE_TAKEN);
  }
  if (is_muted) {
    fault_note(FAULT_MUTED_TAKEN);
  }
}

static enum status take(struct store *store, struct ownership_of_lane *ownership,
                        int64_t epoch_above, struct lane_head *head, struct error *error) {
  struct pg_conn *session = store->connection;
  fiber_wait("waits for the lane's row", sim.now_ms + LOCK_TIMEOUT_MS, is_unlocked, session);
  if (session->is_broken || session->is_killed || is_down() || member_is_cut_off(session->member) ||
      !is_unlocked(session)) {
    return lost(error);
  }
  const struct lane_tables *lane = tables_lane(ownership->lane);
  ownership->epoch = (lane->epoch > epoch_above ? lane->epoch : epoch_above) + 1;
  struct change *change = grab(sizeof *change);
  change->kind = CHANGE_TAKE;
  change->ownership = *ownership;
  tables_apply(change);
  database.owners[ownership->lane] = session;
  head->published_batch = lane->published_batch;
  const uint64_t checkpoint = lane->checkpoint_batch;
  trace("lane %u: taken with epoch %" PRId64, ownership->lane, ownership->epoch);
  if (!ask(store, "reads where the lane stands")) {
    return lost(error);
  }
  load_head(lane, head);
  if (checkpoint > 0) {
    CHECK_THAT(checkpoint <= lane->batch_count, "lane %u: a checkpoint without its batch",
               ownership->lane);
    head->checkpoint = lane->batches[checkpoint - 1].row;
    note_taken(lane, &head->checkpoint);
    head->checkpoint.not_believed = NULL;
    head->checkpoint.not_believed_count = 0;
  }
  return STATUS_OK;
}

enum status store_take_lane(struct store *store, struct ownership_of_lane *lane,
                            uint32_t lane_count, const char *topic_prefix, int64_t epoch_above,
                            struct lane_head *head, struct error *error) {
  (void)lane_count, (void)topic_prefix;
  *head = (struct lane_head){0};
  store->connection->lane = lane->lane;
  if (!ask(store, "ends the former owner's backend")) {
    return lost(error);
  }
  struct pg_conn *owner = database.owners[lane->lane];
  if (owner != NULL && owner != store->connection && !sim.plan.cannot_end_backends) {
    owner->is_killed = true;
  }
  return take(store, lane, epoch_above, head, error);
}

static struct row_reader reader_of(const struct buffer *row) {
  struct row_reader reader = {.rest = span_of(row->data + 2, row->size - 2)};
  (void)buffer_reserve(&reader.texts, 2 * row->size); /* texts must not move */
  return reader;
}

static void date_device(const struct lane_tables *tables, size_t index,
                        struct device_image *device) {
  const size_t number = index / DEVICE_BLOCK_SIZE;
  const uint32_t place = (uint32_t)(index % DEVICE_BLOCK_SIZE);
  struct device_block block;
  tables_read_block(tables, number, &block);
  CHECK_THAT(place < block.count, "a device is not in its block");
  block_date(&block, place, device);
}

static void hand_device(const struct lane_tables *tables, size_t index, bool has_address,
                        store_device_fn each, void *context) {
  struct row_reader reader = reader_of(&tables->devices[index]);
  struct device_image device;
  row_device(&reader, &device);
  CHECK_THAT(!reader.is_bad, "a device's row cannot be read");
  date_device(tables, index, &device);
  each(context, &device, has_address ? database_address(device.subject) : (struct span){0});
  buffer_fini(&reader.texts);
}

enum status store_load_devices(struct store *store, uint32_t lane, store_device_fn each,
                               void *context, struct error *error) {
  if (!ask(store, "reads the devices") || store->connection->is_killed) {
    return lost(error);
  }
  const struct lane_tables *tables = tables_lane(lane);
  for (size_t i = 0; i < tables->device_count; i++) {
    hand_device(tables, i, false, each, context);
  }
  return STATUS_OK;
}

enum status store_load_persons(struct store *store, uint32_t lane, store_person_fn each,
                               void *context, struct error *error) {
  if (!ask(store, "reads the persons") || store->connection->is_killed) {
    return lost(error);
  }
  const struct lane_tables *tables = tables_lane(lane);
  for (size_t i = 0; i < tables->device_count; i++) {
    bool is_null;
    const struct span subject =
        row_field(buffer_span(&tables->devices[i]), store_device_columns, "subject", &is_null);
    each(context, subject.data, database_address(subject.data));
  }
  return STATUS_OK;
}

enum status store_load_environment(struct store *store, uint32_t lane, uint64_t batch,
                                   struct buffer *content, struct error *error) {
  if (!ask(store, "reads the environment") || store->connection->is_killed) {
    return lost(error);
  }
  const struct lane_tables *tables = tables_lane(lane);
  for (size_t i = tables->batch_count; i-- > 0;) {
    const struct stored_batch *stored = &tables->batches[i];
    if (stored->row.batch <= batch && stored->environment.size > 0) {
      buffer_append(content, stored->environment.data, stored->environment.size);
      break;
    }
  }
  return STATUS_OK;
}

/* The texts lie behind it, in this order. */
static struct span *const *texts_of(struct store_control *control) {
  static struct span none;
  static struct span *texts[4];
  struct event *event = &control->event;
  texts[0] = &control->cause.traceparent;
  texts[1] = &event->serial;
  none = (struct span){0};
  texts[2] = event->kind == EVENT_POLICY             ? &event->policy.version
             : event->kind == EVENT_GROUP            ? &event->group.group
             : event->kind == EVENT_PROFILE_REVISION ? &event->profile_revision.revision
                                                     : &none;
  texts[3] = event->kind == EVENT_POLICY ? &event->policy.text : &none;
  return texts;
}

void store_append_control(struct buffer *rows, uint32_t lane, const struct store_control *control,
                          struct rule_names rules) {
  (void)lane, (void)rules;
  struct store_control kept = *control;
  struct span *const *texts = texts_of(&kept);
  CHECK_THAT(kept.event.kind >= EVENT_POLICY, "a message that is not of the control topic is kept");
  if (kept.event.kind == EVENT_POLICY) {
    kept.event.policy.policy = NULL; /* which is memory of a process */
  }
  kept.event.actor = (struct named_person){0};
  buffer_append(rows, &kept, sizeof kept);
  for (size_t i = 0; i < 4; i++) {
    buffer_append(rows, texts[i]->data, texts[i]->size);
  }
}

/* Who is named is kept by subject alone. */
static void hand_control(const struct store_control *kept, store_control_fn each, void *context) {
  struct store_control control = *kept;
  if (control.event.user.email.size > 0) {
    control.event.user.email = span_of(control.event.user.subject, SUBJECT_SIZE);
  }
  each(context, &control);
}

void database_controls(uint32_t lane, uint64_t after, uint64_t batch, store_control_fn each,
                       void *context) {
  const struct lane_tables *tables = tables_lane(lane);
  for (size_t i = 0; i < tables->batch_count && tables->batches[i].row.batch <= batch; i++) {
    const struct buffer *rows = &tables->controls[i];
    for (size_t at = 0; tables->batches[i].row.batch > after && at < rows->size;) {
      struct store_control control;
      memcpy(&control, rows->data + at, sizeof control);
      at += sizeof control;
      struct span *const *texts = texts_of(&control);
      for (size_t text = 0; text < 4; at += texts[text++]->size) {
        *texts[text] = span_of(rows->data + at, texts[text]->size);
      }
      CHECK_THAT(control.batch == tables->batches[i].row.batch,
                 "lane %u: a control message of batch %" PRIu64 " is kept with batch %" PRIu64,
                 lane, control.batch, tables->batches[i].row.batch);
      hand_control(&control, each, context);
    }
  }
}

enum status store_load_control(struct store *store, uint32_t lane, uint64_t batch,
                               store_control_fn each, void *context, struct error *error) {
  if (!ask(store, "reads what control messages said") || store->connection->is_killed) {
    return lost(error);
  }
  database_controls(lane, 0, batch, each, context);
  return STATUS_OK;
}

enum status store_check_owner(struct store *store, const struct ownership_of_lane *lane,
                              struct error *error) {
  if (!ask(store, "sees who owns the lane") || store->connection->is_killed) {
    return lost(error);
  }
  return owns(lane) ? STATUS_OK : error_set(error, STATUS_FENCED, "the lane has another owner");
}

/* The letter's bytes, in the order of its columns. */
static void read_letter(const struct letter *letter, struct original *original) {
  struct row_reader reader = reader_of(&letter->row);
  (void)row_integer(&reader, 0); /* lane, batch, seq */
  (void)row_integer(&reader, 0);
  (void)row_integer(&reader, 0);
  original->key_is_null = !row_bytes(&reader, &original->key);
  original->value_is_null = !row_bytes(&reader, &original->value);
  original->headers = row_span(&reader);
  original->timestamp_ms = row_integer(&reader, 0);
  const struct span digest = row_span(&reader);
  if (digest.size == sizeof original->value_sha256) {
    memcpy(original->value_sha256, digest.data, digest.size);
  }
  original->size_bytes = (uint64_t)row_integer(&reader, 0);
  buffer_fini(&reader.texts);
}

static bool hand_result(const struct lane_tables *tables, uint64_t seq,
                        const struct store_replay *replay) {
  struct row_reader reader = reader_of(&tables->results[seq - 1]);
  struct result result;
  row_result(&reader, &result);
  CHECK_THAT(!reader.is_bad, "a result's row cannot be read");
  if (result.kind == RESULT_DEAD_LETTER) {
    size_t i = 0;
    while (i < tables->letter_count && tables->letters[i].seq != seq) {
      i++;
    }
    if (i == tables->letter_count) {
      buffer_fini(&reader.texts);
      return false;
    }
    result.dead_letter.original = (struct original){0};
    read_letter(&tables->letters[i], &result.dead_letter.original);
  }
  replay->result(replay->context, &result,
                 result.has_subject ? database_address(result.subject) : (struct span){0});
  buffer_fini(&reader.texts);
  return true;
}

/* False when the bytes of a dead letter are gone. */
static bool hand_batch(const struct lane_tables *tables, const struct stored_batch *stored,
                       const struct store_replay *replay) {
  struct journal_witness witness = {.epoch = stored->epoch,
                                    .committed_at_ms = stored->committed_at_ms};
  memcpy(witness.owner, stored->owner, sizeof witness.owner);
  replay->row(replay->context, &stored->row, &witness);
  if (stored->environment.size > 0) {
    replay->environment(replay->context, &stored->row, &witness, buffer_span(&stored->environment));
  }
  for (uint64_t seq = stored->row.first_seq; replay->result != NULL && seq <= stored->row.last_seq;
       seq++) {
    if (!hand_result(tables, seq, replay)) {
      return false;
    }
  }
  return true;
}

enum status store_load_batches(struct store *store, uint32_t lane, uint64_t batch,
                               uint64_t batch_last, const struct store_replay *replay,
                               struct error *error) {
  if (!ask(store, "reads the journal") || store->connection->is_killed) {
    return lost(error);
  }
  const struct lane_tables *tables = tables_lane(lane);
  bool has_any = false;
  for (size_t i = batch; i < tables->batch_count && i < batch_last; i++) {
    has_any = true;
    if (!hand_batch(tables, &tables->batches[i], replay)) {
      CHECK_THAT(database.owners[lane] != store->connection,
                 "lane %u: the bytes of a dead letter of batch %zu are gone before it is published",
                 lane, i + 1);
      return error_set(error, STATUS_REFUSED, "the bytes of a dead letter are gone");
    }
  }
  if (!has_any || replay->device == NULL) {
    return STATUS_OK;
  }
  if (!ask(store, "reads the changed devices") || store->connection->is_killed) {
    return lost(error);
  }
  for (size_t i = 0; i < tables->device_count; i++) {
    const struct span row = buffer_span(&tables->devices[i]);
    if (row_number(row, store_device_columns, "changed_batch") > batch) {
      hand_device(tables, i, true, replay->device, replay->context);
    }
  }
  return STATUS_OK;
}

enum status store_commit_begin(struct store *store, const struct store_batch *batch,
                               struct error *error) {
  struct pg_conn *session = store->connection;
  if (session->is_broken || member_is_cut_off(session->member)) {
    return lost(error);
  }
  CHECK_THAT(session->progress == PROGRESS_NONE && !session->answer_is_there,
             "lane %u: a commit begins within another", batch->lane->lane);
  session->persons = batch->persons.size > 0 ? change_of(batch, CHANGE_PERSONS) : NULL;
  session->batch = change_of(batch, CHANGE_BATCH);
  session->progress = PROGRESS_SENT;
  return STATUS_OK;
}

enum status store_advance(struct store *store, bool *done, struct error *error) {
  struct pg_conn *session = store->connection;
  *done = false;
  if (session->is_broken || member_is_cut_off(session->member)) {
    return lost(error);
  }
  if (session->answer_is_there) {
    session->answer_is_there = false;
    *done = session->answer == STATUS_OK;
    return session->answer == STATUS_OK
               ? STATUS_OK
               : error_set(error, session->answer, "the lane has another owner");
  }
  return STATUS_OK;
}

/* Nobody accepts anything here. */
enum status store_note_gaps(struct store *store, const struct ownership_of_lane *lane,
                            const struct lane_gap *gaps, size_t count, struct error *error) {
  (void)store, (void)lane, (void)gaps, (void)count, (void)error;
  return STATUS_OK;
}

enum status store_find_gap_request(struct store *store, uint32_t lane, struct gap_request *request,
                                   struct error *error) {
  (void)store, (void)lane, (void)error;
  *request = (struct gap_request){0};
  return STATUS_OK;
}

enum status store_failure(struct pg_conn *connection, struct pg_result *result, const char *what,
                          struct error *error) {
  (void)connection, (void)result, (void)what, (void)error;
  violation("there is no PostgreSQL here");
}

void store_script(struct buffer *script, const char *format, ...) {
  (void)script, (void)format;
  violation("nobody runs SQL here");
}
