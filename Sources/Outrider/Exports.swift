// SPDX-License-Identifier: Apache-2.0
// `import Outrider` is all that a service writes: the agent, its metrics and its pages.

@_exported public import OutriderEndpoint
@_exported public import OutriderMetrics
@_exported public import OutriderRuntime
