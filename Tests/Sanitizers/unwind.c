/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps by the unwind tables, in real frames: callbacks of libc, the loader and libdispatch are
 * walked to the start of their thread, and libgcc's unwinder must have seen the same addresses.
 *
 * Also: libraries may be loaded and unloaded, and a concurrent reader gets the right caller or
 * none.
 *
 *   unwind [libdispatch.so]
 */
#define _GNU_SOURCE
#include "unwind_module.h"

#include <dirent.h>
#include <ftw.h>
#include <pthread.h>
#include <search.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unwind.h>

enum { most_frames = 128, storms = 1000 };

/* The library's own functions: the sanitizers insert their frames between some functions and
 * ours. */
static void *libc;
static void *of_libc(const char *name) {
  void *function = dlsym(libc, name);
  CHECK(function != NULL, "libc has no %s", name);
  return function;
}

/* ---- Walks, compared with libgcc's ---- */

struct frames {
  size_t count;
  uintptr_t pcs[most_frames];
};

static _Unwind_Reason_Code note(struct _Unwind_Context *context, void *argument) {
  struct frames *frames = argument;
  uintptr_t pc = _Unwind_GetIP(context);
  /* Past _start it sees a frame with address 0. */
  if (pc != 0 && frames->count < most_frames) frames->pcs[frames->count++] = pc;
  return _URC_NO_REASON;
}

static outrider_stack_bounds bounds_of_thread(void) {
  pthread_attr_t attributes;
  void *low;
  size_t size;
  CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0, "no bounds");
  CHECK(pthread_attr_getstack(&attributes, &low, &size) == 0, "no bounds");
  pthread_attr_destroy(&attributes);
  return (outrider_stack_bounds){(uintptr_t)low, (uintptr_t)low + size};
}

/* The code of this program, which has frame pointers except in _start, whose own is 0. */
extern const char __executable_start, etext;

static int step(outrider_stack_point *point, outrider_stack_bounds bounds) {
  if (outrider_stack_has_table(point->pc - 1)) return outrider_stack_table_step(point, bounds);
  CHECK(outrider_stack_table_step(point, bounds) == 0, "a step without a table");
  if (point->pc < (uintptr_t)&__executable_start || point->pc >= (uintptr_t)&etext) return 0;
  if (point->fp < point->sp || point->fp > bounds.high - 16) return 0;
  const uintptr_t *frame = (const uintptr_t *)point->fp;
  *point = (outrider_stack_point){frame[1], (uintptr_t)(frame + 2), frame[0]};
  return 1;
}

static unsigned long looks;
static int last_result;          /* of the last walk's last step */
static outrider_stack_point out; /* where the first walk entered a library, for later tests */

/* Walks from the caller to the end of the stack; with `whole`, as far as libgcc does. */
static __attribute__((noinline)) void look_as(bool whole) {
  struct frames theirs = {0};
  _Unwind_Backtrace(note, &theirs);
  const uintptr_t *frame = __builtin_frame_address(0);
  outrider_stack_point point = {frame[1], (uintptr_t)(frame + 2), frame[0]};
  outrider_stack_bounds bounds = bounds_of_thread();
  size_t place = 0, tables = 0;
  while (place < theirs.count && theirs.pcs[place] != point.pc) place++;
  CHECK(place < theirs.count, "libgcc does not have the caller");
  do {
    CHECK(place < theirs.count, "a frame past the end: %#lx", point.pc);
    CHECK(point.pc == theirs.pcs[place], "frame %zu is %#lx, not %#lx", place, point.pc,
          theirs.pcs[place]);
    place++;
    if (outrider_stack_has_table(point.pc - 1) && tables++ == 0 && looks == 0) out = point;
  } while ((last_result = step(&point, bounds)) == 1);
  CHECK(!whole || place == theirs.count, "%zu of %zu frames", place, theirs.count);
  CHECK(tables > 0, "no frame of a library");
  looks++;
}

static void look(void) { look_as(true); }

