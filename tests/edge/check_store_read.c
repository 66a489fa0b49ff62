/* producers/store against a real server: what was committed is what is read back, by the next
 * owner and through the views. */
#include "tests/edge/store_fixture.h"

/* What a replay must bring, one call after the other. */
struct expected {
  int row_count, environment_count, result_count, device_count;
};

static void check_row(void *context, const struct journal_row *row,
                      const struct journal_witness *witness) {
  struct expected *const seen = context;
  ck_assert_int_eq(seen->result_count, seen->row_count == 0 ? 0 : (int)COUNT_OF(kinds));
  const uint64_t batch = (uint64_t)++seen->row_count;
  const struct journal_row expected = batch == 1
                                          ? sample_row(1, 1, COUNT_OF(kinds))
                                          : sample_row(2, COUNT_OF(kinds) + 1, COUNT_OF(kinds));
  ck_assert_uint_eq(row->not_believed_count, expected.not_believed_count);
  for (size_t i = 0; i < row->not_believed_count; i++) {
    ck_assert_int_eq(row->not_believed[i].topic, unbelieved[i].topic);
    ck_assert_int_eq(row->not_believed[i].offset, unbelieved[i].offset);
  }
  struct journal_row copy = *row;
  copy.not_believed = expected.not_believed;
  ck_assert_mem_eq(copy.chain, expected.chain, DIGEST_SIZE);
  ck_assert_mem_eq(copy.last_message, expected.last_message, sizeof copy.last_message);
  ck_assert_mem_eq(copy.ranges, expected.ranges, sizeof copy.ranges);
  ck_assert_mem_eq(&copy.message_count, &expected.message_count,
                   sizeof copy - offsetof(struct journal_row, message_count));
  ck_assert_uint_eq(copy.has_state, expected.has_state);
  ck_assert_uint_eq(copy.first_seq, expected.first_seq);
  ck_assert_uint_eq(copy.last_seq, expected.last_seq);
  ck_assert_int_eq(copy.clock_before_ms, expected.clock_before_ms);
  ck_assert_int_eq(copy.clock_after_ms, expected.clock_after_ms);
  ck_assert(copy.timer.is_set);
  ck_assert_int_eq(copy.timer.due_at_ms, expected.timer.due_at_ms);
  ck_assert_uint_eq(copy.timer.device_number, expected.timer.device_number);
  ck_assert_uint_eq(copy.timer.kind, expected.timer.kind);
  ck_assert_int_eq(witness->epoch, 1);
  ck_assert_mem_eq(witness->owner, owner_of(1).owner, OWNER_SIZE);
  ck_assert_int_eq(witness->committed_at_ms, AT_MS + 50);
}

static void check_environment(void *context, const struct journal_row *row,
                              const struct journal_witness *witness, struct span content) {
  struct expected *const seen = context;
  seen->environment_count++;
  ck_assert_uint_eq(row->batch, 1);
  ck_assert_int_eq(witness->epoch, 1);
  ck_assert(span_equal(content, span_text("{\"it's\": \"\xc3\xa4\"}")));
}

static void check_cause(const struct cause *cause, const struct cause *expected) {
  ck_assert_int_eq(cause->offset, expected->offset);
  ck_assert_int_eq(cause->topic, expected->topic);
  ck_assert(cause->has_event_id == expected->has_event_id);
  ck_assert_mem_eq(cause->event_id, expected->event_id, EVENT_ID_SIZE);
  ck_assert(span_equal(cause->traceparent, expected->traceparent));
}

static void check_dead_letter(const struct result *result, const struct result *expected) {
  const struct original *const found = &result->dead_letter.original;
  const struct original *const original = &expected->dead_letter.original;
  const bool is_whole = expected->dead_letter.reject.code != REJECT_TOO_LARGE;
  ck_assert_int_eq(result->dead_letter.reject.code, expected->dead_letter.reject.code);
  ck_assert_int_eq(result->dead_letter.reject.stage, expected->dead_letter.reject.stage);
  ck_assert_str_eq(result->dead_letter.reject.text, expected->dead_letter.reject.text);
  ck_assert(!found->key_is_null && span_equal(found->key, original->key));
  ck_assert_uint_eq(found->value.size, is_whole ? original->value.size : 0);
  ck_assert(!is_whole || span_equal(found->value, original->value));
  ck_assert_uint_eq(found->headers.size, is_whole ? original->headers.size : 0);
  ck_assert(!is_whole || span_equal(found->headers, original->headers));
  ck_assert_int_eq(found->timestamp_ms, original->timestamp_ms);
  ck_assert_mem_eq(found->value_sha256, original->value_sha256, 32);
  ck_assert_uint_eq(found->size_bytes, original->size_bytes);
}

