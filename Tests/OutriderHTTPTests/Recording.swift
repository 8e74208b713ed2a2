// SPDX-License-Identifier: Apache-2.0
// Helpers of the HTTP tests: a recorder with its own registry and clock, its label sets, and
// queries on a registry.

import OutriderHTTP
import OutriderMetrics
import OutriderTesting
import Synchronization

/// A recorder with its own registry and clock.
struct Recording {
    static let durations = "http_server_request_duration_seconds"
    static let aborted = "http_server_aborted_requests_total"
    static let active = "http_server_active_requests"

    let clock = ManualClock(uptime: .seconds(1_000))
    let registry: Registry
    let recorder: HTTPRequestRecorder

    init(_ configure: (inout HTTPRequestRecorder.Configuration) -> Void = { _ in }) {
        registry = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
        var configuration = HTTPRequestRecorder.Configuration()
        configure(&configuration)
        recorder = HTTPRequestRecorder(registry: registry, configuration: configuration)
    }

    /// A request to `/orders/{id}` that has begun.
    func begin(method: String = "GET", route: String? = "/orders/{id}") -> RequestToken {
        let token = recorder.begin(method: method)
        token.setRoute(template: route)
        return token
    }

    /// The labels of a duration series, with `error` empty if there is none.
    static func labels(
        _ status: String, error: String = "", route: String = "/orders/{id}",
        method: String = "GET", scheme: String = "http"
    ) -> [String: String] {
        [
            "http_request_method": method, "url_scheme": scheme, "http_route": route,
            "http_response_status_code": status, "error_type": error,
        ]
    }

    /// Expects that one request was counted, with these labels and no others.
    func expectOne(
        _ status: String, error: String = "", route: String = "/orders/{id}",
        method: String = "GET", scheme: String = "http"
    ) throws {
        let labels = Self.labels(
            status, error: error, route: route, method: method, scheme: scheme)
        let exposition = try registry.exposition()
        try exposition.expect("\(Self.durations)_count", labels, 1)
        try Self.expect(total("\(Self.durations)_count"), 1, "requests")
        try Self.expect(total(Self.active), 0, "requests in flight")
    }

    /// The sum over all series of a metric; zero if there are none.
    func total(_ name: String, where labels: [String: String] = [:]) throws -> Double {
        try registry.samples(name).filter { sample in
            labels.allSatisfy { sample.labels[$0.key] == $0.value }
        }.reduce(0) { $0 + $1.value }
    }

    /// The number of counted requests that match the labels.
    func counted(where labels: [String: String] = [:]) throws -> Double {
        try total("\(Self.durations)_count", where: labels)
    }

    /// The number of requests in flight, over all labels.
    func inFlight() throws -> Double { try total(Self.active) }

    private static func expect(_ found: Double, _ wanted: Double, _ what: String) throws {
        if found != wanted { throw Deviation(description: "\(found) \(what), not \(wanted)") }
    }
}

/// A difference between an expected and an actual value.
struct Deviation: Error, CustomStringConvertible {
    let description: String
}

/// The error that handlers throw.
struct OutOfStock: Error {}

extension Registry {
    /// All samples of one metric.
    func samples(_ name: String) throws -> [Exposition.Sample] {
        try exposition(names: [name]).families.flatMap(\.samples).filter { $0.name == name }
    }

    /// The distinct values of a label on a metric, sorted.
    func values(of label: String, on name: String) throws -> [String] {
        Set(try samples(name).map { $0.labels[label] ?? "" }).sorted()
    }

    /// The whole registry as OpenMetrics, which includes exemplars.
    func openMetrics() throws -> Exposition {
        let response = respond(accept: "application/openmetrics-text;version=1.0.0")
        let type = response.headers.first { $0.name.lowercased() == "content-type" }?.value
        return try Exposition(parsing: response.body, contentType: type ?? "")
    }

    /// The exemplars on a metric's buckets.
    func exemplars(on name: String) throws -> [Exposition.Exemplar] {
        try openMetrics().families.flatMap(\.samples).filter { $0.name == "\(name)_bucket" }
            .compactMap(\.exemplar)
    }
}

extension DiagnosticLog {
    /// A log that discards its messages.
    static var silent: DiagnosticLog { DiagnosticLog { _, _ in } }
}

/// A counter shared by threads.
final class Tally: Sendable {
    private let value = Atomic<Int>(0)

    var count: Int { value.load(ordering: .acquiring) }

    func add(_ amount: Int = 1) {
        value.add(amount, ordering: .acquiringAndReleasing)
    }
}

/// Runs `body` in four concurrent tasks, numbered from 0.
func inFourTasks(_ body: @escaping @Sendable (_ number: Int) -> Void) async {
    await withTaskGroup { group in
        for number in 0..<4 { group.addTask { body(number) } }
    }
}
