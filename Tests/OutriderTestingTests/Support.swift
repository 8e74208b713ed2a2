// SPDX-License-Identifier: Apache-2.0
// What these tests share.

import OutriderMetrics
import OutriderTesting

extension Registry {
    /// A registry that exposes nothing but what a test puts into it.
    static var bare: Registry { Registry(reportsItself: false, log: DiagnosticLog { _, _ in }) }
}

/// What a failed expectation says; empty if it holds or if something else is thrown.
func failure(of body: () throws -> Void) -> String {
    do {
        try body()
    } catch let failure as ExpectationFailure {
        return failure.description
    } catch {}
    return ""
}
