#include "consumers/registry.h"

#include "consumers/avro_canonical.h"
#include "consumers/avro_schema.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REASON_SIZE = 200, URL_SIZE_MAX = 4096 };

struct registry {
  CURL *curl;
  struct curl_slist *headers;
  char *url;  /* with user and password, without a slash at its end */
  char *host; /* the URL as it may be shown */
  bool (*is_over)(void *context);
  void *context;
  char reason[CURL_ERROR_SIZE];
  char *answer;
  size_t answer_size;
};

/* ---- Answers ---- */

/* What a registry says is shown on one line and in part. */
static void reason_keep(char reason[REASON_SIZE], const char *text) {
  snprintf(reason, REASON_SIZE, "%s", text);
  for (char *at = reason; *at != '\0'; at++) {
    if ((unsigned char)*at < ' ' || (unsigned char)*at >= 0x7f) {
      *at = '?';
    }
  }
}

static json_t *json_of(struct span answer) {
  return json_loadb((const char *)answer.data, answer.size, JSON_REJECT_DUPLICATES, NULL);
}

static enum status canonical_of(const char *text, char **canonical, struct error *error) {
  struct avro_schema *schema;
  struct error why;
  if (avro_schema_parse(span_text(text), &schema, &why) != STATUS_OK) {
    char reason[REASON_SIZE];
    reason_keep(reason, why.text);
    return error_set(error, STATUS_REFUSED, "no Avro schema by itself: %s", reason);
  }
  *canonical = avro_canonical_text(schema);
  avro_schema_free(schema);
  return STATUS_OK;
}

enum status registry_read_schema(struct span answer, char **canonical, struct error *error) {
  json_t *const object = json_of(answer);
  const char *const text = json_string_value(json_object_get(object, "schema"));
  const json_t *const type = json_object_get(object, "schemaType");
  const char *const type_name = json_string_value(type);
  enum status status;
  if (text == NULL) {
    status = error_set(error, STATUS_UNAVAILABLE, "the answer is no registry's: it has no schema");
  } else if (type != NULL && !json_is_null(type) &&
             (type_name == NULL || strcmp(type_name, "AVRO") != 0)) {
    status = error_set(error, STATUS_REFUSED, "not an Avro schema");
  } else if (json_array_size(json_object_get(object, "references")) > 0) {
    status = error_set(error, STATUS_REFUSED, "the schema refers to others");
  } else {
    status = canonical_of(text, canonical, error);
  }
  json_decref(object);
  return status;
}

enum status registry_read_id(struct span answer, uint32_t *id, struct error *error) {
  json_t *const object = json_of(answer);
  const json_t *const value = json_object_get(object, "id");
  const json_int_t number = json_integer_value(value);
  const bool is_good = json_is_integer(value) && number >= 0 && number <= INT32_MAX;
  json_decref(object);
  if (!is_good) {
    return error_set(error, STATUS_UNAVAILABLE, "the answer is no registry's: it has no id");
  }
  *id = (uint32_t)number;
  return STATUS_OK;
}

/* ---- HTTP ---- */

static size_t take_bytes(char *bytes, size_t one, size_t size, void *context) {
  struct registry *const registry = context;
  assert(one == 1);
  if (size > REGISTRY_ANSWER_SIZE_MAX - registry->answer_size) {
    return CURL_WRITEFUNC_ERROR;
  }
  char *const grown = realloc(registry->answer, registry->answer_size + size + 1);
  assert(grown != NULL);
  registry->answer = grown;
  memcpy(grown + registry->answer_size, bytes, size);
  registry->answer_size += size;
  return size;
}

static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up) {
  (void)down_total;
  (void)down;
  (void)up_total;
  (void)up;
  const struct registry *const registry = context;
  return registry->is_over != NULL && registry->is_over(registry->context) ? 1 : 0;
}

/* The registry's own words for an error, when it has any. */
static void told_reason(const struct registry *registry, char reason[REASON_SIZE]) {
  json_t *const object = json_of(span_of(registry->answer, registry->answer_size));
  const char *const message = json_string_value(json_object_get(object, "message"));
  reason_keep(reason, message != NULL ? message : "");
  json_decref(object);
}

