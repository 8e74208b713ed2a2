// SPDX-License-Identifier: Apache-2.0
// Tests of a profile's values: sums and differences.

import OutriderProfile
import Testing

/// A profile with the sample types of a heap profile.
func heapProfile(period: Int64 = 1_024) -> Profile {
    Profile(
        sampleTypes: [
            .init("alloc_objects", "count"), .init("alloc_space", "bytes"),
            .init("inuse_objects", "count"), .init("inuse_space", "bytes"),
        ],
        defaultSampleType: "inuse_space", periodType: .init("space", "bytes"), period: period)
}

@Suite struct ProfileTests {
    @Test func `values of one stack and one label set are added up`() {
        var profile = heapProfile()
        profile.add(stack: [1, 2], values: [1, 10, 1, 10])
        profile.add(stack: [1, 2], values: [2, 20])
        profile.add(
            stack: [1, 2], values: [0, 0, 5, 50], labels: [.init("b", "y"), .init("a", "x")])
        profile.add(
            stack: [1, 2], values: [0, 0, 1, 1], labels: [.init("a", "x"), .init("b", "y")])
        profile.add(stack: [2, 1], values: [7, 7, 7, 7, 99])
        #expect(profile.samples.map(\.stack) == [[1, 2], [1, 2], [2, 1]])
        #expect(
            profile.samples.map(\.values) == [[3, 30, 1, 10], [0, 0, 6, 51], [7, 7, 7, 7]])
        #expect(profile.samples[1].labels.map(\.key) == ["a", "b"])
    }

    @Test func `an overflowing sum is clamped`() {
        var profile = heapProfile()
        profile.add(stack: [1], values: [.max, .min, 0, 0])
        profile.add(stack: [1], values: [1, -1, 0, 0])
        #expect(profile.samples[0].values == [.max, .min, 0, 0])
    }

    @Test func `a difference contains what grew and what shrank, but not what stayed`() {
        var before = heapProfile()
        before.timeNanoseconds = 1_000
        before.add(stack: [1], values: [10, 100, 1, 10])
        before.add(stack: [2], values: [1, 1, 1, 1])
        before.add(stack: [3], values: [5, 50, 5, 50])
        var after = heapProfile()
        after.timeNanoseconds = 4_500
        after.add(stack: [1], values: [14, 140, 3, 30])
        after.add(stack: [2], values: [1, 1, 1, 1])
        after.add(stack: [3], values: [5, 50, 0, 0])
        after.add(stack: [4], values: [1, 2, 3, 4])
        let change = after.subtracting(before)
        #expect(change.samples.map(\.stack) == [[1], [3], [4]])
        #expect(change.samples.map(\.values) == [[4, 40, 2, 20], [0, 0, -5, -50], [1, 2, 3, 4]])
        #expect(change.timeNanoseconds == 1_000)
        #expect(change.durationNanoseconds == 3_500)
        var more = change
        more.add(stack: [4], values: [1, 1, 1, 1])
        #expect(more.samples.count == 3 && more.samples[2].values == [2, 3, 4, 5])
    }

    @Test func `the minimum is subtracted without a trap`() {
        var before = heapProfile()
        before.add(stack: [1], values: [.min, 0, 0, 0])
        #expect(heapProfile().subtracting(before).samples.count == 1)
    }
}
