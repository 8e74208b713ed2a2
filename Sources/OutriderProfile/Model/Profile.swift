// SPDX-License-Identifier: Apache-2.0
// What every profile is: stacks, and what was measured at each of them.
//
// Values only: no clock, no I/O, no names. Stacks stay addresses until somebody reads the profile, as
// names cost more than everything else together.

/// Stacks of this process, and values for each.
public struct Profile: Sendable {
    /// What a value counts, and in what: `inuse_space` in `bytes`.
    public struct ValueType: Hashable, Sendable {
        /// What is counted.
        public let type: String
        /// The unit: `count`, `bytes`, `nanoseconds`.
        public let unit: String

        /// A type and its unit.
        public init(_ type: String, _ unit: String) {
            self.type = type
            self.unit = unit
        }
    }

    /// Something more that is known of a sample.
    public struct Label: Hashable, Sendable {
        /// Its name.
        public let key: String
        /// Its value.
        public let value: String

        /// A label.
        public init(_ key: String, _ value: String) {
            self.key = key
            self.value = value
        }
    }

    /// A stack and its values.
    public struct Sample: Sendable {
        /// Return addresses, innermost first.
        public let stack: [UInt]
        /// Labels, sorted by key.
        public let labels: [Label]
        /// One value for each of the profile's ``Profile/sampleTypes``.
        public fileprivate(set) var values: [Int64]
    }

    private struct Key: Hashable {
        let stack: [UInt]
        let labels: [Label]
    }

    /// What the values of each sample are.
    public let sampleTypes: [ValueType]
    /// The type that a reader looks at first.
    public let defaultSampleType: String
    /// Between which events samples were taken, and in what unit.
    public let periodType: ValueType
    /// The mean distance of two samples, in the unit of ``periodType``.
    public let period: Int64
    /// When it was taken, or began, in nanoseconds since the epoch; 0 if nobody knows.
    public var timeNanoseconds: Int64 = 0
    /// How long it covers, in nanoseconds; 0 for a moment.
    public var durationNanoseconds: Int64 = 0
    /// Remarks for the reader.
    public var comments: [String] = []
    /// Every stack once for each set of labels.
    public private(set) var samples: [Sample] = []
    private var indices: [Key: Int] = [:]

    /// A profile without samples.
    public init(
        sampleTypes: [ValueType], defaultSampleType: String, periodType: ValueType, period: Int64
    ) {
        self.sampleTypes = sampleTypes
        self.defaultSampleType = defaultSampleType
        self.periodType = periodType
        self.period = period
    }

    /// Adds values to a stack; those of the same stack and labels are summed up.
    ///
    /// Missing values count as 0, and those for which there is no type are left out. A sum that
    /// does not fit stays at the largest number.
    ///
    /// - Parameter stack: Return addresses, innermost first.
    public mutating func add(stack: [UInt], values: [Int64], labels: [Label] = []) {
        let labels = labels.count > 1 ? labels.sorted { $0.key < $1.key } : labels
        let key = Key(stack: stack, labels: labels)
        let padded = sampleTypes.indices.map { $0 < values.count ? values[$0] : 0 }
        guard let known = indices[key] else {
            indices[key] = samples.count
            samples.append(Sample(stack: stack, labels: labels, values: padded))
            return
        }
        for (index, value) in padded.enumerated() {
            samples[known].values[index] = Self.sum(samples[known].values[index], value)
        }
    }

    /// What has changed since an earlier profile of the same kind.
    ///
    /// Values may be negative, as of what is in use; samples without any change are left out.
    public func subtracting(_ earlier: Profile) -> Profile {
        var difference = Profile(
            sampleTypes: sampleTypes, defaultSampleType: defaultSampleType, periodType: periodType,
            period: period)
        difference.timeNanoseconds = earlier.timeNanoseconds
        difference.durationNanoseconds = max(0, timeNanoseconds - earlier.timeNanoseconds)
        difference.comments = comments
        for sample in samples {
            difference.add(stack: sample.stack, values: sample.values, labels: sample.labels)
        }
        for sample in earlier.samples {
            difference.add(
                stack: sample.stack, values: sample.values.map { 0 &- $0 }, labels: sample.labels)
        }
        difference.removeUnchanged()
        return difference
    }

    private mutating func removeUnchanged() {
        samples.removeAll { $0.values.allSatisfy { $0 == 0 } }
        indices = [:]
        for (index, sample) in samples.enumerated() {
            indices[Key(stack: sample.stack, labels: sample.labels)] = index
        }
    }

    private static func sum(_ left: Int64, _ right: Int64) -> Int64 {
        let (sum, overflows) = left.addingReportingOverflow(right)
        return overflows ? (left < 0 ? .min : .max) : sum
    }
}
