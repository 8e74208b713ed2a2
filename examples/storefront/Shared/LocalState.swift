// SPDX-License-Identifier: Apache-2.0
// The shared state of a service with only one instance: in this process.

import Synchronization

final class LocalState: SharedState {
    private struct Entry {
        let text: String
        let end: ContinuousClock.Instant
    }

    private struct State {
        var cache: [String: Entry] = [:]
        var locks: [String: Entry] = [:]
        var windows: [String: [ContinuousClock.Instant]] = [:]
    }

    private static let cacheLimit = 100_000
    private static let customerLimit = 10_000

    private let state = Mutex(State())
    private let invalidated: @Sendable (String) -> Void

    /// A state that reports changes by calling `invalidated`.
    init(invalidated: @escaping @Sendable (String) -> Void) { self.invalidated = invalidated }

    func cached(_ key: String) -> String? {
        state.withLock { state in
            guard let entry = state.cache[key] else { return nil }
            if entry.end > .now { return entry.text }
            state.cache[key] = nil
            return nil
        }
    }

    func cache(_ text: String, as key: String, seconds: Int) {
        state.withLock { state in
            if state.cache.count >= Self.cacheLimit { state.cache.removeAll(keepingCapacity: true) }
            state.cache[key] = Entry(text: text, end: .now + .seconds(seconds))
        }
    }

    func permit(_ customer: String, limit: Int) -> Bool {
        state.withLock { state in
            if state.windows.count >= Self.customerLimit { state.windows = [:] }
            let now = ContinuousClock.now
            var window = state.windows.removeValue(forKey: customer) ?? []
            defer { state.windows[customer] = window }
            window.removeAll { $0 < now - .seconds(1) }
            if window.count >= limit { return false }
            window.append(now)
            return true
        }
    }

    func lock(_ name: String, owner: String, milliseconds: Int) -> Bool {
        state.withLock { state in
            if let held = state.locks[name], held.end > .now { return false }
            state.locks[name] = Entry(text: owner, end: .now + .milliseconds(milliseconds))
            return true
        }
    }

    func unlock(_ name: String, owner: String) -> Bool {
        state.withLock { state in
            guard state.locks[name]?.text == owner else { return false }
            state.locks[name] = nil
            return true
        }
    }

    func invalidate(_ key: String) {
        state.withLock { $0.cache[key] = nil }
        invalidated(key)
    }
}
