// SPDX-License-Identifier: Apache-2.0
// Exports for `import Outrider`: the agent, its metrics, and the request recorders.
//
// Of the endpoint, only the types of the agent's configuration: its `Request` and `Response` could
// be confused with those of a web framework. To write a page, import OutriderEndpoint. Likewise
// `Probe` and `Stall` of the runtime: to watch your own executor, import OutriderRuntime.

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
