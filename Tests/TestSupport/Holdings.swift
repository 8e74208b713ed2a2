// SPDX-License-Identifier: Apache-2.0
// What a process holds, and how it was built.

internal import Glibc

/// What a process holds that must not grow.
public struct Holdings: Equatable, Sendable {
    /// Open file descriptors.
    public let descriptors: Int
    /// Threads.
    public let threads: Int

    /// Of this process, now.
    public static func now() -> Holdings {
        Holdings(descriptors: entries("/proc/self/fd"), threads: entries("/proc/self/task"))
    }

    private static func entries(_ path: String) -> Int {
        guard let listing = unsafe opendir(path) else { return -1 }
        defer { unsafe closedir(listing) }
        var count = 0
        while unsafe readdir(listing) != nil { count += 1 }
        return count
    }
}

/// Whether this process was built with the thread sanitizer.
public let isUnderThreadSanitizer: Bool = unsafe dlsym(nil, "__tsan_init") != nil
