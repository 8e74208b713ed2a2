// SPDX-License-Identifier: Apache-2.0
// Event loops have no names; this assigns numbers, which all metrics about them share.

#if NIO
    internal import OutriderThreading

    /// The numbers of event loops, in the order in which they were first seen; thread-safe.
    enum EventLoopLabels {
        /// Loops that get their own number.
        static let limit = 1_024
        /// The label of all other loops.
        static let overflow = "_OVERFLOW"

        private static let known = Guarded<[ObjectIdentifier: Int]>([:])

        /// The value of the label `loop`.
        ///
        /// A new loop at the address of a loop that is gone may inherit its number.
        static func label(of loop: ObjectIdentifier) -> String {
            known.withLock { known in
                if let index = known[loop] { return String(index) }
                guard known.count < limit else { return overflow }
                known[loop] = known.count
                return String(known.count - 1)
            }
        }
    }
#endif
