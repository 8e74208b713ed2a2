/* SPDX-License-Identifier: Apache-2.0
 * What programs do to malloc, one thing at a time, to be run with the hooks preloaded:
 *
 *   torture NAME    does it and prints `NAME done`; ends with another status than 0 if memory was not as
 *                   it should be
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);  \
            _exit(1);                                                                \
        }                                                                            \
    } while (0)

enum { BLOCKS = 64 };

/* Allocates, fills, checks and frees, in an order of its own. */
static void work(unsigned seed, int rounds) {
    unsigned char *blocks[BLOCKS] = {0};
    size_t sizes[BLOCKS] = {0};
    for (int round = 0; round < rounds; round++) {
        seed = seed * 1664525u + 1013904223u;
        int i = (int)(seed >> 26);
        for (size_t k = 0; k < sizes[i]; k += 97) CHECK(blocks[i][k] == (unsigned char)i);
        if (seed & 64 && blocks[i]) {
            sizes[i] = (seed >> 8) % 3000 + 1;
            blocks[i] = realloc(blocks[i], sizes[i]);
        } else {
            free(blocks[i]);
            sizes[i] = (seed >> 8) % 2000;
            blocks[i] = seed & 128 ? calloc(1, sizes[i] + 1) : malloc(sizes[i]);
        }
        CHECK(blocks[i] && malloc_usable_size(blocks[i]) >= sizes[i]);
        memset(blocks[i], i, sizes[i]);
    }
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
}

static void *work_in_thread(void *seed) {
    work((unsigned)(uintptr_t)seed, 2000);
    return NULL;
}

static _Atomic(int) goes_on = 1;

static void *work_until_told(void *seed) {
    while (goes_on) work((unsigned)(uintptr_t)seed, 200);
    return NULL;
}

/* 300 forks while three threads allocate; each child allocates and ends well. */
static void forks(void) {
    pthread_t threads[3];
    for (uintptr_t i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, work_until_told, (void *)i) == 0);
    int well = 0;
    for (int i = 0; i < 300; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(20);
            work((unsigned)i, 300);
            _exit(7);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        well += WIFEXITED(status) && WEXITSTATUS(status) == 7;
    }
    goes_on = 0;
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    CHECK(well == 300);
}

/* 1,000 threads that live for a moment, ten at a time; the last ones leave their memory to others. */
static void threads(void) {
    for (int round = 0; round < 100; round++) {
        pthread_t some[10];
        for (uintptr_t i = 0; i < 10; i++)
            CHECK(pthread_create(&some[i], NULL, work_in_thread, (void *)(i + 10)) == 0);
        for (int i = 0; i < 10; i++) pthread_join(some[i], NULL);
    }
}

static void *small_work(void *unused) {
    free(malloc(100));
    return unused;
}

/* Stacks of the least size there is. */
static void tiny_stacks(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, 16384) == 0);
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, &attributes, small_work, NULL) == 0);
        pthread_join(thread, NULL);
    }
}

/* The same two libraries come and go while threads allocate. */
static void dlopens(void) {
    pthread_t threads[2];
    for (uintptr_t i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, work_until_told, (void *)i) == 0);
    for (int i = 0; i < 300; i++) {
        void *one = dlopen("libstdc++.so.6", RTLD_NOW), *two = dlopen("libz.so.1", RTLD_NOW);
        free(malloc(50));
        if (one) dlclose(one);
        if (two) dlclose(two);
        CHECK(!dlopen("no-such-library.so", RTLD_NOW) && dlerror());
    }
    goes_on = 0;
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}

__attribute__((noinline)) static int descend(int depth) {
    char *block = malloc((size_t)(depth % 50) + 1);
    block[0] = 1;
    int below = depth > 0 ? descend(depth - 1) : 0;
    below += block[0];
    free(block);
    return below;
}

static void recursion(void) { CHECK(descend(20000) == 20001); }

static volatile sig_atomic_t signals;

static void allocate_in_handler(int number) {
    (void)number;
    int saved = errno;
    /* Only where the signal was raised by hand, never amid malloc. */
    free(malloc(300));
    signals++;
    errno = saved;
}

