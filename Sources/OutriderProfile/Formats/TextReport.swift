// SPDX-License-Identifier: Apache-2.0
// A profile as text: Go's `debug=1`, and collapsed stacks with one line each.

/// The human-readable format.
enum TextReport {
    /// Renders the profile with its largest stacks first.
    ///
    /// The columns of a heap profile are Go's: in use, then allocated, objects before bytes.
    static func render(_ profile: Profile, _ symbols: Symbols, title: String) -> [UInt8] {
        let table = profile.table
        var output: [UInt8] = []
        let sums = numbers(totals(table, table.rows.indices), profile)
        append(&output, "\(title) profile: \(sums) @ \(title)/\(profile.period)\n")
        let types = profile.sampleTypes.map { "\($0.type)/\($0.unit)" }.joined(separator: " ")
        append(&output, "# types: \(types)\n")
        for comment in profile.comments { append(&output, "# \(oneLine(comment))\n") }
        let order = ordered(profile)
        for (index, row) in order.enumerated() {
            if output.count > ProfileFormat.textLimit {
                let rest = numbers(totals(table, order[index...]), profile)
                append(&output, "\n# \(order.count - index) smaller stacks are left out: \(rest)\n")
                break
            }
            append(&output, row, profile, symbols)
        }
        return output
    }

    private static func append(
        _ output: inout [UInt8], _ row: Int, _ profile: Profile, _ symbols: Symbols
    ) {
        let table = profile.table
        let frames = table.range(ofStack: Int(table.rows[row].stack))
        append(&output, "\n\(numbers(values(table, row), profile)) @ ")
        for (index, frame) in frames.enumerated() {
            append(
                &output,
                (index == 0 ? "" : " ") + hexadecimal(table.addresses[Int(table.frames[frame])]))
        }
        append(&output, "\n")
        for label in table.labelSets[Int(table.rows[row].labels)] {
            append(&output, "# \(oneLine(label.key)): \(oneLine(label.value))\n")
        }
        for frame in frames {
            let address = table.addresses[Int(table.frames[frame])]
            append(&output, "#\t\(hexadecimal(address))\t\(oneLine(symbols.label(address)))\n")
        }
    }

    private static func hexadecimal(_ address: UInt) -> String { "0x" + String(address, radix: 16) }

    private static func values(_ table: SampleTable, _ row: Int) -> [Int64] {
        Array(table.values[row * table.width..<(row + 1) * table.width])
    }

    private static func totals(_ table: SampleTable, _ rows: some Sequence<Int>) -> [Int64] {
        var totals = [Int64](repeating: 0, count: table.width)
        for row in rows {
            for value in 0..<table.width {
                totals[value] &+= table.values[row * table.width + value]
            }
        }
        return totals
    }

    /// The rows, largest values first.
    private static func ordered(_ profile: Profile) -> [Int] {
        let table = profile.table
        let main = profile.defaultIndex
        return table.rows.indices.sorted { left, right in
            let (a, b) = (
                table.values[left * table.width + main], table.values[right * table.width + main]
            )
            return a != b ? a > b : left < right
        }
    }

    private static func numbers(_ values: [Int64], _ profile: Profile) -> String {
        guard profile.isHeap else { return values.map(String.init).joined(separator: " ") }
        return "\(values[2]): \(values[3]) [\(values[0]): \(values[1])]"
    }

    private static func append(_ output: inout [UInt8], _ text: String) {
        output.append(contentsOf: text.utf8)
    }

    /// Replaces line ends, which a label may contain.
    private static func oneLine(_ text: String) -> String {
        text.contains(where: \.isNewline) ? String(text.map { $0.isNewline ? " " : $0 }) : text
    }
}

/// Collapsed stacks: frames from the outermost, separated by semicolons, then a blank and the
/// value.
enum CollapsedStacks {
    private static let leftOut = "[smaller stacks, left out]"

    private struct Line {
        let stack: Int32
        var value: Int64
    }

    /// Renders the stacks in the order of their functions' names; stacks without a positive value
    /// are left out.
    static func render(_ profile: Profile, _ symbols: Symbols) -> [UInt8] {
        let stacks = NamedStacks(profile.table, symbols)
        let lines = lines(stacks, profile)
        // Keep the largest stacks, as far as there is room.
        var room = ProfileFormat.textLimit
        var isKept = [Bool](repeating: false, count: lines.count)
        for line in lines.indices.sorted(by: { lines[$0].value > lines[$1].value }) {
            room -= length(lines[line], stacks)
            if room < 0 { break }
            isKept[line] = true
        }
        var output: [UInt8] = []
        output.reserveCapacity(ProfileFormat.textLimit - max(0, room))
        var rest: Int64 = 0
        for (index, line) in lines.enumerated() {
            if isKept[index] {
                append(&output, line, stacks)
            } else {
                rest = SampleTable.sum(rest, line.value)
            }
        }
        if rest > 0 { output += "\(leftOut) \(rest)\n".utf8 }
        return output
    }

    private static func lines(_ stacks: NamedStacks, _ profile: Profile) -> [Line] {
        let sums = stacks.sums { $0 }
        let main = profile.defaultIndex
        var lines: [Line] = []
        for stack in stacks.order {
            let value = sums[Int(stack) * profile.table.width + main]
            if let last = lines.last, isSame(last.stack, stack, stacks) {
                lines[lines.count - 1].value = SampleTable.sum(last.value, value)
            } else {
                lines.append(Line(stack: stack, value: value))
            }
        }
        lines.removeAll { $0.value <= 0 }
        return lines
    }

    private static func isSame(_ left: Int32, _ right: Int32, _ stacks: NamedStacks) -> Bool {
        let depth = stacks.depth(left)
        return depth == stacks.depth(right) && stacks.common(left, right) == depth
    }

    private static func length(_ line: Line, _ stacks: NamedStacks) -> Int {
        var length = String(line.value).utf8.count + 2
        for depth in 0..<stacks.depth(line.stack) {
            length += stacks.label(line.stack, depth).utf8.count + 1
        }
        return length
    }

    private static func append(_ output: inout [UInt8], _ line: Line, _ stacks: NamedStacks) {
        for depth in 0..<stacks.depth(line.stack) {
            if depth > 0 { output.append(UInt8(ascii: ";")) }
            output += clean(stacks.label(line.stack, depth)).utf8
        }
        output += " \(line.value)\n".utf8
    }

    private static func clean(_ name: String) -> String {
        guard name.contains(where: { $0 == ";" || $0.isNewline }) else { return name }
        return String(name.map { $0 == ";" ? ":" : $0.isNewline ? " " : $0 })
    }
}

extension ProfileFormat {
    /// Approximate maximum size of text, in bytes; the smallest stacks are left out and summed up.
    static let textLimit = 4 << 20
}

extension Profile {
    /// The index of the default sample type.
    var defaultIndex: Int {
        sampleTypes.firstIndex { $0.type == defaultSampleType } ?? max(0, sampleTypes.count - 1)
    }

    /// Whether it has the four sample types of a heap profile.
    var isHeap: Bool {
        sampleTypes.map(\.type) == ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]
    }
}
