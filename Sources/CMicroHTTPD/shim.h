/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of libmicrohttpd that Outrider uses, in plain C types.
 *
 * microhttpd.h marks its enums as closed, so Swift would import them as frozen types whose case
 * names change from one version of the header to the next, and a value from a newer library would
 * be undefined behaviour. Here everything is an int, and Swift uses only these functions. All are
 * static inline: there is no object file to link.
 *
 * Written against libmicrohttpd 0.9.75 (Debian 12) and 1.0.1 (Debian 13); every function used
 * exists since 0.9.64. Both have the same interface, so the process may run with either; quirks.h
 * detects where they differ.
 */
#ifndef OUTRIDER_CMICROHTTPD_SHIM_H
#define OUTRIDER_CMICROHTTPD_SHIM_H

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* The library's handle of a connection and its current request; opaque to Swift. */
typedef void *outrider_mhd_connection;

/* The endpoint's callbacks. All are called on threads of the library, with the `context` below. The
 * struct must outlive the daemon. */
typedef struct outrider_mhd_callbacks {
  void *context;
  /* The library begins to serve a connection that was passed to outrider_mhd_serve. The result
   * identifies the connection in later calls. */
  intptr_t (*opened)(void *context, int descriptor);
  /* A connection is about to be closed; its descriptor is still open. */
  void (*closed)(void *context, intptr_t client);
  /* Receives the raw request target, before any decoding; NULL if there is none. The result becomes
   * the request's `state`. */
  void *(*target)(void *context, intptr_t client, const char *raw);
  /* Called once with the headers only, then (if it returned 1 without queueing a response) once
   * more. Returns 1 to continue, 0 to close the connection. */
  int (*request)(void *context, outrider_mhd_connection connection, const char *path,
                 const char *method, const char *version, void *state);
  /* The request is over, with or without a response. Called once for each request whose target
   * was read, at the latest before its connection is closed, then possibly on another thread,
   * after that of the connection is gone. `is_sent` is 1 if the kernel has taken the whole
   * response. */
  void (*completed)(void *context, void *state, int is_sent);
  /* Receives the library's log messages. */
  void (*log)(void *context, const char *message);
} outrider_mhd_callbacks;

/* Receives a header; returns 1 to continue, 0 to stop. `value` is NULL if there is none. */
typedef int (*outrider_mhd_visit)(void *visitor, const char *name, size_t name_size,
                                  const char *value, size_t value_size);

static inline enum MHD_Result outrider_mhd_on_request(
    void *cls, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *upload, size_t *upload_size, void **state) {
  const outrider_mhd_callbacks *callbacks = (const outrider_mhd_callbacks *)cls;
  (void)upload;
  (void)upload_size;
  return callbacks->request(callbacks->context, connection, url, method, version, *state) ? MHD_YES
                                                                                          : MHD_NO;
}

/* A connection, from `opened` to `closed`. */
typedef struct outrider_mhd_client {
  intptr_t name;
  /* The state of its request, from `target` to `completed`. */
  void *state;
} outrider_mhd_client;

static inline outrider_mhd_client *outrider_mhd_client_of(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info == NULL ? NULL : (outrider_mhd_client *)info->socket_context;
}

static inline void outrider_mhd_complete(const outrider_mhd_callbacks *callbacks,
                                         outrider_mhd_client *client, int is_sent) {
  if (client == NULL || client->state == NULL) return;
  void *state = client->state;
  client->state = NULL;
  callbacks->completed(callbacks->context, state, is_sent);
}

static inline void *outrider_mhd_on_target(void *cls, const char *uri,
                                           struct MHD_Connection *connection) {
  const outrider_mhd_callbacks *callbacks = (const outrider_mhd_callbacks *)cls;
  outrider_mhd_client *client = outrider_mhd_client_of(connection);
  if (client == NULL) return NULL;
  outrider_mhd_complete(callbacks, client, 0);
  client->state = callbacks->target(callbacks->context, client->name, uri);
  /* The library would now parse the query into its own records, and when the memory for those
   * runs out (at some 500 arguments) 0.9.75 never responds. We have parsed the query already, so
   * we make it empty. The bytes are in the library's receive buffer, which it also modifies. */
  char *query = uri == NULL ? NULL : strchr((char *)(uintptr_t)uri, '?');
  if (query != NULL && query[1] != '\0') query[1] = '\0';
  return client->state;
}

