/* A message by which a command asks the processor for something: its fields taken from options and
 * checked, then it is sent, and what is decided about it is waited for and printed. */
#ifndef MUSTER_APP_REQUEST_H
#define MUSTER_APP_REQUEST_H

#include "consumers/schemas.h"
#include "core/app/ask.h"
#include "core/app/command.h"

struct json_t; /* jansson's value */

/* The last options of every command that asks, in this order. */
#define REQUEST_OPTIONS                                                                            \
  {"timeout", "SECONDS", "wait so long for the decision; 10 without it"},                          \
      {"no-wait", NULL, "send and do not wait; prints the event's id"}, {                          \
    NULL, NULL, NULL                                                                               \
  }
enum { REQUEST_TIMEOUT, REQUEST_NO_WAIT, REQUEST_OPTION_COUNT };

struct request {
  const char *command; /* "device wipe", for messages */
  enum input_record record;
  struct json_t *fields;       /* of the record, but for event_id and occurred_at */
  const char *const *patience; /* the values of REQUEST_OPTIONS */
};

/* The fields are given up to it, whatever comes of it. STATUS_USAGE names a field that is missing
 * or malformed, and nothing is sent; STATUS_REFUSED says why the processor refused;
 * STATUS_UNAVAILABLE: nothing was decided in time, and how to look for it later. */
enum status request_run(const struct command_line *line, const struct request *request,
                        struct error *error) MUST_USE;

/* The same, and waits: prints nothing, and tells where the message stands that was granted. */
enum status request_grant(const struct command_line *line, const struct request *request,
                          struct asked *asked, struct error *error) MUST_USE;

enum field_kind {
  FIELD_TEXT,
  FIELD_EMAIL,   /* an '@' between two texts */
  FIELD_VERSION, /* dotted decimals */
  FIELD_SERIAL,  /* 1 to 64 printable ASCII characters */
  FIELD_NAME,    /* 1 to 63 letters, digits, dots, underscores and hyphens */
};

/* What a value that somebody typed has to be. */
struct field {
  const char *name;   /* of the record: "user_email" */
  const char *option; /* how it is given: "--user EMAIL"; NULL: nothing says it is needed */
  enum field_kind kind;
  const char *const *names; /* allowed ones, in any case of letters, ended by NULL; NULL: any */
};

/* Puts a value into the object; NULL, not given, is STATUS_USAGE when the field has an option
 * text, and otherwise leaves it out. */
enum status request_field(struct json_t *fields, const char *command, const struct field *field,
                          const char *value, struct error *error) MUST_USE;

/* Who asks: `given`, else the only one of roles.bootstrap_admins, else nobody by name. */
enum status request_actor(struct json_t *fields, const struct command_line *line,
                          const char *command, const char *given, struct error *error) MUST_USE;

#endif
