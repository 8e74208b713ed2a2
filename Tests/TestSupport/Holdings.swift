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

    /// How many of this process' descriptors are sockets, now.
    ///
    /// Those of a runtime that wakes up meanwhile, such as Dispatch's, are none.
    public static func sockets() -> Int {
        guard let listing = unsafe opendir("/proc/self/fd") else { return -1 }
        defer { unsafe closedir(listing) }
        var count = 0
        while let entry = unsafe readdir(listing) {
            var status = stat()
            // SAFETY: readdir(3) ends the name with a zero and keeps it until the next call.
            let number = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe atoi($0) }
            }
            if unsafe fstat(number, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK {
                count += 1
            }
        }
        return count
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
