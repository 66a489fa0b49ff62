#include "core/app/checkpoint.h"

#include "consumers/base64.h"
#include "core/app/digest.h"
#include "core/app/text.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { ALGORITHM_ED25519 = 1, KEY_SIZE = 32, SIGNATURE_SIZE = 64, ID_SIZE = 4 };

static const char secret_prefix[] = "PRIVATE+KEY+";
static const char dash[] = "\xe2\x80\x94 "; /* what a signature's line begins with */

struct note_key {
  char name[CHECKPOINT_NAME_SIZE];
  uint8_t id[ID_SIZE];
  EVP_PKEY *key;
};

void note_key_close(struct note_key *key) {
  if (key != NULL) {
    EVP_PKEY_free(key->key);
    free(key);
  }
}

const char *note_key_name(const struct note_key *key) {
  return key->name;
}

static bool name_is_good(struct span name) {
  for (size_t i = 0; i < name.size; i++) {
    if (name.data[i] <= ' ' || name.data[i] == '+') {
      return false;
    }
  }
  return name.size > 0 && name.size < CHECKPOINT_NAME_SIZE && span_is_utf8_text(name);
}

/* The first bytes of SHA-256 over the name, a line end, the algorithm and the public key. */
static void id_of(struct span name, const uint8_t public[KEY_SIZE], uint8_t id[ID_SIZE]) {
  uint8_t bytes[CHECKPOINT_NAME_SIZE + 2 + KEY_SIZE];
  uint8_t digest[DIGEST_SIZE];
  memcpy(bytes, name.data, name.size);
  bytes[name.size] = '\n';
  bytes[name.size + 1] = ALGORITHM_ED25519;
  memcpy(bytes + name.size + 2, public, KEY_SIZE);
  digest_of(span_of(bytes, name.size + 2 + KEY_SIZE), digest);
  memcpy(id, digest, ID_SIZE);
}

static void key_text(const char *prefix, const struct note_key *key, const uint8_t bytes[KEY_SIZE],
                     char text[CHECKPOINT_KEY_TEXT_SIZE]) {
  uint8_t whole[1 + KEY_SIZE] = {ALGORITHM_ED25519};
  char id[2 * ID_SIZE + 1];
  memcpy(whole + 1, bytes, KEY_SIZE);
  hex_format(key->id, ID_SIZE, id);
  char *const base64 = base64_text(span_of(whole, sizeof whole));
  snprintf(text, CHECKPOINT_KEY_TEXT_SIZE, "%s%s+%s+%s", prefix, key->name, id, base64);
  explicit_bzero(base64, strlen(base64));
  explicit_bzero(whole, sizeof whole);
  free(base64);
}

enum status note_key_make(const char *name, char secret[CHECKPOINT_KEY_TEXT_SIZE],
                          char open[CHECKPOINT_KEY_TEXT_SIZE], struct error *error) {
  struct note_key key = {.name = ""};
  uint8_t seed[KEY_SIZE];
  uint8_t public[KEY_SIZE];
  size_t seed_size = KEY_SIZE;
  size_t public_size = KEY_SIZE;
  if (!name_is_good(span_text(name))) {
    return error_set(error, STATUS_USAGE,
                     "a key's name has 1 to %d characters, no blanks and no plus signs",
                     CHECKPOINT_NAME_SIZE - 1);
  }
  snprintf(key.name, sizeof key.name, "%s", name);
  key.key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
  if (key.key == NULL || EVP_PKEY_get_raw_private_key(key.key, seed, &seed_size) != 1 ||
      EVP_PKEY_get_raw_public_key(key.key, public, &public_size) != 1) {
    EVP_PKEY_free(key.key);
    return error_set(error, STATUS_UNAVAILABLE, "libcrypto makes no Ed25519 key");
  }
  id_of(span_text(name), public, key.id);
  key_text(secret_prefix, &key, seed, secret);
  key_text("", &key, public, open);
  explicit_bzero(seed, sizeof seed);
  EVP_PKEY_free(key.key);
  return STATUS_OK;
}

/* What stands before the first plus sign; the rest stays. */
static bool take_word(struct span *rest, struct span *word) {
  const uint8_t *plus = rest->size == 0 ? NULL : memchr(rest->data, '+', rest->size);
  if (plus == NULL) {
    return false;
  }
  const size_t size = (size_t)(plus - rest->data);
  *word = span_of(rest->data, size);
  *rest = span_of(plus + 1, rest->size - size - 1);
  return true;
}

