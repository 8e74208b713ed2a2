// SPDX-License-Identifier: Apache-2.0
// Tests that block their thread, off the cooperative pool.
//
// Swift Testing runs every test on that pool, which has one thread for each core. A test that
// waits there for a socket, a semaphore or a collector takes one of them away from all that is
// asynchronous: servers under test, timers of deadlines, other tests.

public import Testing

/// Runs each test of a suite on threads that only such tests have, some of them at a time.
public struct BlockingTrait: SuiteTrait, TestTrait, TestScoping {
    /// Suites in a suite, and its tests, are run so too.
    public var isRecursive: Bool { true }

    /// Runs one test; Swift Testing calls this.
    public func provideScope(
        for test: Test, testCase: Test.Case?,
        performing function: @Sendable () async throws -> Void
    ) async throws {
        await Permits.shared.take()
        defer { Permits.shared.giveBack() }
        try await withTaskExecutorPreference(BlockingThreads.shared) { try await function() }
    }
}

extension Trait where Self == BlockingTrait {
    /// For suites whose tests wait without suspending; not twice around one test.
    public static var blocking: Self { Self() }
}
