// SPDX-License-Identifier: Apache-2.0
// Series lookup by the caller's strings, without copying them and without a lock.

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
    /// Like ``with(_:_:_:)`` followed by a call, but faster, above all from several threads: they
    /// share only the instrument itself, not even a reference count. `body` should record and
    /// return quickly, since memory of removed series is freed only after it has returned.
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

// These are independent of the instrument's type: a generic method is slow across modules.
extension FamilyCore {
    /// The instrument of a plain series; nil if the lookup needs the lock.
    func plain(_ value: String) -> AnyObject? {
        unsafe Self.withBytes(of: value) { unsafe withPlain([$0]) { $0 } }
    }

    /// The instrument of a plain series; nil if the lookup needs the lock.
    func plain(
        _ first: String, _ second: String, order: [Int]?
    ) -> AnyObject? {
        unsafe withBytes(first, second, order) { unsafe withPlain($0) { $0 } }
    }

    /// The instrument of a plain series; nil if the lookup needs the lock.
    func plain(
        _ first: String, _ second: String, _ third: String,
        order: [Int]?
    ) -> AnyObject? {
        unsafe withBytes(first, second, third, order) { unsafe withPlain($0) { $0 } }
    }

    /// Calls `body` with the instrument of a plain series; false if the lookup needs the lock.
    func record(_ value: String, _ body: (AnyObject) -> Void) -> Bool {
        unsafe Self.withBytes(of: value) { unsafe withPlain([$0], body) } != nil
    }

    /// Calls `body` with the instrument of a plain series; false if the lookup needs the lock.
    func record(
        _ first: String, _ second: String, order: [Int]?,
        _ body: (AnyObject) -> Void
    ) -> Bool {
        unsafe withBytes(first, second, order) { unsafe withPlain($0, body) } != nil
    }

    /// Calls `body` with the instrument of a plain series; false if the lookup needs the lock.
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

    /// Calls `body` with the UTF-8 bytes of a string, copied only if stored in the `String` itself.
    @inline(__always)
    private static func withBytes<Result>(
        of text: String, _ body: (UnsafeBufferPointer<UInt8>) -> Result
    ) -> Result {
        let result = unsafe text.utf8.withContiguousStorageIfAvailable { unsafe body($0) }
        if let result { return result }
        var text = text
        return text.withUTF8 { unsafe body($0) }
    }

    /// The values in the order of the sorted label names.
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
