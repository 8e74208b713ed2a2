/* SPDX-License-Identifier: Apache-2.0
 * A program with a scenario for each test; a line on standard output marks each step.
 *
 *   life wait        reads a line, then returns from main
 *   life ignore      the same, with SIGUSR2 ignored from the start
 *   life handle      the same, with its own handler for SIGUSR2, which prints a line
 *   life child       forks; the child does the same, and its id is printed
 *   life thread      the same, with a second thread
 *   life signal      sends itself SIGUSR2, between the lines "allocating" and "allocated"
 *   life fork        forks; the child exits, then the parent
 *   life raw-exit    ends by _exit
 *   life leave       ends the first thread by pthread_exit while another continues
 *   life small       calls exit on a thread with the smallest stack
 *   life chdir       changes to the root directory, then returns
 *   life files       prints the open descriptors
 */
#define _GNU_SOURCE
#include "expect.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *line) {
    EXPECT(write(STDOUT_FILENO, line, strlen(line)) == (ssize_t)strlen(line));
}

static void wait_for_line(void) {
    char byte;
    say("ready\n");
    while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n') continue;
}

static void tell(int number) {
    (void)number;
    say("own handler\n");
}

static void *go_on(void *unused) {
    for (size_t i = 0; i < 1000; i++) free(kept(malloc(i)));
    return unused;
}

static void *end_it_all(void *unused) {
    (void)unused;
    exit(0);
}

static void *wait_forever(void *unused) {
    for (;;) pause();
    return unused;
}

static void fork_and_wait(void) {
    pid_t child = fork();
    if (child == 0) {
        printf("%d\n", (int)getpid());
        fflush(stdout);
        wait_for_line();
        exit(0);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

static void exit_on_a_small_stack(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    EXPECT(pthread_attr_setstacksize(&attributes, 16384) == 0);
    EXPECT(pthread_create(&thread, &attributes, end_it_all, NULL) == 0);
    pthread_join(thread, NULL);
}

static void tell_files(void) {
    DIR *folder = opendir("/proc/self/fd");
    EXPECT(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(folder)) printf("%s\n", entry->d_name);
    closedir(folder);
}

int main(int count, char **arguments) {
    EXPECT(count == 2);
    const char *life = arguments[1];
    void *leaked = kept(malloc(1000000));
    EXPECT(leaked);
    if (strcmp(life, "ignore") == 0) {
        struct sigaction action;
        EXPECT(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
    }
    if (strcmp(life, "handle") == 0) signal(SIGUSR2, tell);
    if (strcmp(life, "wait") == 0 || strcmp(life, "ignore") == 0 || strcmp(life, "handle") == 0)
        wait_for_line();
    if (strcmp(life, "child") == 0) fork_and_wait();
    if (strcmp(life, "thread") == 0) {
        pthread_t thread;
        EXPECT(pthread_create(&thread, NULL, wait_forever, NULL) == 0);
        wait_for_line();
    }
    if (strcmp(life, "signal") == 0) {
        say("allocating\n");
        EXPECT(raise(SIGUSR2) == 0);
        say("allocated\n");
    }
    if (strcmp(life, "fork") == 0) {
        pid_t child = fork();
        if (child == 0) exit(0);
        int status;
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
        printf("%d\n", (int)child);
    }
    if (strcmp(life, "raw-exit") == 0) _exit(0);
    if (strcmp(life, "leave") == 0) {
        pthread_t thread;
        EXPECT(pthread_create(&thread, NULL, go_on, NULL) == 0);
        pthread_exit(NULL);
    }
    if (strcmp(life, "small") == 0) exit_on_a_small_stack();
    if (strcmp(life, "chdir") == 0) EXPECT(chdir("/") == 0);
    if (strcmp(life, "files") == 0) tell_files();
    return 0;
}
