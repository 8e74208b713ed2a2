// SPDX-License-Identifier: Apache-2.0
// A queue with one thread, for tests that hold it up.

import Dispatch
import Glibc
import OutriderMetrics
import OutriderRuntime
import OutriderThreading
import Synchronization
import TestSupport
import Testing

/// Runs jobs one after the other, on one thread.
final class Worker: Sendable {
    private let jobs = Guarded<[@Sendable () -> Void]>([])
    private let waiting = DispatchSemaphore(value: 0)

    /// - Parameter isDeaf: Whether its thread blocks every signal.
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

    /// Something to probe.
    func target(_ name: String) -> ProbeTarget {
        ProbeTarget(name: name, kind: "worker", answersForSure: true) { job in
            self.enqueue { job.run() }
        }
    }
}

/// A monitor that does nothing but beat, every five milliseconds.
func quietConfiguration() -> RuntimeMonitor.Configuration {
    var configuration = RuntimeMonitor.Configuration.nothing
    configuration.probeInterval = .milliseconds(5)
    return configuration
}

/// A monitor that does nothing but beat, whenever a test moves the time on by a second.
func quietConfiguration(
    _ time: ManualTime, stallThreshold: Duration? = nil
) -> RuntimeMonitor.Configuration {
    var configuration = RuntimeMonitor.Configuration.nothing
    configuration.probeInterval = .seconds(1)
    configuration.stallThreshold = stallThreshold
    configuration.time = time
    return configuration
}

/// Moves the time on by one beat, and returns when that is done.
func beat(_ time: ManualTime) {
    time.advance(by: .seconds(1))
    expectBeatDone(time)
}

/// Returns when the beat of this moment, such as the first one, is done.
func expectBeatDone(_ time: ManualTime) {
    #expect(time.awaitWaiter(in: .seconds(1)))
}
