-- Storage of lanes and the views of the public contract. Runs in one transaction, in a database
-- where the schema muster and its table of migrations exist.
--
-- Tables are private: columns are typed and compact, enums are the numbers of core/*.h, a device
-- is its number, violations are bits in policy order. The views below give them names. Columns
-- stand from wide to narrow, so that alignment costs nothing. Texts with an index are compared by
-- their bytes: a language's order is several times slower and means nothing here.

-- Who owns a lane. The row's lock orders owners; the epoch only grows.
CREATE TABLE muster.lane (
  lane integer PRIMARY KEY,
  lane_count integer NOT NULL,
  epoch bigint NOT NULL,
  published_batch bigint NOT NULL DEFAULT 0, -- a lower bound
  checkpoint_batch bigint NOT NULL DEFAULT 0, -- device rows reflect it, all of them
  owner uuid NOT NULL,
  owner_pid integer NOT NULL,
  owner_started_at timestamptz,
  topic_prefix text NOT NULL
);

-- The only place where a subject meets an address.
CREATE TABLE muster.person (
  subject bytea PRIMARY KEY,
  user_email text COLLATE "C" NOT NULL
);
CREATE INDEX person_user_email ON muster.person USING hash (user_email);

-- A device without what moves at every check-in, which stands in its block. Half of a page is room
-- for the rows' next versions, and no index covers what changes often: a checkpoint that writes
-- every row of a page stays in that page (HOT) and touches no index.
-- The key begins with the lane because a lane is loaded whole, in order of its numbers.
--
-- A row reflects its lane's checkpoint_batch. What has few values stands in `flags`, from the lowest
-- bit: platform (4 bits), profile (4), ownership (2), status (4), compliance (2), stage (4),
-- antivirus_enabled (2), disk_encrypted (2), 4 unused, email_blocked, sap_blocked, ticket_open,
-- has_license; in `escalation`: mail_held, overdue_stage, overdue_mail_held (4 each),
-- threat level (3; 0: never reported). A column each would cost every row 4 bytes on its way and
-- every copy its reading.
CREATE TABLE muster.device_row (
  number bigint NOT NULL,
  changed_batch bigint NOT NULL, -- the batch of its last change that the topic shows
  seq bigint NOT NULL,           -- from here to policy: of that change
  at timestamptz NOT NULL,
  cause_offset bigint,           -- null: a timer
  event_id uuid,
  pending_since timestamptz,
  noncompliant_since timestamptz,
  clean_since timestamptz,
  overdue_since timestamptz,     -- of the last change, too
  lane integer NOT NULL,
  episode integer NOT NULL,
  violations integer NOT NULL,
  flags integer NOT NULL,
  screen_lock_pin_length integer,
  cause_topic smallint,
  escalation smallint NOT NULL,
  serial text COLLATE "C" NOT NULL,
  subject bytea NOT NULL,
  os_version text NOT NULL,
  enrollment_ids bytea NOT NULL,
  policy text NOT NULL,
  traceparent bytea,
  wipe bytea, -- the last one asked for: state, reason, times, who asked and who approved
  PRIMARY KEY (lane, number)
) WITH (fillfactor = 60);
-- Looked up by equality alone, for which a hash costs a third of a tree's descent.
CREATE INDEX device_row_serial ON muster.device_row USING hash (serial);
CREATE INDEX device_row_subject ON muster.device_row USING hash (subject);

-- What moves at every check-in, of 32 devices in a row: the k-th device of a lane (number = k * lanes
-- + lane + 1) has place k % 32 + 1 in block k / 32. A checkpoint writes a block whole from memory
-- unless just one of its devices moved; '-infinity' for never, an array that would have nothing else
-- is null. No null within an array: then an element is found at once.
CREATE TABLE muster.device_block (
  lane integer NOT NULL,
  block integer NOT NULL,
  last_sync_at timestamptz[] NOT NULL,
  antivirus_signatures_at timestamptz[],
  threat_at timestamptz[],
  next_due_at timestamptz[],
  next_timer smallint[],
  PRIMARY KEY (lane, block)
) WITH (fillfactor = 50);

-- What was decided; until it is published also the outbox. Rows are added in order of their number
-- and never change, so an index of page ranges (BRIN) finds a range as a tree would, at a third of
-- its cost. That a number exists once follows from the journal, whose row is in the same
-- transaction: batches exist once (its key) and go on where the one before ended (continue_numbers).
CREATE TABLE muster.result_row (
  seq bigint NOT NULL,
  batch bigint NOT NULL,
  at timestamptz NOT NULL,
  device bigint,        -- null: concerns no device
  cause_offset bigint,  -- null: a timer
  since timestamptz,    -- noncompliant_since
  event_id uuid,
  lane integer NOT NULL,
  violations integer,
  episode integer,
  kind smallint NOT NULL,
  cause_topic smallint,
  symbol smallint,      -- compliance, decision or action; of a dead letter the error's code
  outcome smallint,     -- of a dead letter the stage, of an action 1 when it is selective
  policy text NOT NULL,
  serial text,
  subject bytea,
  name text,            -- template, resource, actor, or an action's parameter
  reason text,          -- of a dead letter the error's text, of a ticket its description
  target text,          -- of a dead letter the key, when it is text; the parameter's value
  traceparent bytea
);
CREATE INDEX result_row_seq ON muster.result_row USING brin (lane, seq) WITH (pages_per_range = 32);

-- What a dead letter consists of, until it is published.
CREATE TABLE muster.letter (
  batch bigint NOT NULL,
  seq bigint NOT NULL,
  timestamp_ms bigint NOT NULL, -- -1: none
  size_bytes bigint NOT NULL,   -- of a value left out, with its digest
  lane integer NOT NULL,
  key bytea,
  value bytea,
  headers bytea NOT NULL,
  value_sha256 bytea,
  PRIMARY KEY (lane, batch, seq)
);

-- One row a committed batch. Arrays are indexed by the number of a topic, from 1.
CREATE TABLE muster.journal_row (
  batch bigint NOT NULL,
  first_seq bigint NOT NULL,
  last_seq bigint NOT NULL,
  clock_before timestamptz,
  clock_after timestamptz,
  timer_due_at timestamptz, -- the last timer fired, if any
  timer_device bigint,
  sweep_device bigint, -- the batch was cut within a sweep, behind this device; 0: before the first
  message_count bigint NOT NULL,
  dead_letter_count bigint NOT NULL,
  timer_count bigint NOT NULL,
  device_count bigint NOT NULL,
  lane integer NOT NULL,
  timer_kind integer,
  range_from bigint[] NOT NULL,
  range_to bigint[] NOT NULL,
  not_believed_topic smallint[] NOT NULL, -- parallel to the offsets
  not_believed_offset bigint[] NOT NULL,
  environment bytea NOT NULL,
  last_message bytea NOT NULL, -- 32 bytes a topic
  inputs bytea NOT NULL,
  results bytea NOT NULL,
  chain bytea NOT NULL,
  state bytea,                 -- of the lane at the batch's end, where it was asked for
  gap bytea,                   -- the batch is the decision about one (core/journal.c)
  epoch bigint NOT NULL,       -- who committed and when: outside of the chain
  committed_at timestamptz NOT NULL,
  owner uuid NOT NULL,
  PRIMARY KEY (lane, batch)
);

-- What lanes have halted before: offsets that are gone (a topic goes on at to_offset), or a topic
-- that is not the one that was read (at to_offset when all in it is new, at or_offset when what it has
-- was read). The owner of the lane writes it; a lane that goes on has none.
CREATE TABLE muster.gap (
  from_offset bigint NOT NULL, -- where the lane stands
  to_offset bigint NOT NULL,
  or_offset bigint,
  lane integer NOT NULL,
  topic smallint NOT NULL,
  problem text NOT NULL,
  PRIMARY KEY (lane, topic)
);

-- What operators have asked to be accepted, until it is decided: from there on it stands in the
-- journal, with the subject in the place of the address.
CREATE TABLE muster.gap_request (
  from_offset bigint NOT NULL,
  to_offset bigint NOT NULL,
  asked_at timestamptz NOT NULL,
  event_id uuid NOT NULL,
  lane integer NOT NULL,
  topic smallint NOT NULL,
  user_email text, -- null: the operator at the console
  reason text NOT NULL,
  PRIMARY KEY (lane, event_id)
);

-- A new environment of a lane, under the first batch that it holds for.
CREATE TABLE muster.environment (
  lane integer NOT NULL,
  batch bigint NOT NULL,
  digest bytea NOT NULL,
  content text NOT NULL,
  PRIMARY KEY (lane, batch)
);

-- The rules behind the bits of `violations`, in policy order, and what is known of the policies
-- that came into force: a version means one content for ever.
CREATE TABLE muster.policy (
  version text PRIMARY KEY,
  rule_ids text[] NOT NULL,
  hash bytea,   -- null, as the text: of the policy that lanes begin with
  content text  -- its file
);
INSERT INTO muster.policy (version, rule_ids) VALUES
  ('default', '{os_out_of_date,antivirus,not_encrypted,weak_screen_lock}');

-- Sets of violations with their names: a join with it is five times as fast as naming the bits of
-- every row, which is what the views do with a set that is not here.
CREATE TABLE muster.rule_set (
  policy text NOT NULL,
  violations integer NOT NULL,
  rule_ids text[] NOT NULL,
  PRIMARY KEY (policy, violations)
);
INSERT INTO muster.rule_set
SELECT version, violations, ARRAY(
  SELECT rule FROM unnest(rule_ids) WITH ORDINALITY rules (rule, place)
  WHERE (violations >> (place - 1)::integer) & 1 = 1 ORDER BY place)
FROM muster.policy, generate_series(0, (1 << cardinality(rule_ids)) - 1) violations;

-- Notes a policy that comes into force in a lane; the first of them does. Sets of few rules are
-- named ahead.
CREATE FUNCTION muster.keep_policy(version text, hash bytea, content text, rule_ids text[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  INSERT INTO muster.policy (version, rule_ids, hash, content)
  VALUES (keep_policy.version, keep_policy.rule_ids, keep_policy.hash, keep_policy.content)
  ON CONFLICT DO NOTHING;
  IF FOUND AND cardinality(keep_policy.rule_ids) <= 8 THEN
    INSERT INTO muster.rule_set
    SELECT keep_policy.version, violations, ARRAY(
      SELECT rule FROM unnest(keep_policy.rule_ids) WITH ORDINALITY rules (rule, place)
      WHERE (violations >> (place - 1)::integer) & 1 = 1 ORDER BY place)
    FROM generate_series(0, (1 << cardinality(keep_policy.rule_ids)) - 1) violations;
  END IF;
END $$;

-- What control messages changed in a lane beside its devices, in the batch that took them: with
-- this a lane is loaded, however much the control topic has lost. Numbers are those of core/*.h.
CREATE TABLE muster.control_row (
  control_offset bigint NOT NULL,
  batch bigint NOT NULL,
  at timestamptz NOT NULL,
  event_id uuid NOT NULL,
  lane integer NOT NULL,
  kind smallint NOT NULL,
  symbol smallint NOT NULL, -- role, tenant event or profile
  is_off boolean NOT NULL,  -- taken away, over, out of the group
  name text,                -- policy, group or revision
  serial text,
  subject bytea,
  traceparent bytea,
  PRIMARY KEY (lane, batch, control_offset) -- offsets begin anew in a topic that was recreated
);

CREATE TABLE muster.secret (
  name text PRIMARY KEY,
  value bytea NOT NULL
);

-- What an auditor relies on is added to and never changed, not even by the owner in passing.
CREATE FUNCTION muster.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'muster.% is append-only', TG_TABLE_NAME USING ERRCODE = 'MU003';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON muster.result_row
  EXECUTE FUNCTION muster.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON muster.journal_row
  EXECUTE FUNCTION muster.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON muster.environment
  EXECUTE FUNCTION muster.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON muster.control_row
  EXECUTE FUNCTION muster.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON muster.policy
  EXECUTE FUNCTION muster.refuse_change();

-- Refuses a batch whose results do not go on from those of the batch before.
CREATE FUNCTION muster.continue_numbers() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  last_seq bigint;
BEGIN
  SELECT j.last_seq INTO last_seq FROM muster.journal_row j
  WHERE j.lane = NEW.lane AND j.batch = NEW.batch - 1;
  IF FOUND AND NEW.first_seq <> last_seq + 1 THEN
    RAISE EXCEPTION 'batch % of lane % begins with result %, the one before ends with %',
      NEW.batch, NEW.lane, NEW.first_seq, last_seq USING ERRCODE = '23505';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER continue_numbers BEFORE INSERT ON muster.journal_row
  FOR EACH ROW EXECUTE FUNCTION muster.continue_numbers();

-- Refuses an owner whose topics are not those that the lanes were read from.
CREATE FUNCTION muster.check_lanes(lane_count integer, topic_prefix text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  other muster.lane;
BEGIN
  SELECT * INTO other FROM muster.lane l
  WHERE l.lane_count <> check_lanes.lane_count OR l.topic_prefix <> check_lanes.topic_prefix
  ORDER BY l.lane LIMIT 1;
  IF FOUND AND other.lane_count <> check_lanes.lane_count THEN
    RAISE EXCEPTION 'the topics have % partitions, the database holds % lanes',
      check_lanes.lane_count, other.lane_count USING ERRCODE = 'MU002';
  ELSIF FOUND THEN
    RAISE EXCEPTION 'the topics begin with "%", those of the database with "%"',
      check_lanes.topic_prefix, other.topic_prefix USING ERRCODE = 'MU002';
  END IF;
END $$;

-- Ends the backend of a lane's recorded owner, so that its lock goes at once. A process id is
-- used again by the system: only the one that started at the recorded time is meant. Without
-- the right to end it, whoever takes the lane waits for the lock.
CREATE FUNCTION muster.end_owner(lane integer) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_terminate_backend(a.pid)
  FROM muster.lane l
  JOIN pg_stat_activity a ON a.pid = l.owner_pid AND a.backend_start = l.owner_started_at
  WHERE l.lane = end_owner.lane AND a.pid <> pg_backend_pid();
EXCEPTION WHEN insufficient_privilege THEN
  NULL;
END $$;

-- Makes the caller the owner of a lane and returns where it stands. Tried with the caller's
-- rights first (SELECT muster.end_owner), then with the definer's: one of them mostly may.
CREATE FUNCTION muster.take_lane(lane integer, lane_count integer, topic_prefix text,
  epoch_above bigint, owner uuid, owner_started_at timestamptz,
  OUT epoch bigint, OUT published_batch bigint, OUT checkpoint_batch bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  PERFORM muster.check_lanes(take_lane.lane_count, take_lane.topic_prefix);
  PERFORM muster.end_owner(take_lane.lane);
  INSERT INTO muster.lane AS l
    (lane, lane_count, topic_prefix, epoch, owner, owner_pid, owner_started_at)
  VALUES (take_lane.lane, take_lane.lane_count, take_lane.topic_prefix,
    greatest(take_lane.epoch_above, 0) + 1, take_lane.owner, pg_backend_pid(),
    take_lane.owner_started_at)
  ON CONFLICT (lane) DO UPDATE SET epoch = greatest(l.epoch, take_lane.epoch_above) + 1,
    owner = excluded.owner, owner_pid = excluded.owner_pid,
    owner_started_at = excluded.owner_started_at
  RETURNING l.epoch, l.published_batch, l.checkpoint_batch
  INTO take_lane.epoch, take_lane.published_batch, take_lane.checkpoint_batch;
END $$;

-- The first statement of every commit: keeps the lane's row locked until its end, and raises
-- when somebody else has taken the lane. Also notes what is published, and lets go of it, and
-- which batch the device rows reflect when the transaction writes them (0: it does not).
CREATE FUNCTION muster.fence(lane integer, epoch bigint, owner uuid, published_batch bigint,
  checkpoint_batch bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  stored muster.lane;
BEGIN
  SELECT * INTO stored FROM muster.lane l WHERE l.lane = fence.lane FOR UPDATE;
  IF NOT FOUND OR stored.epoch <> fence.epoch OR stored.owner <> fence.owner THEN
    RAISE EXCEPTION 'lane % is owned by epoch %', fence.lane, stored.epoch
      USING ERRCODE = 'MU001';
  END IF;
  IF fence.published_batch > stored.published_batch THEN
    UPDATE muster.lane l SET published_batch = fence.published_batch WHERE l.lane = fence.lane;
    DELETE FROM muster.letter l WHERE l.lane = fence.lane AND l.batch <= fence.published_batch;
  END IF;
  IF fence.checkpoint_batch > stored.checkpoint_batch THEN
    UPDATE muster.lane l SET checkpoint_batch = fence.checkpoint_batch WHERE l.lane = fence.lane;
  END IF;
END $$;

-- Raises when a device that was to be written has no row: it would be lost.
CREATE FUNCTION muster.check_written(written bigint, wanted bigint) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF written <> wanted THEN
    RAISE EXCEPTION '% of % device rows exist', written, wanted USING ERRCODE = '23503';
  END IF;
END $$;

-- Names for numbers: the order is that of core/*.h. Each is one expression and no less volatile
-- than what it calls, so that a view's plan holds the expression itself and calls nothing.
CREATE FUNCTION muster.device_id(number bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 'D' || CASE WHEN number < 1000 THEN lpad(number::text, 3, '0') ELSE number::text END;
CREATE INDEX device_row_device_id ON muster.device_row USING hash (muster.device_id(number));
CREATE FUNCTION muster.bits(flags integer, place integer, width integer) RETURNS integer LANGUAGE sql
IMMUTABLE PARALLEL SAFE RETURN (flags >> place) & ((1 << width) - 1);
CREATE FUNCTION muster.block_of(number bigint, lane_count integer) RETURNS integer LANGUAGE sql
IMMUTABLE PARALLEL SAFE RETURN ((number - 1) / lane_count / 32)::integer;
CREATE FUNCTION muster.block_place(number bigint, lane_count integer) RETURNS integer LANGUAGE sql
IMMUTABLE PARALLEL SAFE RETURN ((number - 1) / lane_count % 32)::integer + 1;
-- The list with that element at that place. One that would hold nothing else than `nothing` is null.
CREATE FUNCTION muster.list_put(list anyarray, place integer, element anyelement, nothing anyelement,
  count integer) RETURNS anyarray LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT CASE WHEN element = coalesce(list[place], nothing) THEN list
  WHEN element <> nothing THEN (coalesce(list, array_fill(nothing, ARRAY[count])))[:place - 1]
    || ARRAY[element] || (coalesce(list, array_fill(nothing, ARRAY[count])))[place + 1:]
  ELSE nullif(list[:place - 1] || ARRAY[element] || list[place + 1:],
    array_fill(nothing, ARRAY[count])) END $$; -- a type of its own choice takes no RETURN
CREATE FUNCTION muster.time_text(at timestamptz) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
CREATE FUNCTION muster.topic_name(topic integer) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ('{control,enrollments,commands,checkins,compliance-reports}'::text[])[topic + 1];
CREATE FUNCTION muster.kind_topic(kind smallint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ('{compliance-changes,notifications,access-decisions,tickets,licenses,actions,audit,'
  'dead-letters}'::text[])[kind + 1];
CREATE FUNCTION muster.compliance_name(number integer) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ('{UNKNOWN,COMPLIANT,NONCOMPLIANT}'::text[])[number + 1];
CREATE FUNCTION muster.audit_action_name(number smallint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ('{ASSIGN,CREATE,DELETE,MANAGE,REMOTE_TASK,UPDATE}'::text[])[number + 1];
CREATE FUNCTION muster.outcome_name(number smallint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ('{OK,REFUSED,FAILED}'::text[])[number + 1];
-- Eight bytes, the greatest first, from that place on.
CREATE FUNCTION muster.bytes_integer(bytes bytea, place integer) RETURNS bigint LANGUAGE sql
IMMUTABLE PARALLEL SAFE RETURN ('x' || encode(substring(bytes FROM place FOR 8), 'hex'))::bit(64)::bigint;
-- Spelled out, since that is three times as fast as building it; names of topics need no escape.
CREATE FUNCTION muster.cause(prefix text, lane integer, topic smallint, "offset" bigint)
RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN "offset" IS NOT NULL THEN ('{"topic": "' || prefix || muster.topic_name(topic)
  || '", "partition": ' || CASE topic WHEN 0 THEN 0 ELSE lane END || ', "offset": ' || "offset"
  || '}')::jsonb END;

-- All that is known of a device, for this program's own commands; what is public of it is below.
CREATE VIEW muster.device_detail AS
SELECT d.number, d.flags, d.escalation, d.episode, d.pending_since, d.clean_since,
  nullif(b.antivirus_signatures_at[muster.block_place(d.number, l.lane_count)], '-infinity')
    AS antivirus_signatures_at,
  d.screen_lock_pin_length,
  nullif(b.threat_at[muster.block_place(d.number, l.lane_count)], '-infinity') AS threat_at,
  y.content AS policy_file,
  -- One that is pending: its bytes are a state, a reason, two times, who asked and who approved.
  CASE WHEN get_byte(d.wipe, 0) IN (1, 2, 3) THEN jsonb_build_object(
    'state', ('{UNAPPROVED,ARMED,OVERDUE}'::text[])[get_byte(d.wipe, 0)],
    'reason', ('{LOST,STOLEN,TERMINATED,BREACH}'::text[])[get_byte(d.wipe, 1) + 1],
    'asked_at', muster.time_text(to_timestamp(
      ('x' || encode(substring(d.wipe FROM 3 FOR 8), 'hex'))::bit(64)::bigint / 1000.0)),
    'asked_by', coalesce(
      (SELECT a.user_email FROM muster.person a WHERE a.subject = substring(d.wipe FROM 19 FOR 16)),
      encode(substring(d.wipe FROM 19 FOR 16), 'hex')),
    'approvals', (length(d.wipe) - 34) / 16) END AS wipe,
  (SELECT j.clock_after FROM muster.journal_row j WHERE j.lane = d.lane ORDER BY j.batch DESC LIMIT 1)
    AS clock,
  (SELECT j.last_seq FROM muster.journal_row j WHERE j.lane = d.lane ORDER BY j.batch DESC LIMIT 1)
    AS last_seq,
  muster.device_id(d.number) AS device_id, d.serial, p.user_email,
  encode(d.subject, 'hex') AS subject,
  ('{WINDOWS,MACOS,IOS,ANDROID,LINUX}'::text[])[muster.bits(d.flags, 0, 4) + 1] AS platform,
  ('{STANDARD,MOBILE,EXECUTIVE}'::text[])[muster.bits(d.flags, 4, 4) + 1] AS profile,
  ('{CORPORATE,PERSONAL}'::text[])[muster.bits(d.flags, 8, 2) + 1] AS ownership,
  d.os_version,
  ('{PENDING,ENROLLED,FAILED,WIPED,RETIRED}'::text[])[muster.bits(d.flags, 10, 4) + 1] AS status,
  muster.compliance_name(muster.bits(d.flags, 14, 2)) AS compliance,
  coalesce(s.rule_ids, ARRAY(
    SELECT rule FROM unnest(y.rule_ids) WITH ORDINALITY rules (rule, place)
    WHERE (d.violations >> (place - 1)::integer) & 1 = 1 ORDER BY place)) AS violations,
  d.noncompliant_since, muster.bits(d.flags, 28, 1) = 1 AS email_blocked,
  muster.bits(d.flags, 29, 1) = 1 AS sap_blocked, muster.bits(d.flags, 30, 1) = 1 AS ticket_open,
  d.overdue_since,
  nullif(b.last_sync_at[muster.block_place(d.number, l.lane_count)], '-infinity') AS last_sync_at,
  ('{fail,block,ticket,notify,clean,mail,overdue,mail,retire,wipe_overdue}'::text[])[
    b.next_timer[muster.block_place(d.number, l.lane_count)]] AS next_action,
  nullif(b.next_due_at[muster.block_place(d.number, l.lane_count)], '-infinity') AS next_action_at,
  d.lane, d.seq, d.at, muster.cause(l.topic_prefix, d.lane, d.cause_topic, d.cause_offset) AS cause,
  d.event_id, d.policy
FROM muster.device_row d
LEFT JOIN muster.person p ON p.subject = d.subject
LEFT JOIN muster.lane l ON l.lane = d.lane
LEFT JOIN muster.device_block b
  ON b.lane = d.lane AND b.block = muster.block_of(d.number, l.lane_count)
LEFT JOIN muster.policy y ON y.version = d.policy
LEFT JOIN muster.rule_set s ON s.policy = d.policy AND s.violations = d.violations;

CREATE VIEW muster.devices AS
SELECT device_id, serial, user_email, subject, platform, profile, ownership, os_version, status,
  compliance, violations, noncompliant_since, email_blocked, sap_blocked, ticket_open, overdue_since,
  last_sync_at, next_action, next_action_at, lane, seq, at, cause, event_id, policy
FROM muster.device_detail;

CREATE VIEW muster.compliance_history AS
SELECT r.lane, r.seq, r.at, muster.cause(l.topic_prefix, r.lane, r.cause_topic, r.cause_offset)
    AS cause, r.event_id, r.policy, encode(r.subject, 'hex') AS subject,
  muster.device_id(r.device) AS device_id, r.serial, muster.compliance_name(r.symbol) AS compliance,
  coalesce(s.rule_ids, ARRAY(
    SELECT rule FROM unnest(y.rule_ids) WITH ORDINALITY rules (rule, place)
    WHERE (r.violations >> (place - 1)::integer) & 1 = 1 ORDER BY place)) AS violations,
  r.since AS noncompliant_since
FROM muster.result_row r
LEFT JOIN muster.lane l ON l.lane = r.lane
LEFT JOIN muster.policy y ON y.version = r.policy
LEFT JOIN muster.rule_set s ON s.policy = r.policy AND s.violations = r.violations
WHERE r.kind = 0;

CREATE VIEW muster.audit AS
SELECT r.lane, r.seq, r.at, muster.cause(l.topic_prefix, r.lane, r.cause_topic, r.cause_offset)
    AS cause, r.event_id, r.policy, encode(r.subject, 'hex') AS subject,
  r.name AS actor, muster.audit_action_name(r.symbol) AS action, r.target,
  muster.outcome_name(r.outcome) AS outcome, r.reason, muster.device_id(r.device) AS device_id,
  r.serial, coalesce(muster.device_id(r.device), r.lane::text) AS key
FROM muster.result_row r
LEFT JOIN muster.lane l ON l.lane = r.lane
WHERE r.kind = 6;

-- What the control topic changed, as lane 0 took it, and who asked for it: for this program's own
-- commands. Numbers are those of core/*.h.
CREATE VIEW muster.control_detail AS
SELECT c.control_offset, c.at, c.kind, c.symbol, c.is_off, c.name, c.serial,
  encode(c.subject, 'hex') AS subject, p.user_email, r.name AS actor, a.user_email AS actor_email,
  encode(y.hash, 'hex') AS hash, y.content
FROM muster.control_row c
LEFT JOIN muster.person p ON p.subject = c.subject
LEFT JOIN muster.journal_row j ON j.lane = c.lane AND j.batch = c.batch
LEFT JOIN muster.result_row r ON r.lane = c.lane AND r.seq BETWEEN j.first_seq AND j.last_seq
  AND r.kind = 6 AND r.device IS NULL AND r.cause_topic = 0 AND r.cause_offset = c.control_offset
LEFT JOIN muster.person a
  ON a.subject = CASE WHEN r.name ~ '^[0-9a-f]{32}$' THEN decode(r.name, 'hex') END
LEFT JOIN muster.policy y ON c.kind = 4 AND y.version = c.name
WHERE c.lane = 0;

-- With the device's number, by which a device's results are found.
CREATE VIEW muster.result_detail AS
SELECT r.device AS number, r.lane, r.seq, r.at, l.topic_prefix || muster.kind_topic(r.kind) AS topic,
  CASE r.kind WHEN 7 THEN r.target ELSE coalesce(muster.device_id(r.device), r.lane::text) END
    AS key,
  muster.device_id(r.device) AS device_id,
  CASE WHEN r.kind <> 7 THEN jsonb_build_object(
    'lane', r.lane, 'seq', r.seq, 'at', muster.time_text(r.at),
    'cause', muster.cause(l.topic_prefix, r.lane, r.cause_topic, r.cause_offset),
    'event_id', r.event_id, 'policy', r.policy, 'subject', encode(r.subject, 'hex'),
    'device_id', muster.device_id(r.device), 'serial', r.serial)
    || CASE WHEN r.kind IN (1, 2, 4) THEN jsonb_build_object(
      'user_email', p.user_email) ELSE '{}' END
    || CASE r.kind
      WHEN 0 THEN jsonb_build_object('compliance', muster.compliance_name(r.symbol),
        'violations', coalesce(s.rule_ids, ARRAY(
          SELECT rule FROM unnest(y.rule_ids) WITH ORDINALITY rules (rule, place)
          WHERE (r.violations >> (place - 1)::integer) & 1 = 1 ORDER BY place)),
        'noncompliant_since', muster.time_text(r.since))
      WHEN 1 THEN jsonb_build_object('template', r.name)
      WHEN 2 THEN jsonb_build_object('resource', r.name,
        'decision', ('{ALLOW,BLOCK}'::text[])[r.symbol + 1], 'reason', r.reason)
      WHEN 3 THEN jsonb_build_object(
        'action', ('{OPEN,UPDATE,RESOLVE}'::text[])[r.symbol + 1],
        'correlation_id', muster.device_id(r.device) || '/' || r.episode,
        'violations', coalesce(s.rule_ids, ARRAY(
          SELECT rule FROM unnest(y.rule_ids) WITH ORDINALITY rules (rule, place)
          WHERE (r.violations >> (place - 1)::integer) & 1 = 1 ORDER BY place)),
        'description', r.reason)
      WHEN 4 THEN jsonb_build_object('action', ('{ASSIGN,RELEASE}'::text[])[r.symbol + 1])
      WHEN 5 THEN jsonb_build_object(
        'action', ('{PUSH_PROFILE,WIPE,RETIRE,RENAME,SYNC}'::text[])[r.symbol + 1],
        'selective', r.outcome = 1, 'parameters',
        CASE WHEN r.name IS NULL THEN '{}' ELSE jsonb_build_object(r.name, r.target) END)
      WHEN 6 THEN jsonb_build_object('actor', r.name,
        'action', muster.audit_action_name(r.symbol), 'target', r.target,
        'outcome', muster.outcome_name(r.outcome), 'reason', r.reason)
      ELSE '{}' END
  END AS value
FROM muster.result_row r
LEFT JOIN muster.lane l ON l.lane = r.lane
LEFT JOIN muster.person p ON p.subject = r.subject
LEFT JOIN muster.policy y ON y.version = r.policy
LEFT JOIN muster.rule_set s ON s.policy = r.policy AND s.violations = r.violations;

CREATE VIEW muster.results AS
SELECT lane, seq, at, topic, key, device_id, value FROM muster.result_detail;

CREATE VIEW muster.journal AS
SELECT 'BATCH' AS kind, j.lane, j.batch, j.first_seq, j.last_seq, j.clock_before, j.clock_after,
  (SELECT jsonb_agg(jsonb_build_object('topic', l.topic_prefix || muster.topic_name(i - 1),
      'from', j.range_from[i], 'to', j.range_to[i]) ORDER BY i)
    FROM generate_subscripts(j.range_from, 1) i) AS ranges,
  (SELECT coalesce(jsonb_agg(jsonb_build_object('topic',
      l.topic_prefix || muster.topic_name(b.topic), 'offset', b.at) ORDER BY b.place), '[]')
    FROM unnest(j.not_believed_topic, j.not_believed_offset) WITH ORDINALITY b (topic, at, place))
    AS not_believed,
  jsonb_build_object('timer', CASE WHEN j.timer_due_at IS NOT NULL THEN jsonb_build_object(
    'due_at', muster.time_text(j.timer_due_at), 'device_number', j.timer_device,
    'kind', j.timer_kind) END, 'sweep', CASE WHEN j.sweep_device IS NOT NULL THEN
    jsonb_build_object('device_number', j.sweep_device) END) AS cursors,
  encode(j.environment, 'hex') AS environment,
  jsonb_build_object('messages', j.message_count, 'results', j.last_seq + 1 - j.first_seq,
    'dead_letters', j.dead_letter_count, 'timers', j.timer_count, 'devices', j.device_count)
    AS counts,
  jsonb_build_object('inputs', encode(j.inputs, 'hex'), 'results', encode(j.results, 'hex'),
    'chain', encode(j.chain, 'hex'), 'state', encode(j.state, 'hex'), 'last_messages',
    (SELECT coalesce(jsonb_agg(jsonb_build_object('topic', l.topic_prefix || muster.topic_name(i),
        'digest', encode(d.digest, 'hex')) ORDER BY i), '[]')
      FROM generate_series(0, length(j.last_message) / 32 - 1) i,
        substring(j.last_message FROM 32 * i + 1 FOR 32) d (digest)
      WHERE trim(BOTH '\x00'::bytea FROM d.digest) <> '')) AS digests,
  j.epoch, replace(j.owner::text, '-', '') AS owner, j.committed_at, NULL::text AS content,
  CASE WHEN j.gap IS NOT NULL THEN jsonb_build_object(
    'topic', l.topic_prefix || muster.topic_name(get_byte(j.gap, 0)),
    'from', muster.bytes_integer(j.gap, 4), 'to', muster.bytes_integer(j.gap, 12),
    'accepted', get_byte(j.gap, 1) = 1,
    'actor', CASE get_byte(j.gap, 2) WHEN 1 THEN encode(substring(j.gap FROM 44 FOR 16), 'hex') END,
    'reason', convert_from(substring(j.gap FROM 60), 'UTF8'),
    'event_id', encode(substring(j.gap FROM 28 FOR 16), 'hex')::uuid, 'asked_at',
    muster.time_text(to_timestamp(muster.bytes_integer(j.gap, 20) / 1000.0))) END AS gap
FROM muster.journal_row j LEFT JOIN muster.lane l ON l.lane = j.lane
UNION ALL
SELECT 'ENVIRONMENT', e.lane, e.batch, j.first_seq, j.first_seq - 1, j.clock_before,
  j.clock_before, '[]', '[]', '{"timer": null, "sweep": null}', encode(e.digest, 'hex'),
  '{"messages": 0, "results": 0, "dead_letters": 0, "timers": 0, "devices": 0}',
  '{"inputs": "", "results": "", "chain": "", "state": null, "last_messages": []}', j.epoch,
  replace(j.owner::text, '-', ''), j.committed_at, e.content, NULL
FROM muster.environment e JOIN muster.journal_row j USING (lane, batch);

-- What can be accepted now, and what has been asked for, without who: for accept-gap.
CREATE VIEW muster.gaps AS
SELECT g.lane, l.topic_prefix || muster.topic_name(g.topic) AS topic,
  CASE g.topic WHEN 0 THEN 0 ELSE g.lane END AS partition, g.from_offset, g.to_offset, g.or_offset,
  g.problem, (SELECT count(*) FROM muster.gap_request r WHERE r.lane = g.lane AND r.topic = g.topic)
    AS requests
FROM muster.gap g JOIN muster.lane l ON l.lane = g.lane;

CREATE VIEW muster.gap_requests AS SELECT lane, event_id FROM muster.gap_request;

-- Asks the owners of the lanes that have halted at exactly that place to go on; answers a row for
-- each, with the batch behind which the decision will stand.
CREATE FUNCTION muster.accept_gap(topic text, partition integer, from_offset bigint,
  to_offset bigint, only_lane integer, user_email text, reason text)
RETURNS TABLE (lane integer, event_id uuid, batch bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  asked uuid := gen_random_uuid();
BEGIN
  RETURN QUERY
  INSERT INTO muster.gap_request AS r
    (lane, topic, from_offset, to_offset, event_id, asked_at, user_email, reason)
  SELECT g.lane, g.topic, accept_gap.from_offset, accept_gap.to_offset, asked,
    date_trunc('milliseconds', clock_timestamp()), accept_gap.user_email, accept_gap.reason
  FROM muster.gap g JOIN muster.lane l ON l.lane = g.lane
  WHERE accept_gap.topic IN (muster.topic_name(g.topic), l.topic_prefix || muster.topic_name(g.topic))
    AND accept_gap.partition = CASE g.topic WHEN 0 THEN 0 ELSE g.lane END
    AND accept_gap.from_offset = g.from_offset
    AND accept_gap.to_offset IN (g.to_offset, g.or_offset)
    AND g.lane = coalesce(accept_gap.only_lane, g.lane)
  RETURNING r.lane, r.event_id,
    coalesce((SELECT max(j.batch) FROM muster.journal_row j WHERE j.lane = r.lane), 0);
END $$;

-- Gives the roles that exist what they are for; called by every migration, since an
-- administrator may create them later. Nobody is granted a change of what is append-only.
CREATE FUNCTION muster.grant_roles() RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  role text;
BEGIN
  FOR role IN SELECT rolname FROM pg_roles
    WHERE rolname IN ('muster_writer', 'muster_reader', 'muster_auditor', 'muster_admin')
  LOOP
    EXECUTE format('GRANT USAGE ON SCHEMA muster TO %I', role);
    EXECUTE format('GRANT SELECT ON muster.devices, muster.compliance_history, muster.results, '
      'muster.device_detail, muster.result_detail, muster.migrations TO %I', role);
    IF role <> 'muster_reader' THEN
      EXECUTE format('GRANT SELECT ON muster.journal, muster.audit, muster.control_detail, '
        'muster.gaps, muster.gap_requests TO %I', role);
    END IF;
    IF role = 'muster_admin' THEN
      EXECUTE format('GRANT EXECUTE ON FUNCTION muster.accept_gap TO %I', role);
    END IF;
    -- What a replay compares with: no address, no key.
    IF role = 'muster_auditor' THEN
      EXECUTE format('GRANT SELECT ON muster.lane, muster.device_row, muster.device_block, '
        'muster.result_row, muster.letter, muster.journal_row, muster.environment, muster.control_row, '
        'muster.policy, muster.rule_set TO %I', role);
    END IF;
    IF role = 'muster_writer' THEN
      EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA muster TO %I', role);
      EXECUTE format('GRANT INSERT ON muster.person, muster.result_row, muster.letter, '
        'muster.journal_row, muster.environment, muster.control_row, muster.policy, '
        'muster.rule_set TO %I', role);
      EXECUTE format('GRANT INSERT, UPDATE ON muster.device_row, muster.device_block TO %I', role);
      EXECUTE format('GRANT INSERT, DELETE ON muster.gap, muster.gap_request TO %I', role);
      EXECUTE format('GRANT EXECUTE ON FUNCTION muster.check_lanes, muster.end_owner, '
        'muster.take_lane, muster.fence, muster.check_written, muster.keep_policy, muster.accept_gap TO %I', role);
    END IF;
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION muster.check_lanes, muster.end_owner, muster.take_lane, muster.fence,
  muster.check_written, muster.keep_policy, muster.accept_gap, muster.continue_numbers, muster.grant_roles FROM PUBLIC;
