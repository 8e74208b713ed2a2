// SPDX-License-Identifier: Apache-2.0
// The forms in which a profile can be read.

internal import OutriderThreading

/// A form in which a profile can be read.
public enum ProfileFormat: String, CaseIterable, Sendable {
    /// `profile.proto`, gzipped, for `go tool pprof`, Parca and Pyroscope.
    case pprof
    /// Text for people: Go's `debug=1`.
    case text
    /// A line for each stack, for scripts that draw flame graphs.
    case collapsed
    /// A page that draws a flame graph by itself.
    case flamegraph
}

extension Profile {
    /// The profile as bytes, with the names of functions.
    ///
    /// Reads the symbol tables of the program and its libraries, some tens of milliseconds for each the
    /// first time; call it where that may take its time. Takes under 16 MB of memory besides the symbol tables,
    /// however many samples there are: text has 4 MiB at most, and sums up what it leaves out; a flame graph has
    /// 20,000 branches. Thread-safe.
    ///
    /// - Parameters:
    ///   - format: The form.
    ///   - title: What the profile is of, for those forms that are for people.
    public func rendered(as format: ProfileFormat, title: String) -> [UInt8] {
        OwnWork.run {
            let profile = followingLibraries()
            let symbols = Symbolizer.shared.symbols(ofSorted: profile.table.usedAddresses)
            return profile.rendered(as: format, title: title, symbols)
        }
    }

    /// The same with names that are known already.
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
