/* producers/store against a real server: migrations, owners, commits. */
#include "producers/store_gap.h"
#include "tests/edge/store_fixture.h"

#include <time.h>

START_TEST(migrate_twice_does_it_once) {
  char lines[LINES_SIZE] = "";
  must(store_migrate(dsn, true, collect, lines, &error));
  ck_assert_ptr_nonnull(strstr(lines, "applied 0001_init\n"));
  ck_assert_ptr_nonnull(strstr(lines, "privacy.subject_key_file"));
  uint8_t key[SUBJECT_KEY_SIZE];
  uint8_t again[SUBJECT_KEY_SIZE];
  must(store_subject_key(dsn, key, &error));
  lines[0] = '\0';
  must(store_migrate(dsn, true, collect, lines, &error));
  ck_assert_ptr_nonnull(strstr(lines, "up to date: 0001_init\n"));
  ck_assert_ptr_nonnull(strstr(lines, "kept existing roles: muster_owner, muster_writer, "
                                      "muster_reader, muster_auditor, muster_admin\n"));
  ck_assert_ptr_null(strstr(lines, "applied"));
  must(store_subject_key(dsn, again, &error));
  ck_assert_mem_eq(key, again, sizeof key);
  answers("SELECT count(*) FROM muster.migrations", "1");
}
END_TEST

START_TEST(migrate_makes_no_subject_key_that_nobody_needs) {
  char lines[LINES_SIZE] = "";
  must(store_migrate(dsn, false, collect, lines, &error));
  ck_assert_ptr_null(strstr(lines, "subject key"));
  ck_assert_ptr_null(strstr(lines, "for trying out"));
  answers("SELECT count(*) FROM muster.secret", "0");
  uint8_t key[SUBJECT_KEY_SIZE];
  ck_assert_int_eq(store_subject_key(dsn, key, &error), STATUS_CONFIG);
}
END_TEST

START_TEST(open_without_migration_names_the_command) {
  struct store *store;
  ck_assert_int_eq(store_open(dsn, &store, &error), STATUS_CONFIG);
  ck_assert_ptr_nonnull(strstr(error.text, "muster migrate"));
}
END_TEST

START_TEST(open_tells_what_is_out_of_reach) {
  struct store *store;
  char wrong[DSN_SIZE + 32];
  snprintf(wrong, sizeof wrong, "%s dbname=no_such_database", getenv("MUSTER_TEST_PG"));
  ck_assert_int_eq(store_open(wrong, &store, &error), STATUS_CONFIG); /* it answers: no waiting */
  ck_assert_ptr_nonnull(strstr(error.text, "no_such_database"));
  ck_assert_int_eq(store_open("host=127.0.0.1 port=1", &store, &error), STATUS_UNAVAILABLE);
  ck_assert_int_eq(store_open("hots=127.0.0.1", &store, &error), STATUS_CONFIG);
  ck_assert_ptr_nonnull(strstr(error.text, "postgres.dsn"));
  ck_assert_ptr_null(strstr(error.text, "hots")); /* it may hold a password */
}
END_TEST

START_TEST(take_begins_at_nothing_and_raises_the_epoch) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *store = take(&lane, &head);
  ck_assert_int_eq(lane.epoch, 1);
  ck_assert(!head.has_row);
  ck_assert_uint_eq(head.published_batch, 0);
  int count = 0;
  must(store_load_devices(store, LANE, count_device, &count, &error));
  ck_assert_int_eq(count, 0);
  answers("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'muster lane 1'", "1");
  store_close(store);

  must(store_open(dsn, &store, &error));
  must(store_take_lane(store, &lane, LANE_COUNT, PREFIX, 40, &head, &error));
  ck_assert_int_eq(lane.epoch, 41);
  store_close(store);
}
END_TEST

