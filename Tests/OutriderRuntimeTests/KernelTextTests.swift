// SPDX-License-Identifier: Apache-2.0
// Tests of the strict parsers of the kernel's smaller files.

import OutriderRuntime
import Testing

@Suite struct KernelTextTests {
    private func delay(_ text: String) -> Int? {
        let bytes = Array(text.utf8)
        return SchedulerDelay(bytes.span)?.nanoseconds
    }

    private func retransmits(_ text: String) -> Int? {
        let bytes = Array(text.utf8)
        return Retransmits(bytes.span)?.segments
    }

    @Test(arguments: [
        ("123 456 789\n", 456), ("0 0 1\n", 0), ("1 9223372036854775807 1\n", Int.max),
    ])
    func `a thread's delay is the second of three numbers`(text: String, delay: Int) {
        #expect(self.delay(text) == delay)
    }

    @Test(arguments: [
        "", "\n", "1\n", "1 2\n", "1 2 3", "a 2 3\n", "1 -2 3\n", "1 2x 3\n",
        "1 9223372036854775808 3\n",
    ])
    func `a text other than three numbers has no delay`(text: String) {
        #expect(delay(text) == nil)
    }

    @Test func `a table with shifted rows yields no value`() {
        let headless = "Tcp: 1 2 3\n"
        let short = "Tcp: A B RetransSegs\nTcp: 1 2\n"
        let interrupted = "Tcp: A RetransSegs\nUdp: 1 2\nTcp: 1 2\n"
        for text in [headless, short, interrupted] {
            #expect(retransmits(text) == nil)
        }
        #expect(retransmits("Tcp: A RetransSegs\nTcp: -1 2\n") == 2)
    }

    @Test func `a line that merely contains a name does not match it`() {
        let text = "cancelled_read_bytes: 1\nread_bytes: 2\nwrite_bytes: 3\nsyscr: 4\nsyscw: 5\n"
        let bytes = Array(text.utf8)
        let io = ProcessIO(bytes.span)
        #expect(io?.read == 2 && io?.written == 3 && io?.readCalls == 4 && io?.writeCalls == 5)
    }
}
