// SPDX-License-Identifier: Apache-2.0
// Threads for scrapes: a scrape waits for slow collectors, and must not block the thread pool that
// runs the service's tasks.

#if Hummingbird
    internal import OutriderMetrics
    internal import OutriderThreading

    /// The negotiation parameters of a scrape.
    struct ScrapeRequest: Sendable {
        let accept: String?
        let acceptEncoding: String?
        let timeout: String?
        let names: [String]
    }

    /// Scrapes a registry on separate threads; thread-safe.
    final class ScrapeThreads: Sendable {
        /// Scrapes at once; equal ones share a render, so more threads would only wait.
        static let limit = 16

        private let registry: Registry
        private let running = Guarded(0)

        init(of registry: Registry) { self.registry = registry }

        /// Scrapes; nil if too many run at once, or no thread can be started.
        func respond(to request: ScrapeRequest) async -> ScrapeResponse? {
            let hasPlace = running.withLock { running in
                if running >= Self.limit { return false }
                running += 1
                return true
            }
            guard hasPlace else { return nil }
            defer { running.withLock { $0 -= 1 } }
            return await withCheckedContinuation { continuation in
                let hasStarted = DetachedThread.start { [registry] in
                    continuation.resume(
                        returning: registry.respond(
                            accept: request.accept, acceptEncoding: request.acceptEncoding,
                            names: request.names, scrapeTimeout: request.timeout,
                            awaitsDelivery: true))
                }
                if !hasStarted { continuation.resume(returning: nil) }
            }
        }
    }
#endif