START_TEST(an_owner_is_told_when_it_is_none_any_more) {
  struct ownership_of_lane lane = owner_of(1);
  struct ownership_of_lane other = owner_of(2);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  must(store_check_owner(store, &lane, &error));
  other.lane = lane.lane;
  struct store *const second = take(&other, &head);
  must(store_check_owner(second, &other, &error));
  ck_assert_int_eq(store_check_owner(second, &lane, &error), STATUS_FENCED);
  /* Its backend is gone, which the connection may or may not have been told. */
  const enum status lost = store_check_owner(store, &lane, &error);
  ck_assert_msg(lost == STATUS_FENCED || lost == STATUS_UNAVAILABLE, "%s", error.text);
  store_close(store);
  store_close(second);
}
END_TEST

START_TEST(take_refuses_other_topics) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const first = take(&lane, &head);
  struct store *second;
  must(store_open(dsn, &second, &error));
  struct ownership_of_lane other = owner_of(50);
  other.lane = 5;
  ck_assert_int_eq(store_take_lane(second, &other, 6, PREFIX, 0, &head, &error), STATUS_CONFIG);
  ck_assert_ptr_nonnull(strstr(error.text, "6 partitions"));
  ck_assert_ptr_nonnull(strstr(error.text, "4 lanes"));
  store_close(second);
  must(store_open(dsn, &second, &error));
  other.lane = LANE;
  ck_assert_int_eq(store_take_lane(second, &other, LANE_COUNT, "it's.", 0, &head, &error),
                   STATUS_CONFIG);
  ck_assert_ptr_nonnull(strstr(error.text, "it's."));
  store_close(second);

  struct sample sample; /* and the owner has lost nothing by it */
  sample_init(&sample, &lane, 1, 1, 1);
  must(commit(first, &sample));
  sample_fini(&sample);
  store_close(first);
}
END_TEST

START_TEST(commit_lets_go_of_published_letters) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct sample sample;
  for (uint64_t batch = 1; batch <= 2; batch++) {
    sample_init(&sample, &lane, batch, (batch - 1) * COUNT_OF(kinds) + 1, COUNT_OF(kinds));
    sample.batch.published_batch = batch - 1;
    must(commit(store, &sample));
    sample_fini(&sample);
  }
  answers("SELECT count(*) || ' ' || min(batch) FROM muster.letter", "2 2");
  answers("SELECT published_batch FROM muster.lane", "1");
  store_close(store);
}
END_TEST

START_TEST(device_row_keeps_its_last_change) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct sample sample;
  sample_init(&sample, &lane, 1, 1, 1);
  must(commit(store, &sample));
  buffer_clear(&sample.devices);
  struct device_image image = sample_device(6, "SN-6");
  image.is_changed = false;
  image.policy = NULL;
  image.seq = 77;
  image.state.last_sync_at_ms = AT_MS + 100;
  image.state.episode = 78;
  store_append_device(&sample.devices, &image);
  sample.row = sample_row(2, 2, 1);
  sample.batch = (struct store_batch){.lane = &lane};
  sample.batch.devices[KNOWN_DEVICES] = buffer_span(&sample.devices);
  must(commit(store, &sample));
  answers("SELECT concat_ws(' ', changed_batch, seq, policy, cause_offset, at = "
          "'2026-11-01 00:00:00.123Z', episode) FROM muster.device_row",
          "1 9 default 1007 t 78");
  sample_fini(&sample);
  store_close(store);
}
END_TEST

/* Devices 6, 9, 12, …, one piece of rows after the other. */
struct stream {
  size_t created_left, others_left;
  uint64_t next_number;
};

static bool next_rows(void *context, enum device_part part, struct buffer *rows) {
  struct stream *const stream = context;
  size_t *const left = part == NEW_DEVICES ? &stream->created_left : &stream->others_left;
  buffer_clear(rows);
  for (size_t i = 0; i < 2 && *left > 0; i++, --*left) {
    char serial[32];
    snprintf(serial, sizeof serial, "SN-%u", (unsigned)stream->next_number);
    const struct device_image image = sample_device(stream->next_number, serial);
    store_append_device(rows, &image);
    stream->next_number += 3;
  }
  return rows->size > 0;
}

