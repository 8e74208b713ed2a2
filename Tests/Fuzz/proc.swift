// SPDX-License-Identifier: Apache-2.0
// Fuzzes the parsers of procfs files: no negative value, and a truncated file yields the same
// values or none.

/// The entry point that libFuzzer calls with each input; the first byte is the cut position.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    guard let first = bytes.first else { return 0 }
    let text = Array(bytes.dropFirst())
    let cut = Array(text.prefix(text.count * Int(first) / 256))

    if let status = ProcessStatus(text.span) {
        precondition(min(status.userTicks, status.systemTicks, status.threads) >= 0)
        precondition(min(status.startTicks, status.virtualBytes, status.residentPages) >= 0)
    }
    check(text, cut) {
        ProcessMemory($0.span).map { [$0.peak, $0.anonymous, $0.file, $0.shared, $0.swapped] }
    }
    check(text, cut) {
        ProcessIO($0.span).map { [$0.read, $0.written, $0.readCalls, $0.writeCalls] }
    }
    check(text, cut) {
        SocketCounts($0.span).map {
            [$0.used, $0.tcp, $0.tcpOrphaned, $0.tcpTimeWait, $0.tcpAllocated, $0.udp]
        }
    }
    check(text, cut) { ListenLosses($0.span).map { [$0.overflows, $0.drops] } }
    check(text, cut) { Retransmits($0.span).map { [$0.segments] } }
    check(text, cut) { SchedulerDelay($0.span).map { [$0.nanoseconds] } }
    return 0
}

private func check(_ text: [UInt8], _ cut: [UInt8], _ read: ([UInt8]) -> [Int]?) {
    guard let whole = read(text) else { return }
    precondition(whole.allSatisfy { $0 >= 0 })
    if let part = read(cut) { precondition(part == whole, "truncation changes the value") }
}
