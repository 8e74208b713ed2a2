// SPDX-License-Identifier: Apache-2.0
// The request that a task is answering, so that an adapter that is there twice counts it once.

internal import OutriderMetrics

/// A request that is being recorded further out in this task, or in one that started it.
package struct RecordedScope: Sendable {
    @TaskLocal package static var current: RecordedScope?

    fileprivate let registry: ObjectIdentifier
    fileprivate let method: String
    fileprivate let path: String
}

extension HTTPRequestRecorder {
    /// The scope of a request that this recorder records; nil if it is recorded already, which logs a
    /// warning once.
    ///
    /// A recorder of the same registry counts, since it has the same series. Method and path distinguish the
    /// request from one that its handler sends to the same server within the process. Costs a look at
    /// the task's local values.
    ///
    /// - Parameters:
    ///   - method: The request's method.
    ///   - path: The target of the request, as the client sent it.
    ///   - adapter: The adapter's name, for the warning.
    package func scope(_ method: String, _ path: String, of adapter: String) -> RecordedScope? {
        if let outer = RecordedScope.current, outer.registry == registryIdentity,
            outer.method == method, outer.path == path
        {
            warnOfSecond(adapter)
            return nil
        }
        return RecordedScope(registry: registryIdentity, method: method, path: path)
    }

    /// Logs once that an adapter is there twice, and that each request counts once all the same.
    package func warnOfSecond(_ adapter: String) {
        log.sayOnce(
            .warning,
            """
            \(adapter) records the same requests twice; each is counted once, by the outer one. Add it \
            once, before the routes
            """)
    }
}