START_TEST(device_rows_can_be_made_while_they_are_sent) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct stream stream = {.created_left = 5, .next_number = 6};
  struct sample sample;
  sample_init(&sample, &lane, 1, 1, 1);
  sample.batch.streamed =
      (struct store_devices){.has = {[NEW_DEVICES] = true}, .context = &stream, .next = next_rows};
  must(commit(store, &sample));
  answers("SELECT count(*) || ' ' || max(number) FROM muster.device_row", "5 18");
  sample_fini(&sample);

  sample_init(&sample, &lane, 2, 2, 1);
  stream = (struct stream){.created_left = 3, .others_left = 5, .next_number = 21};
  sample.batch.streamed.has[NEW_DEVICES] = sample.batch.streamed.has[KNOWN_DEVICES] = true;
  sample.batch.streamed.context = &stream;
  sample.batch.streamed.next = next_rows;
  ck_assert_int_eq(commit(store, &sample), STATUS_REFUSED); /* the five others have no rows */
  ck_assert_uint_eq(stream.others_left, 0);
  answers("SELECT count(*) FROM muster.device_row", "5");
  sample_fini(&sample);
  store_close(store);
}
END_TEST

START_TEST(commit_of_a_device_without_a_row_is_refused) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct sample sample;
  sample_init(&sample, &lane, 2, 1, 1); /* its device was never written as a new one */
  ck_assert_int_eq(commit(store, &sample), STATUS_REFUSED);
  ck_assert_msg(strstr(error.text, "0 of 1 device rows") != NULL, "%s", error.text);
  answers("SELECT count(*) FROM muster.journal_row", "0");
  sample_fini(&sample);
  store_close(store);
}
END_TEST

START_TEST(a_block_is_written_whole) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *store = take(&lane, &head);
  struct sample sample;
  sample_init(&sample, &lane, 1, 1, 1);
  must(commit(store, &sample));
  struct device_block block = {.lane = LANE, .count = 3};
  for (enum device_date date = 0; date < DEVICE_DATE_COUNT; date++) {
    block.at_ms[date][0] = block.at_ms[date][1] = block.at_ms[date][2] = TIME_NONE;
  }
  block.at_ms[DATE_LAST_SYNC][1] = AT_MS + 100; /* device 6 is the lane's second */
  buffer_clear(&sample.blocks);
  store_append_block(&sample.blocks, &block);
  sample.row = sample_row(2, 2, 1);
  sample.batch = (struct store_batch){.lane = &lane};
  sample.batch.devices[KNOWN_BLOCKS] = buffer_span(&sample.blocks);
  must(commit(store, &sample));
  answers("SELECT concat_ws(' ', last_sync_at = '2026-11-01 00:00:00.223Z', seq, "
          "next_action_at IS NULL, next_action IS NULL, antivirus_signatures_at IS NULL) "
          "FROM muster.device_detail",
          "t 9 t t t");
  answers("SELECT concat_ws(' ', array_length(last_sync_at, 1), num_nonnulls("
          "antivirus_signatures_at, threat_at, next_due_at, next_timer)) FROM muster.device_block",
          "3 0");

  block.number = 1; /* was never written as a new one */
  buffer_clear(&sample.blocks);
  store_append_block(&sample.blocks, &block);
  sample.row = sample_row(3, 2, 1);
  sample.batch.devices[KNOWN_BLOCKS] = buffer_span(&sample.blocks);
  ck_assert_int_eq(commit(store, &sample), STATUS_REFUSED);
  ck_assert_msg(strstr(error.text, "0 of 1 device rows") != NULL, "%s", error.text);
  sample_fini(&sample);
  store_close(store);
}
END_TEST

/* Writes block 0 whole and moves the one device in block 1, which was the same before. */
static void move(struct store *store, struct sample *sample, struct device_block *block,
                 uint32_t place, const struct device_dates *dates) {
  struct buffer moved = {0};
  for (enum device_date date = 0; date < DEVICE_DATE_COUNT; date++) {
    block->at_ms[date][place] = dates->at_ms[date];
  }
  block->next_timer[place] = dates->next_timer;
  buffer_clear(&sample->blocks);
  store_append_block(&sample->blocks, block);
  store_append_dates(&moved, LANE, DEVICE_BLOCK_SIZE + place, dates);
  sample->row = sample_row(sample->row.batch + 1, 2, 1);
  sample->batch.devices[KNOWN_BLOCKS] = buffer_span(&sample->blocks);
  sample->batch.devices[KNOWN_DATES] = buffer_span(&moved);
  must(commit(store, sample));
  buffer_fini(&moved);
}

