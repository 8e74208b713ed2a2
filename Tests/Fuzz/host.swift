// SPDX-License-Identifier: Apache-2.0
// Fuzzes Host: a DNS name is never taken for this machine or an IP address.

/// The entry point that libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = UnsafeBufferPointer(start: start, count: count)
    let field = String(decoding: bytes, as: UTF8.self)
    guard let host = HostField(field) else { return 0 }
    precondition(
        host.host.utf8.allSatisfy { (0x21...0x7E).contains($0) && !"/?#@,".utf8.contains($0) })
    switch host.kind {
    case .loopbackName: precondition(host.host == "localhost")
    case .address:
        precondition(host.host.utf8.allSatisfy { "0123456789abcdef:.[]".utf8.contains($0) })
        precondition(host.host.hasPrefix("[") == host.host.hasSuffix("]"))
    case .name: precondition(host.host != "localhost" && !host.host.hasPrefix("["))
    }
    if host.host.hasSuffix(".") { return 0 }
    precondition(HostField(host.host) == host && HostField(host.host + ":65535") == host)
    precondition(HostField(host.host + ":65536") == nil && HostField(host.host + "/") == nil)
    return 0
}
