// SPDX-License-Identifier: Apache-2.0
// `import OutriderAsyncHTTPClient` is all that a file that sends requests writes.

#if AsyncHTTPClient

    @_exported public import OutriderHTTP

#endif