static inline void outrider_mhd_on_completed(void *cls, struct MHD_Connection *connection,
                                             void **state, enum MHD_RequestTerminationCode code) {
  const outrider_mhd_callbacks *callbacks = (const outrider_mhd_callbacks *)cls;
  outrider_mhd_complete(callbacks, outrider_mhd_client_of(connection),
                        code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
  *state = NULL;
}

static inline void outrider_mhd_on_connection(void *cls, struct MHD_Connection *connection,
                                              void **client,
                                              enum MHD_ConnectionNotificationCode code) {
  const outrider_mhd_callbacks *callbacks = (const outrider_mhd_callbacks *)cls;
  if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
    outrider_mhd_client *known = (outrider_mhd_client *)*client;
    if (known == NULL) return;
    /* When 0.9.75 refuses a request for a second reason, it closes the connection without reporting
     * that the request is over. */
    outrider_mhd_complete(callbacks, known, 0);
    callbacks->closed(callbacks->context, known->name);
    free(known);
    *client = NULL;
    return;
  }
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  int descriptor = info == NULL ? -1 : info->connect_fd;
  outrider_mhd_client *known = (outrider_mhd_client *)calloc(1, sizeof *known);
  *client = known;
  /* If memory is short, its first request is cut off. */
  if (known != NULL) known->name = callbacks->opened(callbacks->context, descriptor);
}

static inline void outrider_mhd_on_log(void *cls, const char *format, va_list arguments) {
  const outrider_mhd_callbacks *callbacks = (const outrider_mhd_callbacks *)cls;
  char message[512];
  if (vsnprintf(message, sizeof message, format, arguments) > 0)
    callbacks->log(callbacks->context, message);
}

typedef struct outrider_mhd_limits {
  unsigned int connections;
  /* 0 for no limit. */
  unsigned int idle_seconds;
  /* Bytes for a connection's requests, and for the stack of its thread. */
  size_t memory, stack;
} outrider_mhd_limits;

/* Starts a daemon without a listening socket, with additional flags. */
static inline void *outrider_mhd_start_with(const outrider_mhd_callbacks *callbacks,
                                            outrider_mhd_limits limits, int strictness,
                                            unsigned int flags) {
  void *cls = (void *)callbacks;
  struct MHD_OptionItem options[] = {
      /* The logger comes first, so that it receives messages about the other options. */
      {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)&outrider_mhd_on_log, cls},
      {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)&outrider_mhd_on_target, cls},
      {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)&outrider_mhd_on_completed, cls},
      {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)&outrider_mhd_on_connection, cls},
      {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)limits.connections, NULL},
      {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)limits.idle_seconds, NULL},
      {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)limits.memory, NULL},
      {MHD_OPTION_THREAD_STACK_SIZE, (intptr_t)limits.stack, NULL},
      {MHD_OPTION_STRICT_FOR_CLIENT, (intptr_t)strictness, NULL},
      {MHD_OPTION_END, 0, NULL}};
  return MHD_start_daemon(flags | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG, 0, NULL, NULL,
                          &outrider_mhd_on_request, cls, MHD_OPTION_ARRAY, options,
                          MHD_OPTION_END);
}

/* Starts a daemon that has one thread for each connection; NULL if that fails. `strictness` is 1
 * for the library's strict level, 0 for its usual one; quirks.h determines which. */
static inline void *outrider_mhd_start(const outrider_mhd_callbacks *callbacks,
                                       outrider_mhd_limits limits, int strictness) {
  return outrider_mhd_start_with(callbacks, limits, strictness,
                                 MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                                     MHD_USE_POLL | MHD_USE_ITC);
}

/* Starts a daemon that does its work in MHD_run. */
static inline void *outrider_mhd_start_without_threads(const outrider_mhd_callbacks *callbacks,
                                                       int strictness) {
  outrider_mhd_limits limits = {4, 0, 32 << 10, 0};
  /* select(2) does not support high descriptor numbers. */
  int has_epoll = MHD_is_feature_supported(MHD_FEATURE_EPOLL) == MHD_YES;
  return outrider_mhd_start_with(callbacks, limits, strictness, has_epoll ? MHD_USE_EPOLL : 0);
}

/* Sets the function that is called, for every daemon of the process, where the library would
 * abort the process: for example, when other code has closed one of its descriptors. `panic`
 * must not return. */
typedef void (*outrider_mhd_panic)(void *context, const char *file, unsigned int line,
                                   const char *reason);
static inline void outrider_mhd_set_panic(outrider_mhd_panic panic) {
  MHD_set_panic_func(panic, NULL);
}

/* Serves a connection that was accepted from `address`; the library owns the descriptor from
 * then on. Returns 0 on failure; the library has then closed it. */
static inline int outrider_mhd_serve(void *daemon, int descriptor, const struct sockaddr *address,
                                     socklen_t size) {
  return MHD_add_connection((struct MHD_Daemon *)daemon, descriptor, address, size) == MHD_YES;
}

#ifdef __linux__
/* accept4(2), which the C library declares only with _GNU_SOURCE. */
extern int accept4(int listening, struct sockaddr *address, socklen_t *size, int flags);
static inline int outrider_accept(int listening, struct sockaddr *address, socklen_t *size) {
  return accept4(listening, address, size, SOCK_CLOEXEC | SOCK_NONBLOCK);
}
#endif

