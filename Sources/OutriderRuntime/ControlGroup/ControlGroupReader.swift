// SPDX-License-Identifier: Apache-2.0
// Readings of a control group, from the files of either version.

/// Reads the files of a control group; a value that is missing or not understood is nil.
struct ControlGroupReader: Sendable {
    /// CPU time and throttling.
    struct CPU: Sendable, Equatable {
        var usageSeconds: Double?
        var periods: Int?
        var throttledPeriods: Int?
        var throttledSeconds: Double?
        var limitCores: Double?
    }

    /// Memory usage and memory pressure.
    struct Memory: Sendable, Equatable {
        var usage: Int?
        var limit: Int?
        var swap: Int?
        var events: [(name: String, count: Int)] = []
        var kinds: [(name: String, bytes: Int)] = []

        static func == (left: Memory, right: Memory) -> Bool {
            left.usage == right.usage && left.limit == right.limit && left.swap == right.swap
                && left.events.elementsEqual(right.events, by: ==)
                && left.kinds.elementsEqual(right.kinds, by: ==)
        }
    }

    let directories: ControlGroupDirectories
    let failures: SourceFailures
    let pauses: ReadingPauses

    private func read(_ folder: String, _ file: String) -> Result<[UInt8], SourceFailure> {
        ProcFile.read("\(folder)/\(file)", source: file, pauses: pauses)
    }

    /// The result of `parse` on a file; a failure is counted, unless some kernels lack the file.
    private func parsed<Value>(
        _ folder: String, _ file: String, mayLack: Bool = false,
        _ parse: (borrowing Span<UInt8>) -> Value?
    ) -> Value? {
        switch read(folder, file) {
        case .success(let text):
            if let value = parse(text.span) { return value }
            failures.count(file, .malformed)
        case .failure(.missing) where mayLack: break
        case .failure(let failure): failures.count(file, failure)
        }
        return nil
    }

    private func isThere(_ folder: String, _ file: String) -> Bool {
        if case .failure(.missing) = read(folder, file) { return false }
        return true
    }

    // MARK: - CPU

    func cpu() -> CPU? {
        if let folders = directories.byController["cpu"] { return cpuOfVersion1(folders) }
        guard let folders = directories.unified, let own = folders.first else { return nil }
        // The root group lacks this file on some kernels, as does a group without the controller.
        guard isThere(own, "cpu.stat") else { return nil }
        var cpu = CPU()
        func stat(_ key: StaticString, mayLack: Bool) -> Int? {
            parsed(own, "cpu.stat", mayLack: mayLack) { text -> Int?? in
                if mayLack, KernelText.line(key, in: text) == nil { return .some(nil) }
                return KernelText.value(key, in: text).map { .some($0) }
            }?.flatMap { $0 }
        }
        cpu.usageSeconds = stat("usage_usec", mayLack: false).map { Double($0) / 1e6 }
        // Only present if the controller is enabled.
        cpu.periods = stat("nr_periods", mayLack: true)
        cpu.throttledPeriods = stat("nr_throttled", mayLack: true)
        cpu.throttledSeconds = stat("throttled_usec", mayLack: true).map { Double($0) / 1e6 }
        cpu.limitCores =
            folders.compactMap { folder -> Double? in
                let limit = parsed(folder, "cpu.max", mayLack: true) { GroupText.quota($0) }
                guard let limit, case .at(let quota) = limit.quota else { return nil }
                return Double(quota) / Double(limit.period)
            }.min()
        return cpu
    }

    private func cpuOfVersion1(_ folders: [String]) -> CPU {
        var cpu = CPU()
        if let own = folders.first {
            cpu.periods = parsed(own, "cpu.stat") { KernelText.value("nr_periods", in: $0) }
            cpu.throttledPeriods = parsed(own, "cpu.stat") {
                KernelText.value("nr_throttled", in: $0)
            }
            cpu.throttledSeconds = parsed(own, "cpu.stat") {
                KernelText.value("throttled_time", in: $0)
            }.map { Double($0) / 1e9 }
        }
        if let own = directories.byController["cpuacct"]?.first {
            cpu.usageSeconds = parsed(own, "cpuacct.usage") { GroupText.number($0) }
                .map { Double($0) / 1e9 }
        }
        cpu.limitCores =
            folders.compactMap { folder -> Double? in
                guard
                    let quota = parsed(
                        folder, "cpu.cfs_quota_us", mayLack: true, { GroupText.limit($0) }),
                    let period = parsed(
                        folder, "cpu.cfs_period_us", mayLack: true, { GroupText.number($0) }),
                    case .at(let quota) = quota, period > 0
                else { return nil }
                return Double(quota) / Double(period)
            }.min()
        return cpu
    }

