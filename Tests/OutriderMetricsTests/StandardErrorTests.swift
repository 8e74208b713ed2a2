// SPDX-License-Identifier: Apache-2.0
// What Outrider writes to standard error neither ends the service nor holds it up, whoever reads it.

import Glibc
import OutriderMetrics
import Testing

@Suite struct StandardErrorTests {
    /// Standard error of this process as a pipe, and what happens to it.
    private enum Reader {
        case gone, stuck, reading
    }

    /// Puts a pipe in the place of standard error; returns the end that is read.
    private static func replaceStandardError(_ reader: Reader) -> Int32 {
        // As a program has it that nobody told to ignore the signal.
        signal(SIGPIPE, SIG_DFL)
        var ends: [Int32] = [-1, -1]
        precondition(unsafe pipe(&ends) == 0)
        if reader == .stuck {
            _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
            var byte: UInt8 = 0
            while unsafe write(ends[1], &byte, 1) == 1 {}
            _ = fcntl(ends[1], F_SETFL, 0)
        }
        if reader == .gone { close(ends[0]) }
        dup2(ends[1], STDERR_FILENO)
        close(ends[1])
        return ends[0]
    }

    /// Ends this process without a word, as the test runner has one for standard error at its end.
    private static func end(_ isRight: Bool) -> Never {
        _exit(isRight ? EXIT_SUCCESS : EXIT_FAILURE)
    }

    private static let dropped = "outrider_log_lines_dropped_total"

    @Test func `a refused observation does not end a service whose standard error nobody reads`()
        async
    {
        await #expect(processExitsWith: .success) {
            _ = StandardErrorTests.replaceStandardError(.gone)
            let registry = Registry(log: DiagnosticLog())
            registry.counter("paid", help: "P.").increment(by: Double.nan)
            StandardErrorTests.end(registry.sample(StandardErrorTests.dropped) == "1")
        }
    }

    @Test func `a full pipe does not hold up a service, and the lines that it lost are counted`()
        async
    {
        await #expect(processExitsWith: .success) {
            _ = StandardErrorTests.replaceStandardError(.stuck)
            let registry = Registry(log: DiagnosticLog())
            for _ in 0..<3 { registry.counter("paid", help: "P.").increment(by: Double.nan) }
            StandardErrorTests.end(registry.sample(StandardErrorTests.dropped) == "3")
        }
    }

    @Test func `a line of any length arrives whole, in one piece`() async {
        await #expect(processExitsWith: .success) {
            let reader = StandardErrorTests.replaceStandardError(.reading)
            let log = DiagnosticLog()
            log.sayOnce(.warning, "short")
            log.sayOnce(.error, String(repeating: "🐦", count: 10_000))
            var bytes = [UInt8](repeating: 0, count: 16_384)
            let count = unsafe read(reader, &bytes, bytes.count)
            let lines = String(decoding: bytes.prefix(count), as: UTF8.self)
                .split(separator: "\n", omittingEmptySubsequences: false)
            precondition(lines.count == 3 && lines[2].isEmpty)
            precondition(lines[0] == "outrider: warning: short")
            let long = lines[1].dropFirst("outrider: error: ".count)
            precondition(long.count > 900 && long.allSatisfy { $0 == "🐦" })
            precondition(log.droppedCount == 0)
        }
    }
}