START_TEST(moving_one_device_is_writing_its_block_whole) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct sample sample;
  struct device_block block = {.lane = LANE, .count = 3};
  sample_init(&sample, &lane, 1, 1, 1);
  for (enum device_date date = 0; date < DEVICE_DATE_COUNT; date++) {
    block.at_ms[date][0] = block.at_ms[date][1] = block.at_ms[date][2] = TIME_NONE;
  }
  buffer_clear(&sample.blocks);
  for (; block.number < 2; block.number++) {
    store_append_block(&sample.blocks, &block);
  }
  sample.batch.devices[NEW_BLOCKS] = buffer_span(&sample.blocks);
  must(commit(store, &sample));
  sample.batch = (struct store_batch){.lane = &lane};
  block.number = 0;
  uint32_t draw = 1;
  for (int step = 0; step < 300; step++) {
    struct device_dates dates;
    for (enum device_date date = 0; date < DEVICE_DATE_COUNT; date++) {
      draw = draw * 1664525 + 1013904223;
      dates.at_ms[date] = draw >> 30 == 0 ? AT_MS + (draw >> 20) % 3 : TIME_NONE;
    }
    dates.next_timer = (uint8_t)(dates.at_ms[DATE_NEXT_DUE] == TIME_NONE ? 0 : 1 + draw / 16 % 10);
    move(store, &sample, &block, (draw >> 12) % 3, &dates);
    answers("SELECT count(DISTINCT record_send(ROW(last_sync_at, antivirus_signatures_at, "
            "threat_at, next_due_at, next_timer))) FROM muster.device_block",
            "1");
  }
  sample_fini(&sample);
  store_close(store);
}
END_TEST

/* Whoever may create in a schema of the search path could have a better match run as this user. */
START_TEST(a_function_of_another_schema_is_not_called) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct sample sample;
  const struct device_dates dates = {.at_ms = {AT_MS, AT_MS, AT_MS, AT_MS}, .next_timer = 1};
  sample_init(&sample, &lane, 1, 1, 1);
  must(commit(store, &sample));
  answers(
      "CREATE FUNCTION public.array_fill(timestamptz, integer[]) RETURNS timestamptz[] LANGUAGE "
      "plpgsql AS 'BEGIN RAISE EXCEPTION $$called$$; END'; SELECT 'created'",
      "created");
  buffer_clear(&sample.blocks);
  store_append_dates(&sample.blocks, LANE, 0, &dates); /* the first of its block with any of them */
  sample.row = sample_row(2, 2, 1);
  sample.batch = (struct store_batch){.lane = &lane};
  sample.batch.devices[KNOWN_DATES] = buffer_span(&sample.blocks);
  const enum status status = commit(store, &sample);
  answers("DROP FUNCTION public.array_fill(timestamptz, integer[]); SELECT 'dropped'", "dropped");
  ck_assert_msg(status == STATUS_OK, "%s", error.text);
  sample_fini(&sample);
  store_close(store);
}
END_TEST

START_TEST(dates_of_a_device_without_a_place_are_refused) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct sample sample;
  const struct device_dates dates = {.at_ms = {AT_MS, AT_MS, AT_MS, AT_MS}, .next_timer = 1};
  sample_init(&sample, &lane, 1, 1, 1); /* of two devices */
  must(commit(store, &sample));
  buffer_clear(&sample.blocks);
  store_append_dates(&sample.blocks, LANE, 2, &dates);
  sample.row = sample_row(2, 2, 1);
  sample.batch = (struct store_batch){.lane = &lane};
  sample.batch.devices[KNOWN_DATES] = buffer_span(&sample.blocks);
  ck_assert_int_eq(commit(store, &sample), STATUS_REFUSED);
  ck_assert_msg(strstr(error.text, "0 of 1 device rows") != NULL, "%s", error.text);
  sample_fini(&sample);
  store_close(store);
}
END_TEST

