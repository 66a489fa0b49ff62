/* Passwords, from a setting's text or from a file that a setting names. */
#ifndef MUSTER_APP_SECRET_H
#define MUSTER_APP_SECRET_H

#include "core/status.h"

enum { SECRET_SIZE_MAX = 4096 };

/* `text` unless it is empty, else what stands in `file` but for one line end, else an empty text.
 * The file is read each time, so that a password can be changed below a running program. On
 * STATUS_OK the caller ends `*secret` with secret_free. STATUS_CONFIG names `key`, the setting
 * that the file's has "_file" added to, and never the content. */
enum status secret_read(const char *key, const char *text, const char *file, char **secret,
                        struct error *error) MUST_USE;

/* Overwrites it first. NULL is allowed. */
void secret_free(char *secret);

#endif
