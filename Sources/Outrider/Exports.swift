// SPDX-License-Identifier: Apache-2.0
// `import Outrider` is all that a service writes: the agent, its metrics, and the recorders of
// requests.
//
// Of the endpoint only what an agent is told with: its `Request` and `Response` would be mixed up
// with those of a web framework. Who writes a page imports OutriderEndpoint. Likewise `Probe` and `Stall` of
// the runtime: who watches an executor of their own imports OutriderRuntime.

@_exported public import OutriderHTTP
@_exported public import OutriderMetrics

@_exported public import class OutriderEndpoint.Endpoint
@_exported public import struct OutriderEndpoint.EndpointError
@_exported public import struct OutriderEndpoint.ListenAddress
@_exported public import protocol OutriderEndpoint.Page
@_exported public import struct OutriderEndpoint.PageAudience
@_exported public import struct OutriderRuntime.ControlGroupCollector
@_exported public import struct OutriderRuntime.JobCollector
@_exported public import struct OutriderRuntime.MemoryCollector
@_exported public import struct OutriderRuntime.ObjectTypeCollector
@_exported public import struct OutriderRuntime.ProcessCollector
@_exported public import class OutriderRuntime.RuntimeMonitor
@_exported public import struct OutriderRuntime.TaskCollector
@_exported public import struct OutriderRuntime.ThreadCollector
