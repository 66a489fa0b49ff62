/* core/app/database: which servers are waited for. */
#include "core/app/database.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWERS_MAX = 8 };

/* A server of no database: answers the n-th connection with the n-th SQLSTATE, and those behind
 * the last with that one; an empty one lets it in. */
static struct server {
  const char *answers[ANSWERS_MAX]; /* ended by NULL */
  int silence_ms;                   /* before it listens: connections are refused till then */
  int listener;
  int count; /* of connections so far */
  pthread_t thread;
  char dsn[160];
} server;

static struct error error;

static void send_all(int socket, const uint8_t *bytes, size_t size) {
  ck_assert_int_eq(send(socket, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* The whole message is shorter than 256 bytes. */
static void refuse(int socket, const char *sqlstate) {
  uint8_t message[256] = {'E'};
  const int size =
      snprintf((char *)message + 5, sizeof message - 5, "SFATAL%cVFATAL%cC%s%cMrefused with %s%c%c",
               0, 0, sqlstate, 0, sqlstate, 0, 0);
  message[4] = (uint8_t)(size + 4);
  send_all(socket, message, (size_t)size + 5);
}

static void let_in(int socket) {
  static const uint8_t message[] = {'R', 0, 0, 0, 8, 0, 0, 0, 0, 'Z', 0, 0, 0, 5, 'I'};
  send_all(socket, message, sizeof message);
}

/* To a statement without rows, whole in one packet from Parse to Sync. */
static void comply(int socket) {
  static const uint8_t message[] = {'1', 0, 0, 0, 4, '2', 0,   0,   0, 4,   'n', 0, 0, 0, 4,
                                    'C', 0, 0, 0, 8, 'S', 'E', 'T', 0, 'Z', 0,   0, 0, 5, 'I'};
  send_all(socket, message, sizeof message);
}

static void answer(int socket) {
  uint8_t startup[1024];
  if (recv(socket, startup, sizeof startup, 0) > 0) {
    int at = 0;
    while (at < server.count && server.answers[at + 1] != NULL) {
      at++;
    }
    server.count++;
    if (server.answers[at][0] != '\0') {
      refuse(socket, server.answers[at]);
    } else {
      let_in(socket);
      while (recv(socket, startup, sizeof startup, 0) > 0) { /* until the client goes */
        if (startup[0] == 'P') {
          comply(socket);
        }
      }
    }
  }
  close(socket);
}

static void *serve(void *unused) {
  poll(NULL, 0, server.silence_ms);
  listen(server.listener, 8);
  for (int socket; (socket = accept(server.listener, NULL, NULL)) >= 0;) {
    answer(socket);
  }
  return unused;
}

static void start_server(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  server.listener = socket(AF_INET, SOCK_STREAM, 0);
  ck_assert_int_eq(bind(server.listener, (struct sockaddr *)&address, size), 0);
  ck_assert_int_eq(getsockname(server.listener, (struct sockaddr *)&address, &size), 0);
  snprintf(server.dsn, sizeof server.dsn,
           "host=127.0.0.1 port=%d user=u dbname=d sslmode=disable gssencmode=disable",
           ntohs(address.sin_port));
  ck_assert_int_eq(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static void stop_server(void) {
  shutdown(server.listener, SHUT_RDWR);
  pthread_join(server.thread, NULL);
  close(server.listener);
}

static const struct {
  const char *answers[ANSWERS_MAX];
  int silence_ms;
} healing[] = {
    {{""}, 0},
    {{"57P03", "57P03", "57P03", "57P03", ""}, 0},
    {{""}, 600},
    {{"57P03", ""}, 0}, /* comes up between an attempt and the question why it failed */
};

START_TEST(a_server_that_comes_up_is_waited_for) {
  memcpy(server.answers, healing[_i].answers, sizeof server.answers);
  server.silence_ms = healing[_i].silence_ms;
  start_server();
  struct pg_conn *database;
  const enum status status = database_open(server.dsn, &database, &error);
  ck_assert_msg(status == STATUS_OK, "%s", error.text);
  database_close(database);
  stop_server();
}
END_TEST

/* Wrong password, no such role, no such database; and too many connections, which may end. */
static const struct {
  const char *sqlstate;
  enum status status;
} lasting[] = {{"28P01", STATUS_CONFIG},
               {"28000", STATUS_CONFIG},
               {"3D000", STATUS_CONFIG},
               {"53300", STATUS_UNAVAILABLE}};

START_TEST(a_refusal_that_lasts_is_told_at_once) {
  server.answers[0] = "57P03";
  server.answers[1] = "57P03";
  server.answers[2] = lasting[_i].sqlstate;
  start_server();
  struct pg_conn *database;
  ck_assert_int_eq(database_open(server.dsn, &database, &error), lasting[_i].status);
  ck_assert_ptr_null(database);
  ck_assert_ptr_nonnull(strstr(error.text, lasting[_i].sqlstate));
  stop_server();
  /* Two connections an attempt, of which the second may be gone before it is seen; and one more
   * that asks for the SQLSTATE. */
  ck_assert_int_ge(server.count, 5);
  ck_assert_int_le(server.count, 7);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("database");
  TCase *const cases = tcase_create("database");
  tcase_add_loop_test(cases, a_server_that_comes_up_is_waited_for, 0, (int)COUNT_OF(healing));
  tcase_add_loop_test(cases, a_refusal_that_lasts_is_told_at_once, 0, (int)COUNT_OF(lasting));
  suite_add_tcase(suite, cases);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
