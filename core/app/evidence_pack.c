#include "core/app/evidence_pack.h"

#include "core/app/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 4, LANES_MAX = 10000 };

static enum status failed(struct error *error, const char *path) {
  return error_set(error, STATUS_CONFIG, "%s: %s", path, strerror(errno));
}

static enum status map_file(struct pack *pack, const char *name, const char *path, size_t size,
                            struct error *error) {
  const void *bytes = "";
  const int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) {
    return failed(error, path);
  }
  if (size > 0) {
    bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
  }
  const bool is_mapped = bytes != MAP_FAILED;
  const enum status status = is_mapped ? STATUS_OK : failed(error, path);
  close(file);
  if (is_mapped) {
    pack->files = memory_grown(pack->files, pack->file_count + 1, sizeof *pack->files);
    pack->files[pack->file_count++] =
        (struct pack_file){.name = text_copy(name), .bytes = span_of(bytes, size)};
  }
  return status;
}

static enum status map_directory(struct pack *pack, const char *name, int depth,
                                 struct error *error);

static enum status map_entry(struct pack *pack, const char *name, int depth, struct error *error) {
  struct stat is;
  enum status status;
  char *const path = path_join(pack->directory, name);
  if (lstat(path, &is) != 0) {
    status = failed(error, path);
  } else if (S_ISDIR(is.st_mode) && depth < DEPTH_MAX) {
    status = map_directory(pack, name, depth + 1, error);
  } else if (S_ISREG(is.st_mode)) {
    status = map_file(pack, name, path, (size_t)is.st_size, error);
  } else {
    status = error_set(error, STATUS_REFUSED, "%s: neither a file nor a directory of a pack", path);
  }
  free(path);
  return status;
}

static enum status map_directory(struct pack *pack, const char *name, int depth,
                                 struct error *error) {
  char *const path = path_join(pack->directory, name);
  DIR *const directory = opendir(path);
  enum status status = directory != NULL ? STATUS_OK : failed(error, path);
  free(path);
  for (const struct dirent *entry; status == STATUS_OK && (entry = readdir(directory)) != NULL;) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      char *const inner = path_join(name, entry->d_name);
      status = map_entry(pack, inner, depth, error);
      free(inner);
    }
  }
  if (directory != NULL) {
    closedir(directory);
  }
  return status;
}

static int compare(const void *left, const void *right) {
  const struct pack_file *a = left;
  const struct pack_file *b = right;
  return strcmp(a->name, b->name);
}

static bool holds_records(const char *name) {
  static const char ending[] = ".records";
  const size_t size = strlen(name);
  return size >= sizeof ending && strcmp(name + size - (sizeof ending - 1), ending) == 0;
}

static struct stored_partition *add_partition(struct pack *pack, uint32_t lane) {
  while (pack->set_count <= lane) {
    pack->sets = memory_grown(pack->sets, pack->set_count + 1, sizeof *pack->sets);
    pack->sets[pack->set_count++] = (struct pack_set){.count = 0};
  }
  struct pack_set *set = &pack->sets[lane];
  set->items = memory_grown(set->items, set->count + 1, sizeof *set->items);
  return &set->items[set->count++];
}

static enum status open_partitions(struct pack *pack, struct error *error) {
  for (size_t i = 0; i < pack->file_count; i++) {
    const struct pack_file *file = &pack->files[i];
    uint32_t lane;
    if (!holds_records(file->name)) {
      continue;
    }
    if (sscanf(file->name, "lanes/%" SCNu32 "/", &lane) != 1 || lane >= LANES_MAX) {
      return error_set(error, STATUS_REFUSED, "%s: is of no lane", file->name);
    }
    if (!stored_open(file->bytes, add_partition(pack, lane))) {
      return error_set(error, STATUS_REFUSED, "%s: is no file of records", file->name);
    }
  }
  const size_t own = pack->set_count == 0 ? 0 : pack->sets[0].count;
  for (uint32_t lane = 1; lane < pack->set_count; lane++) {
    for (size_t i = 0; i < own; i++) {
      *add_partition(pack, lane) = pack->sets[0].items[i];
    }
  }
  return STATUS_OK;
}

enum status pack_open(const char *directory, struct pack *pack, struct error *error) {
  *pack = (struct pack){.directory = text_copy(directory)};
  enum status status = map_directory(pack, "", 0, error);
  if (status == STATUS_OK && pack->file_count > 0) {
    qsort(pack->files, pack->file_count, sizeof *pack->files, compare);
    status = open_partitions(pack, error);
  }
  return status;
}

void pack_close(struct pack *pack) {
  for (size_t i = 0; i < pack->file_count; i++) {
    if (pack->files[i].bytes.size > 0) {
      munmap((void *)(uintptr_t)pack->files[i].bytes.data, pack->files[i].bytes.size);
    }
    free(pack->files[i].name);
  }
  free(pack->files);
  for (uint32_t lane = 0; lane < pack->set_count; lane++) {
    free(pack->sets[lane].items);
  }
  free(pack->sets);
  free(pack->directory);
  *pack = (struct pack){0};
}

const struct stored_partition *pack_lane(const struct pack *pack, uint32_t lane, size_t *count) {
  const bool is_there = lane < pack->set_count;
  *count = is_there ? pack->sets[lane].count : 0;
  return is_there ? pack->sets[lane].items : NULL;
}

const struct pack_file *pack_find(const struct pack *pack, const char *name) {
  for (size_t i = 0; i < pack->file_count; i++) {
    if (strcmp(pack->files[i].name, name) == 0) {
      return &pack->files[i];
    }
  }
  return NULL;
}

struct json_t *pack_list(const struct pack *pack) {
  json_t *const list = json_array();
  for (size_t i = 0; i < pack->file_count; i++) {
    const struct pack_file *file = &pack->files[i];
    uint8_t digest[DIGEST_SIZE];
    char hex[HEX_DIGEST_SIZE];
    if (strcmp(file->name, PACK_MANIFEST) == 0) {
      continue;
    }
    digest_of(file->bytes, digest);
    hex_format(digest, DIGEST_SIZE, hex);
    json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "name", file->name, "sha256", hex,
                                          "size", (json_int_t)file->bytes.size));
  }
  return list;
}

static bool is_empty(const char *path) {
  DIR *const directory = opendir(path);
  bool empty = directory != NULL;
  for (const struct dirent *entry; empty && (entry = readdir(directory)) != NULL;) {
    empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
  }
  if (directory != NULL) {
    closedir(directory);
  }
  return empty;
}

enum status pack_make_directory(const char *directory, struct error *error) {
  static const char *const inner[] = {"lanes", "policies", "schemas"};
  enum status status = STATUS_OK;
  if (mkdir(directory, 0777) != 0 && errno != EEXIST) {
    return error_set(error, STATUS_REFUSED, "%s: %s", directory, strerror(errno));
  }
  if (!is_empty(directory)) {
    return error_set(error, STATUS_REFUSED, "%s is not an empty directory", directory);
  }
  for (size_t i = 0; i < COUNT_OF(inner) && status == STATUS_OK; i++) {
    char *const path = path_join(directory, inner[i]);
    if (mkdir(path, 0777) != 0) {
      status = error_set(error, STATUS_REFUSED, "%s: %s", path, strerror(errno));
    }
    free(path);
  }
  return status;
}
