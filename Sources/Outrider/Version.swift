// SPDX-License-Identifier: Apache-2.0
// The version of Outrider and of the compiler that built it.

/// The version of Outrider and of its compiler, as `outrider_build_info` shows them.
enum Version {
    /// This version of Outrider; see CHANGELOG.md.
    static let outrider = "0.1.0"

    /// The Swift compiler that built this module, to the minor version.
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