START_TEST(a_device_without_its_block_is_not_read) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct sample sample;
  int count = 0;
  sample_init(&sample, &lane, 1, 1, 1);
  must(commit(store, &sample));
  sample_fini(&sample);
  free(ask("DELETE FROM muster.device_block RETURNING 1"));
  ck_assert_int_eq(store_load_devices(store, LANE, count_device, &count, &error),
                   STATUS_UNAVAILABLE);
  ck_assert_int_eq(count, 0);
  store_close(store);
}
END_TEST

START_TEST(commit_of_a_stale_owner_is_fenced) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct sample sample;
  sample_init(&sample, &lane, 1, 1, 8);
  must(commit(store, &sample));
  sample_fini(&sample);

  /* The successor cannot end what runs under another process id: this one survives. */
  free(ask("UPDATE muster.lane SET owner_started_at = owner_started_at - interval '1 s' "
           "RETURNING 1"));
  struct ownership_of_lane successor = owner_of(60);
  struct store *const second = take(&successor, &head);
  ck_assert_int_eq(successor.epoch, 2);
  ck_assert_uint_eq(head.row.batch, 1);
  sample_init(&sample, &lane, 2, 9, 8);
  ck_assert_int_eq(commit(store, &sample), STATUS_FENCED);
  ck_assert_ptr_nonnull(strstr(error.text, "lane 1 is owned by epoch 2"));
  sample_fini(&sample);
  answers("SELECT count(*) || ' ' || (SELECT count(*) FROM muster.journal_row) "
          "FROM muster.result_row",
          "8 1");
  sample_init(&sample, &successor, 2, 9, 8);
  must(commit(second, &sample));
  sample_fini(&sample);
  store_close(store);
  store_close(second);
}
END_TEST

START_TEST(take_ends_an_owner_that_holds_the_lock) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct sample sample;
  sample_init(&sample, &lane, 1, 1, 40000);
  sample.batch.row = &sample.row;
  must(store_commit_begin(store, &sample.batch, &error));
  bool done = false;
  for (int i = 0; i < 100 && !done; i++) { /* gets behind the fence, then stands still */
    must(store_advance(store, &done, &error));
    char *const held = ask("SELECT count(*) FROM pg_locks WHERE relation = "
                           "'muster.result_row'::regclass AND mode = 'RowExclusiveLock'");
    const bool is_held = strcmp(held, "0") != 0;
    free(held);
    if (is_held) {
      break;
    }
  }
  ck_assert(!done);

  struct timespec before;
  struct timespec after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  struct ownership_of_lane successor = owner_of(60);
  struct store *const second = take(&successor, &head);
  clock_gettime(CLOCK_MONOTONIC, &after);
  ck_assert_int_lt(
      (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000, 2000);
  ck_assert(!head.has_row);
  enum status status = STATUS_OK;
  while (status == STATUS_OK && !done) {
    struct pollfd fd = {.fd = store_fd(store), .events = POLLIN};
    poll(&fd, 1, 100);
    status = store_advance(store, &done, &error);
  }
  ck_assert_int_eq(status, STATUS_FENCED);
  ck_assert_msg(strstr(error.text, "57P01") != NULL, "%s", error.text);
  answers("SELECT count(*) FROM muster.result_row", "0");
  sample_fini(&sample);
  store_close(store);
  store_close(second);
}
END_TEST

