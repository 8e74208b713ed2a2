// SPDX-License-Identifier: Apache-2.0
// A parser for docs/metrics.md, which tests compare with the exposed metrics.

internal import Glibc
public import OutriderMetrics
internal import OutriderTesting

/// The documented list of all metrics.
public enum MetricsList {
    /// A row of the list.
    public struct Row: Hashable, Sendable {
        /// The metric's name in the text format.
        public let name: String
        /// `counter`, `gauge`, `histogram` or `info`.
        public let type: String
        /// The names of its labels.
        public let labels: Set<String>

        /// Creates a row.
        public init(name: String, type: String, labels: Set<String>) {
            (self.name, self.type, self.labels) = (name, type, labels)
        }
    }

    /// The rows of metrics with this prefix.
    public static func rows(prefix: String) -> [Row] {
        text().split(separator: "\n").compactMap { line in
            guard line.hasPrefix("| `\(prefix)") else { return nil }
            let cells = line.split(separator: "|").map { $0.trimmed }
            guard cells.count == 7 else { return nil }
            return Row(name: quoted(cells[0])[0], type: cells[1], labels: Set(quoted(cells[3])))
        }
    }

    /// The rows of a registry's exposed metrics with this prefix.
    public static func exposed(by registry: Registry, prefix: String) throws -> [Row] {
        try registry.exposition().families.filter { $0.name.hasPrefix(prefix) }.map { family in
            let isNamed = family.type != .counter || family.name.hasSuffix("_total")
            return Row(
                name: isNamed ? family.name : family.name + "_total", type: "\(family.type)",
                labels: Set(family.samples.flatMap(\.labels.keys)).subtracting(["le"]))
        }
    }

    /// The texts between backquotes.
    private static func quoted(_ cell: String) -> [String] {
        cell.split(separator: "`", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 }.map { String($0.element) }
    }

    private static func text(of file: StaticString = #filePath) -> String {
        let root = "\(file)".split(separator: "/").dropLast(3).joined(separator: "/")
        guard let list = unsafe fopen("/\(root)/docs/metrics.md", "r") else { return "" }
        defer { unsafe fclose(list) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = unsafe fread(&bytes, 1, bytes.count, list)
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}

extension Substring {
    fileprivate var trimmed: String {
        var rest = self[...]
        while rest.first == " " { rest.removeFirst() }
        while rest.last == " " { rest.removeLast() }
        return String(rest)
    }
}
