// SPDX-License-Identifier: Apache-2.0
// Event loops have no names; here they get numbers, the same for all metrics about them.

#if NIO
    internal import OutriderThreading

    /// Numbers of event loops, in the order in which they were first seen; thread-safe.
    enum EventLoopNumbers {
        /// Loops that have numbers of their own.
        static let limit = 1_024
        /// The label of all further ones.
        static let overflow = "_OVERFLOW"

        private static let known = Guarded<[ObjectIdentifier: Int]>([:])

        /// The value of the label `loop`.
        ///
        /// A loop that is gone may leave its number to one that comes to be in its place.
        static func label(of loop: ObjectIdentifier) -> String {
            known.withLock { known in
                if let number = known[loop] { return String(number) }
                guard known.count < limit else { return overflow }
                known[loop] = known.count
                return String(known.count - 1)
            }
        }
    }
#endif