/* Handlers that allocate, on a stack of their own. */
static void alternate_stack(void) {
    static char memory[65536];
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    struct sigaction action = {.sa_handler = allocate_in_handler, .sa_flags = SA_ONSTACK};
    CHECK(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
    for (int i = 0; i < 3000; i++) raise(SIGUSR1);
    CHECK(signals == 3000);
}

static void count_signal(int number) {
    (void)number;
    signals++;
}

/* SIGPROF at 1 kHz in the midst of everything. */
static void profiled(void) {
    struct sigaction action = {.sa_handler = count_signal, .sa_flags = SA_RESTART};
    struct itimerval interval = {{0, 1000}, {0, 1000}};
    CHECK(sigaction(SIGPROF, &action, NULL) == 0 && setitimer(ITIMER_PROF, &interval, NULL) == 0);
    pthread_t other;
    CHECK(pthread_create(&other, NULL, work_until_told, NULL) == 0);
    for (unsigned i = 0; signals < 100 && i < 100000; i++) work(i, 500);
    goes_on = 0;
    pthread_join(other, NULL);
    CHECK(signals >= 100);
}

static ucontext_t first, second;

static void coroutine(void) {
    for (int i = 0; i < 1000; i++) {
        free(malloc(200));
        swapcontext(&second, &first);
    }
}

/* Stacks that no thread was started with, one of them on the heap. */
static void coroutines(void) {
    enum { SIZE = 256 * 1024 };
    char *stack = malloc(SIZE);
    CHECK(getcontext(&second) == 0);
    second.uc_stack.ss_sp = stack;
    second.uc_stack.ss_size = SIZE;
    second.uc_link = &first;
    makecontext(&second, coroutine, 0);
    for (int i = 0; i < 1001; i++) {
        free(malloc(100));
        swapcontext(&first, &second);
    }
    free(stack);
}

static void *until_cancelled(void *unused) {
    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
    for (;;) {
        free(malloc(500));
        pthread_testcancel();
    }
    return unused;
}

static void cancellation(void) {
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        void *result;
        CHECK(pthread_create(&thread, NULL, until_cancelled, NULL) == 0);
        CHECK(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
        CHECK(result == PTHREAD_CANCELED);
    }
}

/* Every entry point, with what the manual pages promise of it. */
static void entries(void) {
    for (size_t size = 0; size < 5000; size += 37) {
        void *blocks[] = {
            malloc(size), calloc(size, 1), realloc(NULL, size), reallocarray(NULL, size, 1),
            memalign(64, size), aligned_alloc(64, (size + 63) & ~(size_t)63), valloc(size),
            pvalloc(size),
        };
        CHECK((uintptr_t)blocks[4] % 64 == 0 && (uintptr_t)blocks[5] % 64 == 0);
        CHECK((uintptr_t)blocks[6] % 4096 == 0 && (uintptr_t)blocks[7] % 4096 == 0);
        for (size_t i = 0; i < size; i++) CHECK(((char *)blocks[1])[i] == 0);
        for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
            CHECK(blocks[i] && malloc_usable_size(blocks[i]) >= size);
            free(blocks[i]);
        }
        for (size_t alignment = 8; alignment <= 8192; alignment *= 2) {
            void *block = NULL;
            CHECK(posix_memalign(&block, alignment, size) == 0 && (uintptr_t)block % alignment == 0);
            free(block);
        }
    }
    void *none = &none;
    CHECK(posix_memalign(&none, 3, 10) == EINVAL && none == &none);
    free(NULL);
    errno = 0;
    void *volatile huge = malloc(SIZE_MAX / 2 + 100);
    CHECK(!huge && errno == ENOMEM);
    huge = malloc(SIZE_MAX);
    CHECK(!huge);
    errno = 0;
    volatile size_t many = SIZE_MAX / 4;
    huge = calloc(many, 8);
    CHECK(!huge && errno == ENOMEM);
    char *kept = malloc(100);
    memset(kept, 9, 100);
    errno = 0;
    huge = realloc(kept, SIZE_MAX - 4096);
    CHECK(!huge && errno == ENOMEM && kept[99] == 9);
    errno = 0;
    huge = reallocarray(kept, many, 8);
    CHECK(!huge && errno == ENOMEM && kept[99] == 9);
    errno = 1234;
    free(kept);
    free(malloc(100000000));
    CHECK(errno == 1234);
}

/* Blocks that grow where they are and ones that have to move. */
static void reallocs(void) {
    char *block = malloc(16), *other = NULL;
    int stayed = 0, moved = 0;
    for (size_t size = 16; size < 4000000; size += size / 3 + 1) {
        memset(block, (int)(size & 127), size);
        char before = block[size - 1];
        char *now = realloc(block, size + size / 3 + 1);
        CHECK(now && now[size - 1] == before && now[0] == before);
        stayed += now == block;
        moved += now != block;
        block = now;
        if (size % 3 == 0) {
            free(other);
            other = malloc(24);
        }
    }
    for (size_t size = 4000000; size > 10; size /= 2) block = realloc(block, size);
    free(block);
    free(other);
    CHECK(stayed + moved > 20);
}

/* Holds a known number of bytes to the end: 20,000,000 by one function. */
__attribute__((noinline)) static void hold_twenty_megabytes(void) {
    for (int i = 0; i < 20000; i++) {
        char *volatile block = malloc(1000);
        CHECK(block);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} acts[] = {
    {"forks", forks}, {"threads", threads}, {"tiny-stacks", tiny_stacks}, {"dlopens", dlopens},
    {"recursion", recursion}, {"alternate-stack", alternate_stack}, {"profiled", profiled},
    {"coroutines", coroutines}, {"cancellation", cancellation}, {"entries", entries},
    {"reallocs", reallocs}, {"hold", hold_twenty_megabytes},
};

int main(int argc, char **argv) {
    alarm(100);
    for (size_t i = 0; argc == 2 && i < sizeof acts / sizeof *acts; i++) {
        if (strcmp(argv[1], acts[i].name) != 0) continue;
        acts[i].run();
        printf("%s done\n", argv[1]);
        return 0;
    }
    return 2;
}
