// SPDX-License-Identifier: Apache-2.0
// The series of one route or peer, found by an integer key instead of by labels.
//
// A route has few series: one for each method, status and error that occurred. Sixteen slots hold
// them:
//
//     keys    claimed once, by compare-and-exchange, and never given back
//     series  published once, after the key
//
// A reader compares integers and takes the reference of the matching slot: no lock, no string, no
// allocation. A series without a slot is looked up by its labels each time, which is slower but
// correct.

internal import OutriderThreading
internal import Synchronization

/// The packed key of a finished request: error (10) | status (10) | method (4) | scheme (1), and a
/// bit that distinguishes it from an empty slot.
struct RequestSeriesKey: Equatable {
    let bits: UInt32

    init(method: Int, scheme: URLScheme = .http, status: Int, error: Int) {
        bits =
            1 << 31 | UInt32(error) << 15 | UInt32(status) << 5 | UInt32(method) << 1
            | UInt32(scheme.rawValue)
    }

    var method: Int { Int(bits >> 1 & 0xF) }
    var scheme: URLScheme { URLScheme(rawValue: Int(bits & 1)) ?? .http }
    var status: Int { Int(bits >> 5 & 0x3FF) }
    var error: Int { Int(bits >> 15 & 0x3FF) }

    /// The status as a label; empty if there is none.
    var statusLabel: String { status == 0 ? "" : String(status) }
}

/// The series of one route or peer; lock-free.
final class SeriesSlots<Series: AnyObject & Sendable>: Sendable {
    private static var count: Int { 16 }

    private let keys = InlineArray<16, Atomic<UInt32>> { _ in Atomic(0) }
    private let series = InlineArray<16, OnceReference<Series>> { _ in OnceReference() }

    /// Calls `body` with the series for `key`, created by `make` if there is none.
    ///
    /// Several threads may call `make` for one key; all results must then record into the same
    /// instruments. A result with `isKept` false is used only once.
    @inline(__always)
    func with(
        _ key: RequestSeriesKey, make: () -> (series: Series, isKept: Bool), body: (Series) -> Void
    ) {
        let first = Self.start(key)
        for offset in 0..<Self.count {
            let slot = (first + offset) % Self.count
            // ORDERING: relaxed; the slot's reference is published by its own release store.
            let found = keys[slot].load(ordering: .relaxed)
            if found == key.bits {
                if series[slot].withObject(body) != nil { return }
                break
            }
            if found == 0 { break }
        }
        let made = make()
        body(made.isKept ? keep(made.series, for: key, from: first) : made.series)
    }

    private func keep(_ made: Series, for key: RequestSeriesKey, from first: Int) -> Series {
        for offset in 0..<Self.count {
            let slot = (first + offset) % Self.count
            // ORDERING: relaxed, as above. Slots are never given back, so a thread that loses one
            // to the same key finds that key here and shares it.
            let (claimed, found) = keys[slot].compareExchange(
                expected: 0, desired: key.bits, ordering: .relaxed)
            if claimed || found == key.bits { return series[slot].storeIfNil(made) }
        }
        return made
    }

    private static func start(_ key: RequestSeriesKey) -> Int {
        Int((key.bits &* 0x9E37_79B1) >> 28)
    }
}
