// SPDX-License-Identifier: Apache-2.0
// `render FORMAT STACKS`: writes a profile of that many deep stacks, and prints its size and the
// growth of the peak resident size, in bytes.

import OutriderProfile

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

enum Rendering {
    /// The sampler's maximum depth, and as many call sites as a large service may allocate from.
    private static let depth = 128
    private static let calls: UInt = 20_000

    static func run(_ words: [String]) {
        guard words.count == 2, let format = ProfileFormat(rawValue: words[0]),
            let stacks = Int(words[1])
        else {
            print("usage: outrider-heap-probe render FORMAT STACKS")
            return
        }
        let profile = profile(stacks)
        let before = resetPeak()
        let count = profile.rendered(as: format, title: "heap").count
        print(count, peak() - before)
    }

    /// Stacks that diverge close to their outermost frames.
    private static func profile(_ stacks: Int) -> Profile {
        var profile = Profile(
            sampleTypes: [
                .init("alloc_objects", "count"), .init("alloc_space", "bytes"),
                .init("inuse_objects", "count"), .init("inuse_space", "bytes"),
            ],
            defaultSampleType: "inuse_space", periodType: .init("space", "bytes"), period: 1)
        let code = ModuleHistory.shared.modules[0].addresses
        let step = UInt(code.count) / calls
        var random: UInt = 1
        for number in 0..<stacks {
            let stack = (0..<depth).map { frame -> UInt in
                // A linear congruential generator (Knuth's MMIX).
                random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return code.lowerBound + 1
                    + (frame > depth - 4 ? UInt(frame) : (random >> 40) % calls) * step
            }
            let bytes = Int64(number % 1_000) * 100 + 1
            profile.add(stack: stack, values: [2, 2 * bytes, 1, bytes])
        }
        return profile
    }

    /// Resets the peak resident size, and returns the current one (proc_pid_clear_refs(5)).
    private static func resetPeak() -> Int {
        let file = unsafe open("/proc/self/clear_refs", O_WRONLY)
        _ = unsafe write(file, "5", 1)
        close(file)
        return peak()
    }

    /// The peak resident size, in bytes (`VmHWM`, proc_pid_status(5)).
    private static func peak() -> Int {
        var bytes = [UInt8](repeating: 0, count: 8_192)
        let file = unsafe open("/proc/self/status", O_RDONLY)
        let count = unsafe read(file, &bytes, bytes.count)
        close(file)
        let lines = String(decoding: bytes[..<max(0, count)], as: UTF8.self).split(separator: "\n")
        let words = lines.first { $0.hasPrefix("VmHWM:") }?.split(separator: " ") ?? []
        return (words.count > 1 ? Int(words[1]) ?? 0 : 0) << 10
    }
}
