/* What the files of the store share: its connection, how errors are told, rows read back. */
#ifndef MUSTER_PRODUCERS_STORE_INTERNAL_H
#define MUSTER_PRODUCERS_STORE_INTERNAL_H

#include "producers/store.h"

struct pg_conn;   /* libpq's PGconn */
struct pg_result; /* libpq's PGresult */

enum { COPY_COUNT_MAX = 3 + DEVICE_PART_COUNT }; /* persons, results, letters */

/* Where the sending of one COPY's data stands. */
enum copy_part { COPY_HEADER, COPY_ROWS, COPY_END };

/* Rows of one COPY: there, or asked for piece by piece. */
struct copy {
  struct span rows;
  bool is_streamed;
  enum device_part part;
};

struct store {
  struct pg_conn *connection;
  struct buffer script;               /* the commit under way, as one query text; terminated */
  struct copy copies[COPY_COUNT_MAX]; /* the data that the script asks for, in its order */
  struct store_devices streamed;
  struct buffer piece; /* of streamed rows */
  size_t copy_count;
  size_t copy_index;
  size_t copy_sent; /* bytes of the present copy's rows */
  enum copy_part copy_part;
  uint32_t lane_count;
  bool is_copying;
  bool is_committing;
  bool wants_write;
};

/* Connects with our defaults below what the DSN and the environment say, and sets the session
 * up. `application_name` shows in pg_stat_activity. The caller owns `connection`. */
enum status store_connect(const char *dsn, const char *application_name,
                          struct pg_conn **connection, struct error *error) MUST_USE;

/* Tells what the server answered, SQLSTATE included. `result` may be NULL: then it is the
 * connection's word. Takes `result`. */
enum status store_failure(struct pg_conn *connection, struct pg_result *result, const char *what,
                          struct error *error) MUST_USE;

/* Runs SQL that answers with rows or nothing. The caller clears `result`, which may be NULL for
 * an answer nobody wants. `what` names the step in an error. */
enum status store_query(struct pg_conn *connection, const char *sql, const char *what,
                        struct pg_result **result, struct error *error) MUST_USE;

/* Appends printf-formatted text, terminated; the terminator is not counted in. */
void store_script(struct buffer *script, const char *format, ...) PRINTF_LIKE(2, 3);
void store_script_bytes(struct buffer *script, struct span bytes); /* as \x literal, quoted */

/* As those of store.h. */
extern const char store_letter_columns[];

/* What a device row keeps in `flags`, from the lowest bit; the view takes it apart the same way. */
enum device_flag {
  FLAG_PLATFORM,
  FLAG_PROFILE,
  FLAG_OWNERSHIP,
  FLAG_STATUS,
  FLAG_COMPLIANCE,
  FLAG_STAGE,
  FLAG_ANTIVIRUS_ENABLED,
  FLAG_DISK_ENCRYPTED,
  FLAG_EMAIL_BLOCKED,
  FLAG_SAP_BLOCKED,
  FLAG_TICKET_OPEN,
  FLAG_HAS_LICENSE,
  /* In a word of their own, `escalation`. */
  FLAG_MAIL_HELD,
  FLAG_OVERDUE_STAGE,
  FLAG_OVERDUE_MAIL_HELD,
  FLAG_THREAT_LEVEL,
  FLAG_COUNT
};
void flag_put(uint32_t *flags, enum device_flag flag, uint32_t value);
uint8_t flag_get(uint32_t flags, enum device_flag flag);

/* A wipe in a device row: its state and reason, when it was asked for and armed, who asked; then
 * who approved. */
enum { WIPE_HEAD_SIZE = 1 + 1 + 8 + 8 + SUBJECT_SIZE };

/* 2000-01-01 UTC, where PostgreSQL counts its microseconds from. */
#define POSTGRES_EPOCH_MS INT64_C(946684800000)

/* Fields of a row of a binary COPY in: a length, then as many bytes. A set's highest bit becomes an
 * integer's sign, and comes back; TIME_NONE is -infinity. */
static inline void row_put_integer(struct buffer *rows, uint32_t value) {
  buffer_append_u32(rows, 4);
  buffer_append_u32(rows, value);
}

static inline void row_put_instant(struct buffer *rows, int64_t at_ms) {
  buffer_append_u32(rows, 8);
  if (at_ms == TIME_NONE) {
    buffer_append_u64(rows, (uint64_t)INT64_MIN);
  } else {
    assert(at_ms >= -EVENT_TIME_MAX_MS && at_ms <= EVENT_TIME_MAX_MS);
    buffer_append_u64(rows, (uint64_t)((at_ms - POSTGRES_EPOCH_MS) * 1000));
  }
}

/* A row of a binary COPY out. Texts that must be terminated are kept in `texts`, which has room
 * for the whole row before the first of them. */
struct row_reader {
  struct span rest;
  struct buffer texts;
  struct wipe wipe; /* of the device that was read last */
  bool is_bad;      /* not in the form expected; fields read from then on are null */
};

/* The next field; false when it is null. */
bool row_bytes(struct row_reader *reader, struct span *bytes);
int64_t row_integer(struct row_reader *reader, int64_t null_value); /* of 1, 2, 4 or 8 bytes */
int64_t row_time(struct row_reader *reader);                        /* ms; TIME_NONE for null */
struct span row_span(struct row_reader *reader);                    /* empty for null */
const char *row_text(struct row_reader *reader);                    /* terminated; NULL for null */
void row_copy(struct row_reader *reader, uint8_t *bytes, size_t size); /* exactly that size */

/* An array's elements, ready for row_integer; its length is returned, 0 for null. */
size_t row_array(struct row_reader *reader, struct row_reader *elements);

/* Read what store_device_columns, store_block_columns and store_result_columns name. A device comes
 * without its dates: block_date gives it those of its place in its block. */
void row_device(struct row_reader *reader, struct device_image *device);
void row_block(struct row_reader *reader, struct device_block *block);
void block_date(const struct device_block *block, uint32_t place, struct device_image *device);
void row_result(struct row_reader *reader, struct result *result);

/* The session's tables through which rows that exist are written, and the statements that do. */
void store_script_stages(struct buffer *script);

/* Hands over the devices of a lane whose last change that is stored came after batch `after`, in
 * order of number and with all that is stored. */
enum status store_stream_changed(struct store *store, uint32_t lane, uint64_t after,
                                 store_device_fn each, void *context, struct error *error) MUST_USE;

/* Runs COPY (select) TO STDOUT in binary and hands each row to `each`. */
typedef void (*store_row_fn)(void *context, struct row_reader *reader);
enum status store_stream(struct pg_conn *connection, const char *select, const char *what,
                         store_row_fn each, void *context, struct error *error) MUST_USE;

#endif
