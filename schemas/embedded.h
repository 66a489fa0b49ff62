/* The files of schemas/ and policies/ as they were when the binary was built. */
#ifndef MUSTER_SCHEMAS_EMBEDDED_H
#define MUSTER_SCHEMAS_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
  const char *name; /* "CheckIn.avsc", "0001_init.sql", "default.yaml" */
  const char *text; /* terminated */
  size_t size;      /* without the terminator */
};

extern const struct embedded_file embedded_files[]; /* sorted by name within a kind */
extern const size_t embedded_file_count;

#endif
