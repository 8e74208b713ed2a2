// SPDX-License-Identifier: Apache-2.0
// Groups of threads by name, with sums that never decrease.
//
// The account of a thread disappears when it ends. So the amount that each thread used since the
// last pass is added to the sum of its group, and sums are kept. The amount that a thread used
// between the last pass and its end is missing; the CPU time of the whole process includes it.

/// Sums of CPU time and delay by groups of threads.
package struct ThreadGroups: Sendable {
    /// Maximum number of groups; threads with further names share one group.
    package static let groupLimit = 50
    /// Maximum number of threads read; further ones are counted as skipped.
    package static let threadLimit = 10_000
    /// The group of all threads beyond the limit.
    package static let overflow = "_OVERFLOW"

    /// Resource usage of a thread so far.
    package struct Account: Sendable, Equatable {
        package var userTicks = 0
        package var systemTicks = 0
        /// Time spent ready to run and waiting for a processor; nil if the kernel does not report
        /// it.
        package var delayNanoseconds: Int?

        package init(userTicks: Int = 0, systemTicks: Int = 0, delayNanoseconds: Int? = nil) {
            self.userTicks = userTicks
            self.systemTicks = systemTicks
            self.delayNanoseconds = delayNanoseconds
        }
    }

    /// A thread in one pass.
    package struct Thread: Sendable {
        let number: Int32
        /// In clock ticks after boot; thread ids are reused.
        let startTicks: Int
        let name: String
        let account: Account

        package init(number: Int32, startTicks: Int, name: String, account: Account) {
            self.number = number
            self.startTicks = startTicks
            self.name = name
            self.account = account
        }
    }

    /// The sums of a group.
    package struct Group: Sendable {
        package var count = 0
        package var userTicks = 0
        package var systemTicks = 0
        package var delayNanoseconds: Int?
    }

    private struct Identity: Hashable, Sendable {
        let number: Int32
        let startTicks: Int
    }

    /// All groups seen so far.
    package private(set) var groups: [String: Group] = [:]
    private var last: [Identity: Account] = [:]

    /// Number of threads whose last account is kept; for tests.
    package var accountCount: Int { last.count }

    /// Creates empty groups.
    package init() {}

    /// Total time spent waiting for a processor, of all threads; nil if the kernel does not report
    /// it.
    package var delayNanoseconds: Int? {
        let known = groups.values.compactMap(\.delayNanoseconds)
        return known.isEmpty ? nil : known.reduce(0, +)
    }

    /// Folds each run of digits in a thread's name to one `N`, so that the workers of a pool form
    /// one group.
    package static func fold(_ name: String) -> String {
        var folded = ""
        var wasDigit = false
        for scalar in name.unicodeScalars {
            let isDigit = ("0"..."9").contains(scalar)
            if !isDigit { folded.unicodeScalars.append(scalar) }
            if isDigit && !wasDigit { folded.append("N") }
            wasDigit = isDigit
        }
        return folded.isEmpty ? "(unnamed)" : folded
    }

    /// Adds what every thread has used since the previous pass.
    package mutating func note(_ threads: [Thread]) {
        for name in groups.keys { groups[name]?.count = 0 }
        var seen: [Identity: Account] = [:]
        for thread in threads {
            let identity = Identity(number: thread.number, startTicks: thread.startTicks)
            let name = groupName(of: thread)
            let before = last[identity] ?? Account()
            groups[name, default: Group()].add(thread.account, since: before)
            seen[identity] = thread.account
        }
        last = seen
    }

    private func groupName(of thread: Thread) -> String {
        let name = Self.fold(thread.name)
        return groups[name] != nil || groups.count < Self.groupLimit ? name : Self.overflow
    }
}

extension ThreadGroups.Group {
    fileprivate mutating func add(_ now: ThreadGroups.Account, since before: ThreadGroups.Account) {
        count += 1
        userTicks += max(0, now.userTicks - before.userTicks)
        systemTicks += max(0, now.systemTicks - before.systemTicks)
        if let delay = now.delayNanoseconds {
            delayNanoseconds =
                (delayNanoseconds ?? 0) + max(0, delay - (before.delayNanoseconds ?? 0))
        }
    }
}