static int compare(const void *left, const void *right) {
  look();
  return *(const int *)left - *(const int *)right;
}
static int on_file(const char *path, const struct stat *about, int kind, struct FTW *where) {
  (void)path, (void)about, (void)kind, (void)where;
  look();
  return 1;
}
static int on_entry(const struct dirent *entry) {
  (void)entry;
  look();
  return 0;
}
static ssize_t on_read(void *cookie, char *into, size_t size) {
  look();
  if ((*(int *)cookie)++ > 0 || size < 2) return 0;
  memcpy(into, "a\n", 2);
  return 2;
}
static ssize_t on_write(void *cookie, const char *from, size_t size) {
  (void)cookie, (void)from;
  look();
  return (ssize_t)size;
}
static int on_module(struct dl_phdr_info *info, size_t size, void *context) {
  (void)info, (void)size, (void)context;
  look();
  return 1;
}
static void on_node(const void *node, VISIT visit, int depth) {
  (void)node, (void)visit, (void)depth;
  look();
}
static void on_signal(int signal) {
  (void)signal;
  look_as(false);
}
static void *in_thread(void *unused) {
  (void)unused;
  look();
  CHECK(last_result == -1, "a thread's outermost frame is not recognized");
  pthread_once_t once = PTHREAD_ONCE_INIT;
  int (*call)(pthread_once_t *, void (*)(void)) = of_libc("pthread_once");
  call(&once, look);
  return NULL;
}

/* exit does not return: the call to it may be the last of its function, with the return address in
 * the next function. */
static void at_exit(void) {
  look();
  printf("unwind: %lu walks as libgcc's, %lu checks, %zu bytes of tables\n", looks, checks,
         outrider_stack_prepare_tables());
}

#define COUNTED(call)                                                                              \
  do {                                                                                             \
    unsigned long before = looks;                                                                  \
    call;                                                                                          \
    CHECK(looks > before, "no walk");                                                              \
  } while (0)

static void test_walks(void) {
  int numbers[] = {5, 3, 9, 1, 7, 2, 8};
  void (*sort)(void *, size_t, size_t, int (*)(const void *, const void *)) = of_libc("qsort");
  void *(*search)(const void *, const void *, size_t, size_t,
                  int (*)(const void *, const void *)) = of_libc("bsearch");
  COUNTED(sort(numbers, 7, sizeof numbers[0], compare));
  COUNTED(search(&numbers[2], numbers, 7, sizeof numbers[0], compare));
  COUNTED(nftw("/", on_file, 4, 0));
  struct dirent **names = NULL;
  int (*scan)(const char *, struct dirent ***, int (*)(const struct dirent *),
              int (*)(const struct dirent **, const struct dirent **)) = of_libc("scandir");
  COUNTED(scan("/", &names, on_entry, NULL));
  free(names);

  int reads = 0;
  cookie_io_functions_t functions = {.read = on_read, .write = on_write};
  FILE *(*open_cookie)(void *, const char *, cookie_io_functions_t) = of_libc("fopencookie");
  int (*print)(FILE *, const char *, ...) = of_libc("fprintf");
  int (*end)(FILE *) = of_libc("fclose");
  ssize_t (*get)(char **, size_t *, FILE *) = of_libc("getline");
  FILE *file = open_cookie(&reads, "r", functions);
  char *line = NULL;
  size_t size = 0;
  COUNTED(CHECK(get(&line, &size, file) == 2, "no line"));
  free(line);
  end(file);
  file = open_cookie(&reads, "w", functions);
  COUNTED(CHECK(print(file, "%5000d %s %f", 1, "two", 3.0) > 5000, "not printed"); end(file));

  int (*iterate)(int (*)(struct dl_phdr_info *, size_t, void *), void *) =
      of_libc("dl_iterate_phdr");
  COUNTED(iterate(on_module, NULL));
  void *tree = NULL;
  COUNTED(tsearch(&numbers[0], &tree, compare); tsearch(&numbers[1], &tree, compare));
  COUNTED(twalk(tree, on_node));
  tdestroy(tree, (void (*)(void *))(uintptr_t)of_libc("labs"));

  pthread_t thread;
  int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
      of_libc("pthread_create");
  int (*join)(pthread_t, void **) = of_libc("pthread_join");
  COUNTED(CHECK(create(&thread, NULL, in_thread, NULL) == 0, "no thread"); join(thread, NULL));
  /* The frame that the signal interrupted is beyond a table: its rule is an expression. */
  struct sigaction action = {.sa_handler = on_signal};
  int (*act)(int, const struct sigaction *, struct sigaction *) = of_libc("sigaction");
  act(SIGUSR1, &action, NULL);
  COUNTED(raise(SIGUSR1); CHECK(last_result == 0, "a step over a signal frame"));
}

