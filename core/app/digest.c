#include "core/app/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

struct digest {
  EVP_MD_CTX *context;
  EVP_MD *sha256; /* fetched once: a look-up by name costs more than a short digest */
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

void digest_update(struct digest *digest, struct span bytes) {
  must(EVP_DigestUpdate(digest->context, bytes.data, bytes.size));
}

void digest_final(struct digest *digest, uint8_t out[DIGEST_SIZE]) {
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
