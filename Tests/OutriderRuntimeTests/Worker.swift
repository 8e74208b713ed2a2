// SPDX-License-Identifier: Apache-2.0
// A serial queue with its own thread, for tests that block it.

import Dispatch
import Glibc
import OutriderMetrics
import OutriderRuntime
import OutriderThreading
import Synchronization
import TestSupport
import Testing

/// Runs jobs in order on one thread.
final class Worker: Sendable {
    private let jobs = Guarded<[@Sendable () -> Void]>([])
    private let waiting = DispatchSemaphore(value: 0)

    /// - Parameter isDeaf: Whether the thread blocks every signal.
    init(isDeaf: Bool = false) {
        let work: @Sendable () -> Void = { [self] in
            if !isDeaf {
                var all = sigset_t()
                unsafe sigfillset(&all)
                unsafe pthread_sigmask(SIG_UNBLOCK, &all, nil)
            }
            while true {
                waiting.wait()
                let job = jobs.withLock { $0.removeFirst() }
                job()
            }
        }
        _ = DetachedThread.start(work)
    }

    func enqueue(_ job: @escaping @Sendable () -> Void) {
        jobs.withLock { $0.append(job) }
        waiting.signal()
    }

    /// A probe target that runs its jobs on this worker.
    func target(_ name: String) -> ProbeTarget {
        ProbeTarget(name: name, kind: "worker", alwaysResponds: true) { job in
            self.enqueue { job.run() }
        }
    }
}

/// A configuration in which a monitor only probes, every five milliseconds.
func quietConfiguration() -> RuntimeMonitor.Configuration {
    var configuration = RuntimeMonitor.Configuration.disabled
    configuration.probeInterval = .milliseconds(5)
    return configuration
}

/// A configuration in which a monitor only probes, whenever a test advances the time by a second.
func quietConfiguration(
    _ time: ManualTime, stallThreshold: Duration? = nil
) -> RuntimeMonitor.Configuration {
    var configuration = RuntimeMonitor.Configuration.disabled
    configuration.probeInterval = .seconds(1)
    configuration.stallThreshold = stallThreshold
    configuration.time = time
    return configuration
}

/// Advances the time by one tick, and returns when the tick is done.
func beat(_ time: ManualTime) {
    time.advance(by: .seconds(1))
    expectBeatDone(time)
}

/// Waits until the current tick, such as the first one, is done.
func expectBeatDone(_ time: ManualTime) {
    #expect(time.awaitWaiter(in: .seconds(1)))
}