static void check_detail(const struct result *result, const struct result *expected) {
  switch (result->kind) {
  case RESULT_COMPLIANCE_CHANGE:
    ck_assert_int_eq(result->change.compliance, expected->change.compliance);
    ck_assert_uint_eq(result->change.violations, expected->change.violations);
    ck_assert_int_eq(result->change.noncompliant_since_ms, expected->change.noncompliant_since_ms);
    break;
  case RESULT_NOTIFICATION:
    ck_assert_str_eq(result->notification.template_name, "noncompliant");
    break;
  case RESULT_ACCESS_DECISION:
    ck_assert_str_eq(result->access.resource, expected->access.resource);
    ck_assert_int_eq(result->access.decision, expected->access.decision);
    ck_assert_str_eq(result->access.reason, expected->access.reason);
    break;
  case RESULT_TICKET:
    ck_assert_int_eq(result->ticket.action, expected->ticket.action);
    ck_assert_uint_eq(result->ticket.episode, expected->ticket.episode);
    ck_assert_uint_eq(result->ticket.violations, expected->ticket.violations);
    ck_assert_pstr_eq(result->ticket.description, expected->ticket.description);
    break;
  case RESULT_LICENSE:
    ck_assert_int_eq(result->license.action, expected->license.action);
    break;
  case RESULT_AUDIT:
    ck_assert_str_eq(result->audit.actor, expected->audit.actor);
    ck_assert_int_eq(result->audit.action, expected->audit.action);
    ck_assert(span_equal(result->audit.target, expected->audit.target));
    ck_assert_int_eq(result->audit.outcome, expected->audit.outcome);
    ck_assert_str_eq(result->audit.reason, expected->audit.reason);
    break;
  case RESULT_DEAD_LETTER:
    check_dead_letter(result, expected);
    break;
  case RESULT_ACTION:
    ck_assert_int_eq(result->action.action, expected->action.action);
    ck_assert(result->action.is_selective == expected->action.is_selective);
    ck_assert_pstr_eq(result->action.parameter, expected->action.parameter);
    ck_assert(span_equal(result->action.parameter_value, expected->action.parameter_value));
    break;
  case RESULT_KIND_COUNT:
    ck_abort();
  }
}

static void check_result(void *context, const struct result *result, struct span user_email) {
  struct expected *const seen = context;
  ck_assert_int_eq(seen->row_count, 1);
  const uint64_t seq = (uint64_t)++seen->result_count;
  const struct result expected = sample_result(kinds[seq - 1], seq);
  ck_assert_int_eq(result->kind, expected.kind);
  ck_assert_uint_eq(result->seq, seq);
  ck_assert_int_eq(result->at_ms, expected.at_ms);
  ck_assert_str_eq(result->policy, expected.policy);
  ck_assert_uint_eq(result->device_number, expected.device_number);
  ck_assert(span_equal(result->serial, expected.serial));
  ck_assert(result->has_subject == expected.has_subject);
  ck_assert_mem_eq(result->subject, expected.subject, SUBJECT_SIZE);
  ck_assert(span_equal(user_email, span_text(expected.has_subject ? "anna@example.org" : "")));
  check_cause(&result->cause, &expected.cause);
  check_detail(result, &expected);
}

/* What a lane is loaded from. */
static void check_state(void *context, const struct device_image *device, struct span email) {
  struct expected *const seen = context;
  seen->device_count++;
  ck_assert_uint_eq(email.size, 0);
  const struct device_image expected = sample_device(6, "SN-6");
  ck_assert_uint_eq(device->number, 6);
  ck_assert_uint_eq(device->lane, LANE);
  ck_assert(span_equal(device->serial, expected.serial));
  ck_assert(span_equal(device->os_version, expected.os_version));
  ck_assert(span_equal(device->enrollment_ids, expected.enrollment_ids));
  ck_assert_mem_eq(device->subject, subject, SUBJECT_SIZE);
  ck_assert_mem_eq(&device->state, &expected.state, sizeof expected.state);
  ck_assert_int_eq(device->next_due_at_ms, expected.next_due_at_ms);
  ck_assert_int_eq(device->next_timer, expected.next_timer);
  ck_assert_ptr_nonnull(device->wipe);
  ck_assert_mem_eq(device->wipe, expected.wipe, sizeof *expected.wipe);
}