static void on_queue(void *unused) {
  (void)unused;
  look();
}

/* A thread that libdispatch creates starts in frames of the address sanitizer, if that is
 * active. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { own_threads = 0 };
#else
enum { own_threads = 1 };
#endif
#elif defined(__SANITIZE_ADDRESS__)
enum { own_threads = 0 };
#else
enum { own_threads = 1 };
#endif

static void test_dispatch(const char *path) {
  void *library = dlopen(path, RTLD_NOW);
  CHECK(library != NULL, "%s", dlerror());
  outrider_stack_prepare_tables();
  void *(*queue)(const char *, void *) = dlsym(library, "dispatch_queue_create");
  void (*run)(void *, void *, void (*)(void *)) = dlsym(library, "dispatch_sync_f");
  void *(*group)(void) = dlsym(library, "dispatch_group_create");
  void (*add)(void *, void *, void *, void (*)(void *)) = dlsym(library, "dispatch_group_async_f");
  long (*wait)(void *, uint64_t) = dlsym(library, "dispatch_group_wait");
  void (*release)(void *) = dlsym(library, "dispatch_release");
  CHECK(queue && run && group && add && wait && release, "%s is not libdispatch", path);
  void *serial = queue("outrider", NULL), *members = group();
  COUNTED(run(serial, NULL, on_queue));
  if (own_threads) COUNTED(add(members, serial, NULL, on_queue); wait(members, UINT64_MAX));
  release(members);
  release(serial);
}

/* ---- Steps that must fail ---- */

static void refused(const char *why, outrider_stack_point point, outrider_stack_bounds bounds) {
  outrider_stack_point before = point;
  CHECK(outrider_stack_table_step(&point, bounds) == 0, "%s", why);
  CHECK(memcmp(&before, &point, sizeof point) == 0, "%s: the point changed", why);
}

static void test_refusals(void) {
  outrider_stack_bounds bounds = bounds_of_thread();
  outrider_stack_point good = out;
  CHECK(outrider_stack_has_table(good.pc), "libc has no table");
  CHECK(!outrider_stack_has_table((uintptr_t)&test_refusals), "this program has a table");
  CHECK(!outrider_stack_has_table(0) && !outrider_stack_has_table(UINTPTR_MAX), "a wild table");
  outrider_stack_point point = good;
  CHECK(outrider_stack_table_step(&point, bounds) == 1, "no step");
  CHECK(point.sp > good.sp && point.sp <= bounds.high, "%#lx to %#lx", good.sp, point.sp);
  uintptr_t cfa = point.sp;
  refused("below the stack", good, (outrider_stack_bounds){good.sp + 8, bounds.high});
  refused("above the stack", good, (outrider_stack_bounds){bounds.low, cfa - 8});
  refused("no stack", good, (outrider_stack_bounds){0, 0});
  refused("a crooked stack pointer", (outrider_stack_point){good.pc, good.sp + 4, good.fp}, bounds);
  refused("a wrapped stack", (outrider_stack_point){good.pc, UINTPTR_MAX - 7, good.fp},
          (outrider_stack_bounds){0, UINTPTR_MAX});
  refused("no table", (outrider_stack_point){(uintptr_t)&bounds, good.sp, good.fp}, bounds);
  refused("no pc", (outrider_stack_point){0, good.sp, good.fp}, bounds);
}

/* ---- Libraries that are loaded and unloaded ---- */

static atomic_bool over;