static EVP_PKEY *raw_key(bool is_secret, struct span base64) {
  uint8_t *bytes;
  size_t size;
  EVP_PKEY *key = NULL;
  if (!base64_bytes(base64, &bytes, &size)) {
    return NULL;
  }
  if (size == 1 + KEY_SIZE && bytes[0] == ALGORITHM_ED25519) {
    key = is_secret ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, bytes + 1, KEY_SIZE)
                    : EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes + 1, KEY_SIZE);
  }
  explicit_bzero(bytes, size);
  free(bytes);
  return key;
}

static struct note_key *read_key(bool is_secret, struct span text) {
  struct span name;
  struct span id;
  char hex[2 * ID_SIZE + 1];
  uint8_t public[KEY_SIZE];
  size_t public_size = KEY_SIZE;
  text.size -= text.size > 0 && text.data[text.size - 1] == '\n' ? 1 : 0;
  if (!take_word(&text, &name) || !name_is_good(name) || !take_word(&text, &id)) {
    return NULL;
  }
  struct note_key *key = memory_zeroed(1, sizeof *key);
  memcpy(key->name, name.data, name.size);
  key->key = raw_key(is_secret, text);
  if (key->key == NULL || EVP_PKEY_get_raw_public_key(key->key, public, &public_size) != 1) {
    note_key_close(key);
    return NULL;
  }
  id_of(name, public, key->id);
  hex_format(key->id, ID_SIZE, hex);
  if (!span_equal(id, span_text(hex))) { /* the name is another's, or a letter is wrong */
    note_key_close(key);
    return NULL;
  }
  return key;
}

struct note_key *note_key_read_secret(struct span text) {
  const size_t size = sizeof secret_prefix - 1;
  return text.size > size && memcmp(text.data, secret_prefix, size) == 0
             ? read_key(true, span_of(text.data + size, text.size - size))
             : NULL;
}

struct note_key *note_key_read_public(struct span text) {
  return read_key(false, text);
}

enum status note_key_load(const char *path, bool is_secret, struct note_key **key,
                          struct error *error) {
  char text[CHECKPOINT_KEY_TEXT_SIZE];
  FILE *const file = fopen(path, "rb");
  if (file == NULL) {
    return error_set(error, STATUS_CONFIG, "key file %s: %s", path, strerror(errno));
  }
  setvbuf(file, NULL, _IONBF, 0); /* no copy stays in a buffer of the library */
  const size_t size = fread(text, 1, sizeof text, file);
  fclose(file);
  const struct span span = span_of(text, size);
  *key = is_secret ? note_key_read_secret(span) : note_key_read_public(span);
  explicit_bzero(text, sizeof text);
  return *key != NULL ? STATUS_OK
                      : error_set(error, STATUS_CONFIG,
                                  "key file %s: no %s Ed25519 key of a signed note; `muster "
                                  "evidence key` makes a pair",
                                  path, is_secret ? "secret" : "public");
}

void checkpoint_origin(const char *name, const char *topic_prefix, uint32_t lane,
                       char origin[CHECKPOINT_ORIGIN_SIZE]) {
  snprintf(origin, CHECKPOINT_ORIGIN_SIZE, "%s/%sjournal/%" PRIu32, name, topic_prefix, lane);
}

size_t checkpoint_sign(const struct note_key *secret, const char *origin,
                       const struct merkle_tree *tree, char text[CHECKPOINT_TEXT_SIZE]) {
  uint8_t bytes[ID_SIZE + SIGNATURE_SIZE];
  size_t signature_size = SIGNATURE_SIZE;
  char *const root = base64_text(span_of(tree->root.hash, DIGEST_SIZE));
  const size_t size = (size_t)snprintf(text, CHECKPOINT_TEXT_SIZE, "%s\n%" PRIu64 "\n%s\n", origin,
                                       tree->size, root);
  assert(size < CHECKPOINT_TEXT_SIZE / 2);
  EVP_MD_CTX *const context = EVP_MD_CTX_new();
  memcpy(bytes, secret->id, ID_SIZE);
  const bool is_signed =
      context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, secret->key) == 1 &&
      EVP_DigestSign(context, bytes + ID_SIZE, &signature_size, (const uint8_t *)text, size) == 1;
  EVP_MD_CTX_free(context);
  if (!is_signed) { /* libcrypto fails only for want of memory */
    fputs("muster: out of memory, or no Ed25519\n", stderr);
    abort();
  }
  char *const signature = base64_text(span_of(bytes, sizeof bytes));
  const size_t whole = size + (size_t)snprintf(text + size, CHECKPOINT_TEXT_SIZE - size,
                                               "\n%s%s %s\n", dash, secret->name, signature);
  assert(whole < CHECKPOINT_TEXT_SIZE);
  free(signature);
  free(root);
  return whole;
}

