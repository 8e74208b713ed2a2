// SPDX-License-Identifier: Apache-2.0
// Handlers by label and dimensions as they were given: for `Counter(label:dimensions:)` per request.
//
// Finding one hashes the texts where they are, in whatever order the dimensions come, and compares
// them; nothing is sorted, rendered or allocated. It is only a cache: what it does not find, the
// store makes or finds by the rendered labels. The store keeps it in step and bounds it.

internal import OutriderThreading

/// A handler and what it was asked for by.
final class CachedHandler: Sendable {
    /// More dimensions than this are not cached, so that comparing them never takes long.
    static let mostDimensions = 32

    let handler: SeriesHandler
    private let name: HandlerName
    private let dimensions: [(String, String)]
    /// The family's count of removals when the handler was known to be its series'.
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

    /// Whether the handler is the one for these, the dimensions in any order.
    ///
    /// None of our own dimensions has the name of another, so as many of theirs that are all found
    /// here are the same.
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

/// What swift-metrics calls a metric, and how its name is made from that.
struct HandlerName: Hashable, Sendable {
    let form: HandlerForm
    let keepsName: Bool
    let label: String

    /// The hash of the name and these dimensions, the same for each order of them.
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

    /// The handler with this hash, to be compared by the caller.
    @inline(__always)
    func find(_ hash: UInt64) -> CachedHandler? {
        part(hash).table.withLock { $0.find(hash) }
    }

    /// Puts a handler in the place of the one with this hash.
    func insert(_ cached: CachedHandler, _ hash: UInt64) {
        part(hash).table.withLock { $0.insert(cached, hash) }
    }

    /// Removes a handler, if it is the one with this hash.
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

    /// Where a hash stands, or the free place where it would.
    private func place(_ hash: UInt64) -> Int {
        var place = home(hash)
        while handlers[place] != nil, hashes[place] != hash { place = (place + 1) & mask }
        return place
    }

    func find(_ hash: UInt64) -> CachedHandler? {
        hashes.isEmpty ? nil : handlers[place(hash)]
    }

    mutating func insert(_ handler: CachedHandler, _ hash: UInt64) {
        if (count + 1) * 4 > hashes.count * 3 { resize(to: max(8, hashes.count * 2)) }
        let place = place(hash)
        if handlers[place] == nil { count += 1 }
        hashes[place] = hash
        handlers[place] = handler
    }

    mutating func remove(_ hash: UInt64) {
        if hashes.isEmpty { return }
        var hole = place(hash)
        if handlers[hole] == nil { return }
        count -= 1
        // Whatever stands behind the hole and may stand in it moves there, so no mark is left.
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
            let place = place(hash)
            hashes[place] = hash
            handlers[place] = handler
        }
    }
}
