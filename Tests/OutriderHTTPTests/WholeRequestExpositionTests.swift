// SPDX-License-Identifier: Apache-2.0
// Tests of the whole exposition under each naming: names, help texts, labels and buckets.

import OutriderHTTP
import OutriderMetrics
import OutriderTesting
import TestSupport
import Testing

@Suite struct WholeRequestExpositionTests {
    /// Three requests: slow, aborted, failed.
    private static func registry(_ naming: HTTPRequestRecorder.Naming) -> Registry {
        let recording = Recording {
            $0.naming = naming
            $0.buckets = [0.1, 1]
        }
        let slow = recording.begin()
        recording.clock.advance(by: .milliseconds(500))
        slow.setStatus(200)
        slow.finish()
        let cutOff = recording.recorder.begin(method: "BREW", scheme: .https)
        cutOff.recordHead(status: 200)
        cutOff.finish(.clientDisconnected)
        recording.begin(method: "POST").finish(.failed(OutOfStock()))
        recording.recorder.recordProtocolError(.headerTooLarge)
        return recording.registry
    }

    @Test func `OpenTelemetry's names are the default`() throws {
        #expect(HTTPRequestRecorder.Configuration().naming == .openTelemetry)
        try Self.registry(.openTelemetry).expect(exactly: Self.common + Self.openTelemetry)
    }

    @Test func `Prometheus's names are available on request`() throws {
        try Self.registry(.prometheus).expect(exactly: Self.common + Self.prometheus)
    }

    @Test func `both namings are available for a migration`() throws {
        try Self.registry(.both).expect(
            exactly: Self.common + Self.openTelemetry + Self.prometheus)
    }

    @Test func `outgoing requests have OpenTelemetry's names`() throws {
        let registry = Registry(hasOwnMetrics: false, log: .silent, clock: ManualClock())
        var configuration = HTTPClientRecorder.Configuration()
        configuration.buckets = [1]
        let recorder = HTTPClientRecorder(registry: registry, configuration: configuration)
        let token = recorder.begin(method: "GET", to: recorder.peer("stock", port: 8080))
        token.setStatus(503)
        token.finish()
        let labels = """
            error_type="503",http_request_method="GET",http_response_status_code="503",\
            server_address="stock",server_port="8080"
            """
        try registry.expect(
            exactly: """
                # HELP http_client_request_duration_seconds Duration of HTTP client requests.
                # TYPE http_client_request_duration_seconds histogram
                http_client_request_duration_seconds_bucket{\(labels),le="1.0"} 1
                http_client_request_duration_seconds_bucket{\(labels),le="+Inf"} 1
                http_client_request_duration_seconds_sum{\(labels)} 0
                http_client_request_duration_seconds_count{\(labels)} 1
                """)
    }

    @Test(
        .enabled(if: Promtool.path != nil, "promtool is NOT on PATH: nothing was checked"),
        arguments: [HTTPRequestRecorder.Naming.openTelemetry, .prometheus, .both])
    func `promtool reports no problems`(naming: HTTPRequestRecorder.Naming) throws {
        let recording = Recording {
            $0.naming = naming
            $0.recordsBodySizes = true
            $0.recordsTimeToFirstByte = true
        }
        let token = recording.begin()
        token.recordHead(status: 200)
        token.finish(.clientDisconnected)
        recording.begin().upgrade(to: "websocket").end()
        recording.recorder.recordProtocolError(.tls)
        let outgoing = HTTPClientRecorder(registry: recording.registry)
        outgoing.begin(method: "GET", to: outgoing.peer("stock", port: 8080)).finish()
        #expect(try recording.registry.exposition().families.count >= 10)
        #expect(try Promtool.checkMetrics(recording.registry.text()) == [])
    }

    // MARK: - Expected text

    private static let common = """
        # HELP http_server_aborted_requests_total Responses aborted after their head.
        # TYPE http_server_aborted_requests_total counter
        http_server_aborted_requests_total{http_route="_UNMATCHED"} 1
        # HELP http_server_protocol_errors_total Input that could not be parsed as an HTTP request.
        # TYPE http_server_protocol_errors_total counter
        http_server_protocol_errors_total{reason="header_too_large"} 1

        """

    private static let openTelemetry: String = {
        let name = "http_server_request_duration_seconds"
        return """
            # HELP http_server_active_requests HTTP requests in progress.
            # TYPE http_server_active_requests gauge
            http_server_active_requests{http_request_method="GET",url_scheme="http"} 0
            http_server_active_requests{http_request_method="_OTHER",url_scheme="https"} 0
            http_server_active_requests{http_request_method="POST",url_scheme="http"} 0
            # HELP \(name) Duration of HTTP requests.
            # TYPE \(name) histogram

            """
                + histogram(
                    name, sum: "0.5", fast: 0,
                    """
                    http_request_method="GET",url_scheme="http",http_route="/orders/{id}",\
                    http_response_status_code="200"
                    """)
                + histogram(
                    name, sum: "0", fast: 1,
                    """
                    http_request_method="_OTHER",url_scheme="https",http_route="_UNMATCHED",\
                    http_response_status_code="200",error_type="client_disconnect"
                    """)
                + histogram(
                    name, sum: "0", fast: 1,
                    """
                    http_request_method="POST",url_scheme="http",http_route="/orders/{id}",\
                    http_response_status_code="500",error_type="OutOfStock"
                    """)
    }()

    private static let prometheus: String = {
        let name = "http_request_duration_seconds"
        let slow = #"method="GET",route="/orders/{id}",code="200""#
        let cutOff = #"method="_OTHER",route="_UNMATCHED",code="200""#
        let failed = #"method="POST",route="/orders/{id}",code="500""#
        return """
            # HELP http_requests_in_flight HTTP requests in progress.
            # TYPE http_requests_in_flight gauge
            http_requests_in_flight 0
            # HELP http_requests_total Completed HTTP requests.
            # TYPE http_requests_total counter
            http_requests_total{\(slow)} 1
            http_requests_total{\(cutOff)} 1
            http_requests_total{\(failed)} 1
            # HELP \(name) Duration of HTTP requests.
            # TYPE \(name) histogram

            """ + histogram(name, sum: "0.5", fast: 0, slow)
                + histogram(name, sum: "0", fast: 1, cutOff)
                + histogram(name, sum: "0", fast: 1, failed)
    }()

    private static func histogram(
        _ name: String, sum: String, fast: Int, _ labels: String
    ) -> String {
        """
        \(name)_bucket{\(labels),le="0.1"} \(fast)
        \(name)_bucket{\(labels),le="1.0"} 1
        \(name)_bucket{\(labels),le="+Inf"} 1
        \(name)_sum{\(labels)} \(sum)
        \(name)_count{\(labels)} 1

        """
    }
}