START_TEST(commit_of_a_wrong_row_is_refused_whole) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *store = take(&lane, &head);
  struct sample sample;
  sample_init(&sample, &lane, 1, 1, 8);
  must(commit(store, &sample));
  ck_assert_int_eq(commit(store, &sample), STATUS_REFUSED); /* the same batch again */
  ck_assert_ptr_nonnull(strstr(error.text, "23505"));
  store_close(store);
  store = take(&lane, &head);
  sample.row.batch = 2; /* the same results again, in another batch */
  sample.batch.devices[NEW_DEVICES] = sample.batch.devices[NEW_BLOCKS] = span_of("", 0);
  sample.batch.letters = span_of("", 0);
  ck_assert_int_eq(commit(store, &sample), STATUS_REFUSED);
  ck_assert_ptr_nonnull(strstr(error.text, "begins with result 1, the one before ends with 8"));
  answers("SELECT count(*) FROM muster.journal_row", "1");
  sample_fini(&sample);
  store_close(store);
}
END_TEST

/* Asks as accept-gap does; how many lanes were asked. */
static void asks(const char *topic, int64_t from, int64_t to, const char *lanes) {
  char sql[256];
  snprintf(sql, sizeof sql,
           "SELECT count(*) FROM muster.accept_gap('%s', %d, %lld, %lld, NULL, 'Ann@x', 'lost')",
           topic, LANE, (long long)from, (long long)to);
  answers(sql, lanes);
}

START_TEST(gaps_are_shown_and_asked_for_exactly) {
  const struct lane_gap gaps[] = {
      {.topic = TOPIC_CHECKINS, .from = 5, .to = 9, .problem = "it's gone"},
      {.topic = TOPIC_REPORTS, .from = 7, .to = 0, .has_other = true, .other = 3}};
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct gap_request request;
  must(store_note_gaps(store, &lane, gaps, COUNT_OF(gaps), &error));
  answers("SELECT string_agg(concat_ws(' ', lane, topic, partition, from_offset, to_offset, "
          "or_offset, problem), '|' ORDER BY topic) FROM muster.gaps",
          "1 muster.checkins 1 5 9 it's gone|1 muster.compliance-reports 1 7 0 3 ");
  must(store_find_gap_request(store, LANE, &request, &error));
  ck_assert(!request.is_there);
  asks("checkins", 5, 8, "0");
  asks("checkins", 4, 9, "0");
  asks("commands", 5, 9, "0");
  asks("compliance-reports", 7, 3, "1");
  asks("muster.compliance-reports", 7, 0, "1");
  must(store_find_gap_request(store, LANE, &request, &error));
  ck_assert(request.is_there && request.gap.is_set && request.gap.has_actor);
  ck_assert(request.gap.topic == TOPIC_REPORTS && request.gap.from == 7 && request.gap.to == 3);
  ck_assert_str_eq(request.user_email, "Ann@x");
  ck_assert_str_eq(request.gap.reason, "lost");
  must(store_note_gaps(store, &lane, gaps, 1, &error)); /* what does not fit any more goes */
  answers("SELECT count(*) FROM muster.gap_requests", "0");
  store_close(store);
}
END_TEST

START_TEST(a_decided_gap_stands_in_the_journal) {
  const struct lane_gap gap = {.topic = TOPIC_CHECKINS, .from = 35, .to = 60, .problem = "gone"};
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct gap_request request;
  struct sample sample;
  must(store_note_gaps(store, &lane, &gap, 1, &error));
  asks("checkins", 35, 60, "1");
  must(store_find_gap_request(store, LANE, &request, &error));
  sample_init(&sample, &lane, 1, 1, 1);
  sample.row.gap = request.gap;
  sample.row.gap.is_accepted = true;
  memcpy(sample.row.gap.actor, subject, SUBJECT_SIZE);
  must(commit(store, &sample));
  answers("SELECT (SELECT count(*) FROM muster.gaps) + (SELECT count(*) FROM muster.gap_requests)",
          "0");
  answers("SELECT concat_ws('|', gap->>'topic', gap->'from', gap->'to', gap->'accepted', "
          "gap->>'actor', gap->>'reason', (gap->>'event_id')::uuid IS NOT NULL, "
          "(gap->>'asked_at')::timestamptz > now() - interval '1 min') FROM muster.journal "
          "WHERE kind = 'BATCH'",
          "muster.checkins|35|60|true|abcd0102030405060708090a0b0c0d0e|lost|t|t");
  sample_fini(&sample);
  store_close(store);
  struct store *const again = take(&lane, &head);
  ck_assert(head.row.gap.is_accepted);
  ck_assert_int_eq(head.row.gap.asked_at_ms, request.gap.asked_at_ms);
  ck_assert_mem_eq(head.row.gap.event_id, request.gap.event_id, EVENT_ID_SIZE);
  ck_assert_str_eq(head.row.gap.reason, "lost");
  store_close(again);
}
END_TEST

