// SPDX-License-Identifier: Apache-2.0
// The model of every profile: stacks, and the values measured at each of them.
//
// Plain values: no clock, no I/O, no names. Stacks stay addresses until the profile is rendered,
// because names cost more than everything else together. An address is only valid at one moment:
// addresses in libraries unloaded since then are moved before they are compared or named
// (``Profile/followingLibraries()``).

/// Stacks of this process, with values for each.
public struct Profile: Sendable {
    /// The meaning and unit of a value: `inuse_space` in `bytes`.
    public struct ValueType: Hashable, Sendable {
        /// The quantity.
        public let type: String
        /// The unit: `count`, `bytes`, `nanoseconds`.
        public let unit: String

        /// Creates a value type.
        public init(_ type: String, _ unit: String) {
            self.type = type
            self.unit = unit
        }
    }

    /// Additional information about a sample.
    public struct Label: Hashable, Sendable {
        /// The name of the label.
        public let key: String
        /// The value of the label.
        public let value: String

        /// Creates a label.
        public init(_ key: String, _ value: String) {
            self.key = key
            self.value = value
        }
    }

    /// A stack with its values.
    public struct Sample: Sendable {
        /// Return addresses, innermost first.
        public let stack: [UInt]
        /// Labels, sorted by key.
        public let labels: [Label]
        /// One value for each of the profile's ``Profile/sampleTypes``.
        public internal(set) var values: [Int64]
    }

    /// The types of the values of each sample.
    public let sampleTypes: [ValueType]
    /// The type that readers show by default.
    public let defaultSampleType: String
    /// The quantity and unit that ``period`` is measured in.
    public let periodType: ValueType
    /// The mean distance between two samples, in the unit of ``periodType``.
    public let period: Int64
    /// When it was taken or started, in nanoseconds since the epoch; 0 if unknown.
    public var timeNanoseconds: Int64 = 0
    /// The span that it covers, in nanoseconds; 0 for a moment.
    public var durationNanoseconds: Int64 = 0
    /// Comments for the reader.
    public var comments: [String] = []
    /// The samples, one for each stack and set of labels, in the order in which they were added.
    ///
    /// Computed at each access: takes some 100 bytes per sample and 8 per frame.
    public var samples: [Sample] { table.samples }

    /// The samples in compact form.
    package var table: SampleTable
    /// Number of libraries unloaded before it was created: addresses added later are at least as
    /// recent.
    var unloads: UInt64

    /// Creates a profile without samples.
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

    /// Adds values to a stack; values of the same stack and labels are summed up.
    ///
    /// Missing values count as 0, and surplus values are ignored. A sum that overflows stays at the
    /// limit of `Int64`.
    ///
    /// - Parameter stack: Return addresses, innermost first.
    public mutating func add(stack: [UInt], values: [Int64], labels: [Label] = []) {
        let number = table.stack(stack.count) { stack[$0] }
        table.add(stack: number, labels: table.labelSet(labels), values)
    }

    /// The difference from an earlier profile of the same kind.
    ///
    /// Values may be negative, for example memory in use; samples without any change are left out.
    public func subtracting(_ earlier: Profile) -> Profile {
        var difference = followingLibraries()
        difference.timeNanoseconds = earlier.timeNanoseconds
        difference.durationNanoseconds = max(0, timeNanoseconds - earlier.timeNanoseconds)
        difference.table.subtract(earlier.followingLibraries().table)
        return difference
    }
}