static void check_device(void *context, const struct device_image *device, struct span email) {
  check_state(context, device, (struct span){0});
  const struct device_image expected = sample_device(6, "SN-6");
  ck_assert(span_equal(email, span_text("anna@example.org")));
  ck_assert(device->is_changed);
  ck_assert_uint_eq(device->seq, expected.seq);
  ck_assert_int_eq(device->at_ms, expected.at_ms);
  ck_assert_str_eq(device->policy, expected.policy);
  check_cause(&device->cause, &expected.cause);
  ck_assert_int_eq(device->overdue_since_ms, expected.overdue_since_ms);
}

static void check_person(void *context, const uint8_t who[SUBJECT_SIZE], struct span email) {
  ck_assert_mem_eq(who, subject, SUBJECT_SIZE);
  ck_assert(span_equal(email, span_text("anna@example.org")));
  ++*(int *)context;
}

/* Two batches: the first with an environment, the second decided nothing. */
static void commit_two(struct store *store, const struct ownership_of_lane *lane) {
  struct sample sample;
  sample_init(&sample, lane, 1, 1, COUNT_OF(kinds));
  sample.batch.environment = span_text("{\"it's\": \"\xc3\xa4\"}");
  must(commit(store, &sample));
  sample_fini(&sample);
  sample = (struct sample){.row = sample_row(2, COUNT_OF(kinds) + 1, COUNT_OF(kinds))};
  sample.batch = (struct store_batch){.lane = lane, .committed_at_ms = AT_MS + 50};
  must(commit(store, &sample));
}

START_TEST(unpublished_reads_back_what_was_committed) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *store = take(&lane, &head);
  commit_two(store, &lane);
  store_close(store);

  struct ownership_of_lane successor = owner_of(60);
  store = take(&successor, &head);
  ck_assert(head.has_row);
  ck_assert_uint_eq(head.row.batch, 2);
  ck_assert_uint_eq(head.row.device_count, 14);
  ck_assert_uint_eq(head.row.not_believed_count, 0);
  struct expected seen = {0};
  const struct store_replay replay = {&seen, check_row, check_environment, check_result,
                                      check_device};
  must(store_load_batches(store, LANE, 0, UINT64_MAX >> 1, &replay, &error));
  ck_assert_int_eq(seen.row_count, 2);
  ck_assert_int_eq(seen.environment_count, 1);
  ck_assert_int_eq(seen.result_count, COUNT_OF(kinds));
  ck_assert_int_eq(seen.device_count, 1);
  must(store_load_devices(store, LANE, check_state, &seen, &error));
  ck_assert_int_eq(seen.device_count, 2);
  int count = 0;
  must(store_load_persons(store, LANE, check_person, &count, &error));
  ck_assert_int_eq(count, 1);
  count = 0;
  must(store_load_devices(store, LANE + 1, count_device, &count, &error));
  ck_assert_int_eq(count, 0);
  seen = (struct expected){0};
  must(store_load_batches(store, LANE, 2, UINT64_MAX >> 1, &replay, &error));
  ck_assert_int_eq(seen.row_count + seen.device_count, 0);
  store_close(store);
}
END_TEST

static void check_view(const char *name, const char *columns) {
  char sql[512];
  snprintf(sql, sizeof sql,
           "SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM "
           "information_schema.columns WHERE table_schema = 'muster' AND table_name = '%s'",
           name);
  answers(sql, columns);
}

START_TEST(views_have_the_columns_of_the_contract) {
  check_view("devices",
             "device_id serial user_email subject platform profile ownership os_version "
             "status compliance violations noncompliant_since email_blocked sap_blocked "
             "ticket_open overdue_since last_sync_at next_action next_action_at lane seq at cause "
             "event_id policy");
  check_view("compliance_history", "lane seq at cause event_id policy subject device_id serial "
                                   "compliance violations noncompliant_since");
  check_view("results", "lane seq at topic key device_id value");
  check_view(
      "journal",
      "kind lane batch first_seq last_seq clock_before clock_after ranges "
      "not_believed cursors environment counts digests epoch owner committed_at content gap");
  check_view("audit", "lane seq at cause event_id policy subject actor action target outcome "
                      "reason device_id serial key");
}
END_TEST

