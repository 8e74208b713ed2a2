// SPDX-License-Identifier: Apache-2.0
// Metrics that instruments read at each scrape. All instruments of one kind share one collector in
// a registry, because a family belongs to one collector.

internal import OutriderMetrics
internal import OutriderThreading

/// A collector of closures that are called at each scrape; thread-safe.
final class SnapshotBoard: Collector {
    typealias Read = @Sendable (_ samples: inout CollectedSamples) -> Void

    /// A registration on the board; removed when its last reference is released.
    final class Registration: Sendable {
        private let board: SnapshotBoard
        private let id: Int

        fileprivate init(_ board: SnapshotBoard, _ id: Int) {
            self.board = board
            self.id = id
        }

        deinit {
            // The closure is released outside of the lock: its captures may call this board.
            let removed = board.reads.withLock { $0.byID.removeValue(forKey: id) }
            withExtendedLifetime(removed) {}
        }
    }

    private struct Reads: Sendable {
        var byID: [Int: Read] = [:]
        var next = 0
    }

    let name: String
    let families: [CollectedFamily]
    private let reads = Guarded(Reads())

    private init(_ name: String, _ families: [CollectedFamily]) {
        self.name = name
        self.families = families
    }

    /// The board of this name in a registry; created and registered if need be.
    static func named(
        _ name: String, _ families: [CollectedFamily], in registry: Registry
    ) -> SnapshotBoard {
        let (board, isNew) = registry.attachment(named: name) { SnapshotBoard(name, families) }
        if isNew { registry.add(board) }
        return board
    }

    /// Registers `read`, which is called at each scrape as long as the registration is kept.
    func add(_ read: @escaping Read) -> Registration {
        let id = reads.withLock { reads in
            reads.next += 1
            reads.byID[reads.next] = read
            return reads.next
        }
        return Registration(self, id)
    }

    func collect(into samples: inout CollectedSamples) {
        let all = reads.withLock { $0.byID.sorted { $0.key < $1.key } }
        for (_, read) in all { read(&samples) }
    }
}
