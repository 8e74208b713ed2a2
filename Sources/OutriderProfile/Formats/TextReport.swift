// SPDX-License-Identifier: Apache-2.0
// A profile for people and for scripts: Go's `debug=1`, and one line for each stack.

/// Text for people.
enum TextReport {
    /// The profile with its largest stacks first.
    ///
    /// A heap profile has the numbers of Go's: in use, then allocated, objects before bytes.
    static func render(_ profile: Profile, _ symbols: Symbols, title: String) -> [UInt8] {
        let order = ordered(profile)
        var output: [UInt8] = []
        let totals = profile.sampleTypes.indices.map { index in
            profile.samples.reduce(Int64(0)) { $0 &+ $1.values[index] }
        }
        let sums = numbers(totals, profile)
        append(&output, "\(title) profile: \(sums) @ \(title)/\(profile.period)\n")
        let types = profile.sampleTypes.map { "\($0.type)/\($0.unit)" }.joined(separator: " ")
        append(&output, "# types: \(types)\n")
        for comment in profile.comments { append(&output, "# \(oneLine(comment))\n") }
        for sample in order {
            let addresses = sample.stack.map { "0x" + String($0, radix: 16) }
            let stack = addresses.joined(separator: " ")
            append(&output, "\n\(numbers(sample.values, profile)) @ \(stack)\n")
            for label in sample.labels {
                append(&output, "# \(oneLine(label.key)): \(oneLine(label.value))\n")
            }
            for (address, place) in zip(sample.stack, addresses) {
                append(&output, "#\t\(place)\t\(oneLine(symbols.label(address)))\n")
            }
        }
        return output
    }

    private static func ordered(_ profile: Profile) -> [Profile.Sample] {
        let main = profile.defaultIndex
        return profile.samples.enumerated().sorted { left, right in
            let (a, b) = (left.element.values[main], right.element.values[main])
            return a != b ? a > b : left.offset < right.offset
        }.map(\.element)
    }

    private static func numbers(_ values: [Int64], _ profile: Profile) -> String {
        guard profile.isHeap else { return values.map(String.init).joined(separator: " ") }
        return "\(values[2]): \(values[3]) [\(values[0]): \(values[1])]"
    }

    private static func append(_ output: inout [UInt8], _ text: String) {
        output.append(contentsOf: text.utf8)
    }

    /// Without line ends, which a label may have.
    private static func oneLine(_ text: String) -> String {
        text.contains(where: \.isNewline) ? String(text.map { $0.isNewline ? " " : $0 }) : text
    }
}

/// Collapsed stacks: outermost frame first, semicolons between, a blank and the value.
enum CollapsedStacks {
    /// The stacks in the order of their text; those whose value is not positive are left out.
    static func render(_ profile: Profile, _ symbols: Symbols) -> [UInt8] {
        let main = profile.defaultIndex
        var sums: [String: Int64] = [:]
        for sample in profile.samples where sample.values[main] != 0 {
            let names = sample.stack.reversed().map { clean(symbols.label($0)) }
            let line = names.isEmpty ? "[unknown stack]" : names.joined(separator: ";")
            sums[line, default: 0] &+= sample.values[main]
        }
        let lines = sums.filter { $0.value > 0 }.sorted { $0.key < $1.key }
        return Array(lines.map { "\($0.key) \($0.value)\n" }.joined().utf8)
    }

    private static func clean(_ name: String) -> String {
        String(name.map { $0 == ";" ? ":" : $0.isNewline ? " " : $0 })
    }
}

extension Profile {
    /// The number of the sample type that a reader looks at first.
    var defaultIndex: Int {
        sampleTypes.firstIndex { $0.type == defaultSampleType } ?? max(0, sampleTypes.count - 1)
    }

    /// Whether it has the four values of a heap profile.
    var isHeap: Bool {
        sampleTypes.map(\.type) == ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]
    }
}
