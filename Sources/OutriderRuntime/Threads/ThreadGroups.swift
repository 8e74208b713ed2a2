// SPDX-License-Identifier: Apache-2.0
// The threads of a process in groups by name, with sums that never fall.
//
// A thread that ends takes its account with it. So what each thread has used since it was last seen is
// added to the sum of its group, and sums stay. What a thread used between the last look and its end is
// not seen; the whole process' CPU time has it.

/// Sums of CPU time and delay by groups of threads.
package struct ThreadGroups: Sendable {
    /// Groups that are kept apart; threads with further names are one group.
    package static let groupLimit = 50
    /// Threads that are looked at; more are counted as skipped.
    package static let threadLimit = 10_000
    /// The group of those for whom there is no other.
    package static let overflow = "_OVERFLOW"

    /// What a thread has used so far.
    package struct Account: Sendable, Equatable {
        package var userTicks = 0
        package var systemTicks = 0
        /// Ready to run, and waiting for a processor; nil where the kernel does not tell.
        package var delayNanoseconds: Int?

        package init(userTicks: Int = 0, systemTicks: Int = 0, delayNanoseconds: Int? = nil) {
            self.userTicks = userTicks
            self.systemTicks = systemTicks
            self.delayNanoseconds = delayNanoseconds
        }
    }

    /// A thread at one look.
    package struct Thread: Sendable {
        let number: Int32
        /// In clock ticks after boot; the number alone may come again.
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

    /// The groups that were ever seen.
    package private(set) var groups: [String: Group] = [:]
    private var last: [Identity: Account] = [:]

    /// Threads of which the last account is kept; for tests.
    package var accountCount: Int { last.count }

    /// No thread was seen yet.
    package init() {}

    /// Waiting for a processor, of all threads together; nil where the kernel does not tell.
    package var delayNanoseconds: Int? {
        let known = groups.values.compactMap(\.delayNanoseconds)
        return known.isEmpty ? nil : known.reduce(0, +)
    }

    /// A thread's name with each run of digits folded to one `N`: workers of a pool are one group.
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

    /// Adds what every thread has used since the look before.
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
