/* SPDX-License-Identifier: Apache-2.0
 *
 * Inverts system defaults for a program that preloads this object: IPv6 sockets accept no IPv4
 * unless they request it, as with net.ipv6.bindv6only=1, and umask(2) clears every bit of a new
 * file's mode.
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