    // MARK: - Memory

    func memory() -> Memory? {
        if let folders = directories.byController["memory"] { return memoryOfVersion1(folders) }
        guard let folders = directories.unified, let own = folders.first,
            isThere(own, "memory.current")
        else { return nil }
        var memory = Memory()
        memory.usage = parsed(own, "memory.current") { GroupText.number($0) }
        memory.swap = parsed(own, "memory.swap.current", mayLack: true) { GroupText.number($0) }
        memory.limit = least(of: folders, "memory.max")
        for (key, name) in Self.events {
            let count = parsed(own, "memory.events") { KernelText.value(key, in: $0) }
            if let count { memory.events.append((name, count)) }
        }
        for (key, name) in Self.kinds {
            let bytes = parsed(own, "memory.stat", mayLack: true) { text -> Int?? in
                if KernelText.line(key, in: text) == nil { return .some(nil) }
                return KernelText.value(key, in: text).map { .some($0) }
            }?.flatMap { $0 }
            if let bytes { memory.kinds.append((name, bytes)) }
        }
        return memory
    }

    private static let events: [(StaticString, String)] = [
        ("low ", "low"), ("high ", "high"), ("max ", "max"), ("oom ", "oom"),
        ("oom_kill ", "oom_kill"),
    ]
    private static let kinds: [(StaticString, String)] = [
        ("anon ", "anonymous"), ("file ", "file"), ("kernel ", "kernel"),
    ]
    private static let kindsOfVersion1: [(StaticString, String)] = [
        ("total_rss ", "anonymous"), ("total_cache ", "file"),
    ]

    private func memoryOfVersion1(_ folders: [String]) -> Memory {
        var memory = Memory()
        guard let own = folders.first else { return memory }
        memory.usage = parsed(own, "memory.usage_in_bytes") { GroupText.number($0) }
        memory.limit = least(of: folders, "memory.limit_in_bytes")
        let both = parsed(own, "memory.memsw.usage_in_bytes", mayLack: true) {
            GroupText.number($0)
        }
        if let both, let usage = memory.usage { memory.swap = max(0, both - usage) }
        // How often the limit was hit.
        if let count = parsed(own, "memory.failcnt", { GroupText.number($0) }) {
            memory.events.append(("max", count))
        }
        let kills = parsed(own, "memory.oom_control", mayLack: true) { text -> Int?? in
            if KernelText.line("oom_kill ", in: text) == nil { return .some(nil) }
            return KernelText.value("oom_kill ", in: text).map { .some($0) }
        }?.flatMap { $0 }
        if let kills { memory.events.append(("oom_kill", kills)) }
        for (key, name) in Self.kindsOfVersion1 {
            let bytes = parsed(own, "memory.stat") { KernelText.value(key, in: $0) }
            if let bytes { memory.kinds.append((name, bytes)) }
        }
        return memory
    }

    /// The lowest limit of a group and its ancestors, which apply to it too.
    private func least(of folders: [String], _ file: String) -> Int? {
        folders.compactMap { folder -> Int? in
            // The root of a hierarchy does not have a limit.
            let limit = parsed(folder, file, mayLack: folder == folders.last) {
                GroupText.limit($0)
            }
            guard case .at(let bytes) = limit else { return nil }
            return bytes
        }.min()
    }

    // MARK: - Processes and pressure

    func processes() -> (count: Int?, limit: Int?)? {
        guard let folders = directories.byController["pids"] ?? directories.unified,
            let own = folders.first
        else { return nil }
        let count = parsed(own, "pids.current", mayLack: true) { GroupText.number($0) }
        let limits = folders.compactMap { folder -> Int? in
            let limit = parsed(folder, "pids.max", mayLack: true) { GroupText.limit($0) }
            guard case .at(let number) = limit else { return nil }
            return number
        }
        return (count, limits.min())
    }

    /// Seconds in which some or all of the group's tasks waited for a resource.
    func pressure() -> [(resource: String, kind: String, seconds: Double)] {
        guard let own = directories.unified?.first else { return [] }
        var found: [(String, String, Double)] = []
        for resource in ["cpu", "memory", "io"] {
            for (kind, name) in [
                ("some " as StaticString, "some"), ("full " as StaticString, "full"),
            ] {
                let total = parsed(own, "\(resource).pressure", mayLack: true) { text -> Int?? in
                    if KernelText.line(kind, in: text) == nil { return .some(nil) }
                    return GroupText.pressure(kind, text).map { .some($0) }
                }?.flatMap { $0 }
                if let total { found.append((resource, name, Double(total) / 1e6)) }
            }
        }
        return found
    }
}