START_TEST(views_tell_what_was_committed) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  commit_two(store, &lane);
  store_close(store);
  answers("SELECT concat_ws('|', device_id, user_email, platform, status, compliance, violations, "
          "noncompliant_since AT TIME ZONE 'UTC', next_action, cause, event_id) "
          "FROM muster.devices",
          "D006|anna@example.org|LINUX|ENROLLED|NONCOMPLIANT|{antivirus,not_encrypted}|"
          "2026-11-01 00:00:00.121|block|{\"topic\": \"muster.compliance-reports\", \"offset\": "
          "1007, \"partition\": 1}|07070707-0707-0707-0707-070707070707");
  answers("SELECT concat_ws('|', seq, subject, device_id, compliance, violations) "
          "FROM muster.compliance_history",
          "1|abcd0102030405060708090a0b0c0d0e|D006|NONCOMPLIANT|{os_out_of_date,not_encrypted}");
  answers("SELECT concat_ws('|', seq, actor, action, target, outcome, reason, key) "
          "FROM muster.audit",
          "6|muster|REMOTE_TASK|SN-new|REFUSED|platform|1");
  answers("SELECT string_agg(topic || ' ' || coalesce(key, '-'), ',' ORDER BY seq) "
          "FROM muster.results",
          "muster.compliance-changes D006,muster.notifications D006,"
          "muster.access-decisions D006,muster.tickets D006,muster.licenses D006,"
          "muster.audit 1,muster.dead-letters -,muster.dead-letters -,"
          "muster.actions D006,muster.actions D006");
  answers("SELECT string_agg(concat_ws(' ', value->>'action', value->'selective', "
          "value->'parameters'), ',' ORDER BY seq) FROM muster.results WHERE seq > 8",
          "SYNC false {},WIPE true {\"reason\": \"lost\"}");
  answers("SELECT overdue_since = at - interval '4 ms' FROM muster.devices", "t");
  answers("SELECT value FROM muster.results WHERE seq = 4",
          "{\"at\": \"2026-11-01T00:00:00.127Z\", \"seq\": 4, \"lane\": 1, \"cause\": null, "
          "\"action\": \"UPDATE\", \"policy\": \"default\", \"serial\": \"SN-6\", \"subject\": "
          "\"abcd0102030405060708090a0b0c0d0e\", \"event_id\": null, \"device_id\": \"D006\", "
          "\"violations\": [\"os_out_of_date\", \"antivirus\"], "
          "\"description\": \"One (a).\\nTwo (b): \xc3\xa4.\", \"correlation_id\": \"D006/3\"}");
  answers("SELECT value->>'user_email' FROM muster.results WHERE seq = 2", "anna@example.org");
  answers("SELECT count(*) FROM muster.results WHERE value IS NULL", "2");
  answers("SELECT string_agg(kind || batch || coalesce(content, ''), ' ' ORDER BY batch, kind DESC)"
          " FROM muster.journal",
          "ENVIRONMENT1{\"it's\": \"\xc3\xa4\"} BATCH1 BATCH2");
  answers("SELECT concat_ws('|', ranges->4, not_believed->0, cursors, counts->'results', owner) "
          "FROM muster.journal WHERE kind = 'BATCH' AND batch = 1",
          "{\"to\": 45, \"from\": 40, \"topic\": \"muster.compliance-reports\"}|{\"topic\": "
          "\"muster.compliance-reports\", \"offset\": 7}|{\"sweep\": null, "
          "\"timer\": {\"kind\": 1, \"due_at\": "
          "\"2026-11-01T00:00:00.116Z\", \"device_number\": 6}}|10|"
          "0102030405060708090a0b0c0d0e0f10");
  answers("SELECT jsonb_array_length(digests->'last_messages') FROM muster.journal "
          "WHERE kind = 'BATCH' AND batch = 1",
          "4");
}
END_TEST

START_TEST(what_an_auditor_reads_cannot_be_changed) {
  PGconn *const connection = connect_to(database_name());
  static const char *const changes[] = {"DELETE FROM muster.result_row",
                                        "UPDATE muster.journal_row SET batch = 1",
                                        "TRUNCATE muster.environment"};
  for (size_t i = 0; i < COUNT_OF(changes); i++) {
    PGresult *const result = PQexec(connection, changes[i]);
    ck_assert_str_eq(PQresultErrorField(result, PG_DIAG_SQLSTATE), "MU003");
    PQclear(result);
  }
  PQfinish(connection);
}
END_TEST

int main(void) {
  TCase *const tests = tcase_create("a migrated database");
  tcase_add_checked_fixture(tests, make_migrated_database, drop_database);
  tcase_set_timeout(tests, 60);
  tcase_add_test(tests, unpublished_reads_back_what_was_committed);
  tcase_add_test(tests, views_have_the_columns_of_the_contract);
  tcase_add_test(tests, views_tell_what_was_committed);
  tcase_add_test(tests, what_an_auditor_reads_cannot_be_changed);
  Suite *const suite = suite_create("store_read");
  suite_add_tcase(suite, tests);
  return run(suite);
}
