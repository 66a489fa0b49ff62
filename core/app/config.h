/* The settings in force, from the file, the environment and the command line.
 *
 * One table in the implementation names every key with its type, default and field; parsing,
 * `--set`, the environment and error messages all read that table. */
#ifndef MUSTER_APP_CONFIG_H
#define MUSTER_APP_CONFIG_H

#include "core/status.h"

enum partitioner { PARTITIONER_MURMUR2, PARTITIONER_CRC32, PARTITIONER_FNV1A };
enum framing { FRAMING_SINGLE_OBJECT, FRAMING_CONFLUENT };

struct text_list {
  char **items;
  size_t count;
};

/* A librdkafka property given with -X, handed to every client. */
struct property {
  char *name;
  char *value;
};

struct config {
  struct {
    char *bootstrap_servers;
    char *group_id;
    char *topic_prefix;
    char *instance;          /* empty: the host's name and the lowest free slot on it */
    char *security_protocol; /* these, when not empty, are librdkafka's of the same names */
    char *sasl_mechanism, *sasl_username, *sasl_password, *sasl_password_file;
    char *ssl_ca_file, *ssl_certificate_file, *ssl_key_file;
    char *ssl_key_password, *ssl_key_password_file;
    enum partitioner partitioner;
    enum framing framing;
    bool cloudevents;
    int64_t message_bytes_max;
  } kafka;
  struct {
    char *directory;    /* empty: none */
    char *registry_url; /* empty: none */
    char *registry_user, *registry_password, *registry_password_file;
    char *registry_ca_file; /* empty: the system's */
    char *registry_certificate_file, *registry_key_file;
  } schemas;
  struct {
    char *dsn;
  } postgres;
  struct {
    char *listen; /* "127.0.0.1:9464", or "off" */
  } http;
  struct {
    char *subject_key_file; /* empty: the key that `migrate` keeps in the database */
  } privacy;
  struct {
    char *signing_key_file; /* of its checkpoints; empty: nothing is signed */
  } journal;
  struct {
    struct text_list bootstrap_admins;
  } roles;
  struct {
    int64_t messages_max; /* a batch closes at this many messages */
    int64_t bytes_max;    /* or when its encoded results reach this size */
    int64_t memory_max;   /* bytes of all batches on their way; the lanes here share it */
  } batch;
  struct {
    int64_t stall_max_s; /* a loop that stands still for longer ends the process; 0: never */
  } loop;
  struct {
    char *format; /* "logfmt" or "json" */
    char *level;  /* "debug", "info", "warning" or "error" */
  } log;
  struct property *properties;
  size_t property_count;
};

/* Where values come from, in falling order of precedence: `sets` ("key=value" of --set, the
 * last of a repeated one wins), the environment (MUSTER_KAFKA__GROUP_ID), `file` (may be NULL),
 * defaults. `properties` are the -X texts. On failure STATUS_CONFIG, or STATUS_USAGE for a
 * --set or -X that is not key=value; the error names the place (file:line:column, the
 * variable or the flag) and the fix. The caller ends a config with config_fini. */
enum status config_load(struct config *config, const char *file, const struct text_list *sets,
                        const struct text_list *properties, struct error *error) MUST_USE;
void config_fini(struct config *config);

/* Prints every key with its value in force as YAML; secrets in a DSN are hidden. */
void config_show(const struct config *config);

#endif
