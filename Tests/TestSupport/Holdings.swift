// SPDX-License-Identifier: Apache-2.0
// The resources of this process, and how it was built.

internal import Glibc

/// Resources of a process that must not leak.
public struct Holdings: Equatable, Sendable {
    /// Open file descriptors.
    public let descriptors: Int
    /// Threads.
    public let threads: Int

    /// The current resources of this process.
    public static func now() -> Holdings {
        Holdings(descriptors: entries("/proc/self/fd"), threads: entries("/proc/self/task"))
    }

    /// The number of this process's descriptors that are sockets.
    ///
    /// Unlike other descriptors, sockets are not opened by runtimes in the background, such as
    /// Dispatch.
    public static func sockets() -> Int {
        guard let listing = unsafe opendir("/proc/self/fd") else { return -1 }
        defer { unsafe closedir(listing) }
        var count = 0
        while let entry = unsafe readdir(listing) {
            var status = stat()
            // SAFETY: readdir(3) terminates the name with a zero and keeps it until the next call.
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
