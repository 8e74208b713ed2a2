// SPDX-License-Identifier: Apache-2.0
// The sampler's tables at one moment, as a profile.
//
// Allocated comes from the sums of the stacks; in use from a copy of the live samples, since only those can be
// told apart by type. So both add up, whatever is allocated and freed meanwhile.

internal import COutriderHeap
internal import OutriderProfile

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Makes a profile of the tables.
struct HeapSnapshot {
    let kind: ProfileKind
    let interval: Int
    /// How to tell live objects apart; nil not to.
    let types: LiveTypes?

    /// The label of live objects' types.
    private static let typeLabel = "swift_type"
    /// Samples that may come while the table is copied.
    private static let spare = 1_024

    private struct Group: Hashable {
        let site: UInt32
        let type: String?
    }

    private struct InUse {
        var objects: UInt64 = 0
        var bytes: UInt64 = 0
    }

    /// The profile.
    func profile(comments: [String]) -> Profile {
        var profile = Profile(
            sampleTypes: [
                .init("alloc_objects", "count"), .init("alloc_space", "bytes"),
                .init("inuse_objects", "count"), .init("inuse_space", "bytes"),
            ],
            defaultSampleType: kind.defaultSampleType, periodType: .init("space", "bytes"),
            period: Int64(clamping: interval))
        profile.timeNanoseconds = Self.wallNanoseconds()
        let (live, skipped) = Self.liveSamples()
        profile.comments = comments
        if skipped > 0 {
            profile.comments.append(
                "incomplete: \(skipped) of 64 parts of the table of live samples were locked")
        }
        var stacks: [UInt32: [UInt]] = [:]
        for number in 0..<outrider_heap_site_count() {
            var site = unsafe outrider_heap_site()
            guard unsafe outrider_heap_read_site(number, &site) != 0 else { continue }
            // SAFETY: the sampler never changes or frees the addresses of a stack.
            let stack = unsafe Array(UnsafeBufferPointer(start: site.pcs, count: Int(site.depth)))
            stacks[number] = stack
            let objects = unsafe HeapFigures.objects(site.allocated_objects)
            let bytes = unsafe Int64(clamping: site.allocated_bytes)
            if objects != 0 || bytes != 0 { profile.add(stack: stack, values: [objects, bytes]) }
        }
        for (group, inUse) in inUse(live, stacks) {
            profile.add(
                stack: stacks[group.site] ?? [],
                values: [
                    0, 0, HeapFigures.objects(inUse.objects), Int64(clamping: inUse.bytes),
                ],
                labels: group.type.map { [.init(Self.typeLabel, $0)] } ?? [])
        }
        return profile
    }

    private func inUse(
        _ live: [outrider_heap_live], _ stacks: [UInt32: [UInt]]
    ) -> [Group: InUse] {
        let names = types?.names(of: live, stacks) ?? [:]
        var groups: [Group: InUse] = [:]
        for sample in live {
            let group = Group(site: sample.site, type: names[sample.address])
            let (high, low) = sample.objects.multipliedFullWidth(by: sample.size)
            let shift = UInt64(OUTRIDER_HEAP_OBJECT_SHIFT)
            groups[group, default: InUse()].objects &+= sample.objects
            groups[group, default: InUse()].bytes &+= high << (64 - shift) | low >> shift
        }
        return groups
    }

    private static func liveSamples() -> (samples: [outrider_heap_live], skipped: UInt32) {
        var figures = outrider_heap_figures()
        unsafe outrider_heap_read_figures(&figures)
        let room = Int(clamping: figures.live_samples) + spare
        // Made before the locks are taken, and touched, so that no page has to be found under one.
        var samples = [outrider_heap_live](repeating: outrider_heap_live(), count: room)
        var skipped: UInt32 = 0
        let found = unsafe samples.withUnsafeMutableBufferPointer { buffer in
            // SAFETY: the C side writes no more than there is room for.
            unsafe outrider_heap_copy_live(buffer.baseAddress, buffer.count, &skipped)
        }
        samples.removeLast(room - min(room, found))
        return (samples, skipped)
    }

    private static func wallNanoseconds() -> Int64 {
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) &* 1_000_000_000 &+ Int64(now.tv_nsec)
    }
}
