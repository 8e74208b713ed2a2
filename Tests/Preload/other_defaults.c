/* SPDX-License-Identifier: Apache-2.0
 *
 * A system whose defaults are the other ones, for a program that this object is preloaded into: sockets of IPv6 take no
 * IPv4 unless they ask for it, as with net.ipv6.bindv6only=1, and umask(2) takes every bit of a new file's mode.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((constructor)) static void take_all_modes(void) { umask(0777); }

int socket(int domain, int type, int protocol) {
  int descriptor = (int)syscall(SYS_socket, domain, type, protocol);
  int yes = 1;
  if (descriptor >= 0 && domain == AF_INET6)
    setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
  return descriptor;
}
