#include "core/app/secret.h"

#include "core/app/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status read_file(const char *key, const char *path, char bytes[SECRET_SIZE_MAX + 2],
                             struct error *error) {
  FILE *const file = fopen(path, "rb");
  if (file == NULL) {
    return error_set(error, STATUS_CONFIG, "%s_file %s: %s", key, path, strerror(errno));
  }
  setvbuf(file, NULL, _IONBF, 0); /* no copy stays in a buffer of the library */
  errno = 0;
  size_t size = fread(bytes, 1, SECRET_SIZE_MAX + 1, file);
  const int failure = ferror(file) != 0 ? errno : 0;
  fclose(file);
  if (failure != 0) {
    return error_set(error, STATUS_CONFIG, "%s_file %s: %s", key, path, strerror(failure));
  }
  if (size > 0 && bytes[size - 1] == '\n') {
    size--;
  }
  bytes[size] = '\0';
  if (size == 0 || size > SECRET_SIZE_MAX || strlen(bytes) != size ||
      strpbrk(bytes, "\r\n") != NULL) {
    return error_set(error, STATUS_CONFIG, "%s_file %s: one line of 1 to %d bytes is needed", key,
                     path, SECRET_SIZE_MAX);
  }
  return STATUS_OK;
}

enum status secret_read(const char *key, const char *text, const char *file, char **secret,
                        struct error *error) {
  if (text[0] != '\0' || file[0] == '\0') {
    *secret = text_copy(text);
    return STATUS_OK;
  }
  char bytes[SECRET_SIZE_MAX + 2];
  const enum status status = read_file(key, file, bytes, error);
  if (status == STATUS_OK) {
    *secret = text_copy(bytes);
  }
  explicit_bzero(bytes, sizeof bytes);
  return status;
}

void secret_free(char *secret) {
  if (secret != NULL) {
    explicit_bzero(secret, strlen(secret));
    free(secret);
  }
}
