// SPDX-License-Identifier: Apache-2.0
// Which runtime diagnostics are collected, and how often.

internal import OutriderMetrics
package import OutriderThreading

extension RuntimeMonitor {
    /// Which runtime diagnostics are collected, and how often.
    public struct Configuration: Sendable {
        /// CPU, memory, descriptors, faults, I/O, sockets: ``ProcessCollector``.
        public var process = true
        /// Threads by name: ``ThreadCollector``.
        public var threads = true
        /// Limits and pressure of the control group: ``ControlGroupCollector``.
        public var controlGroup = true
        /// The composition of resident memory: ``MemoryCollector``.
        public var memory = true
        /// With ``memory``, statistics of glibc's allocator, by mallinfo2(3).
        ///
        /// The call blocks every allocating thread while it walks the freed blocks: 100 ms for 200
        /// MB of them. After a call that took more than 5 ms, it is not called again. Only for
        /// services that tolerate one such pause.
        public var allocator = false
        /// How long jobs wait for the main actor and the global executor, measured by a probe each
        /// tick.
        public var executors = true
        /// The priorities at which the global executor is probed; each has its own queue.
        public var priorities: [TaskPriority] = [.high, .medium, .low]
        /// Jobs on the global executor, by the runtime's hook: ``JobCollector``.
        public var jobs = true
        /// Experimental: live tasks, ``TaskCollector``.
        public var liveTasks = false
        /// Allocations by Swift type: ``ObjectTypeCollector``.
        public var objectTypes = false
        /// After this time without a response, a target counts as hung: the stack of its thread is
        /// captured, logged, counted and shown; nil disables the hang watch.
        ///
        /// If it is shorter than ``probeInterval``, it also becomes the interval of the timer.
        /// Capturing sends SIGPROF to the thread once per stall, which cuts `sleep(3)` short.
        public var stallThreshold: Duration?
        /// The interval of the timer that sends the probes.
        ///
        /// Each tick sends one probe to each executor and event loop, which costs some 40 µs of CPU
        /// time in total.
        public var probeInterval: Duration = .seconds(1)
        /// The clock of the timer, the probes, the cached readings and the hang watch.
        package var time: any TimeSource = SystemTime()
        /// How long a hung thread may take to accept the signal that captures its stack.
        package var stackPatience: Duration = .milliseconds(200)
        /// The CPU time of the calling thread, for measuring pauses.
        package var threadTime: @Sendable () -> Duration = { OutriderRuntime.threadTime() }

        /// The defaults.
        public init() {}

        /// The pauses of a reading.
        func pauses(of reading: String, log: DiagnosticLog) -> ReadingPauses {
            ReadingPauses(of: reading, log: log, clock: threadTime)
        }

        /// A configuration with everything switched off, as a base for switching on single parts.
        public static var disabled: Configuration {
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
