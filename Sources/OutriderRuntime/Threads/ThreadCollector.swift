// SPDX-License-Identifier: Apache-2.0
// CPU time and run-queue delay by groups of threads.
//
// Reads three files per thread, some 12 µs each, so they are read in the background, less often
// with more threads (BackgroundReading).

public import OutriderMetrics
package import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Threads by name: their number, CPU time, and time spent waiting for a processor.
///
/// Digits in names are folded, so that the threads of a pool form one group; beyond 50 groups,
/// further ones are merged. Linux only. Thread-safe.
public struct ThreadCollector: Collector {
    static let readingName = "threads"

    let reading: BackgroundReading<ThreadGroups>

    /// Creates a collector for the threads of this process.
    public init(proc: String = "/proc") {
        self.init(
            proc: proc, failures: SourceFailures(), pauses: ReadingPauses(of: Self.readingName))
    }

    package init(
        proc: String, failures: SourceFailures, pauses: ReadingPauses,
        time: any TimeSource = SystemTime()
    ) {
        let source = ThreadSource(
            directory: "\(proc)/self/task", failures: failures, pauses: pauses)
        reading = BackgroundReading(named: Self.readingName, atLeastEvery: .seconds(10), time: time)
        {
            source.readThreads()
        }
    }

    /// `threads`.
    public var name: String { "threads" }

    private static let count = CollectedFamily.gauge(
        "threads", help: "Threads, by name with digits folded.", labels: ["thread"])
    private static let cpu = CollectedFamily.counter(
        "thread_cpu_seconds_total",
        help: "CPU time of the observed threads, in seconds.",
        labels: ["thread", "mode"])
    private static let delay = CollectedFamily.counter(
        "thread_run_queue_seconds_total",
        help: "Time that threads were runnable and waited for a CPU, in seconds.",
        labels: ["thread"])
    private static let processDelay = CollectedFamily.counter(
        "process_run_queue_seconds_total",
        help: "Time that all threads were runnable and waited for a CPU, in seconds.")

    /// All metric families.
    public var families: [CollectedFamily] {
        [Self.count, Self.cpu, Self.delay, Self.processDelay]
    }

    /// Adds the sums of the last reading.
    public func collect(into samples: inout CollectedSamples) {
        guard let groups = reading.latestOrFirst()?.value else { return }
        let ticksPerSecond = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        for (name, group) in groups.groups {
            samples.add(Self.count, group.count, name)
            samples.add(Self.cpu, Double(group.userTicks) / ticksPerSecond, name, "user")
            samples.add(Self.cpu, Double(group.systemTicks) / ticksPerSecond, name, "system")
            if let delay = group.delayNanoseconds {
                samples.add(Self.delay, Double(delay) / 1e9, name)
            }
        }
        if let delay = groups.delayNanoseconds {
            samples.add(Self.processDelay, Double(delay) / 1e9)
        }
    }
}

/// Reads the threads of a process, one pass at a time.
final class ThreadSource: Sendable {
    private let directory: String
    private let failures: SourceFailures
    private let pauses: ReadingPauses
    private let groups = Guarded(ThreadGroups())

    init(directory: String, failures: SourceFailures, pauses: ReadingPauses) {
        self.directory = directory
        self.failures = failures
        self.pauses = pauses
    }

    /// Reads the files of each thread; nil, and counted, if they are missing or switched off.
    ///
    /// The sums are computed outside the lock, because a fork(2) of the service waits for a held
    /// lock.
    func readThreads() -> ThreadGroups? {
        guard pauses.mayRead(Self.statSource) else {
            failures.count(Self.statSource, .switchedOff)
            return nil
        }
        guard let numbers = Self.entries(of: directory) else {
            failures.count("self/task", .missing)
            return nil
        }
        if numbers.count > ThreadGroups.threadLimit { failures.count("self/task", .tooLarge) }
        let threads = numbers.prefix(ThreadGroups.threadLimit).compactMap(thread)
        var known = groups.withLock { groups in
            let known = groups
            groups = ThreadGroups()
            return known
        }
        known.note(threads)
        groups.withLock { $0 = known }
        return known
    }

    private static let statSource = source(of: "stat")

    private static func source(of file: String) -> String { "self/task/\(file)" }

    /// The account of a thread; nil if it has ended.
    private func thread(_ number: Int32) -> ThreadGroups.Thread? {
        guard let status = parsed("stat", of: number, { ProcessStatus($0) }),
            case .success(let name) = file("comm", of: number, limit: 256)
        else { return nil }
        let delay = parsed("schedstat", of: number) { SchedulerDelay($0) }
        return ThreadGroups.Thread(
            number: number, startTicks: status.startTicks,
            name: String(decoding: name.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self),
            account: ThreadGroups.Account(
                userTicks: status.userTicks, systemTicks: status.systemTicks,
                delayNanoseconds: delay?.nanoseconds))
    }

    private func file(
        _ name: String, of number: Int32, limit: Int
    ) -> Result<[UInt8], SourceFailure> {
        ProcFile.read(
            "\(directory)/\(number)/\(name)", limit: limit, source: Self.source(of: name),
            pauses: pauses)
    }

    private func parsed<Value>(
        _ name: String, of number: Int32, _ parse: (borrowing Span<UInt8>) -> Value?
    ) -> Value? {
        switch file(name, of: number, limit: 4 << 10) {
        case .success(let text):
            if let value = parse(text.span) { return value }
            failures.count(Self.source(of: name), .malformed)
        case .failure(.missing), .failure(.switchedOff): break
        case .failure(let failure): failures.count(Self.source(of: name), failure)
        }
        return nil
    }

    static func entries(of directory: String) -> [Int32]? {
        guard let listing = unsafe opendir(directory) else { return nil }
        defer { unsafe closedir(listing) }
        var numbers: [Int32] = []
        while let entry = unsafe readdir(listing) {
            // SAFETY: readdir(3) ends the name with a zero and keeps it until the next call.
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) {
                    unsafe String(cString: $0)
                }
            }
            if let number = Int32(name) { numbers.append(number) }
        }
        return numbers
    }
}
