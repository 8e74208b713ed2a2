// SPDX-License-Identifier: Apache-2.0
// A trait that runs blocking tests off the cooperative pool.
//
// Swift Testing runs every test on that pool, which has one thread per core. A test that waits
// there for a socket, a semaphore or a collector takes a thread from all asynchronous code: servers
// under test, deadline timers, other tests.

public import Testing

/// Runs each test of a suite on dedicated threads, a limited number at a time.
public struct BlockingTrait: SuiteTrait, TestTrait, TestScoping {
    /// Applies to nested suites and tests too.
    public var isRecursive: Bool { true }

    /// Runs one test; called by Swift Testing.
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
    /// For suites whose tests block; not to be applied twice to a test.
    public static var blocking: Self { Self() }
}
