// SPDX-License-Identifier: Apache-2.0
// Configuration of a heap profiler.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

extension HeapProfiler {
    /// Configuration of a heap profiler.
    public struct Configuration: Sendable {
        /// Mean bytes between two samples; nil reads `OUTRIDER_HEAP_INTERVAL`, and defaults to 512
        /// KiB.
        ///
        /// 1 samples every allocation; 0 leaves sampling off until ``HeapProfiler/interval`` is
        /// set.
        public var interval: Int?
        /// The share of one core that sampling may take; 0 sets no limit.
        ///
        /// A second that exceeds it widens the interval at once. The next scrape or profile logs
        /// that, and halves the interval again once sampling has been well below the budget for a
        /// minute.
        public var budget: Double = 0.01
        /// Whether live objects are split by Swift type, in the label `swift_type`.
        public var showsTypes = true

        /// Environment variables to read instead of the process's own.
        package var environment: [String: String]?

        /// The defaults.
        public init() {}

        /// The default configuration with another interval.
        public init(interval: Int) {
            self.interval = interval
        }

        /// 512 KiB, as in Go and tcmalloc.
        static let defaultInterval = 512 * 1_024
        private static let variable = "OUTRIDER_HEAP_INTERVAL"

        /// The effective interval, and what is wrong with the environment's value.
        func resolvedInterval() -> (interval: Int, problem: String?) {
            if let interval { return (max(0, interval), nil) }
            guard let text = value(of: Self.variable), !text.isEmpty else {
                return (Self.defaultInterval, nil)
            }
            if let number = Int(text), number >= 0 { return (number, nil) }
            let problem =
                "\(Self.variable) is \"\(text)\", which is not a number of bytes; using "
                + "\(Self.defaultInterval). Write 524288, 1 for everything, or 0 for none."
            return (Self.defaultInterval, problem)
        }

        private func value(of name: String) -> String? {
            if let environment { return environment[name] }
            // SAFETY: the string is copied at once; nothing may change the environment at the same
            // time.
            return unsafe getenv(name).map { unsafe String(cString: $0) }
        }
    }
}
