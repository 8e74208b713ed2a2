// SPDX-License-Identifier: Apache-2.0
// Series found by the caller's own texts, without a copy of them and without a lock.

extension Family {
    /// Calls `body` with the instrument of this value of the one label; see ``record(_:_:_:_:)``.
    public func record(_ value: String, _ body: (Instrument) -> Void) {
        if !core.record(value, { body(instrument($0)) }) { body(slowly(value)) }
    }

    /// Calls `body` with the instrument of these two label values; see ``record(_:_:_:_:)``.
    public func record(_ first: String, _ second: String, _ body: (Instrument) -> Void) {
        let isDone = core.record(first, second, order: order) { body(instrument($0)) }
        if !isDone { body(slowly(first, second)) }
    }

    /// Calls `body` with the instrument of these three label values, in the order of the family's
    /// definition.
    ///
    /// ```swift
    /// requests.record(method, route, status) { $0.increment() }
    /// ```
    ///
    /// The same as ``with(_:_:_:)`` and a call, but quicker, above all from several threads: they
    /// share nothing but the instrument itself, not even a count of references. `body` is to record
    /// and to return; what is freed of removed series meanwhile is only freed after it.
    public func record(
        _ first: String, _ second: String, _ third: String, _ body: (Instrument) -> Void
    ) {
        let isDone = core.record(first, second, third, order: order) { body(instrument($0)) }
        if !isDone { body(slowly(first, second, third)) }
    }

    // MARK: - By rendered labels

    @inline(never)
    func slowly(_ value: String) -> Instrument {
        let values: InlineArray<1, String> = [value]
        return child(values.span)
    }

    @inline(never)
    func slowly(_ first: String, _ second: String) -> Instrument {
        let values: InlineArray<2, String> = [first, second]
        return child(values.span)
    }

    @inline(never)
    func slowly(_ first: String, _ second: String, _ third: String) -> Instrument {
        let values: InlineArray<3, String> = [first, second, third]
        return child(values.span)
    }
}

// These know nothing of the kind of instrument: a generic method is slow for other modules.
extension FamilyCore {
    /// The instrument of a plain series; nil if it cannot be had without the lock.
    func plain(_ value: String) -> AnyObject? {
        unsafe Self.withBytes(of: value) { unsafe withPlain([$0]) { $0 } }
    }

    /// The instrument of a plain series; nil if it cannot be had without the lock.
    func plain(
        _ first: String, _ second: String, order: [Int]?
    ) -> AnyObject? {
        unsafe withBytes(first, second, order) { unsafe withPlain($0) { $0 } }
    }

    /// The instrument of a plain series; nil if it cannot be had without the lock.
    func plain(
        _ first: String, _ second: String, _ third: String,
        order: [Int]?
    ) -> AnyObject? {
        unsafe withBytes(first, second, third, order) { unsafe withPlain($0) { $0 } }
    }

    /// Calls `body` with the instrument of a plain series; false if it cannot be had so.
    func record(_ value: String, _ body: (AnyObject) -> Void) -> Bool {
        unsafe Self.withBytes(of: value) { unsafe withPlain([$0], body) } != nil
    }

    /// Calls `body` with the instrument of a plain series; false if it cannot be had so.
    func record(
        _ first: String, _ second: String, order: [Int]?,
        _ body: (AnyObject) -> Void
    ) -> Bool {
        unsafe withBytes(first, second, order) { unsafe withPlain($0, body) } != nil
    }

    /// Calls `body` with the instrument of a plain series; false if it cannot be had so.
    func record(
        _ first: String, _ second: String, _ third: String,
        order: [Int]?, _ body: (AnyObject) -> Void
    ) -> Bool {
        unsafe withBytes(first, second, third, order) { unsafe withPlain($0, body) } != nil
    }

    @inline(__always)
    private func withBytes<Result>(
        _ first: String, _ second: String, _ order: [Int]?,
        _ body: (SeriesKey.Values<2>) -> Result
    ) -> Result {
        unsafe Self.withBytes(of: first) { first in
            unsafe Self.withBytes(of: second) { second in
                unsafe body(Self.sorted([first, second], order))
            }
        }
    }

    @inline(__always)
    private func withBytes<Result>(
        _ first: String, _ second: String, _ third: String,
        _ order: [Int]?, _ body: (SeriesKey.Values<3>) -> Result
    ) -> Result {
        unsafe Self.withBytes(of: first) { first in
            unsafe Self.withBytes(of: second) { second in
                unsafe Self.withBytes(of: third) { third in
                    unsafe body(Self.sorted([first, second, third], order))
                }
            }
        }
    }

    /// Calls `body` with the bytes of a text, which are not copied unless they fit into a `String`.
    @inline(__always)
    private static func withBytes<Result>(
        of text: String, _ body: (UnsafeBufferPointer<UInt8>) -> Result
    ) -> Result {
        let result = unsafe text.utf8.withContiguousStorageIfAvailable { unsafe body($0) }
        if let result { return result }
        var text = text
        return text.withUTF8 { unsafe body($0) }
    }

    /// Values in the order of the sorted names.
    @inline(__always)
    private static func sorted<let count: Int>(
        _ given: SeriesKey.Values<count>, _ order: [Int]?
    ) -> SeriesKey.Values<count> {
        guard let order, order.count == count else { return unsafe given }
        var values = unsafe given
        for index in 0..<count { unsafe values[index] = unsafe given[order[index]] }
        return unsafe values
    }
}
