// SPDX-License-Identifier: Apache-2.0
// What these tests share: logs that are silent or remember, single samples, a seeded generator.

internal import Glibc
import OutriderMetrics
import OutriderThreading
import Synchronization

extension DiagnosticLog {
    /// A log of its own that nobody hears.
    static var silent: DiagnosticLog { DiagnosticLog { _, _ in } }
}

extension Registry {
    /// A registry that exposes nothing but what a test puts into it.
    static var bare: Registry { Registry(reportsItself: false, log: .silent) }

    /// The value printed for `name` (labels included); nil if there is no such sample.
    func sample(_ name: String) -> String? {
        for line in text().split(separator: "\n") where line.hasPrefix(name + " ") {
            return String(line.dropFirst(name.count + 1))
        }
        return nil
    }

    /// Observations that were refused for `reason`, as this registry reports them.
    func observationsRefused(_ reason: String) -> String? {
        sample(#"outrider_observations_refused_total{reason="\#(reason)"}"#)
    }

    /// Registrations that were refused for `code`, as this registry reports them.
    func registrationsRefused(_ code: RegistrationError.Code) -> String? {
        sample(#"outrider_registrations_refused_total{reason="\#(code)"}"#)
    }
}

/// A log that keeps what it hears.
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

    /// Everything that was said so far, each with its level before it.
    var lines: [String] { store.lines.withLock { $0 } }
}

/// A number that several threads count up or down.
final class Tally: Sendable {
    private let value: Atomic<Int>

    init(_ value: Int = 0) {
        self.value = Atomic(value)
    }

    /// The number now; what others did before they changed it can be seen.
    var count: Int { value.load(ordering: .acquiring) }

    /// Adds to the number, and tells the sum.
    @discardableResult
    func add(_ amount: Int = 1) -> Int {
        value.add(amount, ordering: .acquiringAndReleasing).newValue
    }
}

/// SplitMix64: small, and the same everywhere for one seed.
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

/// A collector that a test writes as a closure.
struct TestCollector: Collector {
    var name = "test"
    let families: [CollectedFamily]
    let body: @Sendable (inout CollectedSamples) throws -> Void

    func collect(into samples: inout CollectedSamples) throws {
        try body(&samples)
    }
}

/// What a test's collectors and callbacks throw.
struct TestFailure: Error, CustomStringConvertible {
    var description: String { "the disk is on fire" }
}

/// Scrapes until the tasks have ended, and once more.
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

/// What this machine has.
enum Machine {
    /// CPUs that the kernel may ever use.
    static let cpus = sysconf(Int32(_SC_NPROCESSORS_CONF))
}
