// SPDX-License-Identifier: Apache-2.0
// The request that a task is handling, so that duplicate adapters record it once.

internal import OutriderMetrics

/// A request that an outer adapter records in this task, or in one that started it.
package struct RecordedScope: Sendable {
    @TaskLocal package static var current: RecordedScope?

    fileprivate let registry: ObjectIdentifier
    fileprivate let method: String
    fileprivate let path: String
}

extension HTTPRequestRecorder {
    /// The scope of a request that this recorder records; nil, with a warning logged once, if it is
    /// already recorded.
    ///
    /// Recorders of the same registry share series, so they count as the same one. Method and path
    /// distinguish the request from one that its handler sends to the same server within the
    /// process. Costs one lookup of a task-local value.
    ///
    /// - Parameters:
    ///   - method: The request's method.
    ///   - path: The target of the request, as the client sent it.
    ///   - adapter: The adapter's name, for the warning.
    package func scope(_ method: String, _ path: String, of adapter: String) -> RecordedScope? {
        if let outer = RecordedScope.current, outer.registry == registryIdentity,
            outer.method == method, outer.path == path
        {
            warnAboutDuplicate(adapter)
            return nil
        }
        return RecordedScope(registry: registryIdentity, method: method, path: path)
    }

    /// Logs once that an adapter is installed twice, and that each request still counts once.
    package func warnAboutDuplicate(_ adapter: String) {
        log.reportOnce(
            .warning,
            """
            \(adapter) was added twice for the same requests; only the outer one counts them. Add it \
            once, before the routes
            """)
    }
}
