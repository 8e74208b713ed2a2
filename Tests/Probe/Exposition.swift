// SPDX-License-Identifier: Apache-2.0
// Fills a registry as a request specifies, and renders it.

import Foundation
import Outrider
import Synchronization

/// Turns a line of input into a scrape.
enum Exposition {
    static func answer(to line: Data) throws -> Answer {
        let request = try JSONDecoder().decode(ExpositionRequest.self, from: line)
        let log = CollectedLog()
        let registry = Registry(
            hasOwnMetrics: request.hasOwnMetrics ?? false,
            names: request.hasUTF8Names == true ? .utf8 : .classic,
            log: DiagnosticLog { level, message in log.add("\(level.rawValue): \(message)") })
        for family in request.families { try family.fill(registry) }
        let response = registry.respond(
            accept: request.accept, acceptEncoding: request.acceptEncoding,
            creationTimes: request.creationTimes ?? false)
        let headers = response.headers.map { ($0.name, $0.value) }
        return Answer(
            exposition: Data(response.body),
            headers: Dictionary(headers) { "\($0), \($1)" }, log: log.lines)
    }
}

extension FamilyRequest {
    private var chosenBuckets: Buckets {
        let bounds = buckets.map { Buckets($0.map(\.value)) } ?? .default
        guard let native else { return bounds }
        var chosen = NativeBuckets(schema: native.schema)
        if let limit = native.limit { chosen.limit = limit }
        if let threshold = native.zeroThreshold { chosen.zeroThreshold = threshold.value }
        if let largest = native.maximumZeroThreshold { chosen.maximumZeroThreshold = largest.value }
        return native.isAlone ? .native(chosen) : bounds.adding(native: chosen)
    }

    func fill(_ registry: Registry) throws {
        switch kind {
        case .counter:
            try record(
                registry.counter(name, help: help),
                registry.counter(name, help: help, labels: labels)
            ) { counter, value, exemplar in
                if let exemplar {
                    counter.increment(by: value, exemplar: exemplar)
                } else {
                    counter.increment(by: value)
                }
            }
        case .gauge:
            try record(
                registry.gauge(name, help: help),
                registry.gauge(name, help: help, labels: labels)
            ) { gauge, value, _ in gauge.set(value) }
        case .histogram:
            let bounds = chosenBuckets
            try record(
                registry.histogram(name, help: help, buckets: bounds),
                registry.histogram(name, help: help, labels: labels, buckets: bounds)
            ) { histogram, value, exemplar in
                if let exemplar {
                    histogram.observe(value, exemplar: exemplar)
                } else {
                    histogram.observe(value)
                }
            }
        case .info:
            for one in series {
                let pairs = zip(labels, one.values ?? [])
                registry.info(name, help: help, Dictionary(pairs) { _, last in last })
            }
        case .callbackCounter:
            let value = try callbackValue
            registry.counter(name, help: help) { value }
        case .callbackGauge:
            let value = try callbackValue
            registry.gauge(name, help: help) { value }
        case .swiftMetrics: recordThroughSwiftMetrics(in: registry, .init())
        case .swiftMetricsVerbatim: recordThroughSwiftMetrics(in: registry, .swiftPrometheus)
        }
    }

    private func recordThroughSwiftMetrics(
        in registry: Registry, _ configuration: OutriderMetricsFactory.Configuration
    ) {
        let factory = OutriderMetricsFactory(registry: registry, configuration: configuration)
        for one in series {
            let dimensions = Array(zip(labels, one.values ?? []))
            (type ?? .counter).record(
                one.numbers.map(\.value), name, dimensions, through: factory)
        }
    }

    /// Records every series, on a single instrument or on the child for its labels.
    private func record<Instrument>(
        _ single: @autoclosure () -> Instrument, _ family: @autoclosure () -> Family<Instrument>,
        _ body: (Instrument, Double, Exemplar?) -> Void
    ) throws {
        let instrument: (SeriesRequest) throws -> Instrument
        if labels.isEmpty {
            let one = single()
            instrument = { _ in one }
        } else {
            let children = family()
            instrument = { try $0.child(of: children) }
        }
        for one in series {
            let child = try instrument(one)
            for number in one.numbers {
                body(child, number.value, one.exemplar.map { Exemplar($0) })
            }
        }
    }

    private var callbackValue: Double {
        get throws {
            guard let number = series.first?.numbers.first else {
                throw ProbeError("the callback \(name) has no value")
            }
            return number.value
        }
    }
}

extension SeriesRequest {
    func child<Instrument>(of family: Family<Instrument>) throws -> Instrument {
        if let values { return family.with(values) }
        let bytes = (utf8 ?? []).map(Array.init)
        return switch bytes.count {
        case 1: family.with(utf8: bytes[0])
        case 2: family.with(utf8: bytes[0], bytes[1])
        case 3: family.with(utf8: bytes[0], bytes[1], bytes[2])
        default: throw ProbeError("a series has values, or one to three byte strings")
        }
    }
}

/// Records a registry's log messages in order.
private final class CollectedLog: Sendable {
    private let state = Mutex([String]())

    func add(_ line: String) { state.withLock { $0.append(line) } }

    var lines: [String] { state.withLock { $0 } }
}
