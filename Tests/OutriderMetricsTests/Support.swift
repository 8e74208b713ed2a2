// SPDX-License-Identifier: Apache-2.0
// Helpers of the metrics tests: silent and recording logs, single samples, and a seeded generator.

internal import Glibc
import OutriderMetrics
import OutriderThreading
import Synchronization

extension DiagnosticLog {
    /// A new log that discards its messages.
    static var silent: DiagnosticLog { DiagnosticLog { _, _ in } }
}

extension Registry {
    /// A registry that exposes only what a test adds.
    static var bare: Registry { Registry(hasOwnMetrics: false, log: .silent) }

    /// The printed value of `name`, including its labels, or nil if there is no such sample.
    func sample(_ name: String) -> String? {
        for line in text().split(separator: "\n") where line.hasPrefix(name + " ") {
            return String(line.dropFirst(name.count + 1))
        }
        return nil
    }

    /// The number of observations refused for `reason`, as this registry reports it.
    func observationsRefused(_ reason: String) -> String? {
        sample(#"outrider_observations_refused_total{reason="\#(reason)"}"#)
    }

    /// The number of registrations refused for `code`, as this registry reports it.
    func registrationsRefused(_ code: RegistrationError.Code) -> String? {
        sample(#"outrider_registrations_refused_total{reason="\#(code)"}"#)
    }
}

/// A log that records its messages.
final class RecordedLog: Sendable {
    private final class Store: Sendable {
        let lines = Guarded<[String]>([])
    }

    let log: DiagnosticLog
    private let store: Store

    init() {
        let store = Store()
        self.store = store
        log = DiagnosticLog { level, message in
            store.lines.withLock { $0.append("\(level.rawValue): \(message)") }
        }
    }

    /// All logged lines so far, each with its level as a prefix.
    var lines: [String] { store.lines.withLock { $0 } }
}

/// A counter shared by threads.
final class Tally: Sendable {
    private let value: Atomic<Int>

    init(_ value: Int = 0) {
        self.value = Atomic(value)
    }

    /// The current value; an acquiring load, so writes before each `add` are visible.
    var count: Int { value.load(ordering: .acquiring) }

    /// Adds to the value and returns the sum.
    @discardableResult
    func add(_ amount: Int = 1) -> Int {
        value.add(amount, ordering: .acquiringAndReleasing).newValue
    }
}

/// SplitMix64: small, and the same on every platform for one seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// A collector whose samples come from a closure.
struct TestCollector: Collector {
    var name = "test"
    let families: [CollectedFamily]
    let body: @Sendable (inout CollectedSamples) throws -> Void

    func collect(into samples: inout CollectedSamples) throws {
        try body(&samples)
    }
}

/// The error that collectors and callbacks throw in tests.
struct TestFailure: Error, CustomStringConvertible {
    var description: String { "the disk is on fire" }
}

/// Calls `look` until the tasks have finished, and once more.
func scraping(
    _ look: @escaping @Sendable () -> Void, scrapers: Int = 1,
    during tasks: [@Sendable () async -> Void]
) async {
    let working = Tally(tasks.count)
    await withTaskGroup { group in
        for task in tasks {
            group.addTask {
                await task()
                working.add(-1)
            }
        }
        for _ in 0..<scrapers {
            group.addTask {
                while working.count > 0 {
                    look()
                    await Task.yield()
                }
            }
        }
    }
    look()
}

/// Properties of this machine.
enum Machine {
    /// The number of configured CPUs.
    static let cpus = sysconf(Int32(_SC_NPROCESSORS_CONF))
}
