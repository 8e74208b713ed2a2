// SPDX-License-Identifier: Apache-2.0
// `import Outrider` is all that a service writes: the agent, its metrics, its pages and the
// recorders of requests.

@_exported public import OutriderEndpoint
@_exported public import OutriderHTTP
@_exported public import OutriderMetrics
@_exported public import OutriderRuntime
