// SPDX-License-Identifier: Apache-2.0
// Tests that writing to standard error neither ends nor blocks the service, whatever the state of
// its reader.

import Glibc
import OutriderMetrics
import Testing

@Suite struct StandardErrorTests {
    /// The state of the pipe that replaces standard error.
    private enum Reader {
        case gone, stuck, reading
    }

    /// Replaces standard error with a pipe; returns its read end.
    private static func replaceStandardError(_ reader: Reader) -> Int32 {
        // The default of a program that does not ignore the signal.
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

    /// Exits without output, since the test runner also writes to standard error at exit.
    private static func end(_ isRight: Bool) -> Never {
        _exit(isRight ? EXIT_SUCCESS : EXIT_FAILURE)
    }

    private static let dropped = "outrider_log_lines_dropped_total"

    @Test func `a refused observation does not end a service whose standard error is closed`() async
    {
        await #expect(processExitsWith: .success) {
            _ = StandardErrorTests.replaceStandardError(.gone)
            let registry = Registry(log: DiagnosticLog())
            registry.counter("paid", help: "P.").increment(by: Double.nan)
            StandardErrorTests.end(registry.sample(StandardErrorTests.dropped) == "1")
        }
    }

    @Test func `a full pipe does not block a service, and the lost lines are counted`() async {
        await #expect(processExitsWith: .success) {
            _ = StandardErrorTests.replaceStandardError(.stuck)
            let registry = Registry(log: DiagnosticLog())
            for _ in 0..<3 { registry.counter("paid", help: "P.").increment(by: Double.nan) }
            StandardErrorTests.end(registry.sample(StandardErrorTests.dropped) == "3")
        }
    }

    @Test func `a line of any length arrives complete, in one write`() async {
        await #expect(processExitsWith: .success) {
            let reader = StandardErrorTests.replaceStandardError(.reading)
            let log = DiagnosticLog()
            log.reportOnce(.warning, "short")
            log.reportOnce(.error, String(repeating: "🐦", count: 10_000))
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