/* Asks `path`; with `body` it is posted. STATUS_OK: there is an answer, whose code is in `code`. */
static enum status ask(struct registry *registry, const char *path, const char *body, long *code,
                       struct error *error) {
  char url[URL_SIZE_MAX];
  CURL *const curl = registry->curl;
  snprintf(url, sizeof url, "%s%s", registry->url, path);
  free(registry->answer);
  registry->answer = NULL;
  registry->answer_size = 0;
  registry->reason[0] = '\0';
  CURLcode failure = curl_easy_setopt(curl, CURLOPT_URL, url);
  if (body != NULL) {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
  } else {
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
  }
  failure = failure == CURLE_OK ? curl_easy_perform(curl) : failure;
  explicit_bzero(url, sizeof url);
  if (failure != CURLE_OK) {
    return error_set(error, STATUS_UNAVAILABLE, "schema registry %s: %s", registry->host,
                     registry->reason[0] != '\0' ? registry->reason : curl_easy_strerror(failure));
  }
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, code);
  return STATUS_OK;
}

static enum status fail(const struct registry *registry, enum status status, const char *what,
                        long code, struct error *error) {
  char reason[REASON_SIZE];
  told_reason(registry, reason);
  return error_set(error, status, "schema registry %s: %s: HTTP %ld%s%s", registry->host, what,
                   code, reason[0] != '\0' ? ": " : "", reason);
}

enum status registry_fetch(struct registry *registry, uint32_t id, char **canonical,
                           struct error *error) {
  char path[64];
  char what[64];
  long code;
  snprintf(path, sizeof path, "/schemas/ids/%" PRIu32, id);
  snprintf(what, sizeof what, "schema %" PRIu32, id);
  enum status status = ask(registry, path, NULL, &code, error);
  if (status != STATUS_OK) {
    return status;
  }
  if (code != 200) {
    return fail(registry, code == 404 ? STATUS_REFUSED : STATUS_UNAVAILABLE, what, code, error);
  }
  status = registry_read_schema(span_of(registry->answer, registry->answer_size), canonical, error);
  if (status != STATUS_OK) {
    error_wrap(error, "schema registry %s: %s", registry->host, what);
  }
  return status;
}

/* A body of its own lines: {"schema": text}. The caller frees it. */
static char *body_of(struct span schema) {
  json_t *const object =
      json_pack("{s:s%}", "schema", (const char *)schema.data, (size_t)schema.size);
  assert(object != NULL);
  char *const body = json_dumps(object, JSON_COMPACT);
  assert(body != NULL);
  json_decref(object);
  return body;
}

enum status registry_register(struct registry *registry, const char *subject, struct span schema,
                              uint32_t *id, struct error *error) {
  char *const escaped = curl_easy_escape(registry->curl, subject, 0);
  assert(escaped != NULL);
  char path[URL_SIZE_MAX / 2];
  snprintf(path, sizeof path, "/subjects/%s/versions", escaped);
  curl_free(escaped);
  char *const body = body_of(schema);
  long code;
  enum status status = ask(registry, path, body, &code, error);
  free(body);
  if (status != STATUS_OK) {
    return status;
  }
  if (code != 200) {
    /* What the registry refuses it will refuse again; anything else may pass. */
    const bool is_refused = code >= 400 && code < 500 && code != 408 && code != 429;
    return fail(registry, is_refused ? STATUS_CONFIG : STATUS_UNAVAILABLE, subject, code, error);
  }
  status = registry_read_id(span_of(registry->answer, registry->answer_size), id, error);
  if (status != STATUS_OK) {
    error_wrap(error, "schema registry %s: %s", registry->host, subject);
  }
  return status;
}

