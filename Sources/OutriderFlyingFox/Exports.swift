// SPDX-License-Identifier: Apache-2.0
// Reexports OutriderHTTP, so that `import OutriderFlyingFox` is enough.

#if FlyingFox

    @_exported public import OutriderHTTP

#endif
