// SPDX-License-Identifier: Apache-2.0
// A snapshot of the sampler's tables, as a profile.
//
// Allocated memory comes from the totals of the stacks; memory in use comes from a copy of the live
// samples, because only those can be split by type. Both are consistent, whatever is allocated and
// freed while they are read.

internal import COutriderHeap
internal import OutriderProfile

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Builds a profile of the tables.
struct HeapSnapshot {
    let kind: ProfileKind
    let interval: Int
    /// Finds the types of live objects; nil to leave types out.
    let types: LiveTypes?

    /// The label that holds the type of live objects.
    private static let typeLabel = "swift_type"
    /// Room for samples that are taken while the table is copied.
    private static let spare = 1_024

    /// A stack and a type, by which samples are grouped.
    private struct Group: Hashable {
        let site: UInt32
        let labels: Int32
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
        let stacks = addSites(to: &profile.table)
        for (group, inUse) in inUse(live, stacks, &profile.table) {
            profile.table.add(
                stack: stacks[Int(group.site)], labels: group.labels,
                [0, 0, HeapMetrics.objects(inUse.objects), Int64(clamping: inUse.bytes)])
        }
        return profile
    }

    /// Adds the allocation totals of every site, and returns the stack index of each site.
    private func addSites(to table: inout SampleTable) -> [Int32] {
        let count = outrider_heap_site_count()
        var site = unsafe outrider_heap_site()
        var frames = 0
        for siteIndex in 0..<count where unsafe outrider_heap_read_site(siteIndex, &site) != 0 {
            frames += unsafe Int(site.depth)
        }
        table.reserve(frames: frames, stacks: Int(count))
        let none = table.labelSet([])
        let empty = table.stack(0) { _ in 0 }
        var stacks = [Int32](repeating: empty, count: Int(count))
        for siteIndex in 0..<count where unsafe outrider_heap_read_site(siteIndex, &site) != 0 {
            // SAFETY: the sampler never changes or frees the addresses of a stack.
            let stack = unsafe table.stack(Int(site.depth)) { unsafe site.pcs[$0] }
            stacks[Int(siteIndex)] = stack
            let objects = unsafe HeapMetrics.objects(site.allocated_objects)
            let bytes = unsafe Int64(clamping: site.allocated_bytes)
            if objects != 0 || bytes != 0 {
                table.add(stack: stack, labels: none, [objects, bytes])
            }
        }
        return stacks
    }

    private func inUse(
        _ live: [outrider_heap_live], _ stacks: [Int32], _ table: inout SampleTable
    ) -> [Group: InUse] {
        let found = types?.types(of: live, stacks, table)
        let none = table.labelSet([])
        let labels = found?.names.map { table.labelSet([.init(Self.typeLabel, $0)]) } ?? []
        var groups: [Group: InUse] = [:]
        // The sites were read after the samples, so each sample's site is present.
        for (index, sample) in live.enumerated() where Int(sample.site) < stacks.count {
            let type = found?.numbers[index] ?? -1
            let group = Group(site: sample.site, labels: type < 0 ? none : labels[Int(type)])
            let (high, low) = sample.objects.multipliedFullWidth(by: sample.size)
            let shift = UInt64(OUTRIDER_HEAP_OBJECT_SHIFT)
            groups[group, default: InUse()].objects &+= sample.objects
            groups[group, default: InUse()].bytes &+= high << (64 - shift) | low >> shift
        }
        return groups
    }

    private static func liveSamples() -> (samples: [outrider_heap_live], skipped: UInt32) {
        var counters = outrider_heap_counters()
        unsafe outrider_heap_read_counters(&counters)
        let room = Int(clamping: counters.live_samples) + spare
        // Allocated and touched before the locks are taken, so that no page fault occurs under a
        // lock.
        var samples = [outrider_heap_live](repeating: outrider_heap_live(), count: room)
        var skipped: UInt32 = 0
        let found = unsafe samples.withUnsafeMutableBufferPointer { buffer in
            // SAFETY: the C function writes at most `capacity` elements.
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
