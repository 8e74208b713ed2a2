// SPDX-License-Identifier: Apache-2.0
// Helpers of these tests.

import OutriderMetrics
import OutriderTesting

extension Registry {
    /// A registry that exposes only what a test adds.
    static var bare: Registry { Registry(hasOwnMetrics: false, log: DiagnosticLog { _, _ in }) }
}

/// The description of a failed expectation; empty if it holds or another error is thrown.
func failure(of body: () throws -> Void) -> String {
    do {
        try body()
    } catch let failure as ExpectationFailure {
        return failure.description
    } catch {}
    return ""
}
