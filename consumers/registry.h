/* A schema registry over HTTP, in Confluent's dialect: fetches schemas by id, registers ours.
 *
 * Every call blocks, for REGISTRY_TIMEOUT_MS at most. Answers are untrusted: they are bounded, and
 * nothing is taken from them but an id or the canonical form of an Avro schema. No password gets
 * into an error. */
#ifndef MUSTER_CONSUMERS_REGISTRY_H
#define MUSTER_CONSUMERS_REGISTRY_H

#include "core/span.h"
#include "core/status.h"

enum {
  REGISTRY_TIMEOUT_MS = 10000,
  REGISTRY_CONNECT_TIMEOUT_MS = 3000,
  REGISTRY_ANSWER_SIZE_MAX = 4 << 20, /* a schema of the largest size, escaped in JSON */
};

/* Texts may be NULL or empty, but for the URL. Copied by registry_open. */
struct registry_options {
  const char *url; /* may hold user and password */
  const char *user, *password;
  const char *ca_file;                     /* empty: the system's */
  const char *certificate_file, *key_file; /* of the client, PEM */
  /* Asked about once a second: a call that is under way ends when it says so. May be NULL. */
  bool (*is_over)(void *context);
  void *context;
};

/* Used by one thread at a time. */
struct registry;

/* Connects to nothing yet. STATUS_CONFIG: a text that the HTTP library refuses. */
enum status registry_open(const struct registry_options *options, struct registry **registry,
                          struct error *error) MUST_USE;
void registry_close(struct registry *registry); /* NULL is allowed */

/* The canonical form of the schema with that id; the caller frees it. STATUS_REFUSED: there is
 * none, or it is no Avro schema by itself; asking again is of no use until somebody registers one.
 * STATUS_UNAVAILABLE: no answer, or none that says. */
enum status registry_fetch(struct registry *registry, uint32_t id, char **canonical,
                           struct error *error) MUST_USE;

/* Registers a schema under a subject, or finds it there, and says its id. STATUS_CONFIG: the
 * registry refuses, as it does what is incompatible with an earlier version. */
enum status registry_register(struct registry *registry, const char *subject, struct span schema,
                              uint32_t *id, struct error *error) MUST_USE;

/* The parts of the above that read an answer with status 200. STATUS_UNAVAILABLE: it is none of a
 * registry's. */
enum status registry_read_schema(struct span answer, char **canonical,
                                 struct error *error) MUST_USE;
enum status registry_read_id(struct span answer, uint32_t *id, struct error *error) MUST_USE;

#endif
