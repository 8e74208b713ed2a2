// SPDX-License-Identifier: Apache-2.0
// Tests of Hummingbird's own middleware, which records through swift-metrics, with this backend.

#if Hummingbird
    import CoreMetrics
    import Hummingbird
    import OutriderMetrics
    import OutriderTesting
    import TestSupport
    import Testing

    @Suite struct SwiftMetricsTests {
        @Test func `the metrics of Hummingbird's own middleware are exposed`() async throws {
            let service = Service()
            // Not the service's registry, whose recorder uses these names.
            let registry = Registry(log: DiagnosticLog { _, _ in })
            try await withMetricsFactory(OutriderMetricsFactory(registry: registry)) {
                let router = Router()
                router.add(middleware: MetricsMiddleware())
                router.get("/orders/{id}") { _, _ in "fine" }
                router.get("/disk") { _, _ -> String in throw DiskOnFire() }
                try await service.serve(router) { address, _ in
                    for path in ["/orders/1", "/orders/2", "/disk", "/nobody"] {
                        _ = try await onOwnThread { try fetch(path, from: address) }
                    }
                }
            }
            func labels(_ route: String, _ status: Int) -> [String: String] {
                [
                    "http_route": route, "http_request_method": "GET",
                    "http_response_status_code": "\(status)",
                ]
            }
            try registry.expect("hb_requests_total", labels("/orders/{id}", 200), 2)
            try registry.expect("hb_requests_total", labels("/disk", 500), 1)
            try registry.expect("hb_requests_total", labels("NotFound", 404), 1)
            try registry.expect(
                "http_server_request_duration_seconds_count", labels("/orders/{id}", 200), 2)
            try registry.expect(
                "hb_request_errors_total",
                ["http_route": "/disk", "http_request_method": "GET", "error_type": "500"], 1)
            try registry.expect(
                "http_server_active_requests", ["http_request_method": "GET"], 0)
            let advice = try await onOwnThread { try Promtool.checkMetrics(registry.text()) }
            #expect(advice == [])
        }
    }
#endif
