// SPDX-License-Identifier: Apache-2.0
// What every profile is: stacks, and what was measured at each of them.
//
// Values only: no clock, no I/O, no names. Stacks stay addresses until somebody reads the profile, as
// names cost more than everything else together. An address is one of the moment: those in libraries that were
// unloaded meanwhile are moved before they are compared or named (``Profile/followingLibraries()``).

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
        public internal(set) var values: [Int64]
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
    /// Every stack once for each set of labels, in the order in which they were added.
    ///
    /// Made anew at each use: some 100 bytes and 8 for each frame of each sample.
    public var samples: [Sample] { table.samples }

    /// The samples as they are kept.
    package var table: SampleTable
    /// How many libraries had been unloaded when it was made: addresses that are added later are no older.
    var unloads: UInt64

    /// A profile without samples.
    public init(
        sampleTypes: [ValueType], defaultSampleType: String, periodType: ValueType, period: Int64
    ) {
        self.sampleTypes = sampleTypes
        self.defaultSampleType = defaultSampleType
        self.periodType = periodType
        self.period = period
        table = SampleTable(width: sampleTypes.count)
        unloads = ModuleHistory.unloads
    }

    /// Adds values to a stack; those of the same stack and labels are summed up.
    ///
    /// Missing values count as 0, and those for which there is no type are left out. A sum that
    /// does not fit stays at the largest number.
    ///
    /// - Parameter stack: Return addresses, innermost first.
    public mutating func add(stack: [UInt], values: [Int64], labels: [Label] = []) {
        let number = table.stack(stack.count) { stack[$0] }
        table.add(stack: number, labels: table.labelSet(labels), values)
    }

    /// What has changed since an earlier profile of the same kind.
    ///
    /// Values may be negative, as of what is in use; samples without any change are left out.
    public func subtracting(_ earlier: Profile) -> Profile {
        var difference = followingLibraries()
        difference.timeNanoseconds = earlier.timeNanoseconds
        difference.durationNanoseconds = max(0, timeNanoseconds - earlier.timeNanoseconds)
        difference.table.subtract(earlier.followingLibraries().table)
        return difference
    }
}