/* ---- Opening ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start_library(void) {
  const CURLcode failure = curl_global_init(CURL_GLOBAL_DEFAULT);
  assert(failure == CURLE_OK);
  (void)failure;
}

static char *copy_of(const char *text) {
  char *const copy = strdup(text);
  assert(copy != NULL);
  return copy;
}

/* The URL's scheme, host, port and path: what stands before the host's '@' is left out. */
static char *shown(const char *url) {
  const char *const scheme = strstr(url, "://");
  const char *const host = scheme == NULL ? url : scheme + 3;
  const char *const end = host + strcspn(host, "/?#");
  const char *from = host;
  for (const char *at = host; at < end; at++) {
    from = *at == '@' ? at + 1 : from;
  }
  char *const text = copy_of(url);
  memmove(text + (host - url), from, strlen(from) + 1);
  return text;
}

static bool is_set(const char *text) {
  return text != NULL && text[0] != '\0';
}

/* The options that are texts; the name of one that is refused, else NULL. */
static const char *set_texts(CURL *curl, const struct registry_options *options) {
  const struct {
    CURLoption option;
    const char *text, *name;
  } texts[] = {
      {CURLOPT_USERNAME, options->user, "schemas.registry_user"},
      {CURLOPT_PASSWORD, options->password, "schemas.registry_password"},
      {CURLOPT_CAINFO, options->ca_file, "schemas.registry_ca_file"},
      {CURLOPT_SSLCERT, options->certificate_file, "schemas.registry_certificate_file"},
      {CURLOPT_SSLKEY, options->key_file, "schemas.registry_key_file"},
  };
  for (size_t i = 0; i < COUNT_OF(texts); i++) {
    if (is_set(texts[i].text) &&
        curl_easy_setopt(curl, texts[i].option, texts[i].text) != CURLE_OK) {
      return texts[i].name;
    }
  }
  return NULL;
}

/* Redirects are not followed: they could lead away from TLS, or to where a password must not go. */
static void set_manners(struct registry *registry) {
  CURL *const curl = registry->curl;
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)REGISTRY_TIMEOUT_MS);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)REGISTRY_CONNECT_TIMEOUT_MS);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, registry->reason);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "muster");
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, registry);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, registry);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, registry->headers);
}

static struct curl_slist *headers(void) {
  static const char type[] = "application/vnd.schemaregistry.v1+json";
  char line[128];
  snprintf(line, sizeof line, "Accept: %s, application/json", type);
  struct curl_slist *list = curl_slist_append(NULL, line);
  snprintf(line, sizeof line, "Content-Type: %s", type);
  list = curl_slist_append(list, line);
  list =
      curl_slist_append(list, "Expect:"); /* no waiting for a 100 that small servers never send */
  assert(list != NULL);
  return list;
}

enum status registry_open(const struct registry_options *options, struct registry **registry,
                          struct error *error) {
  assert(is_set(options->url));
  if (strlen(options->url) > URL_SIZE_MAX / 2) {
    return error_set(error, STATUS_CONFIG, "schemas.registry_url is too long");
  }
  pthread_once(&once, start_library);
  struct registry *const opened = calloc(1, sizeof *opened);
  assert(opened != NULL);
  opened->curl = curl_easy_init();
  assert(opened->curl != NULL);
  opened->headers = headers();
  opened->is_over = options->is_over;
  opened->context = options->context;
  opened->url = copy_of(options->url);
  for (size_t size = strlen(opened->url); size > 0 && opened->url[size - 1] == '/'; size--) {
    opened->url[size - 1] = '\0';
  }
  opened->host = shown(opened->url);
  set_manners(opened);
  const char *const refused = set_texts(opened->curl, options);
  if (refused != NULL) {
    registry_close(opened);
    return error_set(error, STATUS_CONFIG, "%s: this build's HTTP library refuses it", refused);
  }
  *registry = opened;
  return STATUS_OK;
}

void registry_close(struct registry *registry) {
  if (registry == NULL) {
    return;
  }
  curl_easy_cleanup(registry->curl);
  curl_slist_free_all(registry->headers);
  explicit_bzero(registry->url, strlen(registry->url));
  free(registry->url);
  free(registry->host);
  free(registry->answer);
  free(registry);
}
