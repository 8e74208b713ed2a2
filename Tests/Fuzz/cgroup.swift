// SPDX-License-Identifier: Apache-2.0
// Fuzzes the parsers of control-group files: no negative value, no directory outside the mount, and
// a truncated file yields the same value or none.

/// The entry point that libFuzzer calls with each input; the first byte is the cut position.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    guard let first = bytes.first else { return 0 }
    let text = Array(bytes.dropFirst())
    let cut = Array(text.prefix(text.count * Int(first) / 256))

    check(text, cut) { GroupText.number($0.span) }
    check(text, cut) { text in
        guard case .at(let value) = GroupText.limit(text.span) else { return nil }
        return value
    }
    check(text, cut) { GroupText.quota($0.span)?.period }
    check(text, cut) { GroupText.pressure("some", $0.span) }
    check(text, cut) { GroupText.pressure("full", $0.span) }

    let memberships = GroupMembership.all(text) ?? []
    for mount in GroupMount.all(text) {
        for membership in memberships.prefix(8) {
            for directory in mount.directories(of: membership.path) ?? [] {
                precondition(
                    directory.hasPrefix(mount.point), "\(directory) is not below \(mount.point)")
            }
        }
    }
    return 0
}

private func check(_ text: [UInt8], _ cut: [UInt8], _ read: ([UInt8]) -> Int?) {
    guard let whole = read(text) else { return }
    precondition(whole >= 0)
    if let part = read(cut) { precondition(part == whole, "truncation changes the value") }
}
