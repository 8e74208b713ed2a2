// SPDX-License-Identifier: Apache-2.0
// Limits of the process, from getrlimit(2).

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A resource whose use the system limits.
enum ResourceLimit {
    case openFiles, addressSpace

    /// The current soft limit; infinite if unlimited, nil if getrlimit(2) fails.
    var soft: Double? {
        var limit = rlimit()
        #if canImport(Glibc)
            let number = Int32((self == .openFiles ? RLIMIT_NOFILE : RLIMIT_AS).rawValue)
        #else
            let number = self == .openFiles ? RLIMIT_NOFILE : RLIMIT_AS
        #endif
        guard unsafe getrlimit(number, &limit) == 0 else { return nil }
        return limit.rlim_cur == rlim_t.max ? .infinity : Double(limit.rlim_cur)
    }
}