static void *read_beside(void *unused) {
  (void)unused;
  enum { size = 65536 };
  uintptr_t *frame = calloc(1, size);
  CHECK(frame != NULL, "no memory");
  outrider_stack_point from = {out.pc, (uintptr_t)frame, 0}, first = from;
  outrider_stack_bounds bounds = {from.sp, from.sp + size};
  /* Fails while the directory is being written. */
  while (outrider_stack_table_step(&first, bounds) == 0) {
  }
  unsigned long steps = 0;
  while (!atomic_load(&over) || steps == 0) {
    outrider_stack_point point = from;
    if (outrider_stack_table_step(&point, bounds) == 0) continue;
    CHECK(memcmp(&point, &first, sizeof point) == 0, "a different step than before");
    steps++;
  }
  free(frame);
  return NULL;
}

/* Copies libgcc_s, which can be unloaded where it is not needed, to a file with a similar name. */
static void copy_library(char *directory, char *path, size_t size) {
  struct module module = find_module("libgcc_s");
  CHECK(mkdtemp(directory) != NULL, "no directory");
  snprintf(path, size, "%s/libgcc_s-copy.so", directory);
  FILE *from = fopen(module.path, "rb"), *into = fopen(path, "wb");
  CHECK(from != NULL && into != NULL, "no copy of %s", module.path);
  for (int byte; (byte = fgetc(from)) != EOF;) fputc(byte, into);
  CHECK(fclose(from) == 0 && fclose(into) == 0, "no copy of %s", module.path);
}

static void test_storm(void) {
  char directory[] = "/tmp/outrider-unwind-XXXXXX", path[64];
  copy_library(directory, path, sizeof path);
  size_t bytes = outrider_stack_prepare_tables();
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, read_beside, NULL) == 0, "no thread");
  for (int each = 0; each < storms; each++) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL, "%s", dlerror());
    CHECK(outrider_stack_prepare_tables() == bytes, "the same table was created twice");
    uintptr_t inside = find_module("libgcc_s-copy").image.text;
    CHECK(outrider_stack_has_table(inside), "a loaded library has no table");
    CHECK(dlclose(library) == 0, "%s", dlerror());
    CHECK(outrider_stack_prepare_tables() == bytes, "a table was created needlessly");
    CHECK(!outrider_stack_has_table(inside), "an unloaded library has a table");
  }
  pid_t child = fork();
  CHECK(child >= 0, "no child");
  if (child == 0) _exit(outrider_stack_has_table(out.pc) ? 0 : 1);
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && status == 0, "a child has no tables");
  atomic_store(&over, true);
  pthread_join(thread, NULL);
  unlink(path);
  rmdir(directory);
}

/* Counts the enumerations of loaded libraries, during which threads that load one must wait. */
static _Atomic int surveys;

int dl_iterate_phdr(int (*visit)(struct dl_phdr_info *, size_t, void *), void *context) {
  int (*real)(int (*)(struct dl_phdr_info *, size_t, void *), void *) =
      (__typeof__(real))dlsym(RTLD_NEXT, "dl_iterate_phdr");
  surveys++;
  return real(visit, context);
}

int main(int count, char **arguments) {
  libc = dlopen("libc.so.6", RTLD_NOW);
  CHECK(libc != NULL, "%s", dlerror());
  CHECK(!outrider_stack_has_table((uintptr_t)of_libc("qsort")), "tables before they were created");
  surveys = 0;
  size_t bytes = outrider_stack_prepare_tables();
  CHECK(bytes > 0 && bytes < 700 * 1024, "%zu bytes", bytes);
  /* The linker, libc, and the sanitizers' libraries: a table each. */
  CHECK(surveys > 2, "several tables were created in one enumeration");
  CHECK(outrider_stack_prepare_tables() == bytes, "tables created twice");
  CHECK(atexit(at_exit) == 0, "no walk at exit");
  test_walks();
  test_refusals();
  test_storm();
  if (count > 1)
    test_dispatch(arguments[1]);
  else
    puts("unwind: libdispatch was not found, so callbacks from it are not tested");
  return 0;
}
