#include "core/app/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS_MAX = 1000, PATH_SIZE = 1024 };

/* A directory of this user alone: nobody else can take our names. */
static enum status lock_directory(char path[PATH_SIZE], struct error *error) {
  const char *runtime = getenv("XDG_RUNTIME_DIR");
  const char *base = runtime != NULL && runtime[0] == '/' ? runtime : "/tmp";
  snprintf(path, PATH_SIZE, "%s/muster-%lu", base, (unsigned long)geteuid());
  struct stat found;
  if ((mkdir(path, 0700) != 0 && errno != EEXIST) || lstat(path, &found) != 0 ||
      !S_ISDIR(found.st_mode) || found.st_uid != geteuid()) {
    return error_set(error, STATUS_CONFIG, "%s: cannot be used for locks: %s", path,
                     strerror(errno));
  }
  return STATUS_OK;
}

/* The lock of one member of one group of one cluster, as a file name. */
static void lock_path(const struct config *config, const char *directory, const char *name,
                      char path[PATH_SIZE]) {
  char key[PATH_SIZE];
  snprintf(key, sizeof key, "%s,%s,%s", config->kafka.bootstrap_servers, config->kafka.group_id,
           name);
  for (char *at = key; *at != '\0'; at++) {
    *at = *at == '/' ? '_' : *at;
  }
  snprintf(path, PATH_SIZE, "%.400s/%.500s.lock", directory, key);
}

static bool try_lock(const struct config *config, const char *directory, const char *name,
                     struct instance *instance) {
  char path[PATH_SIZE];
  lock_path(config, directory, name, path);
  instance->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (instance->lock >= 0 && flock(instance->lock, LOCK_EX | LOCK_NB) == 0) {
    snprintf(instance->name, sizeof instance->name, "%s", name);
    return true;
  }
  instance_release(instance);
  return false;
}

enum status instance_take(const struct config *config, struct instance *instance,
                          struct error *error) {
  char directory[PATH_SIZE];
  const enum status status = lock_directory(directory, error);
  if (status != STATUS_OK) {
    return status;
  }
  if (config->kafka.instance[0] != '\0') {
    return try_lock(config, directory, config->kafka.instance, instance)
               ? STATUS_OK
               : error_set(error, STATUS_CONFIG,
                           "kafka.instance %s is taken by another process on this host",
                           config->kafka.instance);
  }
  char host[128] = "localhost";
  gethostname(host, sizeof host - 1);
  for (int slot = 0; slot < SLOTS_MAX; slot++) {
    char name[INSTANCE_NAME_SIZE];
    snprintf(name, sizeof name, "%s-%d", host, slot);
    if (try_lock(config, directory, name, instance)) {
      return STATUS_OK;
    }
  }
  return error_set(error, STATUS_CONFIG, "no free slot on this host: set kafka.instance");
}

void instance_release(struct instance *instance) {
  if (instance->lock >= 0) {
    close(instance->lock);
    instance->lock = -1;
  }
}
