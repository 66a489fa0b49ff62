#include "core/app/digest.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

/* Short pieces are collected: a call of libcrypto costs as much as hashing 60 bytes does. */
enum { PENDING_SIZE = 16384 };

struct digest {
  EVP_MD_CTX *context;
  EVP_MD *sha256; /* fetched once: a look-up by name costs more than a short digest */
  size_t pending_size;
  uint8_t pending[PENDING_SIZE];
};

struct subject_hash {
  EVP_MAC *hmac;
  EVP_MAC_CTX *context;
};

/* libcrypto fails only for want of memory or a broken installation: neither can be decided
 * around, and a wrong digest must never be written. */
static void must(int answer) {
  if (answer != 1) {
    fputs("muster: out of memory, or no SHA-256\n", stderr);
    abort();
  }
}

struct digest *digest_open(void) {
  struct digest *digest = calloc(1, sizeof *digest);
  assert(digest != NULL);
  digest->context = EVP_MD_CTX_new();
  digest->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
  must(digest->context != NULL && digest->sha256 != NULL);
  must(EVP_DigestInit_ex2(digest->context, digest->sha256, NULL));
  return digest;
}

void digest_close(struct digest *digest) {
  if (digest != NULL) {
    EVP_MD_CTX_free(digest->context);
    EVP_MD_free(digest->sha256);
    free(digest);
  }
}

static void flush(struct digest *digest) {
  must(EVP_DigestUpdate(digest->context, digest->pending, digest->pending_size));
  digest->pending_size = 0;
}

void digest_update(struct digest *digest, struct span bytes) {
  if (bytes.size > PENDING_SIZE - digest->pending_size) {
    flush(digest);
  }
  if (bytes.size > PENDING_SIZE) {
    must(EVP_DigestUpdate(digest->context, bytes.data, bytes.size));
  } else if (bytes.size > 0) {
    memcpy(digest->pending + digest->pending_size, bytes.data, bytes.size);
    digest->pending_size += bytes.size;
  }
}

void digest_final(struct digest *digest, uint8_t out[DIGEST_SIZE]) {
  flush(digest);
  must(EVP_DigestFinal_ex(digest->context, out, NULL));
  must(EVP_DigestInit_ex2(digest->context, NULL, NULL));
}

void digest_of(struct span bytes, uint8_t out[DIGEST_SIZE]) {
  must(EVP_Digest(bytes.data, bytes.size, out, NULL, EVP_sha256(), NULL));
}

void hex_format(const uint8_t *bytes, size_t size, char *text) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < size; i++) {
    text[2 * i] = digits[bytes[i] >> 4];
    text[2 * i + 1] = digits[bytes[i] & 15];
  }
  text[2 * size] = '\0';
}

void subject_of(struct span key, struct span lowered_email, uint8_t subject[SUBJECT_SIZE]) {
  uint8_t whole[DIGEST_SIZE];
  must(HMAC(EVP_sha256(), key.data, (int)key.size, lowered_email.data, lowered_email.size, whole,
            NULL) != NULL);
  memcpy(subject, whole, SUBJECT_SIZE);
}

struct subject_hash *subject_hash_open(struct span key) {
  struct subject_hash *hash = calloc(1, sizeof *hash);
  assert(hash != NULL);
  char name[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
      OSSL_PARAM_construct_end(),
  };
  hash->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
  must(hash->hmac != NULL);
  hash->context = EVP_MAC_CTX_new(hash->hmac);
  must(hash->context != NULL);
  must(EVP_MAC_init(hash->context, key.data, key.size, parameters));
  return hash;
}

void subject_hash_close(struct subject_hash *hash) {
  if (hash != NULL) {
    EVP_MAC_CTX_free(hash->context);
    EVP_MAC_free(hash->hmac);
    free(hash);
  }
}

void subject_hash_of(struct subject_hash *hash, struct span lowered_email,
                     uint8_t subject[SUBJECT_SIZE]) {
  uint8_t whole[DIGEST_SIZE];
  size_t size;
  must(EVP_MAC_init(hash->context, NULL, 0, NULL)); /* the key stays */
  must(EVP_MAC_update(hash->context, lowered_email.data, lowered_email.size));
  must(EVP_MAC_final(hash->context, whole, &size, sizeof whole));
  memcpy(subject, whole, SUBJECT_SIZE);
}
