// SPDX-License-Identifier: Apache-2.0
// What a heap profiler can be told.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

extension HeapProfiler {
    /// How a heap profiler samples.
    public struct Configuration: Sendable {
        /// Mean bytes between two samples; nil asks `OUTRIDER_HEAP_INTERVAL`, then 512 KiB.
        ///
        /// 1 samples everything; 0 leaves sampling off until ``HeapProfiler/interval`` is set.
        public var interval: Int?
        /// The share of one core that sampling may take; 0 sets no limit.
        ///
        /// A second that takes more widens the interval at once. A scrape or a profile tells of it in
        /// the log, and lets it come back by halves when there was room for a minute.
        public var budget: Double = 0.01
        /// Whether live objects are told apart by their Swift types, in the label `swift_type`.
        public var showsTypes = true

        /// The variables to read instead of the process' own.
        package var environment: [String: String]?

        /// The defaults.
        public init() {}

        /// The defaults, with another interval.
        public init(interval: Int) {
            self.interval = interval
        }

        /// 512 KiB, as Go and tcmalloc have it.
        static let defaultInterval = 512 * 1_024
        private static let variable = "OUTRIDER_HEAP_INTERVAL"

        /// The interval that holds, and what is wrong with the environment's.
        func resolvedInterval() -> (interval: Int, problem: String?) {
            if let interval { return (max(0, interval), nil) }
            guard let text = value(of: Self.variable), !text.isEmpty else {
                return (Self.defaultInterval, nil)
            }
            if let number = Int(text), number >= 0 { return (number, nil) }
            let problem =
                "\(Self.variable) is \"\(text)\", which is no number of bytes; \(Self.defaultInterval) "
                + "holds. Write 524288, 1 for everything, or 0 for none."
            return (Self.defaultInterval, problem)
        }

        private func value(of name: String) -> String? {
            if let environment { return environment[name] }
            // SAFETY: the string is copied at once; nobody should change the environment meanwhile.
            return unsafe getenv(name).map { unsafe String(cString: $0) }
        }
    }
}