START_TEST(a_lane_that_goes_on_by_itself_has_no_gap) {
  const struct lane_gap gap = {.topic = TOPIC_CHECKINS, .from = 35, .to = 60, .problem = "gone"};
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct sample sample;
  must(store_note_gaps(store, &lane, &gap, 1, &error));
  asks("checkins", 35, 60, "1");
  sample_init(&sample, &lane, 1, 1, 1);
  sample.batch.clears_gaps = true;
  must(commit(store, &sample));
  answers("SELECT (SELECT count(*) FROM muster.gaps) + (SELECT count(*) FROM muster.gap_requests)",
          "0");
  sample_fini(&sample);
  store_close(store);
}
END_TEST

START_TEST(a_stale_owner_notes_no_gap) {
  const struct lane_gap gap = {.topic = TOPIC_CHECKINS, .from = 35, .to = 60, .problem = "gone"};
  struct ownership_of_lane lane = owner_of(1);
  struct ownership_of_lane stale;
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  stale = lane;
  stale.epoch--;
  ck_assert_int_eq(store_note_gaps(store, &stale, &gap, 1, &error), STATUS_FENCED);
  answers("SELECT count(*) FROM muster.gaps", "0");
  store_close(store);
}
END_TEST

int main(void) {
  TCase *const empty = tcase_create("an empty database");
  tcase_add_checked_fixture(empty, make_database, drop_database);
  tcase_set_timeout(empty, 60);
  tcase_add_test(empty, migrate_twice_does_it_once);
  tcase_add_test(empty, migrate_makes_no_subject_key_that_nobody_needs);
  tcase_add_test(empty, open_without_migration_names_the_command);
  tcase_add_test(empty, open_tells_what_is_out_of_reach);
  TCase *const tests = tcase_create("a migrated database");
  tcase_add_checked_fixture(tests, make_migrated_database, drop_database);
  tcase_set_timeout(tests, 60);
  tcase_add_test(tests, take_begins_at_nothing_and_raises_the_epoch);
  tcase_add_test(tests, an_owner_is_told_when_it_is_none_any_more);
  tcase_add_test(tests, take_refuses_other_topics);
  tcase_add_test(tests, commit_lets_go_of_published_letters);
  tcase_add_test(tests, device_row_keeps_its_last_change);
  tcase_add_test(tests, device_rows_can_be_made_while_they_are_sent);
  tcase_add_test(tests, a_block_is_written_whole);
  tcase_add_test(tests, moving_one_device_is_writing_its_block_whole);
  tcase_add_test(tests, a_function_of_another_schema_is_not_called);
  tcase_add_test(tests, dates_of_a_device_without_a_place_are_refused);
  tcase_add_test(tests, a_device_without_its_block_is_not_read);
  tcase_add_test(tests, commit_of_a_device_without_a_row_is_refused);
  tcase_add_test(tests, commit_of_a_stale_owner_is_fenced);
  tcase_add_test(tests, take_ends_an_owner_that_holds_the_lock);
  tcase_add_test(tests, commit_of_a_wrong_row_is_refused_whole);
  tcase_add_test(tests, gaps_are_shown_and_asked_for_exactly);
  tcase_add_test(tests, a_decided_gap_stands_in_the_journal);
  tcase_add_test(tests, a_lane_that_goes_on_by_itself_has_no_gap);
  tcase_add_test(tests, a_stale_owner_notes_no_gap);
  Suite *const suite = suite_create("store");
  suite_add_tcase(suite, empty);
  suite_add_tcase(suite, tests);
  return run(suite);
}
