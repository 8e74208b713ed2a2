// SPDX-License-Identifier: Apache-2.0
// Reexports OutriderHTTP, so that `import OutriderAsyncHTTPClient` is enough.

#if AsyncHTTPClient

    @_exported public import OutriderHTTP

#endif
