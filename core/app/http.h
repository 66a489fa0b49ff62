/* The HTTP side: GET /livez, /readyz and /metrics, nothing else.
 *
 * An fd and a step, no thread: whoever owns the loop polls http_fd for reading, and calls
 * http_step when it is readable or http_timeout_ms has passed. */
#ifndef MUSTER_APP_HTTP_H
#define MUSTER_APP_HTTP_H

#include "core/status.h"

#include <stdio.h>

/* What the answers say; called from http_step. `text` is one line or more for people and may be
 * left as it is, empty. `live`: false when only a restart helps. `ready`: work progresses; not
 * merely that the process is up. */
struct http_handlers {
  void *context;
  bool (*live)(void *context, char *text, size_t size);
  bool (*ready)(void *context, char *text, size_t size);
  void (*metrics)(void *context, FILE *stream);
};

struct http;

/* Listens on "host:port", "[v6]:port" or "off", for which *http is NULL: every function below
 * takes NULL and does nothing. Port 0 takes a free one. An address that cannot be bound is
 * STATUS_CONFIG. `handlers` is copied. */
enum status http_open(const char *listen_text, const struct http_handlers *handlers,
                      struct http **http, struct error *error) MUST_USE;
void http_close(struct http *http);

int http_fd(const struct http *http);   /* -1 without a server */
int http_port(const struct http *http); /* the port listened on; 0 without a server */

/* Answers what there is to answer, without blocking. */
void http_step(struct http *http);

/* The longest time until http_step must be called though the fd is silent; -1: any time. */
int64_t http_timeout_ms(const struct http *http);

#endif
