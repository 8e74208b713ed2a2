// SPDX-License-Identifier: Apache-2.0
// `import OutriderFlyingFox` is all that a file with routes writes.

#if FlyingFox

    @_exported public import OutriderHTTP

#endif
