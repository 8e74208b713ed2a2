// SPDX-License-Identifier: Apache-2.0
// What is shown of a process, and how often it is looked at.

internal import OutriderMetrics
package import OutriderThreading

extension RuntimeMonitor {
    /// What is shown of a process, and how often it is looked at.
    public struct Configuration: Sendable {
        /// CPU, memory, descriptors, faults, I/O, sockets: ``ProcessCollector``.
        public var process = true
        /// Threads by name: ``ThreadCollector``.
        public var threads = true
        /// Limits and pressure of the control group: ``ControlGroupCollector``.
        public var controlGroup = true
        /// What resident memory consists of: ``MemoryCollector``.
        public var memory = true
        /// With ``memory``, what glibc's allocator says of itself, by mallinfo2(3).
        ///
        /// It keeps every thread that allocates waiting while it walks the freed blocks: 100 ms for
        /// 200 MB of them. After it has taken more than 5 ms once, it is not called again. Only for
        /// services that can bear one such pause.
        public var allocator = false
        /// How long jobs wait for the main actor and the global executor, by a probe at each beat.
        public var executors = true
        /// The priorities at which the global executor is probed; each has a queue of its own.
        public var priorities: [TaskPriority] = [.high, .medium, .low]
        /// Jobs on the global executor, by the runtime's hook: ``JobCollector``.
        public var jobs = true
        /// Experimental: tasks that live, ``TaskCollector``.
        public var liveTasks = false
        /// Allocations by Swift type: ``ObjectTypeCollector``.
        public var objectTypes = false
        /// After so long without an answer something hangs: the stack of its thread is captured, logged,
        /// counted and shown; nil for no hang watch.
        ///
        /// The beat is made as quick as this if it is shorter than ``probeInterval``. Capturing sends
        /// SIGPROF to the thread, which cuts `sleep(3)` short, once a stall.
        public var stallThreshold: Duration?
        /// The time between two beats.
        ///
        /// A beat sends one probe to each executor and event loop, some 40 µs
        /// of CPU time for all of them.
        public var probeInterval: Duration = .seconds(1)
        /// The clock of the beat, the probes, the cached readings and the hang watch.
        package var time: any TimeSource = SystemTime()
        /// How long a thread that hangs may take to accept the signal that captures its stack.
        package var stackPatience: Duration = .milliseconds(200)
        /// The CPU time of the calling thread, by which pauses are judged.
        package var threadTime: @Sendable () -> Duration = { OutriderRuntime.threadTime() }

        /// The defaults.
        public init() {}

        /// What measures the pauses of a reading.
        func pauses(of reading: String, log: DiagnosticLog) -> ReadingPauses {
            ReadingPauses(of: reading, log: log, clock: threadTime)
        }

        /// Nothing is shown: to switch on what is wanted, and no more.
        public static var nothing: Configuration {
            var configuration = Configuration()
            configuration.process = false
            configuration.threads = false
            configuration.controlGroup = false
            configuration.memory = false
            configuration.executors = false
            configuration.jobs = false
            return configuration
        }
    }
}
