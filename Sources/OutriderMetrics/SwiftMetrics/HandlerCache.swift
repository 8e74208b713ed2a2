// SPDX-License-Identifier: Apache-2.0
// A cache of handlers by label and dimensions as given, for `Counter(label:dimensions:)` in each
// request.
//
// A lookup hashes the strings in place, independent of the order of the dimensions, and compares
// them; it sorts, renders and allocates nothing. On a miss, the store finds or creates the handler
// by the rendered labels. The store keeps the cache up to date and limits its size.

internal import OutriderThreading

/// A handler with the name and dimensions that it was requested by.
final class CachedHandler: Sendable {
    /// Handlers with more dimensions are not cached, so that comparing dimensions is always fast.
    static let mostDimensions = 32

    let handler: SeriesHandler
    private let name: HandlerName
    private let dimensions: [(String, String)]
    /// The family's removal count when the handler was known to belong to its series.
    private let removalCount: Int

    init(
        _ handler: SeriesHandler, _ name: HandlerName, _ dimensions: [(String, String)],
        removalCount: Int
    ) {
        self.handler = handler
        self.name = name
        self.dimensions = dimensions
        self.removalCount = removalCount
    }

    /// Whether the handler has this name and these dimensions, in any order.
    ///
    /// The names of the cached dimensions are unique, so if the counts are equal and every cached
    /// dimension is among the others, both are the same.
    func matches(_ name: borrowing HandlerName, _ others: [(String, String)]) -> Bool {
        guard self.name.form == name.form, self.name.keepsName == name.keepsName,
            dimensions.count == others.count, self.name.label == name.label,
            handler.core.removalCount == removalCount
        else { return false }
        for index in dimensions.indices {
            if dimensions[index] == others[index] { continue }
            guard others.contains(where: { $0 == dimensions[index] }) else { return false }
        }
        return true
    }
}

/// The label of a swift-metrics metric, and how its name is derived from that.
struct HandlerName: Hashable, Sendable {
    let form: HandlerForm
    let keepsName: Bool
    let label: String

    /// The hash of the name and these dimensions, independent of their order.
    func hash(with dimensions: [(String, String)]) -> UInt64 {
        LabelHash.of(
            label, dimensions, seed: UInt64(form.rawValue) << 1 &+ (keepsName ? 1 : 0))
    }
}

/// Handlers by hash, in sixteen parts with a lock each; thread-safe.
final class HandlerCache: Sendable {
    private final class Part: Sendable {
        let table = Guarded(HashedHandlers())
    }

    private let parts: [Part] = (0..<16).map { _ in Part() }

    /// The handler with this hash, which the caller must compare.
    @inline(__always)
    func find(_ hash: UInt64) -> CachedHandler? {
        part(hash).table.withLock { $0.find(hash) }
    }

    /// Stores a handler, in place of any other with this hash.
    func insert(_ cached: CachedHandler, _ hash: UInt64) {
        part(hash).table.withLock { $0.insert(cached, hash) }
    }

    /// Removes a handler, if it is the one stored for this hash.
    func remove(_ handler: SeriesHandler, _ hash: UInt64) {
        part(hash).table.withLock { table in
            if table.find(hash)?.handler === handler { table.remove(hash) }
        }
    }

    private func part(_ hash: UInt64) -> Part { parts[Int(hash >> 60)] }
}

/// A hash table with linear probing whose keys are their own hashes.
struct HashedHandlers: Sendable {
    private var hashes: [UInt64] = []
    private var handlers: [CachedHandler?] = []
    private var count = 0

    private var mask: Int { hashes.count - 1 }

    private func home(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & mask }

    /// The slot of a hash, or the free slot where it would be stored.
    private func slot(_ hash: UInt64) -> Int {
        var slot = home(hash)
        while handlers[slot] != nil, hashes[slot] != hash { slot = (slot + 1) & mask }
        return slot
    }

    func find(_ hash: UInt64) -> CachedHandler? {
        hashes.isEmpty ? nil : handlers[slot(hash)]
    }

    mutating func insert(_ handler: CachedHandler, _ hash: UInt64) {
        if (count + 1) * 4 > hashes.count * 3 { resize(to: max(8, hashes.count * 2)) }
        let slot = slot(hash)
        if handlers[slot] == nil { count += 1 }
        hashes[slot] = hash
        handlers[slot] = handler
    }

    mutating func remove(_ hash: UInt64) {
        if hashes.isEmpty { return }
        var hole = slot(hash)
        if handlers[hole] == nil { return }
        count -= 1
        // Entries after the hole move into it where their probe sequence allows, so no tombstone is
        // needed.
        var next = hole
        while true {
            next = (next + 1) & mask
            guard handlers[next] != nil else { break }
            let isPastHome = (next &- home(hashes[next])) & mask >= (next &- hole) & mask
            if isPastHome {
                hashes[hole] = hashes[next]
                handlers[hole] = handlers[next]
                hole = next
            }
        }
        handlers[hole] = nil
        if hashes.count > 8, count * 8 < hashes.count { resize(to: hashes.count / 2) }
    }

    private mutating func resize(to size: Int) {
        let old = (hashes, handlers)
        hashes = Array(repeating: 0, count: size)
        handlers = Array(repeating: nil, count: size)
        for (hash, handler) in zip(old.0, old.1) {
            guard let handler else { continue }
            let slot = slot(hash)
            hashes[slot] = hash
            handlers[slot] = handler
        }
    }
}
