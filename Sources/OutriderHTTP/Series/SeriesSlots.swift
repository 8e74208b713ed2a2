// SPDX-License-Identifier: Apache-2.0
// The series of one route or peer, found by a number instead of by their labels.
//
// A route has few: one for each method, status and error that it ever had. Sixteen slots hold them:
//
//     keys    claimed once, by compare-and-exchange, and never given back
//     series  published once, after the key
//
// A reader compares numbers and takes the reference beside the one that fits: no lock, no string, no
// allocation. What finds no slot is looked up by its labels each time, which is slower but right.

internal import OutriderThreading
internal import Synchronization

/// What a finished request is counted under, packed: error (10) | status (10) | method (4) | scheme
/// (1), and a bit that makes it differ from an empty slot.
struct SeriesKey: Equatable {
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

    /// The status as a label; empty if there was none.
    var statusLabel: String { status == 0 ? "" : String(status) }
}

/// The series of one route or peer; lock-free.
final class SeriesSlots<Series: AnyObject & Sendable>: Sendable {
    private static var count: Int { 16 }

    private let keys = InlineArray<16, Atomic<UInt32>> { _ in Atomic(0) }
    private let series = InlineArray<16, OnceReference<Series>> { _ in OnceReference() }

    /// Calls `body` with the series for `key`, made by `make` if it is not here.
    ///
    /// `make` may be called by several threads for one key, and must then give what counts
    /// into the same numbers. What it says is not to be kept is given out once only.
    @inline(__always)
    func with(
        _ key: SeriesKey, make: () -> (series: Series, isKept: Bool), body: (Series) -> Void
    ) {
        let first = Self.start(key)
        for offset in 0..<Self.count {
            let place = (first + offset) % Self.count
            // ORDERING: relaxed; the reference beside it is published by its own release store.
            let found = keys[place].load(ordering: .relaxed)
            if found == key.bits {
                if series[place].withObject(body) != nil { return }
                break
            }
            if found == 0 { break }
        }
        let made = make()
        body(made.isKept ? keep(made.series, for: key, from: first) : made.series)
    }

    private func keep(_ made: Series, for key: SeriesKey, from first: Int) -> Series {
        for offset in 0..<Self.count {
            let place = (first + offset) % Self.count
            // ORDERING: relaxed, as above. Slots are never given back, so whoever loses one to the
            // same key meets that key here and shares it.
            let (claimed, found) = keys[place].compareExchange(
                expected: 0, desired: key.bits, ordering: .relaxed)
            if claimed || found == key.bits { return series[place].storeIfNil(made) }
        }
        return made
    }

    private static func start(_ key: SeriesKey) -> Int {
        Int((key.bits &* 0x9E37_79B1) >> 28)
    }
}
