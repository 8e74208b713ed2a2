// SPDX-License-Identifier: Apache-2.0
// What was recorded of a server's requests, as its own /metrics would show it.

public import OutriderMetrics
internal import OutriderTesting

/// A server whose requests are recorded in a registry.
public protocol RecordedServer: Sendable {
    /// Where they are recorded.
    var registry: Registry { get }
}

extension RecordedServer {
    /// Requests that were recorded with these labels; nil if there is no such series.
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

    /// All requests that were recorded.
    public var total: Double { sum("http_server_request_duration_seconds_count") }

    /// Requests that are being answered now, with whatever method.
    public var active: Double { sum("http_server_active_requests") }

    private func sum(_ name: String) -> Double {
        let families = (try? registry.exposition(names: [name]).families) ?? []
        return families.flatMap(\.samples).filter { $0.name == name }.reduce(0) { $0 + $1.value }
    }

    /// Whether exactly one request is recorded in time, with these labels, and none is active.
    public func recordsOnce(
        _ status: Int, _ route: String, method: String = "GET", error: String? = nil
    ) async throws -> Bool {
        try await holdsEventually { total > 0 && active == 0 }
            && count(status, route, method: method, error: error) == 1 && total == 1
    }
}