/* Closes all connections and waits for all threads of the daemon; must not be called on one of
 * them. */
static inline void outrider_mhd_stop(void *daemon) { MHD_stop_daemon((struct MHD_Daemon *)daemon); }

typedef struct outrider_mhd_walk {
  outrider_mhd_visit visit;
  void *visitor;
} outrider_mhd_walk;

static inline enum MHD_Result outrider_mhd_on_value(void *cls, enum MHD_ValueKind kind,
                                                    const char *name, size_t name_size,
                                                    const char *value, size_t value_size) {
  const outrider_mhd_walk *walk = (const outrider_mhd_walk *)cls;
  (void)kind;
  return walk->visit(walk->visitor, name, name_size, value, value_size) ? MHD_YES : MHD_NO;
}

/* Visits each header of a request, in order. */
static inline void outrider_mhd_headers(outrider_mhd_connection connection,
                                        outrider_mhd_visit visit, void *visitor) {
  outrider_mhd_walk walk = {visit, visitor};
  MHD_get_connection_values_n((struct MHD_Connection *)connection, MHD_HEADER_KIND,
                              &outrider_mhd_on_value, &walk);
}

typedef struct outrider_mhd_layout {
  uintptr_t next;
  int is_whole;
} outrider_mhd_layout;

static inline enum MHD_Result outrider_mhd_on_field(void *cls, enum MHD_ValueKind kind,
                                                    const char *name, size_t name_size,
                                                    const char *value, size_t value_size) {
  outrider_mhd_layout *layout = (outrider_mhd_layout *)cls;
  (void)kind;
  (void)name_size;
  layout->is_whole = layout->is_whole && (uintptr_t)name == layout->next && value != NULL;
  layout->next = (uintptr_t)value + value_size + 2;
  return layout->is_whole ? MHD_YES : MHD_NO;
}

/* Whether a request has bytes that the library hides: behind a NUL in its first line or in a
 * header, which the library takes for the end of a string, where a line ends without CR LF or is
 * continued on the next, or a second space in the first line. `path`, `method` and `version` are
 * those of the handler's first call, and `target_size` is the strlen of the target.
 *
 * This works for a library that parses a request in its receive buffer and overwrites each
 * separator with a NUL: in a clean request each part then begins right behind the previous one.
 * 0.9 does so, and quirks.h detects whether the installed release does. Three cases leave no
 * trace in 0.9: NUL LF for CR LF; a line of `:` and a bare LF, which it takes for the end of the
 * head; and lines that it skips before the first one. */
static inline int outrider_mhd_hides_bytes(outrider_mhd_connection connection, const char *path,
                                           size_t target_size, const char *method,
                                           const char *version) {
  if ((uintptr_t)path != (uintptr_t)method + strlen(method) + 1) return 1;
  if ((uintptr_t)version != (uintptr_t)path + target_size + 1) return 1;
  outrider_mhd_layout layout = {(uintptr_t)version + strlen(version) + 2, 1};
  MHD_get_connection_values_n((struct MHD_Connection *)connection, MHD_HEADER_KIND,
                              &outrider_mhd_on_field, &layout);
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(
      (struct MHD_Connection *)connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  return !layout.is_whole || info == NULL ||
         (uintptr_t)method + info->header_size != layout.next + 2;
}

/* The descriptor of a connection; -1 if there is none. */
static inline int outrider_mhd_descriptor(outrider_mhd_connection connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(
      (struct MHD_Connection *)connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info == NULL ? -1 : info->connect_fd;
}

/* Copies up to `size` bytes of a body from `position` on; returns how many. */
typedef ssize_t (*outrider_mhd_read)(void *body, uint64_t position, char *into, size_t size);
typedef void (*outrider_mhd_release)(void *body);

/* Creates a response whose body of `size` bytes is read in pieces while it is sent; `release` is
 * called once, after the last use. NULL if memory is short. */
static inline void *outrider_mhd_response(uint64_t size, outrider_mhd_read read, void *body,
                                          outrider_mhd_release release) {
  return MHD_create_response_from_callback(size, 64 * 1024, read, body, release);
}

/* Adds a header to a response; returns 0 if the library refuses it. */
static inline int outrider_mhd_add_header(void *response, const char *name, const char *value) {
  return MHD_add_response_header((struct MHD_Response *)response, name, value) == MHD_YES;
}

/* Queues a response and releases it; returns 0 if the connection can no longer respond. */
static inline int outrider_mhd_respond(outrider_mhd_connection connection, unsigned int status,
                                      void *response) {
  int queued = MHD_queue_response((struct MHD_Connection *)connection, status,
                                  (struct MHD_Response *)response) == MHD_YES;
  MHD_destroy_response((struct MHD_Response *)response);
  return queued;
}

#endif
