#include "core/app/http.h"

#include "core/app/text.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A scraper, a probe and somebody who looks: what is beyond waits or is cut off. */
enum { CONNECTIONS_MAX = 32, CONNECTION_TIMEOUT_S = 10, BACKLOG = 32, ANSWER_SIZE = 1024 };

struct http {
  struct MHD_Daemon *daemon;
  struct http_handlers handlers;
  int epoll_fd;
  int port;
};

static enum MHD_Result send_response(struct MHD_Connection *connection, unsigned status,
                                     struct MHD_Response *response, const char *content_type) {
  if (response == NULL) {
    return MHD_NO;
  }
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
  MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
    MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  }
  const enum MHD_Result answer = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  return answer;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status,
                                 const char *text) {
  char answer[ANSWER_SIZE + 1];
  const size_t size = strlen(text) < ANSWER_SIZE ? strlen(text) : ANSWER_SIZE - 1;
  memcpy(answer, text, size);
  answer[size] = '\n';
  const size_t newline = size > 0 && text[size - 1] == '\n' ? 0 : 1;
  struct MHD_Response *const response =
      MHD_create_response_from_buffer(size + newline, answer, MHD_RESPMEM_MUST_COPY);
  return send_response(connection, status, response, "text/plain; charset=utf-8");
}

static enum MHD_Result send_state(struct MHD_Connection *connection, const struct http *http,
                                  bool (*ask)(void *context, char *text, size_t size)) {
  char text[ANSWER_SIZE] = "";
  const bool is_well = ask(http->handlers.context, text, sizeof text);
  if (text[0] == '\0') {
    snprintf(text, sizeof text, "%s", is_well ? "ok" : "not ok");
  }
  return send_text(connection, is_well ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, text);
}

static enum MHD_Result send_metrics(struct MHD_Connection *connection, const struct http *http) {
  char *text = NULL;
  size_t size = 0;
  FILE *const stream = open_memstream(&text, &size);
  if (stream == NULL) {
    return MHD_NO;
  }
  http->handlers.metrics(http->handlers.context, stream);
  if (fclose(stream) != 0) {
    free(text);
    return MHD_NO;
  }
  struct MHD_Response *const response =
      MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
  if (response == NULL) {
    free(text);
  }
  return send_response(connection, MHD_HTTP_OK, response,
                       "text/plain; version=0.0.4; charset=utf-8");
}

static enum MHD_Result answer_request(void *context, struct MHD_Connection *connection,
                                      const char *path, const char *method, const char *version,
                                      const char *upload, size_t *upload_size, void **request) {
  (void)version;
  (void)upload;
  const struct http *const http = context;
  /* The first call comes before the body, if any: an answer there would cut it off. */
  static int seen;
  if (*request == NULL) {
    *request = &seen;
    return MHD_YES;
  }
  if (*upload_size > 0) {
    *upload_size = 0;
    return MHD_YES;
  }
  const bool is_live = strcmp(path, "/livez") == 0;
  const bool is_ready = strcmp(path, "/readyz") == 0;
  if (!is_live && !is_ready && strcmp(path, "/metrics") != 0) {
    return send_text(connection, MHD_HTTP_NOT_FOUND, "there are /livez, /readyz and /metrics");
  }
  if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
    return send_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is allowed");
  }
  if (is_live || is_ready) {
    return send_state(connection, http, is_live ? http->handlers.live : http->handlers.ready);
  }
  return send_metrics(connection, http);
}

/* Parts "host:port" or "[v6]:port"; the configuration has checked its shape. */
static enum status part_address(const char *listen_text, char **host, const char **port,
                                struct error *error) {
  const char *const colon = strrchr(listen_text, ':');
  if (colon == NULL) {
    return error_set(error, STATUS_CONFIG, "http.listen: %s is not HOST:PORT", listen_text);
  }
  *port = colon + 1;
  const size_t size = (size_t)(colon - listen_text);
  const bool is_bracketed = size >= 2 && listen_text[0] == '[' && listen_text[size - 1] == ']';
  *host =
      is_bracketed ? text_copy_size(listen_text + 1, size - 2) : text_copy_size(listen_text, size);
  return STATUS_OK;
}

static int open_socket(const struct addrinfo *address) {
  const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    return -1;
  }
  /* Lets a restart bind at once; Linux still refuses a port that somebody listens on. */
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
    return fd;
  }
  const int reason = errno;
  close(fd);
  errno = reason;
  return -1;
}

/* The first address of the host that can be listened on. */
static enum status open_listener(const char *listen_text, int *fd, struct error *error) {
  char *host = NULL;
  const char *port = NULL;
  const enum status status = part_address(listen_text, &host, &port, error);
  if (status != STATUS_OK) {
    return status;
  }
  const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                                 .ai_socktype = SOCK_STREAM};
  struct addrinfo *addresses = NULL;
  const int found = getaddrinfo(host, port, &hints, &addresses);
  free(host);
  if (found != 0) {
    return error_set(error, STATUS_CONFIG, "http.listen: %s: %s", listen_text, gai_strerror(found));
  }
  *fd = -1;
  for (const struct addrinfo *at = addresses; at != NULL && *fd < 0; at = at->ai_next) {
    *fd = open_socket(at);
  }
  const int reason = errno;
  freeaddrinfo(addresses);
  if (*fd < 0) {
    return error_set(error, STATUS_CONFIG,
                     "http.listen: cannot listen on %s: %s; choose another address or off",
                     listen_text, strerror(reason));
  }
  return STATUS_OK;
}

static int port_of(int fd) {
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
    return 0;
  }
  return address.ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)&address)->sin6_port)
                                       : ntohs(((const struct sockaddr_in *)&address)->sin_port);
}

enum status http_open(const char *listen_text, const struct http_handlers *handlers,
                      struct http **result, struct error *error) {
  *result = NULL;
  if (strcmp(listen_text, "off") == 0) {
    return STATUS_OK;
  }
  int fd;
  const enum status status = open_listener(listen_text, &fd, error);
  if (status != STATUS_OK) {
    return status;
  }
  struct http *const http = memory_zeroed(1, sizeof *http);
  http->handlers = *handlers;
  http->port = port_of(fd);
  http->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, answer_request, http,
                                  MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                                  (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                                  (unsigned)CONNECTION_TIMEOUT_S, MHD_OPTION_END);
  const union MHD_DaemonInfo *const info =
      http->daemon == NULL ? NULL : MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
  if (info == NULL) {
    http_close(http);
    return error_set(error, STATUS_CONFIG, "http.listen: the HTTP server does not start");
  }
  http->epoll_fd = info->epoll_fd;
  *result = http;
  return STATUS_OK;
}

void http_close(struct http *http) {
  if (http == NULL) {
    return;
  }
  if (http->daemon != NULL) {
    MHD_stop_daemon(http->daemon); /* closes the listening socket, too */
  }
  free(http);
}

int http_fd(const struct http *http) {
  return http == NULL ? -1 : http->epoll_fd;
}

int http_port(const struct http *http) {
  return http == NULL ? 0 : http->port;
}

void http_step(struct http *http) {
  if (http != NULL) {
    MHD_run(http->daemon);
  }
}

int64_t http_timeout_ms(const struct http *http) {
  MHD_UNSIGNED_LONG_LONG timeout_ms;
  if (http == NULL || MHD_get_timeout(http->daemon, &timeout_ms) == MHD_NO) {
    return -1;
  }
  return timeout_ms > INT32_MAX ? INT32_MAX : (int64_t)timeout_ms;
}
