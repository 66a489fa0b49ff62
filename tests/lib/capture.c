#include "tests/lib/capture.h"

#include "core/app/command.h"
#include "core/app/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WORDS_MAX = 16 };

char captured[2][CAPTURED_SIZE];

static void read_back(int file, char text[CAPTURED_SIZE]) {
  const ssize_t size = pread(file, text, CAPTURED_SIZE - 1, 0);
  assert(size >= 0);
  text[size] = '\0';
  close(file);
}

int capture_command(const char *const *words) {
  char *argv[WORDS_MAX] = {0};
  int argc = 0;
  for (; words[argc] != NULL; argc++) {
    assert(argc < WORDS_MAX);
    argv[argc] = text_copy(words[argc]);
  }
  int files[2];
  int kept[2];
  fflush(NULL);
  for (int i = 0; i < 2; i++) {
    char path[] = "/tmp/check_capture.XXXXXX";
    files[i] = mkstemp(path);
    assert(files[i] >= 0);
    unlink(path);
    kept[i] = dup(i + 1);
    dup2(files[i], i + 1);
  }
  const int code = command_main(argc, argv);
  fflush(NULL);
  for (int i = 0; i < 2; i++) {
    dup2(kept[i], i + 1);
    close(kept[i]);
    read_back(files[i], captured[i]);
  }
  for (int i = 0; i < argc; i++) {
    free(argv[i]);
  }
  return code;
}
