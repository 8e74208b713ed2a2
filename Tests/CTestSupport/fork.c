/* SPDX-License-Identifier: Apache-2.0 */
#include "CTestSupport.h"

#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Seconds after which the kernel ends a child that hangs. */
enum { CHILD_LIMIT = 120 };

int test_in_forked_child(void (*body)(void *), void *argument) {
  pid_t child = fork();
  if (child < 0) return -1;
  if (child == 0) {
    signal(SIGALRM, SIG_DFL);
    alarm(CHILD_LIMIT);
    body(argument);
    _exit(0);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int test_fork_waiting_child(int descriptor, int other_end) {
  pid_t child = fork();
  if (child != 0) return child;
  signal(SIGALRM, SIG_DFL);
  alarm(CHILD_LIMIT);
  close(other_end);
  char byte;
  while (read(descriptor, &byte, 1) > 0) {
  }
  _exit(0);
}

void test_join_child(int pid) { waitpid(pid, NULL, 0); }