/* The next line without its end; false when there is none that is ended. */
static bool take_line(struct span *rest, struct span *line) {
  const uint8_t *end = rest->size == 0 ? NULL : memchr(rest->data, '\n', rest->size);
  if (end == NULL) {
    return false;
  }
  const size_t size = (size_t)(end - rest->data);
  *line = span_of(rest->data, size);
  *rest = span_of(end + 1, rest->size - size - 1);
  return true;
}

/* A decimal number without leading zeros. */
static bool read_size(struct span line, uint64_t *size) {
  *size = 0;
  bool good = line.size > 0 && line.size < 20 && (line.size == 1 || line.data[0] != '0');
  for (size_t i = 0; good && i < line.size; i++) {
    good = line.data[i] >= '0' && line.data[i] <= '9';
    *size = *size * 10 + (uint64_t)(line.data[i] - '0');
  }
  return good;
}

static bool read_root(struct span line, struct merkle_node *root) {
  uint8_t *bytes;
  size_t size;
  if (!base64_bytes(line, &bytes, &size)) {
    return false;
  }
  const bool good = size == DIGEST_SIZE;
  if (good) {
    memcpy(root->hash, bytes, DIGEST_SIZE);
  }
  free(bytes);
  return good;
}

static bool signature_holds(const struct note_key *key, struct span message, struct span base64) {
  uint8_t *bytes;
  size_t size;
  if (!base64_bytes(base64, &bytes, &size)) {
    return false;
  }
  EVP_MD_CTX *const context = EVP_MD_CTX_new();
  assert(context != NULL);
  const bool holds =
      size == ID_SIZE + SIGNATURE_SIZE && memcmp(bytes, key->id, ID_SIZE) == 0 &&
      EVP_DigestVerifyInit(context, NULL, NULL, NULL, key->key) == 1 &&
      EVP_DigestVerify(context, bytes + ID_SIZE, SIGNATURE_SIZE, message.data, message.size) == 1;
  EVP_MD_CTX_free(context);
  free(bytes);
  return holds;
}

/* Whether one of the lines is the key's signature; others' are of no matter. */
static bool has_signature(const struct note_key *key, struct span message, struct span lines) {
  char begin[sizeof dash + CHECKPOINT_NAME_SIZE + 1];
  const size_t size = (size_t)snprintf(begin, sizeof begin, "%s%s ", dash, key->name);
  struct span line;
  while (take_line(&lines, &line)) {
    if (line.size > size && memcmp(line.data, begin, size) == 0 &&
        signature_holds(key, message, span_of(line.data + size, line.size - size))) {
      return true;
    }
  }
  return false;
}

bool checkpoint_read(struct span text, const struct note_key *key, struct checkpoint *checkpoint,
                     char why[CHECKPOINT_WHY_SIZE]) {
  struct span rest = text;
  struct span line;
  *checkpoint = (struct checkpoint){.is_signed = false};
  if (!take_line(&rest, &line) || line.size == 0 || line.size >= CHECKPOINT_ORIGIN_SIZE ||
      !span_is_utf8_text(line)) {
    snprintf(why, CHECKPOINT_WHY_SIZE, "its first line is no origin");
    return false;
  }
  memcpy(checkpoint->origin, line.data, line.size);
  if (!take_line(&rest, &line) || !read_size(line, &checkpoint->tree.size)) {
    snprintf(why, CHECKPOINT_WHY_SIZE, "its second line is no number of batches");
    return false;
  }
  if (!take_line(&rest, &line) || !read_root(line, &checkpoint->tree.root)) {
    snprintf(why, CHECKPOINT_WHY_SIZE, "its third line is no root of a tree");
    return false;
  }
  do { /* lines of extensions */
    if (!take_line(&rest, &line)) {
      snprintf(why, CHECKPOINT_WHY_SIZE, "no empty line stands before its signatures");
      return false;
    }
  } while (line.size > 0);
  const struct span message = span_of(text.data, (size_t)(line.data - text.data));
  checkpoint->is_signed = key != NULL && has_signature(key, message, rest);
  return true;
}
