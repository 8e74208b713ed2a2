// SPDX-License-Identifier: Apache-2.0
// Forked children of the test process.

internal import CTestSupport
internal import Glibc

/// Runs `body` in a forked child; returns the child's exit code, 0 unless it crashed or hung.
public func inForkedChild(_ body: @escaping () -> Void) -> Int32 {
    final class Work {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }
    let work = Work(body)
    return unsafe test_in_forked_child(
        { argument in
            guard let argument = unsafe argument else { return }
            unsafe Unmanaged<Work>.fromOpaque(argument).takeUnretainedValue().body()
        }, Unmanaged.passUnretained(work).toOpaque())
}

/// Runs `body` while a forked child holds a copy of every open descriptor.
public func besideForkedChild(_ body: () throws -> Void) throws {
    var ends: [Int32] = [-1, -1]
    guard unsafe pipe(&ends) == 0 else { throw ConnectionFailure(description: "pipe") }
    let child = test_fork_waiting_child(ends[0], ends[1])
    defer {
        close(ends[1])
        close(ends[0])
        test_join_child(child)
    }
    try body()
}
