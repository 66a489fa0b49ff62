/* Microsoft Graph's managedDevices as messages.
 *
 * A scanner cuts a file of any size into records, whichever way they are listed:
 * {"value":[…]} once or page after page, a bare array, one object a line. A record becomes an
 * Enrollment, a CheckIn and a ComplianceReport; what is not needed is never looked at. */
#ifndef MUSTER_APP_IMPORT_GRAPH_H
#define MUSTER_APP_IMPORT_GRAPH_H

#include "core/app/import.h"
#include "producers/buffer.h"

enum { GRAPH_MESSAGES_MAX = 3, GRAPH_RECORD_SIZE_MAX = 4 << 20 };

/* A record, or what is wrong with a piece of the file. */
struct graph_record {
  struct span text;    /* JSON; empty where there is a problem */
  const char *problem; /* NULL: none */
  uint64_t line;       /* its first, from 1 */
  uint64_t number;     /* in its list, from 1, where the list's document begins on that line, too:
                        * then the line does not tell its records apart. Otherwise 0. */
};

/* The record is valid during the call. */
typedef void (*graph_record_fn)(void *context, const struct graph_record *record);

enum graph_place {
  GRAPH_TOP,    /* between documents */
  GRAPH_LIST,   /* in a list of records */
  GRAPH_RECORD, /* in a record, or in a document that may turn out to be a list's envelope */
  GRAPH_TAIL,   /* in an envelope, behind its list */
  GRAPH_JUNK,   /* in something that is no record, to the end of the line or item */
};

struct graph_scanner {
  graph_record_fn each;
  void *context;
  enum graph_place place;
  bool is_listed;     /* in an array; the record is no document of its own */
  bool has_envelope;  /* that array is an envelope's */
  bool is_one_a_line; /* seen: a document that ends on its first line */
  bool is_in_text, is_escaped;
  bool is_too_long;
  uint32_t depth;   /* of braces and brackets, in a record or a tail */
  uint8_t previous; /* the last byte that is no blank, outside of texts */
  char name[24];    /* the newest text at depth 1: perhaps a field's name */
  size_t name_size; /* beyond sizeof name - 1 when it did not fit */
  uint64_t line;    /* at the next byte */
  uint64_t record_line;
  uint64_t document_line;
  uint64_t record_number; /* of the newest item of the list, from 1 */
  uint64_t page_count, next_link_count;
  struct buffer record;
};

void graph_scanner_init(struct graph_scanner *scanner, graph_record_fn each, void *context);
void graph_scanner_fini(struct graph_scanner *scanner);
void graph_scanner_push(struct graph_scanner *scanner, struct span bytes);

/* The file ends here: complains if something is not finished. */
void graph_scanner_end(struct graph_scanner *scanner);

/* The last answer names a page after it that was not among what was pushed. */
bool graph_scanner_lacks_page(const struct graph_scanner *scanner);

/* Fills `messages`, of which the caller owns the values. STATUS_REFUSED says why the record
 * becomes none; then `*count` is 0. The same record gives the same event ids every time; a message
 * with another field has another. */
enum status graph_convert(const struct json_t *device,
                          struct import_message messages[GRAPH_MESSAGES_MAX], size_t *count,
                          struct error *error) MUST_USE;

#endif
