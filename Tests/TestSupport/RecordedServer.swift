// SPDX-License-Identifier: Apache-2.0
// Queries on the recorded metrics of a server's requests.

public import OutriderMetrics
internal import OutriderTesting

/// A server whose requests are recorded in a registry.
public protocol RecordedServer: Sendable {
    /// The registry with the server's metrics.
    var registry: Registry { get }
}

extension RecordedServer {
    /// The number of requests recorded with these labels; nil if the series does not exist.
    public func count(
        _ status: Int, _ route: String, method: String = "GET", error: String? = nil
    ) -> Double? {
        registry.value(
            "http_server_request_duration_seconds_count",
            labels(status, route, method: method, error: error))
    }

    /// The labels of requests over plain HTTP.
    public func labels(
        _ status: Int, _ route: String, method: String = "GET", error: String? = nil
    ) -> [String: String] {
        [
            "http_request_method": method, "url_scheme": "http", "http_route": route,
            "http_response_status_code": "\(status)", "error_type": error ?? "",
        ]
    }

    /// The number of all recorded requests.
    public var total: Double { sum("http_server_request_duration_seconds_count") }

    /// The number of active requests, over all methods.
    public var active: Double { sum("http_server_active_requests") }

    private func sum(_ name: String) -> Double {
        let families = (try? registry.exposition(names: [name]).families) ?? []
        return families.flatMap(\.samples).filter { $0.name == name }.reduce(0) { $0 + $1.value }
    }

    /// Waits for a request; returns whether exactly one is recorded, with these labels, and none is
    /// active.
    public func recordsOnce(
        _ status: Int, _ route: String, method: String = "GET", error: String? = nil
    ) async throws -> Bool {
        try await holdsEventually { total > 0 && active == 0 }
            && count(status, route, method: method, error: error) == 1 && total == 1
    }
}
