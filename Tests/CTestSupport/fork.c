/* SPDX-License-Identifier: Apache-2.0 */
#include "CTestSupport.h"

#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

int test_in_forked_child(void (*body)(void *), void *argument) {
  pid_t child = fork();
  if (child < 0) return -1;
  if (child == 0) {
    signal(SIGALRM, SIG_DFL);
    alarm(10); /* A child that hangs is ended by the kernel. */
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
  alarm(10);
  close(other_end);
  char byte;
  while (read(descriptor, &byte, 1) > 0) {
  }
  _exit(0);
}

void test_join_child(int pid) { waitpid(pid, NULL, 0); }
