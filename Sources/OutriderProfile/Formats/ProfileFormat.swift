// SPDX-License-Identifier: Apache-2.0
// The output formats of a profile.

internal import OutriderThreading

/// An output format of a profile.
public enum ProfileFormat: String, CaseIterable, Sendable {
    /// `profile.proto`, gzipped, for `go tool pprof`, Parca and Pyroscope.
    case pprof
    /// Human-readable text: Go's `debug=1`.
    case text
    /// One line per stack, for scripts that draw flame graphs.
    case collapsed
    /// A self-contained page that draws a flame graph.
    case flamegraph
}

extension Profile {
    /// The profile as bytes in a format, with function names.
    ///
    /// Reads the symbol tables of the program and its libraries, which takes some tens of
    /// milliseconds for each the first time; do not call it where latency matters. Takes under 16
    /// MB of memory in addition to the symbol tables, however many samples there are: text is
    /// limited to 4 MiB and summarises what it leaves out; a flame graph is limited to 20,000
    /// branches. Thread-safe.
    ///
    /// - Parameters:
    ///   - format: The output format.
    ///   - title: The subject of the profile, for human-readable formats.
    public func rendered(as format: ProfileFormat, title: String) -> [UInt8] {
        OwnWork.run {
            let profile = followingLibraries()
            let symbols = Symbolizer.shared.symbols(ofSorted: profile.table.usedAddresses)
            return profile.rendered(as: format, title: title, symbols)
        }
    }

    /// The same with symbols that are already known.
    package func rendered(
        as format: ProfileFormat, title: String, _ symbols: Symbols
    ) -> [UInt8] {
        switch format {
        case .pprof: PprofEncoder.encode(self, symbols)
        case .text: TextReport.render(self, symbols, title: title)
        case .collapsed: CollapsedStacks.render(self, symbols)
        case .flamegraph: FlameGraph.render(self, symbols, title: title)
        }
    }
}
