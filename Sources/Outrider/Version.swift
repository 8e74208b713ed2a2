// SPDX-License-Identifier: Apache-2.0
// Which Outrider this is, and which compiler built it.

/// The version of Outrider and of its compiler, as `outrider_build_info` shows them.
enum Version {
    /// This version of Outrider; CHANGELOG.md tells what is in it.
    static let outrider = "0.1.0"

    /// The Swift compiler that built this, to the minor version.
    static let swift: String = {
        #if compiler(>=6.5)
            "6.5 or later"
        #elseif compiler(>=6.4)
            "6.4"
        #elseif compiler(>=6.3)
            "6.3"
        #else
            "6.2"
        #endif
    }()
}
